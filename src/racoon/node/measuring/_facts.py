"""Tell the cohorts what was measured, in the transaction that stores it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from racoon.node.cohorts import service as cohorts
from racoon.node.measuring.model import StoredValue


def record(connection: sa.Connection, values: Sequence[StoredValue]) -> None:
    """Pass on the valid values; one that may not be used is no fact."""
    cohorts.record_measured(
        connection,
        [
            cohorts.MeasuredFact(
                series_uid=value.series_uid,
                pseudonym=value.pseudonym,
                biomarker=value.biomarker,
                label=value.label.key if value.label else "",
                identity=f"{value.version}/{value.parameters_hash}",
                number=value.value,
                unit=value.unit,
            )
            for value in values
            if value.valid and value.value is not None
        ],
    )
