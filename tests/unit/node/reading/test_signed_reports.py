"""What becomes of a signed report: versions, addenda, DICOM SR that highdicom reads, a page in two languages."""

from __future__ import annotations

import hashlib
import io
import re
import uuid
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
import sqlalchemy as sa
from pypdf import PdfReader
from starlette.testclient import TestClient

from racoon.domain.cohort import CohortDefinition, ImagingCriterion, ReportAnswer
from racoon.domain.identity import Pseudonym
from racoon.node.archive.model import SeriesFacts
from racoon.node.cohorts import service as cohorts
from racoon.node.cohorts.facts import coded_answers
from racoon.node.reading.reports import _versions
from racoon.platform.audit import AuditLog
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.reading.test_findings_and_reports import (
    REPORT,
    Node,
    document,
    from_finding,
    node,
    nodules,
)

__all__ = ["node"]


def signed(node: Node, name: str) -> tuple[TestClient, dict[str, Any]]:
    """Sign a report with a nodule whose size comes from the image."""
    client = node.as_(name)
    finding = document(kind="bidirectional", points_mm=FOUR)
    place = f"/api/reading/findings/{uuid.uuid4()}"
    found = client.put(place, json=finding).json()
    revision = client.get(REPORT).json()["revision"]
    saved = client.put(f"{REPORT}?based_on={revision}", json=nodules(from_finding(found["id"], 0.0))).json()
    filled = client.post(f"{REPORT}/normal?based_on={saved['revision']}").json()
    answer = client.post(f"{REPORT}/sign?based_on={filled['revision']}")
    assert answer.status_code == 200, answer.text
    return client, found


FOUR = [[-20.0, -30.0, 102.5], [-13.0, -30.0, 102.5], [-16.5, -30.0, 102.5], [-16.5, -24.4, 102.5]]


def archived(node: Node, client: TestClient) -> pydicom.Dataset:
    (version,) = client.get(f"{REPORT}/versions").json()["versions"][-1:]
    archive = node.client.app.state.archive
    data = archive.read_object(archive.instance(version["sr_instance"]))
    assert not re.search(rb"\bada\b", data.lower())
    return pydicom.dcmread(io.BytesIO(data))


def test_a_signed_report_is_a_measurement_report_in_the_archive(node: Node) -> None:
    client, finding = signed(node, "ada")
    sr = hd.sr.srread(io.BytesIO(_bytes(archived(node, client))))
    groups = [
        group
        for group in sr.content.get_image_measurement_groups()
        if group.tracking_uid == finding["tracking_uid"]
    ]
    assert len(groups) == 1
    assert groups[0].finding_type.value == "27925004"
    numbers = {item.name.meaning: item for item in groups[0].get_measurements()}
    stored = {number["code"]["meaning"]: number["value"] for number in finding["numbers"]}
    assert {name: item.value for name, item in numbers.items()} == pytest.approx(stored)
    # Each axis points at its own two points: columns and rows from the outer corner of the first pixel.
    long_axis = numbers["Long axis"][0].ContentSequence[0]
    assert long_axis.GraphicType == "POLYLINE"
    assert list(long_axis.GraphicData) == pytest.approx([0.5, 0.5, 10.5, 0.5], abs=1e-4)
    assert long_axis.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == uid(1, 1, 2)
    (report,) = sr.content.get_image_measurement_groups(tracking_uid=_report_uid(sr))
    answers = {item.name.meaning: item.value.meaning for item in report.get_qualitative_evaluations()}
    # The standard's own word for the question, as its code means it.
    assert answers["Image Quality"] == "diagnostic"
    assert sr.VerificationFlag == "VERIFIED"
    assert (sr.ContentDate, sr.PatientID) == ("20240131", "SUBJ-1")


def _report_uid(sr: Any) -> str:
    groups = sr.content.get_image_measurement_groups()
    return next(str(group.tracking_uid) for group in groups if group.tracking_identifier == "Report")


