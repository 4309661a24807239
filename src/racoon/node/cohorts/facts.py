"""From rows of the clinical course and signed reports to facts that a cohort can ask for.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from racoon.domain.clinical_criterion import category_of

_KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "clinical_condition": ("condition", ("onset", "recorded")),
    "clinical_observation": ("observation", ("effective",)),
    "clinical_procedure": ("procedure", ("start",)),
    "clinical_medication": ("medication", ("start",)),
}
"""By flat table: kind of the fact, and the columns in which its day is looked for, the better one first."""

NOT_A_FACT = frozenset({"entered-in-error", "refuted", "cancelled", "not-done"})
"""Statuses of what was written by mistake, ruled out or never happened."""


def facts_of_row(table: str, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a fact for each code of a row; tables that hold no facts of this kind give none."""
    if table not in _KINDS:
        return
    if {row.get("status"), row.get("verification_status")} & NOT_A_FACT:
        return
    kind, columns = _KINDS[table]
    day = next((number for name in columns if (number := day_number(row.get(name) or ""))), None)
    pairs = [(str(system), str(code)) for system, code, *_ in row.get("codings") or () if code]
    for number, (system, code) in enumerate(dict.fromkeys(pairs)):
        yield {
            "key": row["key"],
            "number": number,
            "resource_key": row["resource_key"],
            "pseudonym": row["pseudonym"],
            "kind": kind,
            "system": system[:160],
            "code": code[:80],
            "category": category_of(system, code)[:80],
            "day_number": day,
            "value_number": row.get("value_number"),
            "value_unit": row.get("value_unit") or "",
        }


def pacs_rows(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Make a fact of each series that the clinic names, except of examinations that never happened."""
    gone = {
        row["resource_key"] for row in rows.get("clinical_imaging_study", ()) if row["status"] in NOT_A_FACT
    }
    return [
        {
            "key": row["key"],
            "resource_key": row["resource_key"],
            "series_uid": row["series_uid"][:64],
            "imaging_study_uid": row["imaging_study_uid"][:64],
            "pseudonym": row["pseudonym"],
            "modality": row["modality"][:16],
            "day_number": day_number(row.get("started") or ""),
        }
        for row in rows.get("clinical_imaging_series", ())
        if row["series_uid"] and row["resource_key"] not in gone
    ]


def coded_answers(response: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List the coded answers of a QuestionnaireResponse, yes and no among them, each once per question.

    Returns
    -------
    list
        ``number``, ``template`` (without its version), ``question``, ``system`` and ``code``.
    """
    template = str(response.get("questionnaire", "")).partition("|")[0][:200]
    found = dict.fromkeys(_answers_in(response.get("item") or ()))
    return [
        {"number": number, "template": template, "question": question, "system": system, "code": code}
        for number, (question, system, code) in enumerate(found)
    ]


def _answers_in(items: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for item in items:
        question = str(item.get("linkId", ""))[:200]
        for answer in item.get("answer") or ():
            coding, said = answer.get("valueCoding"), answer.get("valueBoolean")
            if isinstance(coding, Mapping) and coding.get("code"):
                yield question, str(coding.get("system", ""))[:160], str(coding["code"])[:80]
            if isinstance(said, bool):
                yield question, "", "true" if said else "false"
            yield from _answers_in(answer.get("item") or ())
        yield from _answers_in(item.get("item") or ())


def day_number(text: str) -> int | None:
    """Count the days since 0001-01-01 of a full date, written as DICOM or as FHIR does; None for anything else."""
    digits = text[:10].replace("-", "")[:8]
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).toordinal()
    except ValueError:
        return None
