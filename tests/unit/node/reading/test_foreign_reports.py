"""Measurements of structured reports from elsewhere become findings at their place, with where they are from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom import sr
from highdicom.sr.coding import CodedConcept
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.archive.http import router as archive_router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.reading.findings.service import forget_subject
from racoon.node.reading.http import router as reading_router
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.standards.dicom.foreign_report import read_report
from racoon.web.pages import Site, install_pages
from tests.dicom_objects import ct_series, deidentified, segmentation, uid

PASSWORD = "a long enough password"
ORIGIN = {"Origin": "http://testserver"}
NODULE = CodedConcept("27925004", "SCT", "Nodule")
LENGTH = CodedConcept("410668003", "SCT", "Length")
ODD = CodedConcept("WOBBLE", "99ELSEWHERE", "Wobble index")


def number(name: Any, value: float, unit: str, points: Any, graphic: str, source: Any) -> Any:
    coordinates = [
        sr.CoordinatesForMeasurement(
            graphic,
            np.asarray(points, dtype=np.float64),
            sr.SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
        )
    ]
    return sr.Measurement(name, value, CodedConcept(unit, "UCUM", unit), referenced_coordinates=coordinates)


def group(name: str, measurements: Sequence[Any], **more: Any) -> Any:
    tracking = sr.TrackingIdentifier(uid=hd.UID(), identifier=name)
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking, finding_type=NODULE, measurements=list(measurements), **more
    )


def foreign_report(slices: Sequence[Any], masks: Any, elsewhere: Any) -> Any:
    """A report of another maker: a line, an ellipse in a mask's study, and groups that cannot be placed."""
    second = slices[1]
    image = sr.SourceImageForRegion(second.SOPClassUID, second.SOPInstanceUID)
    ellipse = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=hd.UID(), identifier="oval"),
        finding_type=CodedConcept("SPOT", "99ELSEWHERE", "Odd spot"),
        finding_sites=[sr.FindingSite(CodedConcept("39607008", "SCT", "Lung"))],
        referenced_region=sr.ImageRegion(
            "ELLIPSE", np.array([[2.5, 8.5], [10.5, 8.5], [6.5, 6.5], [6.5, 10.5]]), image
        ),
        measurements=[sr.Measurement(ODD, 4.2, CodedConcept("{wobble}", "UCUM", "wobble"))],
    )
    volume = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=hd.UID(), identifier="mass"),
        finding_type=NODULE,
        referenced_segment=sr.ReferencedSegment(
            masks.SOPClassUID,
            masks.SOPInstanceUID,
            1,
            source_series=sr.SourceSeriesForSegmentation(uid(1, 1)),
        ),
        measurements=[
            sr.Measurement(CodedConcept("118565006", "SCT", "Volume"), 1.25, CodedConcept("mL", "UCUM", "ml"))
        ],
    )
    groups = [
        group("line", [number(LENGTH, 5.6, "mm", [[1.5, 2.5], [9.5, 2.5]], "POLYLINE", second)]),
        ellipse,
        volume,
        group("beyond", [number(LENGTH, 99.0, "mm", [[1.5, 2.5], [400.5, 2.5]], "POLYLINE", second)]),
        group("lost", [number(LENGTH, 3.0, "mm", [[1.5, 2.5], [9.5, 2.5]], "POLYLINE", elsewhere)]),
        group("nowhere", [sr.Measurement(LENGTH, 7.0, CodedConcept("mm", "UCUM", "mm"))]),
    ]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(
                observer_type=CodedConcept("121007", "DCM", "Device"),
                observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                    uid=hd.UID(), name="Workstation 9", manufacturer_name="Elsewhere Works"
                ),
            )
        ),
        procedure_reported=CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=groups,
    )
    return sr.ComprehensiveSR(
        evidence=[*slices, masks, elsewhere],
        content=content[0],
        series_instance_uid=uid(1, 70),
        series_number=70,
        sop_instance_uid=uid(1, 70, 1),
        instance_number=1,
        manufacturer="Elsewhere Works",
        is_complete=True,
    )


