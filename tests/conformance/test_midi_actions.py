"""MIDI-B's ten action types, mirrored: what must go goes, what must stay stays; and the score can fail."""

from __future__ import annotations

import copy
import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from racoon.node.deid.service import Deidentifier
from racoon.node.pseudonyms.service import Pseudonymiser
from tests.midi_actions import ACTIONS, Check, Harness
from tests.planted_identifiers import make_ct, make_seg

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
DATES = ("StudyDate", "SeriesDate", "ContentDate")
REMOVED = {
    "PatientName": "LLER",
    "ReferringPhysicianName": "LLER",
    "PatientBirthDate": "19510829",
    "PatientID": "PLANTED",
    "AccessionNumber": "ACC4711",
    "StudyDescription": "Zacharias",
    "SeriesDescription": "LEAK",
    "ContrastBolusAgent": "LEAK",
    "InstitutionName": "LEAK",
    "PatientAddress": "LEAK",
    "OperatorsName": "LEAK",
    "StationName": "LEAK",
    "ImageComments": "LEAK",
    "PatientComments": "LEAK",
}
RETAINED = {
    "Modality": "CT",
    "Manufacturer": "SIEMENS",
    "ManufacturerModelName": "SOMATOM Definition AS+",
    "BodyPartExamined": "CHEST",
    "KVP": "120",
    "ConvolutionKernel": "B31f",
    "PatientSex": "F",
    "SeriesDescription": "Thorax 1.0 B31f",
    "StudyDescription": "Thorax",
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
}
CT_KEY = [
    *(
        Check("tag_retained", (name,))
        for name in ("Rows", "PixelSpacing", "ImagePositionPatient", "WindowWidth")
    ),
    *(Check("text_notnull", (name,)) for name in ("PatientID", "PatientName", "StudyDate", *UIDS)),
    *(Check("text_retained", (name,), words) for name, words in RETAINED.items()),
    *(Check("text_removed", (name,), words) for name, words in REMOVED.items()),
    Check("text_removed", ("AnatomicRegionSequence", "CodeMeaning"), "LEAK"),
    Check("text_retained", ("AnatomicRegionSequence", "CodeValue"), "51185008"),
    *(Check("date_shifted", (name,)) for name in DATES),
    *(Check("uid_changed", (name,)) for name in UIDS),
    *(Check("uid_consistent", (name,)) for name in UIDS),
    Check("uid_consistent", ("ReferencedImageSequence", "ReferencedSOPInstanceUID")),
    Check("patid_consistent", ("PatientID",)),
    Check("pixels_retained", ("PixelData",), region=(slice(None), slice(None))),
]
SEG_KEY = [
    Check("text_retained", ("SegmentSequence", "SegmentLabel"), "Lung"),
    Check("text_removed", ("SegmentSequence", "SegmentLabel"), "LEAK"),
    Check("tag_retained", ("SegmentSequence", "SegmentedPropertyTypeCodeSequence")),
    Check("uid_consistent", ("StudyInstanceUID",)),
    Check("uid_consistent", ("ReferencedSeriesSequence", "SeriesInstanceUID")),
    Check(
        "uid_consistent",
        ("ReferencedSeriesSequence", "ReferencedInstanceSequence", "ReferencedSOPInstanceUID"),
    ),
    Check("patid_consistent", ("PatientID",)),
]


@pytest.fixture(scope="module")
def deidentifier() -> Deidentifier:
    return Deidentifier("basic", Pseudonymiser(None, None))


def read(data: bytes) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(data))
        dataset.decode()
        return dataset


def other_patient(data: bytes) -> bytes:
    """Give the same images to somebody else, with UIDs of their own."""
    return data.replace(b"PLANTED4711 ", b"PLANTED4712 ").replace(b".9.7777", b".9.7778")


