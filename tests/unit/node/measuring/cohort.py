"""A small cohort whose every number is known."""

from __future__ import annotations

import functools

import numpy as np

from racoon.domain.coding import Code
from racoon.domain.dataset import DatasetSeries
from racoon.domain.identity import Pseudonym
from racoon.node.archive.model import DeidentifiedInstance
from racoon.node.archive.service import Archive
from tests.dicom_objects import ct_series, deidentified, segmentation, uid

LIVER = Code("10200004", "SCT", "Liver")
LUNGS = Code("39607008", "SCT", "Lungs")
OPACITY = Code("128309004", "SCT", "=Abnormal lung opacity")
VOXEL_ML = 2.5 * 0.8 * 0.7 / 1000
SUBJECTS = 8


def liver_voxels(subject: int) -> int:
    return 20 + 3 * subject


@functools.cache
def instances(subject: int, **attributes: object) -> tuple[DeidentifiedInstance, ...]:
    """Make one CT with a liver of known size and density, lungs, and an opacity in every second subject."""
    voxels = np.full((4, 16, 16), -1000, np.int16)
    voxels[:, 2:14, 2:14] = -100
    masks = np.zeros((4, 16, 16, 3), bool)
    liver = np.zeros((2, 8, 8), bool)
    liver.reshape(-1)[: liver_voxels(subject)] = True
    masks[1:3, 4:12, 4:12, 0] = liver
    voxels[1:3, 4:12, 4:12][liver] = 40 + subject
    masks[3, 3:13, 3:13, 1] = True
    voxels[3, 3:13, 3:13] = -850
    segments = 2
    if subject % 2:
        masks[3, 3:5, 3:13, 2] = True
        segments = 3
    source = ct_series(voxels, study=subject, subject=f"SUBJ-{subject}", **attributes)
    codes = [(code.value, code.scheme, code.meaning) for code in (LIVER, LUNGS, OPACITY)][:segments]
    drawn = segmentation(source, masks[..., :segments], codes)
    return tuple(deidentified(item) for item in (*source, drawn))


def store_subject(archive: Archive, subject: int, **attributes: object) -> DatasetSeries:
    """Store a subject's CT and masks and freeze them."""
    archive.store(instances(subject, **attributes))
    series, mask = uid(subject, 1), uid(subject, 50)
    return DatasetSeries(
        series, Pseudonym(f"SUBJ-{subject}"), 4, archive.content_hash([series, mask]), (mask,)
    )
