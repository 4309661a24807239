"""De-identification of whole objects: nothing planted survives, what must stay stays, references resolve."""

from __future__ import annotations

import io
import warnings
from datetime import date

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from racoon.node.deid import profiles, rules
from racoon.node.deid.model import OPTIONS, Deidentified, Profile, Quarantined, QuarantineReason
from racoon.node.deid.service import Deidentifier
from racoon.node.pseudonyms.model import is_pseudonym
from racoon.node.pseudonyms.service import Pseudonymiser
from tests.planted_identifiers import PATIENT_ID, Planted, leaked, make_ct, make_seg

NAMES = Pseudonymiser(None, None)


def deidentify(planted: Planted | bytes, profile: str | Profile = "basic") -> Deidentified:
    data = planted if isinstance(planted, bytes) else planted.data
    return Deidentifier(profile, NAMES).apply(data)


def read(result: Deidentified) -> Dataset:
    return pydicom.dcmread(io.BytesIO(result.dataset_bytes))


def edited(planted: Planted, **attributes: object) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(planted.data))
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(stream)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def _quiet_pydicom() -> object:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pydicom")
        yield


@pytest.mark.parametrize("profile", sorted(profiles.profiles()))
@pytest.mark.parametrize(
    "planted",
    [make_ct(), make_ct(syntax=ImplicitVRLittleEndian), make_seg()],
    ids=["ct explicit", "ct implicit", "seg"],
)
def test_nothing_planted_survives(planted: Planted, profile: str) -> None:
    assert sum(marker in planted.data for marker in planted.markers) > 900, "markers must be able to leak"
    output = deidentify(planted, profile).dataset_bytes
    device = (
        {b"LEAK"} if profile == "device" else set()
    )  # that profile keeps the serial number, by its option
    leaks = leaked(planted.markers, output)
    if device:
        kept = pydicom.dcmread(io.BytesIO(output))
        leaks = [
            leak
            for leak in leaks
            if leak.decode() not in (kept.get("DeviceSerialNumber"), kept.get("StationName"))
        ]
    assert leaks == []
    assert output[:128] == bytes(128)


def test_what_must_stay_stays() -> None:
    dataset = read(deidentify(make_ct()))
    expected = {
        "Modality": "CT",
        "KVP": 120,
        "ConvolutionKernel": "B31f",
        "SliceThickness": 1,
        "Manufacturer": "SIEMENS",
        "ManufacturerModelName": "SOMATOM Definition AS+",
        "BodyPartExamined": "CHEST",
        "PatientSex": "F",
        "PatientAge": "071Y",
        "SeriesDescription": "Thorax 1.0 B31f",
        "StudyTime": "101112",
        "WindowWidth": 400,
        "ContrastBolusAgent": "CONTRAST",
        "RescaleIntercept": -1024,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    }
    assert {keyword: dataset.get(keyword) for keyword in expected} == expected


def test_marks_say_what_was_done() -> None:
    dataset = read(deidentify(make_ct()))
    assert dataset.PatientIdentityRemoved == "YES"
    assert dataset.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = {item.CodeValue for item in dataset.DeidentificationMethodCodeSequence}
    assert codes == {"113100", "113105", "113107", "113108"}
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert dataset.PatientName == dataset.PatientID
    assert is_pseudonym(dataset.PatientID)
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_pixels_are_bit_identical(syntax: str) -> None:
    planted = make_ct(syntax=syntax)
    before = pydicom.dcmread(io.BytesIO(planted.data)).PixelData
    assert read(deidentify(planted)).PixelData == before


def test_big_endian_pixels_keep_their_values() -> None:
    planted = make_ct(syntax=ExplicitVRBigEndian)
    before = pydicom.dcmread(io.BytesIO(planted.data))
    after = read(deidentify(planted))
    assert after.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    np.testing.assert_array_equal(
        np.frombuffer(after.PixelData, "<u2"), np.frombuffer(before.PixelData, ">u2")
    )
    assert (after.Rows, after.KVP) == (16, 120)
    output = deidentify(planted).dataset_bytes
    assert leaked(planted.markers, output) == []


def test_compressed_pixels_pass_untouched() -> None:
    dataset = pydicom.dcmread(io.BytesIO(make_ct(planted=False).data))
    dataset.compress("1.2.840.10008.1.2.5")
    stream = io.BytesIO()
    dataset.save_as(stream)
    after = read(deidentify(stream.getvalue()))
    assert after.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"
    assert after.PixelData == dataset.PixelData


