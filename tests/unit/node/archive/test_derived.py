"""STOW-RS of derived objects: checked against the images they name, cleaned, stored with their own UIDs."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from fastapi import FastAPI
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.archive.access import ImageAccess
from racoon.node.archive.derived import (
    CANNOT_UNDERSTAND,
    CLASS_CONFLICT,
    CLASS_NOT_SUPPORTED,
    DUPLICATE,
    MISMATCH,
    NO_SUCH_OBJECT,
    DerivedObjects,
)
from racoon.node.archive.http import router
from racoon.node.archive.model import DeidentifiedInstance
from racoon.node.archive.service import Archive
from racoon.node.deid.derived import DerivedGate
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database
from racoon.platform.http import create_app
from racoon.standards.dicomweb import multipart
from tests.dicom_objects import ct_series, deidentified, segmentation, to_bytes, uid

VOXELS = np.random.default_rng(5).integers(-1000, 1200, (4, 16, 12)).astype(np.int16)
LUNG = [("39607008", "SCT", "Lung")]


def sources(study: int = 1) -> list[Dataset]:
    return ct_series(VOXELS, study=study, subject=f"SUBJ-{study}")


def mask(images: list[Dataset] | None = None, **options: object) -> Dataset:
    images = sources() if images is None else images
    masks = np.zeros((len(images), 16, 12, 1), np.bool_)
    masks[1, 3:6, 4:8, 0] = True
    return segmentation(images, masks, LUNG, **options)


def report(images: list[Dataset]) -> Dataset:
    """A TID 1500 report of one measurement, as highdicom writes it."""
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=uid(1, 60, 9), identifier="Lesion Muster"),
        finding_type=codes.SCT.Nodule,
        measurements=[
            hd.sr.Measurement(
                name=codes.SCT.Volume,
                value=1.5,
                unit=codes.UCUM.CubicCentimeter,
            )
        ],
        source_images=[hd.sr.SourceImageForMeasurementGroup.from_source_image(images[1])],
    )
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(
            observer_person_context=hd.sr.ObserverContext(
                observer_type=codes.DCM.Person,
                observer_identifying_attributes=hd.sr.PersonObserverIdentifyingAttributes(
                    name="Muster^Maria"
                ),
            )
        ),
        procedure_reported=CodedConcept("169069000", "SCT", "CT of chest"),
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
    )
    return hd.sr.Comprehensive3DSR(
        evidence=images,
        content=content,
        series_instance_uid=uid(1, 60),
        series_number=60,
        sop_instance_uid=uid(1, 60, 1),
        instance_number=1,
        manufacturer="Phantom Works",
    )


def structure_set(images: list[Dataset]) -> Dataset:
    dataset = Dataset()
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID"):
        setattr(dataset, keyword, getattr(images[0], keyword))
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.3", uid(1, 70, 1)
    dataset.SeriesInstanceUID, dataset.Modality, dataset.SeriesNumber = uid(1, 70), "RTSTRUCT", 70
    dataset.StructureSetLabel, dataset.StructureSetDate, dataset.StructureSetTime = "ROI", "", ""
    contours = []
    for image in images:
        reference = Dataset()
        reference.ReferencedSOPClassUID = image.SOPClassUID
        reference.ReferencedSOPInstanceUID = image.SOPInstanceUID
        contours.append(reference)
    series = Dataset()
    series.SeriesInstanceUID, series.ContourImageSequence = images[0].SeriesInstanceUID, contours
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = images[0].StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = images[0].FrameOfReferenceUID, [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def parametric_map(images: list[Dataset]) -> Dataset:
    return hd.pm.ParametricMap(
        source_images=images,
        pixel_array=np.ones((len(images), 16, 12), np.float32),
        series_instance_uid=uid(1, 80),
        series_number=80,
        sop_instance_uid=uid(1, 80, 1),
        instance_number=1,
        manufacturer="Phantom Works",
        manufacturer_model_name="Mapper",
        software_versions="1",
        device_serial_number="1",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            hd.pm.RealWorldValueMapping(
                lut_label="1",
                lut_explanation="feature",
                unit=codes.UCUM.NoUnits,
                value_range=[-10.0, 10.0],
                intercept=0,
                slope=1,
            )
        ],
        voi_lut_transformations=[hd.VOILUTTransformation(window_center=0.5, window_width=1.0)],
    )


@pytest.fixture
def clean(tmp_path: Path) -> Callable[[bytes], DeidentifiedInstance]:
    gate = DerivedGate("basic", tmp_path / "derived.key")

    def apply(data: bytes) -> DeidentifiedInstance:
        found = gate.apply(data)
        return DeidentifiedInstance(
            found.dataset_bytes,
            found.sop_class_uid,
            found.sop_instance_uid,
            found.series_uid,
            found.imaging_study_uid,
            found.pseudonym,
            found.evidence,
        )

    return apply


@pytest.fixture
def derived(archive: Archive, clean: Callable[[bytes], DeidentifiedInstance]) -> DerivedObjects:
    archive.store([deidentified(item) for item in [*sources(), *sources(2)]])
    return DerivedObjects(archive, clean, AuditLog("node"))


@pytest.mark.parametrize(
    ("make", "modality"),
    [
        (mask, "SEG"),
        (lambda images: mask(images, kind="LABELMAP", series=51), "SEG"),
        (report, "SR"),
        (structure_set, "RTSTRUCT"),
        (parametric_map, "OT"),
    ],
    ids=["binary", "labelmap", "report", "structures", "map"],
)
def test_objects_are_stored_with_their_own_uids_and_resolving_references(
    derived: DerivedObjects, archive: Archive, make: Callable[..., Dataset], modality: str
) -> None:
    if make.__name__ == "<lambda>":
        labels = np.zeros((4, 16, 12), np.uint8)
        labels[1, 3:6, 4:8] = 1
        item = segmentation(sources(), labels, LUNG, kind="LABELMAP", series=51)
    else:
        item = make(sources())
    outcome = derived.store(to_bytes(item))
    assert (outcome.failure, outcome.reason) == (0, "")
    row = archive.instance(str(item.SOPInstanceUID))
    assert (row.imaging_study_uid, row.pseudonym) == (uid(1), "SUBJ-1")
    stored = pydicom.dcmread(io.BytesIO(archive.read_object(row)))
    assert stored.PatientIdentityRemoved == "YES"
    assert stored.Modality == modality
    named = {
        str(element.value)
        for element in stored.iterall()
        if element.keyword == "ReferencedSOPInstanceUID" and str(element.value) != uid(1)
    }
    assert named
    assert named <= {str(image.SOPInstanceUID) for image in sources()}
    # Sent once more it changes nothing, although the gate rewrites it each time.
    assert derived.store(to_bytes(item)).failure == 0
    assert len(archive.instances(row.series_uid)) == 1


def test_a_stored_mask_lies_on_the_image(derived: DerivedObjects, archive: Archive) -> None:
    derived.store(to_bytes(mask()))
    (found,) = archive.load_masks(uid(1, 1))
    assert np.argwhere(found.mask.voxels).min(axis=0).tolist() == [1, 3, 4]
    assert found.mask.label.value == "39607008"


def test_names_in_free_text_and_private_elements_do_not_pass(
    derived: DerivedObjects, archive: Archive
) -> None:
    item = report(sources())
    item.add_new(0x00091010, "LO", "Muster Maria")
    item.add_new(0x00090010, "LO", "SOMEBODY")
    item.InstitutionName = "Klinikum Musterstadt"
    item.ContentCreatorName = "Muster^Maria"
    outcome = derived.store(to_bytes(item))
    assert outcome.failure == 0
    assert outcome.warning == 0xB000
    content = archive.read_object(archive.instance(outcome.sop_instance_uid))
    for text in (b"Muster", b"SOMEBODY", b"Klinikum"):
        assert text not in content


def changed(item: Dataset, **values: object) -> bytes:
    for keyword, value in values.items():
        setattr(item, keyword, value)
    if "SOPInstanceUID" in values:
        item.file_meta.MediaStorageSOPInstanceUID = values["SOPInstanceUID"]
    return to_bytes(item)


def drop(dataset: Dataset, *keywords: str) -> None:
    """Remove elements at every level."""
    for keyword in keywords:
        if keyword in dataset:
            delattr(dataset, keyword)
    for element in dataset:
        for item in element.value if element.VR == "SQ" else ():
            drop(item, *keywords)


def without_references() -> bytes:
    item = mask()
    drop(
        item,
        "ReferencedSeriesSequence",
        "DerivationImageSequence",
        "SourceImageSequence",
        "ReferencedImageSequence",
        "ReferencedSOPSequence",
        "StudiesContainingOtherReferencedInstancesSequence",
    )
    return to_bytes(item)


def wrong_class() -> bytes:
    item = mask()
    item.ReferencedSeriesSequence[0].ReferencedInstanceSequence[
        0
    ].ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    for group in item.PerFrameFunctionalGroupsSequence:
        if "DerivationImageSequence" in group:
            del group.DerivationImageSequence
    return to_bytes(item)


@pytest.mark.parametrize(
    ("data", "failure", "words"),
    [
        (lambda: b"no DICOM", CANNOT_UNDERSTAND, "not a DICOM file"),
        (lambda: to_bytes(sources()[0]), CLASS_NOT_SUPPORTED, "send images to"),
        (lambda: changed(mask(), StudyInstanceUID=uid(9)), NO_SUCH_OBJECT, "no such imaging study"),
        (lambda: changed(mask(), PatientID="SUBJ-2"), MISMATCH, "another pseudonym"),
        (lambda: changed(mask(), PatientName="Muster^Maria"), MISMATCH, "carries a name"),
        (lambda: changed(mask(), StudyDate="20240130"), MISMATCH, "date of the object"),
        (lambda: changed(mask(), PatientBirthDate="19600102"), MISMATCH, "Copy it"),
        (lambda: to_bytes(mask(ct_series(VOXELS, series=7))), NO_SUCH_OBJECT, "not in this imaging study"),
        (lambda: changed(mask(), SeriesInstanceUID=uid(1, 1)), MISMATCH, "series of its own"),
        (without_references, MISMATCH, "which images"),
        (wrong_class, CLASS_CONFLICT, "another SOP class"),
        (lambda: changed(mask(), Modality="CT"), MISMATCH, ""),
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    derived: DerivedObjects, archive: Archive, data: Callable[[], bytes], failure: int, words: str
) -> None:
    outcome = derived.store(data())
    assert (outcome.failure, words in outcome.reason) == (failure, True), outcome
    assert archive.counts().instances == 8


def test_images_of_another_subject_are_not_there(derived: DerivedObjects) -> None:
    item = mask(sources(2))
    outcome = derived.store(changed(item, StudyInstanceUID=uid(1), PatientID="SUBJ-1", PatientName="SUBJ-1"))
    assert outcome.failure == NO_SUCH_OBJECT


def test_other_content_under_a_known_uid_is_a_conflict(derived: DerivedObjects) -> None:
    assert derived.store(to_bytes(mask())).failure == 0
    assert derived.store(changed(mask(), SeriesNumber=51)).failure == DUPLICATE


@pytest.fixture
def app(derived: DerivedObjects, archive: Archive, database: Database) -> FastAPI:
    app = create_app("node", "0")
    accounts = install_accounts(app, "node", database)
    for name, role in (("rita", Role.READER), ("dora", Role.DPO)):
        accounts.create(database, name, "a long enough password", [role])
    app.state.archive, app.state.derived, app.state.audit = archive, derived, AuditLog("node")
    app.include_router(router)
    return app


def signed_in(app: FastAPI, name: str) -> TestClient:
    client = TestClient(app)
    answer = client.post("/api/session", json={"username": name, "password": "a long enough password"})
    client.cookies.clear()
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return client


def post(client: TestClient, objects: list[bytes], study: str = "") -> object:
    parts = [multipart.Part("application/dicom", [content]) for content in objects]
    body = b"".join(multipart.write(parts, "x"))
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    address = f"/dicom-web/derived/studies/{study}" if study else "/dicom-web/derived/studies"
    return client.post(address, content=body, headers={"Content-Type": kind})


def test_the_answer_names_each_object_and_where_it_is(app: FastAPI, database: Database) -> None:
    rita = signed_in(app, "rita")
    answer = post(rita, [to_bytes(mask()), to_bytes(sources()[0])])
    assert answer.status_code == 202
    document = pydicom.Dataset.from_json(answer.json())
    (stored,), (failed,) = document.ReferencedSOPSequence, document.FailedSOPSequence
    assert stored.RetrieveURL.endswith(f"/studies/{uid(1)}/series/{uid(1, 50)}/instances/{uid(1, 50, 1)}")
    assert rita.get(stored.RetrieveURL, headers={"Accept": "application/dicom"}).status_code == 200
    assert failed.FailureReason == CLASS_NOT_SUPPORTED
    assert "send images to /dicom-web/studies" in answer.headers["warning"]
    with database.connect() as connection:
        entries = [
            item for item in AuditLog("node").entries(connection, 9, None) if item.action == "derived.store"
        ]
    assert {(entry.actor, entry.outcome) for entry in entries} == {("rita", "success"), ("rita", "refused")}


def test_nothing_stored_is_a_conflict_and_roles_are_asked_for(app: FastAPI) -> None:
    rita = signed_in(app, "rita")
    assert post(rita, [b"nothing"]).status_code == 409
    assert post(rita, [to_bytes(mask())], uid(2)).status_code == 409
    assert post(signed_in(app, "dora"), [to_bytes(mask())]).status_code == 403
    assert post(TestClient(app), [to_bytes(mask())]).status_code == 401
    assert rita.post("/dicom-web/derived/studies", json={}).status_code == 415


def test_who_may_not_see_the_images_may_not_draw_on_them(app: FastAPI, database: Database) -> None:
    rita = signed_in(app, "rita")
    access = app.state.image_access = ImageAccess(database, AuditLog("node"), lambda *_: True)
    assert post(rita, [to_bytes(mask())]).status_code == 409
    access.grant("rita", "S1", [uid(1, 1)], actor="ana", actor_role="data_manager")
    assert post(rita, [to_bytes(mask())]).status_code in (200, 202)
