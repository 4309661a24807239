"""The course of a dataset's subjects as Parquet: whole, typed, the same again, and nobody else's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from racoon.domain.identity import PatientId
from racoon.node.clinical import _store
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.snapshots import MANIFEST, write_snapshot
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.database import Database, create_all
from tests.clinic_of_many import CONDITIONS, SERIES, write_clinic

PATIENTS = 5


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(found, "node")
    yield found
    found.dispose()


def test_every_flat_table_is_written_whole_for_the_chosen_subjects_and_again_the_same(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("racoon.node.clinical.snapshots.SUBJECTS_AT_ONCE", 2)
    names = Pseudonymiser(tmp_path / "names" / "master.key", f"sqlite:///{tmp_path}/names/names.sqlite")
    write_clinic(tmp_path / "in", PATIENTS)
    Importer(database, names).import_path(tmp_path / "in")
    chosen = [names.pseudonym(PatientId(f"MRN{number}")) for number in range(PATIENTS - 1)]
    names.close()
    with database.connect() as connection:
        manifest = write_snapshot(connection, chosen, tmp_path / "out", {"study_id": "s"})
        again = write_snapshot(connection, chosen, tmp_path / "again", {"study_id": "s"})
        expected = {
            name.removeprefix("clinical_"): [
                dict(row._mapping)
                for row in connection.execute(
                    sa.select(table)
                    .where(table.c.pseudonym.in_(chosen))
                    .order_by(table.c.pseudonym, table.c.key)
                )
            ]
            for name, table in _store.FLAT.items()
        }
    assert again == manifest
    assert json.loads((tmp_path / "out" / MANIFEST).read_text("utf-8")) == manifest
    assert set(manifest["tables"]) == {
        "subject",
        "condition",
        "observation",
        "medication",
        "procedure",
        "encounter",
        "order",
        "consent_period",
        "imaging_study",
        "imaging_series",
    }
    assert manifest["tables"]["condition"]["rows"] == len(chosen) * CONDITIONS
    assert manifest["tables"]["imaging_series"]["rows"] == len(chosen) * SERIES
    assert (manifest["linkage"]["subjects"], manifest["study_id"]) == (len(chosen), "s")
    for name, entry in manifest["tables"].items():
        file = tmp_path / "out" / entry["file"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"]
        found = pq.read_table(file)
        assert found.column_names == entry["columns"]
        rows = found.to_pylist()
        for row in rows:
            for column in ("codings", "modalities"):
                if column in row:
                    row[column] = json.loads(row[column])
        assert rows == expected[name]
    types = {
        field.name: str(field.type) for field in pq.read_schema(tmp_path / "out" / "imaging_series.parquet")
    }
    assert (types["instance_count"], types["started"]) == ("int64", "string")