def test_segmentation_still_refers_to_its_images() -> None:
    slices = {read(deidentify(make_ct(number))).SOPInstanceUID for number in (1, 2)}
    series = read(deidentify(make_ct())).SeriesInstanceUID
    seg = read(deidentify(make_seg()))
    referenced = seg.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == series
    assert {item.ReferencedSOPInstanceUID for item in referenced.ReferencedInstanceSequence} == slices
    frames = seg.PerFrameFunctionalGroupsSequence
    sources = {f.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for f in frames}
    assert sources == slices
    assert seg.StudyInstanceUID == read(deidentify(make_ct())).StudyInstanceUID
    assert seg.SegmentSequence[0].SegmentLabel == "Lung"
    assert seg.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue == "39607008"


def test_output_is_deterministic_and_ascending() -> None:
    planted = make_ct()
    assert deidentify(planted).dataset_bytes == deidentify(planted).dataset_bytes
    tags = [element.tag for element in read(deidentify(planted))]
    assert tags == sorted(tags)


def test_second_pass_keeps_the_shape() -> None:
    """What comes out can go in again and loses nothing more."""
    once = deidentify(make_ct())
    twice = deidentify(once.dataset_bytes)
    assert [e.tag for e in read(once)] == [e.tag for e in read(twice)]
    assert read(once).PixelData == read(twice).PixelData


@given(
    st.sampled_from(sorted(profiles.profiles())),
    st.sampled_from(sorted(rules.supported_sop_classes())),
    st.sets(st.sampled_from(sorted(OPTIONS))),
    st.booleans(),
)
def test_tightened_profile_never_keeps_more(
    name: str, sop_class: str, without: set[str], remove_kernel: bool
) -> None:
    profile = profiles.profile_named(name)
    tighter = profile.tighten(
        without=frozenset(without), also_remove=frozenset({"ConvolutionKernel"} if remove_kernel else ())
    )
    wide, narrow = rules.rules_for(sop_class, profile), rules.rules_for(sop_class, tighter)
    assert wide is not None
    assert narrow is not None
    assert all(narrow.top[tag].action <= step.action for tag, step in wide.top.items())
    assert all(narrow.nested[tag].action <= step.action for tag, step in wide.nested.items())
    kept = {e.tag for e in read(deidentify(make_ct(planted=False), tighter)) if e.value not in ("", None)}
    assert kept <= {
        e.tag for e in read(deidentify(make_ct(planted=False), profile)) if e.value not in ("", None)
    }


@given(
    st.dates(date(1950, 1, 1), date(2025, 1, 1)),
    st.dates(date(1950, 1, 1), date(2025, 1, 1)),
    st.text("0123456789", min_size=1).map("NR".__add__),
)
def test_intervals_and_times_stay(first: date, second: date, patient: str) -> None:
    days = []
    for day in (first, second):
        data = edited(
            make_ct(planted=False), StudyDate=day.strftime("%Y%m%d"), PatientID=patient, PatientBirthDate=""
        )
        dataset = read(deidentify(data))
        days.append(date.fromisoformat(dataset.StudyDate))
        assert dataset.StudyTime == "101112"
        assert 1 <= abs((days[-1] - day).days) <= 14
    assert days[1] - days[0] == second - first


@pytest.mark.parametrize(
    ("charset", "encoding", "name"),
    [
        ("ISO_IR 100", "latin-1", "Größmann^Jürgen"),
        ("ISO_IR 192", "utf-8", "Šimůnek^Žofie"),
        ("GB18030", "gb18030", "王小东王小东^一"),
        ("ISO_IR 144", "iso8859_5", "Люкceмбypг^Роза"),
    ],
)
def test_names_in_any_character_set_go(charset: str, encoding: str, name: str) -> None:
    data = edited(
        make_ct(planted=False),
        SpecificCharacterSet=charset,
        PatientName=name,
        SeriesDescription=f"Thorax {name}",
    )
    assert name.split("^", maxsplit=1)[0].encode(encoding) in data
    output = deidentify(data).dataset_bytes
    for code in (encoding, "utf-8", "utf-16-le"):
        assert name.split("^", maxsplit=1)[0].encode(code) not in output


