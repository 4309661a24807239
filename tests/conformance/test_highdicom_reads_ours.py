"""highdicom, a foreign reader, on segmentations that went through our rules: same masks, references that resolve."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from racoon.node.deid.model import Quarantined
from racoon.node.deid.service import Deidentifier
from racoon.node.pseudonyms.service import Pseudonymiser
from tests.dicom_objects import ct_series, segmentation

VOXELS = np.random.default_rng(5).integers(-1000, 1200, (6, 16, 12)).astype(np.int16)
CODES = [("39607008", "SCT", "Lung"), ("10200004", "SCT", "Liver")]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def written(dataset: pydicom.Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_masks_and_references_are_what_they_were(kind: str) -> None:
    deidentifier = Deidentifier("basic", Pseudonymiser(None, None))
    sources = ct_series(VOXELS)
    masks = np.zeros((*VOXELS.shape, 2), np.uint8)
    masks[1:4, 2:8, 2:8, 0] = 1
    masks[2:6, 9:14, 3:9, 1] = 1
    labels = (masks[..., 0] + 2 * masks[..., 1]).astype(np.uint8)
    drawn = segmentation(sources, masks.astype(bool) if kind == "BINARY" else labels, CODES, kind=kind)
    outputs = [
        pydicom.dcmread(io.BytesIO(deidentifier.apply(written(item)).dataset_bytes)) for item in sources
    ]
    seg = hd.seg.segread(io.BytesIO(deidentifier.apply(written(drawn)).dataset_bytes))
    instances = {str(item.SOPInstanceUID) for item in outputs}
    assert {uids[2] for uids in seg.get_source_image_uids()} <= instances
    assert {uids[1] for uids in seg.get_source_image_uids()} == {str(outputs[0].SeriesInstanceUID)}
    ordered = [str(item.SOPInstanceUID) for item in outputs]
    found = seg.get_pixels_by_source_instance(
        source_sop_instance_uids=ordered, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(found, masks)
    names = {seg.get_segment_description(number).segmented_property_type.meaning for number in (1, 2)}
    assert names == {"Lung", "Liver"}


def test_real_segmentations_are_read_as_before(shared_data: Path) -> None:
    deidentifier = Deidentifier("basic", Pseudonymiser(None, None))
    compared = 0
    for path in sorted((shared_data / "dicom_seg_sr").rglob("*.dcm")):
        data = path.read_bytes()
        try:
            output = deidentifier.apply(data).dataset_bytes
        except Quarantined:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before = pydicom.dcmread(io.BytesIO(data))
            if before.get("Modality") != "SEG":
                continue
            try:
                then = hd.seg.segread(io.BytesIO(data))
            except (AttributeError, ValueError):
                continue  # not one that highdicom reads; then it need not read ours either
            now = hd.seg.segread(io.BytesIO(output))
        assert np.array_equal(then.pixel_array, now.pixel_array), path.name
        assert now.segment_numbers == then.segment_numbers
        assert len(now.get_source_image_uids()) == len(then.get_source_image_uids())
        compared += 1
    assert compared >= 3
