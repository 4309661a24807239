"""Runs an analysis plan over tables: each site's rows behind its own gate, and the pooled rows beside them.

On one machine that is the rehearsal of a federated analysis: same plan, same estimators, same rules of release.
Not here: estimators (``science``), the rules (``node.release``), and who may run a plan (``node.approvals``).
"""

from racoon.node.analysing.service import Rehearsal, rehearse, write_results
from racoon.node.analysing.tables import TableDefect, read_plan, read_sites

__all__ = ["Rehearsal", "TableDefect", "read_plan", "read_sites", "rehearse", "write_results"]
