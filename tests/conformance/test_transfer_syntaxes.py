"""Every transfer syntax of the test images: the stored values, or a refusal, never a wrong picture."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest

from racoon.standards.dicom.pixels import UndecodablePixels, decode_colour_frame, decode_frame

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

REFUSED = {"MR4_JPLY.dcm", "NM1_JPLY.dcm"}
"""JPEG extended with 12 bits: no free decoder gives its values back."""


def test_wg04_images_decode_to_the_expected_values(shared_data: Path) -> None:
    folder = shared_data / "transfer_syntaxes" / "wg04"
    rows = list(csv.DictReader((folder / "expected.csv").open()))
    assert len(rows) > 20
    for row in rows:
        dataset = pydicom.dcmread(folder / row["file"])
        if row["file"] in REFUSED:
            with pytest.raises(UndecodablePixels):
                decode_frame(dataset)
        elif dataset.SamplesPerPixel == 3:
            assert decode_colour_frame(dataset).shape == (dataset.Rows, dataset.Columns, 3)
        else:
            values = np.ascontiguousarray(decode_frame(dataset))
            assert hashlib.md5(values.tobytes()).hexdigest() == row["raw_pixels_md5"], row["file"]


def test_one_ct_in_all_syntaxes_is_faithful_or_refused(shared_data: Path) -> None:
    folder = shared_data / "transfer_syntaxes" / "one_ct_all_syntaxes"
    reference = decode_frame(
        pydicom.dcmread(next(folder.glob("*LittleEndianExplicit_1.2.840.10008.1.2.1.dcm")))
    )
    rows = list(csv.DictReader((folder / "expected.csv").open()))
    refused = set()
    for row in rows:
        try:
            values = decode_frame(pydicom.dcmread(folder / row["file"]))
        except UndecodablePixels:
            refused.add(row["syntax"].rsplit(".", 1)[1])
        else:
            difference = np.abs(values.astype(int) - reference.astype(int)).max()
            assert difference == int(row["max_abs_diff_to_explicit_le"]) <= 5, row["file"]
    assert refused == {"50", "51", "53", "55"}
