"""Facts of a header, and what is said when they are missing."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from racoon.standards.acquisition import read_acquisition
from racoon.standards.dicomweb.dicom_json import to_json
from tests.dicom_objects import ct_slice

WEIGHT_KG, DOSE_BQ, HALF_LIFE_S = 75.0, 300e6, 6586.2


def facts(**attributes):
    dataset = ct_slice(np.zeros((4, 4), np.int16), (0, 0, 0), number=1, **attributes)
    del dataset.PixelData
    return read_acquisition(to_json(dataset))


def pet(**changes):
    drug = Dataset()
    drug.RadionuclideTotalDose = changes.pop("dose", DOSE_BQ)
    drug.RadionuclideHalfLife = HALF_LIFE_S
    drug.RadiopharmaceuticalStartTime = changes.pop("injected", "091500")
    stated = {
        "Modality": "PT",
        "Units": "BQML",
        "DecayCorrection": "START",
        "PatientWeight": WEIGHT_KG,
        "SeriesTime": "101500.00",
        "RadiopharmaceuticalInformationSequence": [drug],
    }
    return facts(**{**stated, **changes})


def test_facts_of_a_ct():
    found = facts(
        PatientSize=1.71,
        PatientWeight=80,
        CardiacSynchronizationTechnique="PROSPECTIVE",
        ContrastBolusAgent="Iomeprol",
    )
    assert (found.modality, found.kvp, found.slice_thickness_mm) == ("CT", 120.0, 2.5)
    assert (found.kernel, found.is_gated, found.has_contrast) == ("B30f", True, True)
    assert found.scanner == "Phantom Works Model 7"
    assert found.subject == {"height_m": 1.71, "weight_kg": 80.0, "age_years": 61.0, "sex": "F"}


def test_silence_is_silence():
    dataset = Dataset()
    dataset.Modality = "CT"
    found = read_acquisition(to_json(dataset))
    assert (found.kvp, found.slice_thickness_mm, found.has_contrast, found.is_gated) == (None,) * 4
    assert (found.subject, found.kernel, found.suv_factor) == ({}, "", None)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ContrastBolusAgent": "ohne"}, False),
        ({"ContrastBolusAgent": ""}, None),
        ({"ContrastBolusRoute": "IV"}, True),
        ({"ContrastBolusVolume": "80"}, True),
        ({"ContrastBolusVolume": "0"}, None),
    ],
)
def test_contrast_is_read_as_people_write_it(attributes, expected):
    assert facts(**attributes).has_contrast is expected


@pytest.mark.parametrize(("age", "years"), [("006M", 0.5), ("052W", 0.997), ("045Y", 45.0)])
def test_age_in_any_unit(age, years):
    assert facts(PatientAge=age).subject["age_years"] == pytest.approx(years, abs=1e-3)


def test_suv_an_hour_after_injection():
    assert pet().suv_factor == pytest.approx(WEIGHT_KG * 1000 / (DOSE_BQ * 0.5 ** (3600 / HALF_LIFE_S)))
    assert pet(DecayCorrection="ADMIN").suv_factor == pytest.approx(WEIGHT_KG * 1000 / DOSE_BQ)
    assert pet(Units="GML").suv_factor == 1.0
    assert pet(injected="234500", SeriesTime="004500").suv_factor == pet().suv_factor


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Units": "CNTS"}, "CNTS"),
        ({"PatientWeight": ""}, "body weight"),
        ({"dose": ""}, "injected dose"),
        ({"injected": ""}, "time of injection"),
        ({"DecayCorrection": "NONE"}, "corrected to"),
        ({"injected": "101600"}, "clocks"),
    ],
)
def test_without_its_facts_there_is_no_suv_and_a_reason(changes, words):
    found = pet(**changes)
    assert found.suv_factor is None
    assert words in found.suv_gap
