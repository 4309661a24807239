"""Images and clinical record of two people under one number stop the case until somebody looked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.app.clinic import import_files
from racoon.node.app.permission import usable_series
from racoon.node.clinical import _merge_store as merges
from racoon.node.clinical import _store, matching
from racoon.node.cohorts.service import CohortSeries
from tests.dicom_objects import ct_series, deidentified, uid
from tests.node_rooms import VOXELS, NodeInProcess
from tests.unit.node.clinical.test_importing import patient


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeInProcess]:
    found = NodeInProcess(tmp_path)
    found.rely_on("study-a")
    yield found
    found.close()


def _images(node: NodeInProcess, study: int, number: str, sex: str, born: str) -> Pseudonym:
    subject = node.subject(number)
    source = ct_series(VOXELS, study=study, subject=str(subject))
    for item in source:
        item.PatientSex, item.PatientBirthDate = sex, born
    node.rooms.archive.store([deidentified(item) for item in source])
    return subject


def _record(node: NodeInProcess, number: str, gender: str, born: str) -> None:
    resource = patient(f"p{number}", number) | {"gender": gender, "birthDate": born}
    file = node.folder / f"{number}.ndjson"
    file.write_text(json.dumps(resource), "utf-8")
    assert import_files(node.config, file)["refused"] == 0


def _usable(node: NodeInProcess, *subjects: Pseudonym) -> list[str]:
    series = [CohortSeries(f"1.2.{index}", subject, "20240131") for index, subject in enumerate(subjects)]
    with node.rooms.database.connect() as connection:
        found = usable_series(node.consent)(connection, "study-a", series)
    return sorted(found)


def test_a_case_of_two_people_is_stopped_until_somebody_decided(node: NodeInProcess) -> None:
    wrong = _images(node, 1, "4711", "M", "19600101")
    right = _images(node, 2, "4712", "F", "19700101")
    alone = _images(node, 3, "4713", "F", "19500101")
    assert _usable(node, wrong, right, alone) == ["1.2.0", "1.2.1", "1.2.2"]

    _record(node, "4711", "female", "1975-03-01")
    _record(node, "4712", "female", "1970-05-05")
    assert _usable(node, wrong, right, alone) == ["1.2.1", "1.2.2"]
    database = node.rooms.database
    with database.connect() as connection:
        (case,) = matching.suspicions(connection)
        report = matching.quality(connection, [wrong, right, alone])
    assert (case.pseudonym, case.reasons) == (wrong, ("sex", "birth_year"))
    assert report == {
        "subjects": 3,
        "with_clinical_record": 2,
        "sex_compared": 2,
        "birth_year_compared": 2,
        "disagree": {"sex": 1, "birth_year": 1, "images_differ": 0, "order": 0},
        "orders": {"by_study_uid": 0, "by_accession": 0, "in_doubt": 0},
        "confirmed_by_a_person": 0,
        "stopped": 1,
    }

    with node.person("reader") as reader:
        assert reader.get("/intake/matching").status_code == 403
    with node.person("diz") as person:
        page = person.get("/intake/matching", headers={"accept-language": "de"}).text
        assert "anderes Geschlecht" in page
        form = {"pseudonym": wrong, "facts": case.facts, "decision": "other"}
        assert person.post("/intake/matching", data=form).status_code == 200
        assert _usable(node, wrong) == [], "two people were found, and the images are used"
        stale = person.post("/intake/matching", data=form | {"facts": "M|1960|female|1974"})
        assert stale.status_code == 409
        person.post("/intake/matching", data=form | {"decision": "same"})
    assert _usable(node, wrong, right) == ["1.2.0", "1.2.1"]

    # The record says something new: what was decided was about something else.
    _record(node, "4711", "female", "1981-03-01")
    assert _usable(node, wrong, right) == ["1.2.1"]


def test_very_old_people_and_images_without_facts_are_not_suspected(node: NodeInProcess) -> None:
    old = _images(node, 1, "4711", "M", "19360101")
    blank = _images(node, 2, "4712", "", "")
    _record(node, "4711", "male", "1929-03-01")
    _record(node, "4712", "female", "1970-05-05")
    assert _usable(node, old, blank) == ["1.2.0", "1.2.1"]


def test_images_that_disagree_among_themselves_are_suspected(node: NodeInProcess) -> None:
    subject = _images(node, 1, "4711", "M", "19600101")
    _images(node, 2, "4711", "F", "19600101")
    with node.rooms.database.connect() as connection:
        assert matching.stopped(connection, [subject]) == {subject}


def test_images_ordered_for_somebody_else_are_stopped_unless_both_are_one_person(node: NodeInProcess) -> None:
    subject = _images(node, 1, "4711", "F", "19700101")
    row = {
        "key": "K",
        "resource_key": "K",
        "pseudonym": node.subject("4712"),
        "imaging_study_uid": uid(1),
        "accession": "",
        "status": "active",
        "authored": "",
    }
    with node.rooms.database.begin() as connection:
        connection.execute(sa.insert(_store.order).values(row))
        assert matching.stopped(connection, [subject]) == {subject}
        (case,) = matching.suspicions(connection)
        assert case.reasons == ("order",)
        merges.record_merge(connection, subject, node.subject("4712"), 0)
        assert matching.stopped(connection, [subject]) == set()


def test_who_withdrew_is_on_the_page_no_more(node: NodeInProcess) -> None:
    node.rely_on()
    subject = _images(node, 1, "4711", "M", "19600101")
    _record(node, "4711", "female", "1975-03-01")
    with node.person("diz") as person:
        assert str(subject) in person.get("/intake/matching").text
        node.withdraw(subject)
        assert str(subject) not in person.get("/intake/matching").text


def test_a_withdrawal_takes_every_pseudonym_of_a_merged_person(node: NodeInProcess) -> None:
    node.rely_on()
    names = [_images(node, index, f"471{index}", "F", "19700101") for index in range(4)]
    with node.rooms.database.begin() as connection:
        merges.record_merge(connection, names[0], names[1], 0)
        merges.record_merge(connection, names[1], names[2], 0)
    consent = node.rooms.consent
    assert all(consent.is_readable(name) for name in names)
    node.withdraw(names[1])
    assert [consent.is_readable(name) for name in names] == [False, False, False, True]
    with node.rooms.database.connect() as connection:
        assert len(consent.withdrawals(connection)) == 3
