"""Runs an analysis plan over the tables of several sites in one process: summaries, a gate, estimates, result tables.

The same code serves a federated run (each site's gate between its rows and the sum) and the pooled twin (one table,
an open gate).  Not here: reading files, the rules of the gate (``node.release``), rounds over the wire.
"""

from racoon.science.analysis.columns import SiteTable
from racoon.science.analysis.gate import Gate, OpenGate
from racoon.science.analysis.results import Analysis, PlottedCurve, ResultTable
from racoon.science.analysis.running import run_plan

__all__ = ["Analysis", "Gate", "OpenGate", "PlottedCurve", "ResultTable", "SiteTable", "run_plan"]
