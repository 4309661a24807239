"""Words that estimators write into cells of their tables, in the reader's language; names of the plan stay.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from racoon.web.sentences import compile_sentences
from racoon.web.translation import translations

CELLS: Mapping[str, str] = {
    "all": "all subjects",
    **{
        name: name
        for name in (
            "(intercept)", "pooled", "prediction interval", "site effect", "all periods",
            "variance between sites", "residual variance", "intraclass correlation", "SD of the sites",
            "Welch's t test", "Student's t test", "paired t test", "Mann–Whitney test", "Pearson's chi-square test",
            "Fisher's exact test", "McNemar's test", "exact McNemar test", "log-rank test",
            "kappa (linear weights)", "kappa (quadratic weights)", "concordance correlation", "bias", "lower limit",
            "upper limit", "slope of differences on means",
            "AUC, bounds without cuts", "Brier score", "second against first", "net reclassification, events",
            "net reclassification, others", "net reclassification, both", "net reclassification, p",
            "effect", "group", "balance", "risk difference", "mean difference", "risk ratio", "odds ratio", "pairs",
            "treated: mean", "not treated: mean", "treated: rows", "not treated: rows", "treated: effective size",
            "not treated: effective size",
            "level change", "trend change per period", "relative level change, per cent", "trend before, per period",
            "autocorrelation",
            "expected at age 60", "SD around the expected", "predicted age", "correlation with age", "z-score",
            "age gap, years", "prevalence", "pair: odds ratio", "pair: correlation",
        )
    },
}  # fmt: skip
"""What stands in a cell, and what the catalogue knows it as."""

CELLS_WITH_NAMES = (
    "without %(name)s",
    "not %(name)s",
    "observed at %(name)s",
    "net benefit at %(name)s",
    "%(name)s: SMD before",
    "%(name)s: SMD after",
    "%(name)s (after)",
    "abnormal %(name)s, abnormal %(other)s",
    "abnormal %(name)s",
    "z-score, %(name)s",
)
"""Cells that name a variable or a site."""

_PATTERNS = compile_sentences(CELLS_WITH_NAMES)


def cell_text(text: str, language: str, own: Collection[str] = ()) -> str:
    """Say a cell.

    Parameters
    ----------
    text
        As the estimator wrote it.
    language
        ``"de"`` or ``"en"``.
    own
        Names and levels of the plan, which stay as they are.
    """
    if language == "en" or not text or text in own:
        return text
    translate = translations(language).gettext
    if text in CELLS:
        return translate(CELLS[text])
    for pattern, known in _PATTERNS:
        if found := pattern.fullmatch(text):
            return translate(known) % found.groupdict()
    return text
