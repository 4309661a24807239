"""First answers of a report from what is known before it: the images' facts, the reader's own earlier report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.domain.questionnaire import (
    Answered,
    Known,
    Template,
    Value,
    answers_by_path,
    initial_items,
    same_answers,
)
from racoon.node.archive.model import SeriesFilter
from racoon.node.archive.service import Archive
from racoon.node.reading.reports.catalogue import templates
from racoon.node.reading.reports.published import answers_of, previous_report

GENDERS: Mapping[str, str] = {"F": "female", "M": "male", "O": "other"}
"""Patient's Sex (0010,0040) as FHIR's administrative gender."""

MOST_SERIES = 500


def begun_items(
    connection: sa.Connection,
    archive: Archive,
    author: str,
    imaging_study_uid: str,
    pseudonym: Pseudonym,
    template: Template,
) -> tuple[Answered, ...]:
    """Return the answers with which a reader's new report begins."""
    if not any(item.prefill for item in template.walk()):
        return initial_items(template)
    facts = _facts(archive, imaging_study_uid)
    return initial_items(
        template, Known(facts, _previous(connection, archive, author, imaging_study_uid, pseudonym, template))
    )


def levels_of_prefill(
    template: Template, begun: Sequence[Answered], items: Sequence[Answered]
) -> dict[str, str]:
    """Say how automatic answers to questions with a known first answer are: left as it was, or changed."""
    first, last = answers_by_path(template, begun), answers_by_path(template, items)
    prefilled = {item.link_id for item in template.walk() if item.prefill}
    return {
        path: "automatic" if same_answers(answers, last[path]) else "assisted"
        for path, answers in first.items()
        if path in last and path.rpartition("/")[2] in prefilled
    }


def _facts(archive: Archive, imaging_study_uid: str) -> dict[str, Sequence[Value]]:
    rows = archive.series(SeriesFilter(imaging_study_uid=imaging_study_uid, limit=MOST_SERIES))
    facts = [row.facts for row in rows]
    sexes = {GENDERS.get(fact.sex, "unknown") for fact in facts if fact.sex}
    days = {fact.study_date_shifted for fact in facts if len(fact.study_date_shifted) == len("20261231")}
    texts = [fact.description for fact in facts if fact.description and fact.rows]
    return {
        # Where series contradict each other nothing is known.
        "patient.gender": tuple(sexes) if len(sexes) == 1 else (),
        "imagingStudy.started": tuple(f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in days)
        if len(days) == 1
        else (),
        "imagingStudy.modality.code": tuple(dict.fromkeys(fact.modality for fact in facts if fact.rows)),
        "imagingStudy.description": tuple(texts[:1]),
    }


def _previous(
    connection: sa.Connection,
    archive: Archive,
    author: str,
    imaging_study_uid: str,
    pseudonym: Pseudonym,
    template: Template,
) -> dict[str, list[Value]]:
    """Return the values of the author's report on the examination before, of any version of the template."""
    found: dict[str, list[Value]] = {}
    before = previous_report(connection, archive, author, imaging_study_uid, pseudonym, template.url)
    if before is not None:
        forms = templates(connection)
        form = forms[before.version.response["questionnaire"]]
        for path, answers in answers_by_path(form, answers_of(before.version, forms)).items():
            found.setdefault(path.rpartition("/")[2], []).extend(answer.value for answer in answers)
    return found
