"""Values as DICOM SR TID 1500: read back with highdicom, downloaded, kept in the archive, and the same bytes twice."""

from __future__ import annotations

import io

import highdicom as hd
import pydicom
import pytest
from pydicom.sr.codedict import codes
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.archive.derived import DerivedObjects, made_here
from racoon.node.measuring import service
from racoon.node.measuring.http import router
from racoon.node.measuring.report import NothingToReport
from racoon.platform.audit import AuditLog
from racoon.platform.auth import AccountStore, install_accounts
from racoon.platform.http import create_app
from tests.dicom_objects import uid

PASSWORD = "correct horse"
ORIGIN = {"origin": "http://testserver"}
SERIES = uid(1, 1)


@pytest.fixture
def client(plan, manifest, archive, database):
    service.run_protocol(plan, manifest, archive, database)
    accounts = AccountStore("node")
    accounts.create(database, "rita", PASSWORD, [Role.READER])
    app = create_app("Test", "1")
    install_accounts(app, "node", database)
    app.state.archive, app.state.database = archive, database
    app.state.own_objects = DerivedObjects(archive, made_here, AuditLog("node"))
    app.include_router(router)
    with TestClient(app) as client:
        client.post("/api/session", json={"username": "rita", "password": PASSWORD}, headers=ORIGIN)
        yield client


def test_a_report_read_back_has_every_value_its_segment_and_its_algorithm(client, database):
    query = {"study": "study-1", "series": SERIES}
    answer = client.get("/api/measurements/report.dcm", params=query)
    assert answer.headers["content-type"] == "application/dicom"
    report = hd.sr.srread(io.BytesIO(answer.content))
    assert isinstance(report, hd.sr.Comprehensive3DSR)
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert report.PatientID == "SUBJ-1"
    assert "research use only" in report.SeriesDescription.lower()
    assert report.VerificationFlag == "UNVERIFIED"
    with database.connect() as connection:
        stored = [value for _, value in service.load_values(connection, series_uids=(SERIES,))]
    groups = [
        *report.content.get_volumetric_roi_measurement_groups(),
        *report.content.get_image_measurement_groups(),
    ]
    numbers = {
        (group.finding_type.value, item.name.value): (item.value, item.unit.value)
        for group in groups
        for item in group.get_measurements()
    }
    for value in stored:
        name = {"volume": "YEKZ", "mean_density": "Q4LE"}.get(
            value.biomarker, f"{value.biomarker}@{value.version}"
        )
        place = value.label.value if value.label else "38266002"
        assert numbers[place, name] == (pytest.approx(value.value, rel=1e-9), value.unit)
    assert len(numbers) == len(stored)
    (liver,) = report.content.get_volumetric_roi_measurement_groups(
        finding_type=hd.sr.CodedConcept("10200004", "SCT", "Liver")
    )
    drawn = next(value.masks[0] for value in stored if value.biomarker == "volume")
    (segment,) = (
        item.ReferencedSOPSequence[0]
        for item in liver[0].ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "121191"
    )
    assert (segment.ReferencedSOPInstanceUID, segment.ReferencedSegmentNumber) == (
        drawn.seg_instance_uid,
        drawn.segment_number,
    )
    (volume, *_) = liver.get_measurements(name=hd.sr.CodedConcept("YEKZ", "IBSI", "Volume"))
    words = [
        item.TextValue
        for item in volume[0].ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue in {"111001", "111002", "111003"}
    ]
    assert "racoon volume@1" in words
    assert any(word.startswith("use=Research use only") for word in words)


def test_what_is_not_valid_is_an_answer_and_no_number(client, archive, database, plan):
    with database.connect() as connection:
        values = [value for _, value in service.load_values(connection, series_uids=(SERIES,))]
    import dataclasses

    broken = [dataclasses.replace(value, valid=False, reason="kvp_outside") for value in values[:2]]
    report = hd.sr.srread(io.BytesIO(service.write_report(broken, archive)))
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    assert group.get_measurements() == []
    reasons = group.get_qualitative_evaluations()
    assert {item.value.value for item in reasons} == {"kvp_outside"}
    assert all(item.value.meaning.startswith("not valid: ") for item in reasons)
    with pytest.raises(NothingToReport):
        service.write_report([], archive)


def test_a_report_is_kept_beside_its_images_once(client, archive, database):
    query = {"study": "study-1", "series": SERIES}
    first = client.post("/api/measurements/reports", params=query, headers=ORIGIN)
    assert first.status_code == 201, first.text
    assert client.post("/api/measurements/reports", params=query, headers=ORIGIN).json() == first.json()
    row = archive.instance(first.json()["sop_instance_uid"])
    kept = pydicom.dcmread(io.BytesIO(archive.read_object(row)))
    assert kept.Modality == "SR"
    assert kept.StudyInstanceUID == uid(1)
    references = [item.ReferencedSeriesSequence for item in kept.CurrentRequestedProcedureEvidenceSequence]
    series = {item.SeriesInstanceUID for sequence in references for item in sequence}
    assert series == {SERIES, uid(1, 50)}
    downloaded = client.get("/api/measurements/report.dcm", params=query).content
    assert downloaded == archive.read_object(row)
    assert codes.DCM.ImagingMeasurementReport.value == kept.ConceptNameCodeSequence[0].CodeValue
    nobody = client.post("/api/measurements/reports", params={"series": "1.2.3"}, headers=ORIGIN)
    assert nobody.status_code == 404
    client.delete("/api/session", headers=ORIGIN)
    assert client.post("/api/measurements/reports", params=query, headers=ORIGIN).status_code in {401, 403}
