"""An order without a study UID finds its images by the accession number; whatever does not agree waits for a person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from racoon.node.app.messages import inbox_folder, open_worker
from racoon.node.archive.model import DeidentifiedInstance
from racoon.node.clinical import _order_store, _store, matching, ordering, service
from racoon.node.clinical.hl7.inbox import Inbox
from racoon.node.clinical.ordering import Candidate, OrderLinker, judge
from racoon.node.deid.service import Deidentifier
from racoon.standards.hl7v2.mllp import Block
from tests.hl7_messages import BEGAN, adt, orm
from tests.node_rooms import NodeInProcess
from tests.unit.node.clinical.hl7.conftest import SENDERS
from tests.unit.node.clinical.hl7.test_deleting import changed
from tests.unit.node.clinical.test_outgoing import GERMAN, kept
from tests.unit.node.deid.test_engine import edited, make_ct


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeInProcess]:
    found = NodeInProcess(tmp_path)
    yield found
    found.close()


def images(node: NodeInProcess, study: int, number: str, accession: str, day: str = "20240302") -> str:
    """Take an image in as a scanner sends it; returns the study's replaced UID."""
    uid = f"1.2.276.0.7230010.3.1.2.{study}"
    data = edited(
        make_ct(planted=False),
        PatientID=number,
        AccessionNumber=accession,
        StudyInstanceUID=uid,
        SeriesInstanceUID=f"{uid}.1",
        SOPInstanceUID=f"{uid}.1.1",
        StudyDate=day,
        SeriesDate=day,
        AcquisitionDate=day,
        ContentDate=day,
    )
    found = Deidentifier("basic", node.names).apply(data)
    assert accession.encode() not in found.dataset_bytes
    node.rooms.archive.store(
        [
            DeidentifiedInstance(
                bytes=found.dataset_bytes,
                sop_class_uid=found.sop_class_uid,
                sop_instance_uid=found.sop_instance_uid,
                series_uid=found.series_uid,
                imaging_study_uid=found.imaging_study_uid,
                pseudonym=found.pseudonym,
                evidence=dict(found.evidence),
            )
        ]
    )
    return found.imaging_study_uid


def ordered(node: NodeInProcess, number: str, accession: str, name: str, at: datetime = BEGAN) -> None:
    """Take an order in as the hospital sends it."""
    said(node, changed(orm(number, name, order=name, at=at), "OBR", {18: accession}))


def said(node: NodeInProcess, message: bytes) -> None:
    """Take a message in."""
    inbox = Inbox(inbox_folder(node.settings))
    inbox.take([node.app.state.messages._door.judge(Block("message", message), SENDERS)])
    worker = open_worker(node.settings, node.rooms.database, node.rooms.audit, node.names)
    assert worker.work_off() == 1
    inbox.close()


def link(node: NodeInProcess) -> dict[str, int]:
    return OrderLinker(node.rooms.database, node.names).link()


def test_one_order_and_one_study_of_one_person_are_linked(node: NodeInProcess) -> None:
    ordered(node, "4711", "ACC-77", "R1")
    assert link(node) == {"linked": 0, "doubt": 0}
    uid = images(node, 1, "4711", "ACC-77")
    images(node, 2, "4711", "ACC-78")
    assert link(node) == {"linked": 1, "doubt": 0}
    subject = node.subject("4711")
    with node.rooms.database.connect() as connection:
        assert [(name, found) for name, _, found in ordering.linked_orders(connection)] == [(subject, uid)]
        assert matching.quality(connection, [subject])["orders"] == {
            "by_study_uid": 0,
            "by_accession": 1,
            "in_doubt": 0,
        }
        assert matching.stopped(connection, [subject]) == set()
        whole = str(connection.execute(sa.select(_order_store.accession)).all())
    assert "ACC-77" not in whole
    stored = (node.folder / "data").rglob("*.sqlite*")
    assert not [path for path in stored if b"ACC-7" in path.read_bytes()]
    with node.rooms.database.begin() as connection:
        service.forget_subject(connection, subject)
        assert connection.execute(sa.select(_order_store.link)).all() == []


