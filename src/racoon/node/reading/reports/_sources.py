"""Answers that come from findings: the stored number is fetched here, whatever came with the finding's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from racoon.domain.questionnaire import Answer, Answered, Item
from racoon.node.reading.findings.model import FindingNotFound
from racoon.node.reading.findings.service import Findings
from racoon.node.reading.reports.model import NoSuchSource, StoredReport


def with_sources(findings: Findings, report: StoredReport, items: Sequence[Answered]) -> tuple[Answered, ...]:
    """Put the stored number of the finding in the place of whatever number came with its name."""
    asked = {item.link_id: item for item in report.template.walk()}
    return tuple(
        replace(
            node,
            answers=tuple(
                _sourced(findings, report, asked[node.link_id], answer) if answer.finding_id else answer
                for answer in node.answers
            ),
            items=with_sources(findings, report, node.items),
        )
        for node in items
    )


def _sourced(findings: Findings, report: StoredReport, item: Item, answer: Answer) -> Answer:
    try:
        stored = findings.get(answer.finding_id)
    except FindingNotFound:
        stored = None
    place_is_right = stored is not None and stored.finding.place.imaging_study_uid == report.imaging_study_uid
    if stored is None or not place_is_right or stored.is_removed:
        raise NoSuchSource("An answer was taken from a finding that is not there. Take it again.")
    numbers = {number.name: number.value for number in stored.numbers}
    name = next((name for name in item.from_finding if name in numbers), None)
    if name is None:
        raise NoSuchSource("The finding has no number that answers this question.")
    return replace(answer, value=numbers[name])
