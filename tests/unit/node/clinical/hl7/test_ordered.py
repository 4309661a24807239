"""An order names its images: accession number and study UID from IPC, ZDS, OBR-18 or a result."""

from __future__ import annotations

from datetime import timedelta

import pytest

from racoon.node.clinical import _store
from tests.hl7_messages import BEGAN, orm, oru
from tests.unit.node.clinical.hl7.conftest import Clinic
from tests.unit.node.clinical.hl7.test_deleting import changed

UID = "1.2.276.0.7230010.3.1.2.4711"


def omi(control_id: str, *lines: str, hours: int = 0) -> bytes:
    message = orm("4711", control_id, at=BEGAN + timedelta(hours=hours)).replace(b"ORM^O01", b"OMI^O23")
    return message + "".join(f"{line}\r" for line in lines).encode()


@pytest.mark.parametrize(
    "message",
    [
        omi("1", f"IPC|ACC4711|RP1|{UID}|SPS1|CT", f"IPC|ACC4711|RP1|{UID}|SPS2|CT"),
        changed(omi("1", f"ZDS|{UID}^RIS^Application^DICOM"), "OBR", {18: "ACC4711"}),
    ],
)
def test_order_is_linked_by_the_uid_of_the_images(clinic: Clinic, message: bytes) -> None:
    clinic.send(message)
    clinic.work()
    (row,) = clinic.rows(_store.order)
    assert row["imaging_study_uid"] == clinic.names.uid(UID)
    assert row["accession"]
    assert row["status"] == "active"
    assert "4711" not in row["accession"] + str(clinic.contents("ServiceRequest"))


def test_result_tells_the_study_and_later_messages_keep_it_until_it_is_taken_back(clinic: Clinic) -> None:
    clinic.send(orm("4711", "1", order="L1"))
    clinic.send(oru("4711", "2", extra=[f"OBX|3|HD|110180^Study Instance UID^DCM||{UID}||||||F"]))
    clinic.work()
    # A value answers an order by its own code; the study of an order is told under the order's name.
    assert [row["imaging_study_uid"] for row in clinic.rows(_store.order)] == [clinic.names.uid(UID)]
    clinic.send(omi("3", f"IPC|A1||{UID}"), omi("4", "IPC|A1", hours=1), omi("5", "IPC|A2", hours=2))
    clinic.work()
    linked = [row for row in clinic.rows(_store.order) if row["accession"]]
    assert [row["imaging_study_uid"] for row in linked] == [clinic.names.uid(UID)]
    clinic.send(omi("6", 'IPC|A2||""', hours=3), omi("7", f"IPC|A2||{UID}", hours=1))
    clinic.work()
    linked = [row for row in clinic.rows(_store.order) if row["accession"]]
    assert [row["imaging_study_uid"] for row in linked] == [""]


@pytest.mark.parametrize("lines", [("IPC|A||no.uid",), (f"IPC|A||{UID}", f"IPC|A||{UID}1")])
def test_uid_that_is_none_or_two_of_them_wait_for_a_person(clinic: Clinic, lines: tuple[str, ...]) -> None:
    clinic.send(omi("1", *lines))
    assert clinic.work() == 0
    (held,) = clinic.inbox.open_messages()
    assert held.reason == "bad_study"
