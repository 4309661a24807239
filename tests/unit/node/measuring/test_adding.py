"""Values beside a protocol: punches at marks, tables of other programs, and the comorbidome of what is stored."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from nibabel import Nifti1Image

from racoon.cli.app import main
from racoon.domain.finding import finding_of
from racoon.domain.identity import Role
from racoon.node.app.rooms import open_archive
from racoon.node.measuring import service
from racoon.node.measuring.adding import BadSlot, Mark, NotInDataset, PunchRule, import_table, punch_marks
from racoon.node.reading.findings.service import Findings
from racoon.node.settings import load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database
from racoon.science.radiomics import Configuration
from racoon.standards.files.freesurfer import read_stats
from tests.dicom_objects import uid
from tests.unit.node.compute.test_segmenting import node_with

MARKED = "0b0e8f5c-2f0f-4c3e-9a51-3f1d7f6f2a10"

STATS = """# generating_program mri_segstats
# subjectname Mustermann
# Measure BrainSeg, BrainSegVol, Brain Segmentation Volume, 1000000.0, mm^3
# ColHeaders Index SegId NVoxels Volume_mm3 StructName
1 17 4000 4000.5 Left-Hippocampus
"""


def loaded(database):
    with database.connect() as connection:
        return [value for _, value in service.load_values(connection, limit=None)]


def middle_of(archive, series_uid) -> tuple[float, float, float]:
    affine = archive.load_volume(series_uid).image.affine
    x, y, z, _ = affine @ [1.0, 6.0, 6.0, 1.0]
    return float(x), float(y), float(z)


def test_a_punch_is_stored_once_with_its_slot_and_its_picture(archive, database, manifest):
    entry = manifest.series[0]
    image = archive.load_volume(entry.series_uid).image
    mark = Mark("m1", middle_of(archive, entry.series_uid), "TMA03/B12", origin={"landmarks": "l.csv"})
    far = Mark("far", (9000.0, 0.0, 0.0))
    rule = PunchRule("cube", 1.0)
    for _ in range(2):
        punch_marks(archive, database, manifest, entry.series_uid, [mark, far], rule)
    values = {(value.parameters["mark"], value.biomarker): value for value in loaded(database)}
    assert len(values) == len(loaded(database)) == 6
    valid = [value for value in loaded(database) if value.valid]
    with database.connect() as connection:
        known = connection.execute(sa.text("SELECT biomarker, number FROM measured_fact")).all()
    assert sorted(known) == sorted((value.biomarker, value.value) for value in valid)
    mean = values["m1", "punch_mean"]
    assert mean.value == float(image.voxels[1, 6, 6])
    assert (mean.unit, mean.valid, mean.automation, mean.pseudonym) == (
        "[hnsf'U]",
        True,
        "assisted",
        entry.pseudonym,
    )
    assert mean.parameters["slot"] == "TMA03/B12"
    assert mean.parameters["origin"] == {"landmarks": "l.csv"}
    assert mean.key_instance_uid == archive.load_volume(entry.series_uid).instance_uids[1]
    assert service.draw(mean, archive).startswith(b"\x89PNG")
    assert service.draw_plane(mean, archive).startswith(b"\x89PNG")
    with database.connect() as connection:
        piece = service.load_patch(connection, mean)
        assert service.load_patch(connection, values["far", "punch_mean"]) is None
    patch, mask = (Nifti1Image.from_bytes(gzip.decompress(data)) for data in (piece.patch, piece.mask))
    inside = np.asarray(patch.dataobj)[np.asarray(mask.dataobj) == 1]
    assert inside.mean() == mean.value
    # NIfTI counts to the right and to the back of LPS.
    place = np.array([0, 0, 0, 1.0]) @ patch.affine.T
    assert np.abs(place[:3] * [-1, -1, 1] - mark.point_mm).max() < 1.0
    assert piece.sha256 == hashlib.sha256(piece.patch).hexdigest()
    with database.begin() as connection:
        assert service.forget_subject(connection, entry.pseudonym, [entry.series_uid]) >= 7
        assert service.load_patch(connection, mean) is None
    outside = values["far", "punch_mean"]
    assert (outside.value, outside.valid, outside.reason) == (None, False, "outside_image")


def test_features_of_a_punch_carry_their_settings(archive, database, manifest):
    entry = manifest.series[0]
    settings = Configuration.from_dict({})
    mark = Mark("m1", middle_of(archive, entry.series_uid))
    found = punch_marks(
        archive, database, manifest, entry.series_uid, [mark], PunchRule("sphere", 6.0, None, settings)
    )
    features = [value for value in found if "settings" in value.parameters]
    assert len(features) > 100
    assert features[0].parameters["settings"] == settings.to_dict()


@pytest.mark.parametrize("slot", ["Mustermann", "S24-1234/A1", "TMA03 B12", "tma3/b1"])
def test_a_slot_is_a_code(slot, archive, database, manifest):
    mark = Mark("m1", (0.0, 0.0, 0.0), slot)
    with pytest.raises(BadSlot, match="TMA03/B12"):
        punch_marks(archive, database, manifest, manifest.series[0].series_uid, [mark], PunchRule())
    assert loaded(database) == []


def test_a_table_of_freesurfer_keeps_its_hash_and_loses_the_name(archive, database, manifest, tmp_path):
    path = tmp_path / "aseg.stats"
    path.write_text(STATS)
    table = read_stats(path)
    series = manifest.series[0].series_uid
    for _ in range(2):
        import_table(database, manifest, series, table)
    found = {value.label.value: value for value in loaded(database) if value.label}
    assert len(loaded(database)) == len(found) == 2
    hippocampus = found["Left-Hippocampus"]
    assert hippocampus.value == pytest.approx(4.0005)
    assert (hippocampus.unit, hippocampus.automation) == ("mL", "automatic")
    assert hippocampus.parameters["table_sha256"] == table.sha256
    assert "Mustermann" not in str(loaded(database))
    with pytest.raises(NotInDataset):
        import_table(database, manifest, "1.2.3", table)


def test_the_commands_need_a_released_study_and_write_who_did_it(tmp_path: Path, capsys) -> None:
    config = node_with(tmp_path, "released", "active")
    table = tmp_path / "aseg.stats"
    table.write_text(STATS)
    database = Database(load_node_settings(config).database)
    series = uid(1, 1)

    def answer(*words: str, code: int = 0, study: str = "study-1"):
        command = ["node", *words, "--config", str(config), "--study", study, "--json"]
        assert main(command) == code
        return json.loads(capsys.readouterr().out)

    landmarks = tmp_path / "l.csv"
    landmarks.write_text("id,x,y,z,slot\na,0,0,0,TMA03/B12\n")
    punched = answer("punch", series, "--landmarks", str(landmarks))
    assert {item["parameters"]["slot"] for item in punched} == {"TMA03/B12"}
    # Nobody has marked anything on this series yet.
    assert answer("punch", series) == []
    finding = finding_of(
        MARKED,
        {
            "kind": "length",
            "meaning": "SCT:27925004",
            "imaging_study": uid(1),
            "series": series,
            "instance": uid(1, 1, 2),
            "frame": 1,
            "frame_of_reference": uid(1, 9999),
            "points_mm": [[-18.6, -25.2, 102.5], [-13.0, -25.2, 102.5]],
            "note": "",
        },
    )
    archive = open_archive(load_node_settings(config), database)
    reader = User("ada", frozenset({Role.READER}), "local")
    Findings(database, AuditLog("node"), archive).save(reader, finding, 0)
    at_mark = answer("punch", series, "--size", "4", "--slot", f"{MARKED}=TMA03/C1")
    assert {item["biomarker"] for item in at_mark} == {"punch_volume", "punch_mean", "punch_sd"}
    stated = at_mark[0]["parameters"]
    assert stated["point_mm"] == pytest.approx([-15.8, -25.2, 102.5])
    assert (stated["slot"], stated["origin"]["author"]) == ("TMA03/C1", "ada")
    assert at_mark[0]["key_instance_uid"] == uid(1, 1, 2)
    assert len(answer("import-table", str(table), "--series", series)) == 2
    found = answer("comorbidome")
    assert len(found["subjects"]) == 2
    assert found["missing"] == {"volume BrainSegVol": 1, "volume Left-Hippocampus": 1}
    assert answer("comorbidome", study="study-2", code=2)["error"]["code"] == "approvals.unknown_study"
    with database.connect() as connection:
        actions = [row[0] for row in connection.exec_driver_sql("select action from audit order by 1")]
    database.dispose()
    assert {"measurement.punch", "measurement.import", "measurement.comorbidome"} <= set(actions)
