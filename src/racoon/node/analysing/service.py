"""Where the rows of an analysis come from: the fact tables and the stored measurements of this site."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from racoon.domain.analysis import AnalysisPlan
from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Pseudonym
from racoon.node.analysing.model import MeasuredValue, SubjectFacts, SubjectTable, subject_table
from racoon.node.cohorts import service as cohorts
from racoon.node.measuring import service as measuring


def load_subjects(
    connection: sa.Connection,
    plan: AnalysisPlan,
    manifest: DatasetManifest,
    is_readable: Callable[[Pseudonym], bool],
) -> SubjectTable:
    """Load the table of a frozen dataset with the columns of a plan.

    Parameters
    ----------
    connection
        Open connection to the node's database.
    plan, manifest
        Which columns of which subjects.
    is_readable
        Asked per subject.
    """
    series = {entry.series_uid for entry in manifest.series}
    facts = [
        SubjectFacts(item.series_uid, item.age_years, item.gender)
        for item in cohorts.facts_of_series(connection, series)
    ]
    stored = measuring.load_values(
        connection, study_id=manifest.study_id, dataset_hash=manifest.hash, limit=None
    )
    values = [
        MeasuredValue(value.series_uid, value.measurement, value.value)
        for _, value in stored
        if value.valid and value.value is not None
    ]
    return subject_table(plan, manifest, facts, values, is_readable)