def test_iso_2022_names_go() -> None:
    raw = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"
    dataset = pydicom.dcmread(io.BytesIO(make_ct(planted=False).data))
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dataset.PatientName = "Yamada^Tarou=山田^太郎"
    dataset.SeriesDescription = "Thorax 山田 Yamada"
    stream = io.BytesIO()
    dataset.save_as(stream)
    assert b";3ED" in stream.getvalue()
    assert raw[:6] in stream.getvalue()
    output = deidentify(stream.getvalue()).dataset_bytes
    for leak in (b";3ED", b"Yamada", b"Tarou", "山田".encode()):
        assert leak not in output


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"PatientAge": "095Y"}, "090Y"),
        ({"PatientAge": "089Y"}, "089Y"),
        ({"PatientAge": "011M"}, "011M"),
        ({"PatientBirthDate": "19200101", "PatientAge": ""}, "090Y"),
        ({"PatientBirthDate": "20230401", "PatientAge": ""}, "001M"),
    ],
)
def test_age_is_kept_and_capped(attributes: dict[str, str], expected: str) -> None:
    dataset = read(deidentify(edited(make_ct(planted=False), **attributes)))
    assert dataset.PatientAge == expected
    assert not dataset.PatientBirthDate


def test_birth_year_stays_only_when_the_profile_says_so_and_never_above_89() -> None:
    profile = Profile("year", options=frozenset(OPTIONS), birth_date="year")
    assert read(deidentify(make_ct(), profile)).PatientBirthDate == "19510101"
    old = edited(make_ct(planted=False), PatientBirthDate="19200101", PatientAge="")
    assert read(deidentify(old, profile)).PatientBirthDate == ""


def test_safe_private_element_stays_with_its_creator() -> None:
    dataset = pydicom.dcmread(io.BytesIO(make_ct(planted=False).data))
    block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", "1000")
    block.add_new(0x0D, "LO", "LEAK")
    stream = io.BytesIO()
    dataset.save_as(stream)
    profile = Profile(
        "private", safe_private=frozenset({"SIEMENS MR HEADER|0019|0C", "SIEMENS MR HEADER|0019|0D"})
    )
    after = read(deidentify(stream.getvalue(), profile))
    assert after[0x0019, 0x100C].value == 1000
    assert (0x0019, 0x100D) not in after, "free text is never safe"
    assert after[0x0019, 0x0010].value == "SIEMENS MR HEADER"


def test_self_scan_stops_what_the_rules_let_through() -> None:
    """A known identifier in an element that passes unchanged is caught by the scan of the output."""
    data = edited(make_ct(planted=False), FocalSpots="47114711", PatientID="47114711")
    with pytest.raises(Quarantined) as caught:
        deidentify(data)
    assert caught.value.reason is QuarantineReason.IDENTIFIER_SURVIVED
    assert caught.value.details == {"elements": ["(0018,1190)"]}


def test_short_number_that_agrees_by_chance_does_not_stop_an_image() -> None:
    result = deidentify(edited(make_ct(planted=False), PatientID="1024"))
    assert result.evidence["self_scan"]["survivors"] == 0


def test_digits_inside_a_replaced_uid_are_chance() -> None:
    uid = deidentify(make_ct(planted=False)).sop_instance_uid
    assert deidentify(edited(make_ct(planted=False), AccessionNumber=uid[10:20])).sop_instance_uid == uid


def test_name_of_a_patient_that_is_also_an_organ_does_not_stop_an_image() -> None:
    assert (
        read(deidentify(edited(make_ct(planted=False), PatientName="CHEST^Lung"))).BodyPartExamined == "CHEST"
    )


def test_evidence_names_rules_and_no_values() -> None:
    evidence = deidentify(make_ct()).evidence
    assert evidence["rule_set"].startswith("PS3.15-2026d/")
    assert evidence["actions"]["removed_private"] > 10
    assert evidence["self_scan"]["tokens"] > 10
    assert "LEAK" not in repr(evidence)
    assert PATIENT_ID not in repr(evidence)


def test_object_without_patient_number_belongs_to_its_imaging_study() -> None:
    first = deidentify(edited(make_ct(1, planted=False), PatientID=""))
    second = deidentify(edited(make_ct(2, planted=False), PatientID=""))
    assert first.pseudonym == second.pseudonym
    assert first.evidence["has_patient_id"] is False