def open_node(archive: Archive) -> TestClient:
    app = create_app("node", "0", login_path="/login")
    accounts = install_accounts(app, "node", archive.database)
    accounts.create(archive.database, "reader", PASSWORD, [Role.READER])
    app.state.archive = archive
    app.include_router(archive_router)
    app.include_router(reading_router)
    install_pages(app, site=Site("ALPHA", "Node ALPHA"))
    client = TestClient(app, headers={"Accept": "application/json", "Accept-Language": "en", **ORIGIN})
    client.post("/login", data={"username": "reader", "password": PASSWORD})
    return client


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables are made once; each archive starts from a copy."""
    folder = tmp_path_factory.mktemp("foreign")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    database.dispose()
    return folder / "node.sqlite"


@pytest.fixture
def archive(empty: Path, tmp_path: Path) -> Iterator[Archive]:
    shutil.copyfile(empty, tmp_path / "node.sqlite")
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    yield Archive(database, LocalFolder(tmp_path / "objects"))
    database.dispose()


def test_marks_of_another_maker_are_findings_at_their_place(archive: Archive) -> None:
    slices = ct_series(np.zeros((4, 30, 20), np.int16))
    inside = np.zeros((4, 30, 20, 1), np.bool_)
    inside[1:3, 5:9, 5:9] = True
    inside[2, 5:12, 5:12] = True
    masks = segmentation(slices, inside, [("27925004", "SCT", "Nodule")])
    elsewhere = ct_series(np.zeros((1, 30, 20), np.int16), series=3)[0]
    report = foreign_report(slices, masks, elsewhere)
    archive.store([deidentified(item) for item in [*slices, masks, report]])
    client = open_node(archive)
    address = f"/api/reading/imaging-studies/{uid(1)}/findings"
    found = client.get(address).json()
    assert client.get(address).json() == found  # read once
    line, oval, mass = found["findings"]
    assert (line["kind"], line["author"], line["note"]) == ("length", "DICOM SR", "line")
    assert line["origin"]["device"] == "Workstation 9 Elsewhere Works"
    assert line["origin"]["instance"] == uid(1, 70, 1)
    # Column 1.5 there is the centre of column 1 here.
    assert np.allclose(line["points_mm"], [[-20 + 0.7, -30 + 1.6, 102.5], [-20 + 6.3, -30 + 1.6, 102.5]])
    assert [(item["name"], item["value"], item["unit"]) for item in line["numbers"]] == [
        ("length", 5.6, "mm")
    ]
    assert oval["kind"] == "ellipse"
    assert oval["meaning"]["meaning"] == "Odd spot"
    assert oval["origin"]["site"]["meaning"] == "Lung"
    assert [(item["code"]["meaning"], item["value"], item["unit"]) for item in oval["numbers"]] == [
        ("Wobble index", 4.2, "{wobble}")
    ]
    assert (mass["kind"], mass["instance"], mass["numbers"][0]["name"]) == ("segment", uid(1, 1, 3), "volume")
    leads = client.get(mass["link"], follow_redirects=False).headers["location"]
    assert leads.endswith(f"&segment={uid(1, 50, 1)}:1")
    reasons = {item["name"]: item["reason"] for item in found["left_out"]}
    assert reasons == {
        "beyond": "Its coordinates lie outside the image it names.",
        "lost": "The image it lies on is not in this archive.",
        "nowhere": "It names no place in an image.",
    }
    assert (
        client.delete(f"/api/reading/findings/{line['id']}?based_on=1").json()["code"]
        == "reading.not_your_finding"
    )
    with archive.database.begin() as connection:
        assert forget_subject(connection, archive.instances(uid(1, 1))[0].pseudonym) == 3


def spatial(name: str, *shapes: tuple[str, Any], value: float = 5.6, frame_of_reference: str = "") -> Any:
    """A group whose number points at coordinates in space."""
    coordinates = [
        sr.CoordinatesForMeasurement3D(
            graphic, np.asarray(points, dtype=np.float64), frame_of_reference or uid(1, 9999)
        )
        for graphic, points in shapes
    ]
    numbers = [
        sr.Measurement(LENGTH, value, CodedConcept("mm", "UCUM", "mm"), referenced_coordinates=[one])
        for one in coordinates
    ]
    return group(name, numbers)


def test_coordinates_in_space_become_findings_on_the_nearest_slice_of_their_frame(archive: Archive) -> None:
    tilted = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)
    slices = ct_series(np.zeros((4, 30, 20), np.int16), orientation=tilted, origin_mm=(0.0, 0.0, 0.0))
    other = ct_series(np.zeros((4, 30, 20), np.int16), series=2, FrameOfReferenceUID=uid(1, 4711))
    along, down, up = np.array(tilted[:3]), np.array(tilted[3:]), np.array([0.0, 0.0, 1.0])

    def at(index: float, row: float, column: float) -> Any:
        return index * 2.5 * up + row * 0.8 * down + column * 0.7 * along

    corners = [at(1, 4, 4), at(1, 4, 9), at(1, 9, 9), at(1, 9, 4), at(1, 4, 4)]
    groups = [
        spatial("on", ("POLYLINE", [at(2, 3, 2), at(2, 3, 10)])),
        # A millimetre above the slice: nearest to it, moved onto it, and the page says so.
        spatial("beside", ("POINT", [at(1, 5, 6) + up])),
        spatial("outline", ("POLYGON", corners)),
        spatial("oval", ("ELLIPSE", [at(3, 8, 2), at(3, 8, 10), at(3, 6, 6), at(3, 10, 6)])),
        spatial(
            "section",
            ("POLYLINE", [at(0, 10, 6), at(3, 10, 6)]),
            ("POLYLINE", [at(1.5, 10, 2), at(1.5, 10, 10)]),
        ),
        spatial("across", ("POLYLINE", [at(0, 3, 2), at(3, 3, 2)])),
        spatial("beyond", ("POLYLINE", [at(2, 3, 2), at(2, 3, 99)])),
        spatial("above", ("POINT", [at(9, 3, 2)])),
        spatial("elsewhere", ("POINT", [at(1, 3, 2)]), frame_of_reference=uid(1, 4712)),
        spatial("solid", ("ELLIPSOID", [at(1, row, 5) for row in range(6)])),
    ]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(
                observer_type=CodedConcept("121007", "DCM", "Device"),
                observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                    uid=hd.UID(), name="3D"
                ),
            )
        ),
        procedure_reported=CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=groups,
    )
    report = sr.Comprehensive3DSR(
        evidence=slices,
        content=content[0],
        series_instance_uid=uid(1, 70),
        series_number=70,
        sop_instance_uid=uid(1, 70, 1),
        instance_number=1,
        manufacturer="Elsewhere Works",
        is_complete=True,
    )
    archive.store([deidentified(item) for item in [*slices, *other, report]])
    client = open_node(archive)
    answer = client.get(f"/api/reading/imaging-studies/{uid(1)}/findings").json()
    found = {item["note"]: item for item in answer["findings"]}
    assert {name: (item["kind"], item["series"], item["instance"]) for name, item in found.items()} == {
        "on": ("length", uid(1, 1), uid(1, 1, 3)),
        "beside": ("probe", uid(1, 1), uid(1, 1, 2)),
        "outline": ("freehand", uid(1, 1), uid(1, 1, 2)),
        "oval": ("ellipse", uid(1, 1), uid(1, 1, 4)),
        "section": ("section", uid(1, 1), uid(1, 1, 3)),
    }
    assert np.allclose(found["on"]["points_mm"], [at(2, 3, 2), at(2, 3, 10)])
    assert np.allclose(found["beside"]["points_mm"], [at(1, 5, 6)])
    beside = {name: item["origin"]["beside_mm"] for name, item in found.items()}
    assert beside == pytest.approx({"on": 0, "beside": 1, "outline": 0, "oval": 0, "section": 0}, abs=1e-6)
    middle, tip, *ends = np.array(found["section"]["points_mm"])
    assert np.allclose(middle, at(1.5, 10, 6))
    assert np.allclose(np.abs((tip - middle) / 10), np.abs(down))
    assert np.allclose(ends, [at(0, 10, 6), at(3, 10, 6), at(1.5, 10, 2), at(1.5, 10, 10)])
    # What its author measured stays what it was, wherever it was moved to.
    assert all(item["numbers"][0]["value"] == 5.6 for item in found.values())
    assert {item["name"]: item["reason"] for item in answer["left_out"]} == {
        "across": "It lies across the slices, so it is on none of them.",
        "beyond": "Its coordinates lie outside the images.",
        "above": "Its coordinates lie outside the images.",
        "elsewhere": "No image of this examination has the frame of reference of its coordinates.",
        "solid": "Its shape is not one that is drawn here.",
    }
    leads = client.get(found["section"]["link"], follow_redirects=False).headers["location"]
    assert f"instance={uid(1, 1, 3)}" in leads


def test_a_published_report_is_shown_on_its_image(shared_data: Path, archive: Archive) -> None:
    """highdicom's own document: a circle of 11 pixels around (58, 52) on its CT image, 1.7 cm², retired codes."""
    folder = shared_data / "dicom_seg_sr" / "highdicom"
    image, report = (pydicom.dcmread(folder / name) for name in ("ct_image.dcm", "sr_document.dcm"))
    archive.store([deidentified(item) for item in (image, report)])
    found = open_node(archive).get(f"/api/reading/imaging-studies/{image.StudyInstanceUID}/findings").json()
    assert found["left_out"] == []
    (circle,) = found["findings"]
    assert (circle["kind"], circle["meaning"]["meaning"]) == ("ellipse", "Spinal cord")
    assert circle["origin"]["site"]["meaning"] == "Cervico-thoracic spine"
    assert circle["origin"]["observer"] == "Foo"
    (area,) = circle["numbers"]
    assert (area["code"]["meaning"], area["value"], area["unit"]) == ("Area of defined region", 1.7, "cm2")
    spacing = [float(value) for value in image.PixelSpacing]
    points = np.array(circle["points_mm"])
    origin = np.array([float(value) for value in image.ImagePositionPatient])
    across, down = (
        np.array(image.ImageOrientationPatient[:3], float),
        np.array(image.ImageOrientationPatient[3:], float),
    )
    centre = origin + 57.5 * spacing[1] * across + 51.5 * spacing[0] * down
    assert np.allclose(points.mean(axis=0), centre)
    assert np.linalg.norm(points[1] - points[0]) == pytest.approx(22 * spacing[0])


def test_numbers_and_segments_of_another_published_report_are_read(shared_data: Path) -> None:
    """dcmqi's document measures in segments of a PET that is not published with it."""
    report = read_report(pydicom.dcmread(shared_data / "dicom_seg_sr" / "dcmqi" / "sr-example" / "sr.dcm"))
    segments = pydicom.dcmread(
        shared_data / "dicom_seg_sr" / "dcmqi" / "sr-example" / "seg.dcm", stop_before_pixels=True
    )
    assert report.groups
    numbers = {item.SegmentNumber for item in segments.SegmentSequence}
    for found in report.groups:
        assert found.segment is not None
        assert found.segment[0] == segments.SOPInstanceUID
        assert found.segment[1] in numbers
        assert found.numbers
        assert all(number.name.meaning and np.isfinite(number.value) for number in found.numbers)


def test_a_broken_report_brings_nothing_and_harms_nothing() -> None:
    empty = pydicom.Dataset()
    assert read_report(empty).groups == ()
    nested = pydicom.Dataset()
    for _ in range(100):
        outer = pydicom.Dataset()
        outer.ContentSequence = [nested]
        nested = outer
    assert read_report(nested).groups == ()