def test_a_withdrawal_takes_the_accession_number_along(node: NodeInProcess) -> None:
    node.rely_on()
    images(node, 1, "4711", "ACC-77")
    stays = images(node, 2, "4712", "ACC-78")
    ordered(node, "4711", "ACC-77", "R1")
    assert link(node) == {"linked": 1, "doubt": 0}
    assert node.names.count_accessions() == 2
    node.withdraw(node.subject("4711"))
    assert node.settlement.settle() == 1
    assert node.names.count_accessions() == 1
    with node.rooms.database.connect() as connection:
        (withdrawal,) = node.consent.withdrawals(connection)
        left = connection.execute(sa.select(_order_store.accession.c.imaging_study_uid)).scalars().all()
        assert connection.execute(sa.select(_order_store.link)).all() == []
    assert withdrawal.proof["accession_numbers"] == 1
    assert left == [stays]
    assert link(node) == {"linked": 0, "doubt": 0}


def test_a_number_that_names_two_people_stops_the_case_until_somebody_looked(node: NodeInProcess) -> None:
    node.rely_on()
    images(node, 1, "4711", "ACC-77")
    ordered(node, "4712", "ACC-77", "R1")
    assert link(node) == {"linked": 0, "doubt": 1}
    subject, other = node.subject("4711"), node.subject("4712")
    person = node.person("diz")
    page = person.get("/intake/matching").text
    kept("orders", page)
    kept("orders-de", person.get("/intake/matching", headers=GERMAN).text)
    assert "The images with this accession number are another subject" in page
    assert "ACC-77" not in page
    with node.rooms.database.connect() as connection:
        assert matching.stopped(connection, [subject, other]) == {subject}
        (row,) = ordering.waiting_orders(connection)
    form = {"order_key": row["order_key"], "imaging_study_uid": row["imaging_study_uid"]}
    reader = node.person("reader")
    assert reader.post("/intake/matching/orders", data=form | {"decision": "linked"}).status_code == 403
    assert person.post("/intake/matching/orders", data=form | {"decision": "refused"}).status_code == 200
    assert person.post("/intake/matching/orders", data=form | {"decision": "linked"}).status_code == 409
    assert link(node) == {"linked": 0, "doubt": 1}, "the rule says so still"
    with node.rooms.database.connect() as connection:
        assert ordering.waiting_orders(connection) == [], "but a person decided"
        assert matching.stopped(connection, [subject]) == set()


def test_two_people_with_one_number_and_two_studies_wait(node: NodeInProcess) -> None:
    images(node, 1, "4711", "ACCESSION-A1")
    ordered(node, "4711", "ACCESSION-A1", "R1")
    ordered(node, "4712", "ACCESSION-A1", "R2")
    images(node, 2, "4713", "ACCESSION-A2")
    images(node, 3, "4713", "ACCESSION-A2")
    ordered(node, "4713", "ACCESSION-A2", "R3")
    assert link(node) == {"linked": 0, "doubt": 4}
    with node.rooms.database.connect() as connection:
        assert {row["reason"] for row in ordering.waiting_orders(connection)} == {
            "several_people",
            "several_studies",
        }
    # The two numbers are one person: then they are orders of one person, whose days are moved alike.
    said(node, adt("A40", "4711", "M1", merged="4712"))
    assert link(node) == {"linked": 2, "doubt": 2}


def test_a_revoked_order_has_no_images(node: NodeInProcess) -> None:
    images(node, 1, "4711", "ACCESSION-A1")
    ordered(node, "4711", "ACCESSION-A1", "R1")
    with node.rooms.database.begin() as connection:
        connection.execute(sa.update(_store.order).values(status="revoked"))
    assert link(node) == {"linked": 0, "doubt": 0}


@pytest.mark.parametrize(
    ("people", "studies", "days", "reason"),
    [
        (1, 1, 0, ""),
        (1, 1, -1, ""),
        (1, 1, 400, ""),
        (1, 1, None, ""),
        (1, 1, -2, "days"),
        (1, 1, 401, "days"),
        (1, 2, 0, "several_studies"),
        (2, 1, 0, "several_people"),
    ],
)
def test_rule(people: int, studies: int, days: int | None, reason: str) -> None:
    first = date(2024, 3, 1)
    taken = None if days is None else first + timedelta(days=days)
    assert judge(Candidate(True, people, studies, first, taken)) == reason
    assert judge(Candidate(False, 1, studies, first, taken)) == "other_person"