@pytest.fixture(scope="module")
def judged(deidentifier: Deidentifier) -> Harness:
    harness = Harness()
    for number in (1, 2, 3):
        for data in (make_ct(number).data, other_patient(make_ct(number).data)):
            harness.judge(read(data), read(deidentifier.apply(data).dataset_bytes), CT_KEY)
    seg = make_seg((1, 2)).data
    harness.judge(read(seg), read(deidentifier.apply(seg).dataset_bytes), SEG_KEY)
    return harness


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_action_passes_on_planted_objects(judged: Harness) -> None:
    harness = copy.deepcopy(judged)
    passed, total, failed = harness.score()
    print(f"score {passed} of {total}: {dict(harness.by_action())}")
    assert failed == []
    assert {action for action, number in harness.by_action().items() if number} == set(ACTIONS) - {
        "pixels_hidden"
    }
    assert len(harness.patients) == 2
    assert len(set(harness.shifts.values())) == 2, "each patient has a shift of its own"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_pixels_are_hidden_where_they_name_and_retained_elsewhere(
    deidentifier: Deidentifier, shared_data: Path, tmp_path: Path
) -> None:
    harness = Harness()
    data = (shared_data / "deid" / "us_greyscale_burned_in.dcm").read_bytes()
    before, after = read(data), read(deidentifier.apply(data).dataset_bytes)
    strip, rest = (slice(0, 38),), (slice(38, None),)
    assert before.pixel_array[strip].any()
    key = [
        Check("pixels_hidden", ("PixelData",), region=strip),
        Check("pixels_retained", ("PixelData",), region=rest),
        Check("patid_consistent", ("PatientID",)),
        *(Check("uid_changed", (name,)) for name in UIDS[:3]),
    ]
    harness.judge(before, after, key)
    zipfile.ZipFile(shared_data / "deid" / "hippocrop_named.zip").extractall(tmp_path)
    slices = [path for path in sorted(tmp_path.rglob("*")) if path.is_file()][:20]
    for path in slices:
        original = path.read_bytes()
        key = [
            Check("pixels_retained", ("PixelData",), region=(slice(None),)),
            Check("patid_consistent", ("PatientID",)),
            Check("text_removed", ("PatientName",), "Dumbledore"),
            *(Check("uid_consistent", (name,)) for name in UIDS[:3]),
            *(Check("uid_changed", (name,)) for name in UIDS[:3]),
            *(Check("tag_retained", (name,)) for name in ("ImagePositionPatient", "PixelSpacing")),
        ]
        harness.judge(read(original), read(deidentifier.apply(original).dataset_bytes), key)
    assert harness.score()[2] == []
    assert len(slices) == 20


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("action", "place", "wrong"),
    [
        ("tag_retained", ("PixelSpacing",), lambda d: d.__delitem__("PixelSpacing")),
        ("text_notnull", ("StudyDate",), lambda d: setattr(d, "StudyDate", "")),
        ("text_retained", ("BodyPartExamined",), lambda d: setattr(d, "BodyPartExamined", "")),
        ("text_removed", ("StationName",), lambda d: setattr(d, "StationName", "LEAK00001")),
        ("date_shifted", ("SeriesDate",), lambda d: setattr(d, "SeriesDate", "20230504")),
        ("uid_changed", ("SOPInstanceUID",), lambda d: setattr(d, "SOPInstanceUID", "")),
        ("uid_consistent", ("StudyInstanceUID",), lambda d: setattr(d, "StudyInstanceUID", "2.25.99")),
        ("patid_consistent", ("PatientID",), lambda d: setattr(d, "PatientID", "R1-ANOTHER")),
        ("pixels_retained", ("PixelData",), lambda d: setattr(d, "PixelData", bytes(512))),
    ],
)
def test_the_score_finds_what_is_wrong(
    deidentifier: Deidentifier, judged: Harness, action: str, place: tuple[str, ...], wrong: object
) -> None:
    """A harness that never fails would prove nothing: one thing is broken, and exactly that is found."""
    harness = copy.deepcopy(judged)
    data = make_ct(4).data
    after = read(deidentifier.apply(data).dataset_bytes)
    assert callable(wrong)
    wrong(after)
    harness.judge(read(data), after, CT_KEY)
    failed = {(key[0], tuple(key[1].split("."))) for key in harness.score()[2]}
    assert (action, place) in failed
    assert np.all([item[1] == place for item in failed])
