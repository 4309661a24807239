"""Rules over masks, facts and values; what a person says about them; and sign-off."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Role
from racoon.domain.plan import Bins, Measurement, MeasuringPlan
from racoon.node.measuring import _decisions, service
from racoon.node.measuring.checks import SENTENCES, check_values
from racoon.node.measuring.quality import CheckMissing, ChecksOpen
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.science.biomarkers.structures import CODES
from tests.contract.test_measurement_store import VALUE
from tests.unit.node.measuring.cohort import LIVER, store_subject
from tests.unit.node.measuring.test_whole_catalogue import BINS, block, store

AUDIT = AuditLog("node")
USER = User("dana", frozenset({Role.DATA_MANAGER}), "local")


def checks_of(database, **criteria):
    with database.connect() as connection:
        return service.checks(connection, **criteria)


def test_every_sentence_can_be_said_in_both_languages(database, archive, plan, manifest):
    service.run_protocol(plan, manifest, archive, database)
    found = checks_of(database)
    # The livers of this cohort have a few voxels; no liver is that small.
    assert {check.code for check in found} == {"mask.volume"}
    assert {check.sentence() for check in found} == {
        "The volume of 0 mL lies outside 400 to 5000 mL.",
    }
    assert all(german.endswith(".") and english.endswith(".") for german, english in SENTENCES.values())
    assert all("segmentation=" in check.link and "instance=" in check.link for check in found)


def test_swapped_kidneys_are_found_on_both(database, archive):
    # Columns run to the patient's left (x of LPS), so the first block lies on the right.
    first, second = (
        block(slice(1, 5), slice(2, 8), slice(2, 6)),
        block(slice(1, 5), slice(2, 8), slice(16, 20)),
    )
    structures = [(CODES["kidney_left"], first, 40), (CODES["kidney_right"], second, 40)]
    manifest = store(archive, structures)
    plan = MeasuringPlan("p", tuple(Measurement("volume", "1", code, BINS) for code, _, _ in structures))
    service.run_protocol(plan, manifest, archive, database)
    assert [check.about for check in checks_of(database) if check.code == "mask.sides"] == [
        "kidney_left 1",
        "kidney_right 2",
    ]


def test_an_outlier_is_found_among_twenty_and_only_in_its_measurement():
    values = [
        dataclasses.replace(VALUE, series_uid=f"2.25.{index}", value=100.0 + index % 5) for index in range(30)
    ]
    strange = dataclasses.replace(VALUE, series_uid="2.25.99", value=900.0)
    (check,) = check_values([*values, strange])
    assert (check.series_uid, check.code) == ("2.25.99", "value.outlier")
    assert check.concerns(strange)
    assert not check.concerns(dataclasses.replace(strange, measurement="other"))
    assert check.sentence().startswith("900 mL lies")
    robust = check.details["score"]
    assert f"liegt {robust:.1f} robuste".replace(".", ",") in check.sentence("de")
    assert check_values([*values[:10], strange]) == ()
    not_valid = dataclasses.replace(strange, valid=False, reason="contrast")
    assert check_values([*values, not_valid]) == ()


def test_what_a_person_excludes_leaves_the_sums_and_says_so(database, archive, plan, manifest):
    service.run_protocol(plan, manifest, archive, database)
    first = checks_of(database)[0]
    with database.begin() as connection:
        service.decide(connection, AUDIT, USER, first.number, "excluded", "the mask is of the spleen")
    with database.connect() as connection:
        volume, density, laa, *_ = service.aggregates(connection, plan, manifest)
    for aggregate in (volume, density):
        assert aggregate.subjects == len(manifest.series) - 1
        assert aggregate.not_valid == {"excluded": 1}
    assert laa.not_valid == {}
    # Measuring again finds the same and keeps what was said.
    service.run_protocol(plan, manifest, archive, database)
    (said,) = [check for check in checks_of(database) if check.state == "excluded"]
    assert (said.number, said.decided_by, said.note) == (first.number, "dana", "the mask is of the spleen")
    with database.begin() as connection:
        service.decide(connection, AUDIT, USER, first.number, "kept")
        assert service.aggregates(connection, plan, manifest)[0].subjects == len(manifest.series)


def test_sign_off_waits_for_every_check_and_is_kept(database, archive, plan, manifest):
    service.run_protocol(plan, manifest, archive, database)
    place = ("study-1", manifest.hash)
    with database.begin() as connection, pytest.raises(ChecksOpen, match="8 checks are open"):
        service.sign_off(connection, AUDIT, USER, *place)
    for number, check in enumerate(checks_of(database)):
        with database.begin() as connection:
            service.decide(connection, AUDIT, USER, check.number, "excluded" if number == 0 else "kept")
    with database.begin() as connection:
        service.sign_off(connection, AUDIT, USER, *place)
    with database.connect() as connection:
        (decision,) = service.decisions(connection, *place)
        actions = [entry.action for entry in AUDIT.entries(connection, 100)]
    assert decision.document == {"kept": 7, "excluded": 1, "not_measured": 0}
    assert (decision.kind, decision.decided_by) == ("sign_off", "dana")
    assert actions.count("measurement.check") == 8
    assert actions.count("measurement.sign_off") == 1


def test_a_check_that_is_not_there_is_refused(database):
    for number in (0, 77):
        with database.begin() as connection, pytest.raises(CheckMissing):
            service.decide(connection, AUDIT, USER, number, "kept")


def test_checks_of_one_dataset_are_not_those_of_another(database, archive):
    plan = MeasuringPlan("p", (Measurement("volume", "1", LIVER, Bins(0, 1, 0.1)),))
    for subject in (1, 2):
        manifest = DatasetManifest("study-1", f"d{subject}", (store_subject(archive, subject),))
        service.run_protocol(plan, manifest, archive, database)
    assert len(checks_of(database, study_id="study-1")) == 2
    assert len(checks_of(database, study_id="study-1", dataset_hash=manifest.hash)) == 1
    with database.connect() as connection:
        assert len(_decisions.load_checks(connection, state="open")) == 2
        assert np.unique([check.number for check in service.checks(connection)]).size == 2