def _bytes(dataset: pydicom.Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_amendments_and_addenda_keep_what_was_signed(node: Node) -> None:
    client = node.as_("ben")
    assert client.post(f"{REPORT}/amend", json={"reason": "x"}).json()["code"] == "reading.not_signed"
    client, _ = signed(node, "ben")
    first = client.get(f"{REPORT}/versions").json()["versions"]
    assert [(item["version"], item["kind"]) for item in first] == [(1, "signed")]
    assert client.post(f"{REPORT}/addendum", json={"text": " "}).json()["code"] == "reading.bad_reason"
    client.post(f"{REPORT}/addendum", json={"text": "The ward was told."})
    reopened = client.post(f"{REPORT}/amend", json={"reason": "side was wrong"}).json()
    assert (reopened["signed_at"], reopened["amending"]) == (None, "side was wrong")
    saved = client.put(f"{REPORT}?based_on={reopened['revision']}", json=reopened["items"]).json()
    again = client.post(f"{REPORT}/sign?based_on={saved['revision']}").json()
    versions = client.get(f"{REPORT}/versions").json()["versions"]
    assert [item["kind"] for item in versions] == ["signed", "addendum", "amended"]
    assert versions[0] == first[0]
    expected = hashlib.sha256(f"{first[0]['sha256']}\nThe ward was told.".encode()).hexdigest()
    assert versions[1]["sha256"] == expected
    assert versions[2]["sha256"] == again["signed_hash"]
    assert len({versions[0]["sr_instance"], versions[2]["sr_instance"], ""}) == 3
    assert client.get(f"{REPORT}/questionnaire-response").json()["status"] == "amended"
    with node.database.connect() as connection:
        for action in ("report.amend", "report.addendum"):
            assert AuditLog("node").entries(connection, action=action)[0].actor == "ben"
    old = client.get(f"{REPORT}/document?version=1", headers={"Accept": "text/html"}).text
    assert "The ward was told." in old
    assert "A later version of this report was signed." in old
    assert "The ward was told." not in client.get(f"{REPORT}/document").text


def test_the_page_reads_in_german_and_the_next_study_shows_what_was_before(node: Node) -> None:
    archive = node.client.app.state.archive
    archive.store([deidentified(item) for item in ct_series(np.zeros((3, 30, 20), np.int16), study=7)])
    client = node.as_("ada")
    if not client.get(f"{REPORT}/versions").json()["versions"]:
        client, _ = signed(node, "ada")
    text = client.get(f"{REPORT}/document", headers={"Accept-Language": "de"}).text
    assert "Thorax-CT (kurz)" in text
    assert "7,0 mm" in text or "7 mm" in text
    follow_up = f"/api/reading/imaging-studies/{uid(7)}/report"
    before = client.get(follow_up, headers={"Accept-Language": "en"}).json()["before"]
    assert before["imaging_study"] == uid(1)
    assert before["answers"]["examination/quality"] == "diagnostic"


def test_the_pdf_says_what_the_page_says_in_both_languages(node: Node) -> None:
    pytest.importorskip("reportlab")
    client = node.as_("ada")
    if not client.get(f"{REPORT}/versions").json()["versions"]:
        client, _ = signed(node, "ada")
    for language, wanted in (
        ("de", ["Thorax-CT (kurz)", "Bildqualität", "7 mm"]),
        ("en", ["Chest CT (short)", "7 mm"]),
    ):
        answer = client.get(f"{REPORT}/document.pdf?language={language}")
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.content == client.get(f"{REPORT}/document.pdf?language={language}").content
        text = texts(answer.content)
        for word in (*wanted, "SUBJ-1", "ada"):
            assert word in text, word
        assert b"/reading/findings/" in answer.content
        page = client.get(f"{REPORT}/document", headers={"Accept-Language": language}).text
        research = "Nur für die Forschung" if language == "de" else "For research use only"
        assert research in page
        assert research in text
    assert client.get(f"{REPORT}/document.pdf?version=99").status_code == 404


def texts(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def test_cohorts_ask_for_what_was_signed_and_marked(node: Node) -> None:
    marked = ImagingCriterion(available=("annotated",))

    def count(criterion: ImagingCriterion) -> int:
        with node.database.connect() as connection:
            definition = CohortDefinition(((criterion,),))
            return cohorts.count_subjects(connection, definition, lambda _: sa.true())

    client = node.as_("ada")
    if not client.get(f"{REPORT}/versions").json()["versions"]:
        client, _ = signed(node, "ada")
    series = SeriesFacts(uid(1, 1), uid(1), Pseudonym("SUBJ-1"), "CT")
    with node.database.begin() as connection:
        cohorts.record(connection, [series])
    assert count(marked) == 1
    report_id = client.get(REPORT).json()["id"]
    with node.database.connect() as connection:
        version = [item for item in _versions.load(connection, report_id) if item.kind != "addendum"][-1]
    coded = coded_answers(version.response)
    assert coded, "the template asks coded questions"
    for answer in coded[:3]:
        given = ((answer["system"], answer["code"]),)
        assert (
            count(ImagingCriterion(answered=ReportAnswer(answer["question"], given, answer["template"]))) == 1
        )
    assert count(ImagingCriterion(answered=ReportAnswer(coded[0]["question"], (("urn:other", "x"),)))) == 0
