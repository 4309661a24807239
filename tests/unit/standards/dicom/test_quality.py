"""Quality rules: each fires on what it names and on nothing else, and says so in two languages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from racoon.standards.dicom.quality import RULES, SeriesFacts, check_quality
from racoon.standards.dicom.stack import Finding, FindingCode


def header(number: int, **changed: object) -> Dataset:
    dataset = Dataset()
    values: dict[str, object] = {
        "InstanceNumber": number,
        "Rows": 512,
        "BitsStored": 12,
        "RescaleSlope": "1",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "ConvolutionKernel": "B30f",
        "KVP": "120",
    }
    for keyword, value in (values | changed).items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


GOOD = SeriesFacts(
    "CT", "volume", "CHEST", "SeriesDescription", 1.0, 20, (), [header(n) for n in range(1, 21)]
)


def last(**changed: object) -> list[Dataset]:
    return [*GOOD.headers[:-1], header(20, **changed)]


def rules(facts: SeriesFacts) -> set[str]:
    return {entry["rule"] for entry in check_quality(facts)}


def test_good_series_breaks_no_rule() -> None:
    assert rules(GOOD) == set()


BREACHES: dict[str, SeriesFacts] = {
    "irregular_geometry": replace(GOOD, findings=(Finding(FindingCode.TILT, "tilted"),)),
    "no_geometry": replace(GOOD, kind="image_without_geometry"),
    "eight_bit": replace(GOOD, headers=last(BitsStored=8)),
    "no_rescale": replace(GOOD, headers=last(RescaleSlope=None)),
    "burned_in_text": replace(GOOD, headers=last(BurnedInAnnotation="YES")),
    "lossy_compression": replace(GOOD, headers=last(LossyImageCompression="01")),
    "mixed_kernel": replace(GOOD, headers=last(ConvolutionKernel="B70f")),
    "mixed_voltage": replace(GOOD, headers=last(KVP="80")),
    "instance_gaps": replace(GOOD, headers=last(InstanceNumber=23)),
    "contrast_contradiction": replace(GOOD, contrast_source="contradiction"),
    "no_uptake_values": replace(GOOD, modality="PT"),
    "no_slice_thickness": replace(GOOD, thickness_mm=None),
    "derived": replace(GOOD, headers=last(ImageType=["DERIVED", "SECONDARY"])),
    "few_slices": replace(GOOD, frames=3, headers=[header(n) for n in range(1, 4)]),
    "no_body_part": replace(GOOD, body_part="unknown"),
}


@pytest.mark.parametrize("code", [rule.code for rule in RULES])
def test_rule_fires_on_what_it_names(code: str) -> None:
    assert rules(BREACHES[code]) == {code}


def test_gravest_come_first_and_every_rule_speaks_german() -> None:
    order = {"error": 0, "warning": 1, "note": 2}
    severities = [order[rule.severity] for rule in RULES]
    assert severities == sorted(severities)
    assert len({rule.code for rule in RULES}) == len(RULES)
    assert all(rule.text != rule.text_de and rule.text_de.endswith(".") for rule in RULES)
