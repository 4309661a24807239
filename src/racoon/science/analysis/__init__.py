"""Runs an analysis plan over several sites: questions, each site's gate, answers, estimates, result tables.

An analysis is replayed from its answers, so the same code serves one process, a run over the wire in rounds, and the
pooled twin (one table, an open gate).  Not here: reading files, the rules of the gate (``node.release``), messages.
"""

from racoon.science.analysis.answering import SiteWork, compute_answers, judge
from racoon.science.analysis.asking import Book
from racoon.science.analysis.columns import SiteTable
from racoon.science.analysis.gate import Gate, OpenGate
from racoon.science.analysis.questions import Answer, Question
from racoon.science.analysis.results import Analysis, PlottedCurve, ResultTable, SiteLine
from racoon.science.analysis.running import advance, run_plan

__all__ = [
    "Analysis",
    "Answer",
    "Book",
    "Gate",
    "OpenGate",
    "PlottedCurve",
    "Question",
    "ResultTable",
    "SiteLine",
    "SiteTable",
    "SiteWork",
    "advance",
    "compute_answers",
    "judge",
    "run_plan",
]
