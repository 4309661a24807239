"""A signed report on paper: all that stands there, in one language, for the page and the PDF file alike.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from racoon.domain.questionnaire import Template
from racoon.node.reading.reports.drafts import LEVELS
from racoon.node.reading.reports.model import ReportNotFound, ReportVersion
from racoon.node.reading.reports.reading_aloud import ReportLine, lines_of

ORIGINS: Mapping[str, str] = {
    "automatic": "proposed by software, confirmed by the reader",
    "assisted": "answered by the reader after a proposal by software",
}
"""How an answer came about, by its level of automation; what is not named the reader answered alone."""

PAPER_WORDS = (
    "Subject", "Imaging study", "Signed", "Version", "amended", "Addendum", "Earlier and later versions",
    "A later version of this report was signed.", "from the image", "Decided by", "after both readers had signed",
    "For research use only. Not for diagnosis.", "Page", "Decision between two readings", "signed", "addendum",
    "Template", *LEVELS, *ORIGINS.values(),
)  # fmt: skip
"""What the PDF says besides the template's words."""


@dataclass(frozen=True)
class Paper:
    """What stands on a report.

    Parameters
    ----------
    report
        The version shown.
    later
        Number of the newest version, 0 if this is it.
    addenda
        What was added to this version.
    others
        All other versions, the oldest first.
    template, level
        Canonical name of the template it was written with, and its quality level at the signature.
    decision
        The record of the decision that the report is, or None.
    """

    report: ReportVersion
    language: str
    title: str
    credit: str
    lines: tuple[ReportLine, ...]
    later: int
    addenda: tuple[ReportVersion, ...]
    others: tuple[ReportVersion, ...]
    template: str
    level: str
    decision: Mapping[str, Any] | None = None

    @property
    def origins(self) -> tuple[str, ...]:
        """Origins that occur, to be explained."""
        return tuple(level for level in ORIGINS if any(line.level == level for line in self.lines))


def paper_of(
    versions: Sequence[ReportVersion],
    forms: Mapping[str, Template],
    number: int,
    language: str,
    level_of: Callable[[Template, datetime], str],
    decision_of: Callable[[str, int], Mapping[str, Any] | None] = lambda _report, _version: None,
) -> Paper:
    """Put a signed version on paper.

    Parameters
    ----------
    versions
        All versions of the report, the oldest first.
    number
        Which one; 0 for the newest.
    level_of
        Finds the quality level that a template had when a report was signed.
    decision_of
        Finds the record of a decision by report and version.

    Raises
    ------
    ReportNotFound
        If there is no such signed version.
    """
    signed = [item for item in versions if item.kind != "addendum" and number in (0, item.version)]
    if not signed:
        raise ReportNotFound("There is no such signed version.")
    shown = signed[-1]
    later = [item.version for item in versions if item.kind != "addendum" and item.version > shown.version]
    form = forms[shown.response["questionnaire"]]
    return Paper(
        report=shown,
        language=language,
        title=form.words.in_language(language),
        credit=form.credit,
        lines=tuple(lines_of(form, shown.response["item"], language)),
        later=later[-1] if later else 0,
        addenda=tuple(
            item
            for item in versions
            if item.kind == "addendum"
            and item.version > shown.version
            and not (later and item.version > later[0])
        ),
        others=tuple(item for item in versions if item.version != shown.version),
        template=form.canonical,
        level=level_of(form, shown.signed_at),
        decision=decision_of(shown.report_id, shown.version),
    )
