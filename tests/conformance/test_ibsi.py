"""Radiomics against the consensus values of the Image Biomarker Standardisation Initiative."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from racoon.science.radiomics import Configuration, extract
from racoon.standards.files import load_image, load_masks

CASES = {
    "digital": ("ibsi_1_digital_phantom", "ibsi_1_dig_phantom.csv", {}, 482),
    "A": ("ibsi_1_ct_radiomics_phantom", "ibsi_1_chest_config_a.csv", {"ibsi": "A"}, 346),
    "C": ("ibsi_1_ct_radiomics_phantom", "ibsi_1_chest_config_c.csv", {"ibsi": "C"}, 210),
}


def three_digits(value: float) -> float:
    return float(f"{value:.3g}") if math.isfinite(value) else value


@pytest.mark.parametrize("case", CASES)
def test_every_feature_with_a_consensus_value_is_within_tolerance(shared_data: Path, case: str) -> None:
    folder, table, settings, expected = CASES[case]
    place = shared_data / "ibsi_radiomics" / folder / "nifti"
    image = load_image(place / "image" / "phantom.nii.gz")
    (found,) = load_masks(place / "mask" / "mask.nii.gz", image, {})
    mask = np.zeros(image.image.shape, bool)
    assert found.box is not None
    mask[found.box.slices] = found.crop
    features = extract(image.image, mask, Configuration.from_dict(settings))
    text = (shared_data / "ibsi_radiomics" / "reference_values" / table).read_text()
    rows = [row for row in csv.reader(text.splitlines()[1:], delimiter=";") if row[0]]
    compared = [
        (tag, features[tag], float(value), float(reach or 0)) for value, reach, tag in rows if tag in features
    ]
    assert len(compared) == expected
    # Reference values have three digits, so a value is right when its own three digits are.
    wrong = [
        row
        for row in compared
        if min(abs(row[1] - row[2]), abs(three_digits(row[1]) - row[2])) > row[3] + 1e-12
    ]
    assert wrong == []
    # What is left out are facts about the image on its way, not features.
    missing = [tag for _, _, tag in rows if tag not in features]
    assert [tag for tag in missing if not tag.endswith(("_img", "_roi"))] == []
