"""Every supported class with an identifier in every element its list lets through: none survives."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from racoon.node.deid import rules
from racoon.node.deid.model import Profile, Quarantined, QuarantineReason
from racoon.node.deid.profiles import profile_from, profile_named, profiles, tightened
from racoon.node.deid.service import Deidentifier
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.standards.dicom.codestream import blank_comments
from tests.planted_identifiers import leaked, make_ct, make_seg
from tests.planted_objects import (
    COMPREHENSIVE_SR,
    make_commented_jpeg2000,
    make_planted,
    make_report,
    make_structure_set,
)

NAMES = Pseudonymiser(None, None)
RELEASED = frozenset({QuarantineReason.BURNED_IN_SUSPECTED})
DOCUMENTS = {f"1.2.840.10008.5.1.4.1.1.104.{number}" for number in (1, 2, 3)}


@pytest.fixture(autouse=True)
def _quiet_pydicom() -> object:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pydicom")
        yield


def deidentify(data: bytes, profile: str | Profile = "basic") -> bytes:
    return Deidentifier(profile, NAMES).apply(data, released=RELEASED).dataset_bytes


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


@pytest.mark.parametrize("sop_class", sorted(rules.supported_sop_classes().keys() - DOCUMENTS))
def test_no_element_of_any_class_lets_an_identifier_through(sop_class: str) -> None:
    planted = make_planted(sop_class)
    assert sum(marker in planted.data for marker in planted.markers) > 900, "markers must be able to leak"
    output = deidentify(planted.data)
    assert leaked(planted.markers, output) == []
    assert b"zacharias" not in output.lower()
    assert output[:128] == bytes(128)


def test_a_report_loses_its_people_and_keeps_its_measurements_and_images() -> None:
    planted = make_report()
    output = deidentify(planted.data)
    assert leaked(planted.markers, output) == []
    report = read(output)
    slices = {read(deidentify(make_ct(number).data)).SOPInstanceUID for number in (1, 2)}
    group = report.ContentSequence[-1]
    referenced = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in group.ContentSequence
        if item.ValueType == "IMAGE"
    }
    assert referenced == slices, "the report points at the same images under their new names"
    length = next(item for item in group.ContentSequence if item.ValueType == "NUM")
    assert length.MeasuredValueSequence[0].NumericValue == 12.5
    texts = {item.TextValue for item in report.ContentSequence if item.ValueType == "TEXT"}
    assert "SIEMENS" in texts
    assert report.VerificationFlag == "UNVERIFIED"
    assert "VerifyingObserverSequence" not in report
    assert "97" not in {
        str(n.NumericValue) for i in report.ContentSequence for n in i.get("MeasuredValueSequence", ())
    }


def test_a_structure_set_still_lies_on_its_images() -> None:
    planted = make_structure_set()
    output = deidentify(planted.data)
    assert leaked(planted.markers, output) == []
    before, after = read(planted.data), read(output)
    slices = {read(deidentify(make_ct(number).data)).SOPInstanceUID for number in (1, 2)}
    contours = after.ROIContourSequence[0].ContourSequence
    assert {c.ContourImageSequence[0].ReferencedSOPInstanceUID for c in contours} == slices
    original = before.ROIContourSequence[0].ContourSequence[0].ContourData
    # A list longer than its VR's length field allows is written as UN (PS3.5 section 6.2.2).
    written = [float(number) for number in bytes(contours[0].ContourData).split(b"\\")]
    np.testing.assert_allclose(written, [float(number) for number in original])
    assert after.StructureSetROISequence[0].ROIName == "Lung"
    assert after.FrameOfReferenceUID == read(deidentify(make_ct().data)).FrameOfReferenceUID
    assert after.StructureSetLabel
    assert not after.RTROIObservationsSequence[0].ROIInterpreter


def test_a_name_in_a_comment_of_the_codestream_goes_and_the_pixels_stay() -> None:
    data = make_commented_jpeg2000()
    assert b"LEAKCOMMENT" in data
    output = deidentify(data)
    assert b"LEAKCOMMENT" not in output
    assert b"Zacharias" not in output
    np.testing.assert_array_equal(read(output).pixel_array, read(data).pixel_array)


def test_a_frame_without_comments_is_not_copied() -> None:
    stream = b"\xfe\xff\x00\xe0" + (4).to_bytes(4, "little") + b"\xff\xd8\xff\xda"
    assert blank_comments(stream) == (stream, 0)
    assert blank_comments(b"") == (b"", 0)
    assert blank_comments(b"\xfe\xff\x00\xe0\xff\xff\xff\xff\xff\xd8\xff\xfe\xff\xff")[1] == 0


@pytest.mark.parametrize("sop_class", sorted(DOCUMENTS))
def test_documents_never_pass(sop_class: str) -> None:
    with pytest.raises(Quarantined) as caught:
        deidentify(_as(sop_class))
    assert caught.value.reason is QuarantineReason.ENCAPSULATED_DOCUMENT


def _as(sop_class: str) -> bytes:
    dataset = read(make_ct(planted=False).data)
    dataset.SOPClassUID = sop_class
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def test_strict_profile_stops_reports() -> None:
    with pytest.raises(Quarantined) as caught:
        deidentify(make_report().data, "strict")
    assert caught.value.reason is QuarantineReason.NOT_IN_PROFILE


def test_a_site_may_stop_a_class_and_heads() -> None:
    stopped = tightened(profile_named("basic"), {"refused_sop_classes": [COMPREHENSIVE_SR]})
    with pytest.raises(Quarantined) as caught:
        deidentify(make_report().data, stopped)
    assert caught.value.reason is QuarantineReason.NOT_IN_PROFILE
    faceless = tightened(profile_named("basic"), {"refuse_faces": True})
    assert deidentify(make_ct(planted=False).data, faceless)
    dataset = read(make_ct(planted=False).data)
    dataset.BodyPartExamined = "HEAD"
    stream = io.BytesIO()
    dataset.save_as(stream)
    with pytest.raises(Quarantined) as caught:
        deidentify(stream.getvalue(), faceless)
    assert caught.value.reason is QuarantineReason.FACE_RECOGNISABLE


def test_a_site_cannot_keep_more_by_any_key() -> None:
    from racoon.node.deid.model import UnknownProfile

    for key in ("options", "safe_private", "faces", "birth_date", "date_shift_limit_days"):
        with pytest.raises(UnknownProfile):
            tightened(profile_named("basic"), {key: ["device_identity"]})


def test_profile_files_are_checked(tmp_path: object) -> None:
    from pathlib import Path

    from racoon.node.deid.model import UnknownProfile

    path = Path(str(tmp_path)) / "study.toml"
    path.write_text('title = "t"\noptions = ["modified_dates"]\nalso_remove = ["KVP"]\n')
    profile = profile_named(str(path))
    assert profile.name == "study"
    assert (
        "KVP" not in read(deidentify(make_ct(planted=False).data, profile))
        or not read(deidentify(make_ct(planted=False).data, profile)).KVP
    )
    for wrong in (
        {"option": []},
        {"also_remove": ["NoSuchElement"]},
        {"date_shift_limit_days": 0},
        {"faces": "blur"},
    ):
        with pytest.raises(UnknownProfile):
            profile_from("wrong", wrong)
    with pytest.raises(UnknownProfile):
        profile_named("nowhere")
    assert set(profiles()) == {"basic", "device", "diffusion", "faceless", "strict"}


def test_segmentation_report_and_structure_set_agree_on_the_study() -> None:
    objects = [make_ct().data, make_seg().data, make_report().data, make_structure_set().data]
    found = [read(deidentify(data)) for data in objects]
    assert len({dataset.StudyInstanceUID for dataset in found}) == 1
    assert len({dataset.PatientID for dataset in found}) == 1
    assert len({dataset.StudyDate for dataset in found}) == 1


def test_a_node_s_settings_name_a_profile_and_only_tighten_it() -> None:
    from pydantic import ValidationError

    from racoon.node.settings import DeidSettings

    chosen = DeidSettings(
        profile="device", site={"without": ["device_identity"], "refuse_faces": True}
    ).in_force()
    assert chosen.options == profile_named("basic").options
    assert chosen.faces == "refuse"
    for wrong in ({"profile": "nowhere"}, {"site": {"options": ["device_identity"]}}):
        with pytest.raises(ValidationError):
            DeidSettings(**wrong)
