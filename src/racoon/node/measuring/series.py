"""One series: load image and masks once, compute every value of the plan, name where each came from."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from racoon import __version__
from racoon.domain.dataset import DatasetSeries
from racoon.domain.identity import Pseudonym
from racoon.errors import Defect, RacoonError, Unavailable
from racoon.node.archive.model import InstanceRow, SeriesRow
from racoon.node.archive.service import SegmentationMask
from racoon.node.measuring.checks import Check, check_series
from racoon.node.measuring.model import (
    DRAWN,
    WITHIN,
    Finding,
    MaskSource,
    StoredValue,
    Task,
    automation_of,
)
from racoon.node.measuring.regions import Structure, Structures, Wanted
from racoon.platform import clock
from racoon.science.biomarkers import Context, Definition, Value
from racoon.science.image import Image
from racoon.standards.acquisition import Acquisition, read_acquisition
from racoon.standards.dicom.resampling import is_resampled
from racoon.standards.dicom.volume import Volume

_log = logging.getLogger(__name__)

SOFTWARE = f"racoon {__version__}"
"""Stored with every value."""


class DatasetChanged(Defect):
    """A series no longer has the instances it had when the dataset was frozen."""

    code = "measuring.dataset_changed"


class ImageSource(Protocol):
    """What measuring needs of an archive; ``archive.service.Archive`` is one."""

    def is_readable(self, pseudonym: Pseudonym) -> bool:
        """Tell whether a subject's data may be used now; consent can end at any time."""
        ...

    def series_row(self, series_uid: str) -> SeriesRow:
        """Facts of a series; refused when it may not be read."""
        ...

    def instances(self, series_uid: str) -> Sequence[InstanceRow]:
        """Stored instances of a series."""
        ...

    def metadata(self, series_uid: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
        """Yield (instance, header in DICOM JSON, whether it is complete)."""
        ...

    def segmentations(self, series_uid: str) -> Sequence[InstanceRow]:
        """SEG instances drawn on a series."""
        ...

    def load_volume(self, series_uid: str, *, resample: bool = False) -> Volume:
        """Load the image; interpolate an irregular one only when asked to."""
        ...

    def iterate_masks(self, series_uid: str, volume: Volume | None = None) -> Iterator[SegmentationMask]:
        """Yield its segments one at a time, on the grid of the image."""
        ...


@dataclass(frozen=True)
class SeriesResult:
    """What measuring one series gave.

    Parameters
    ----------
    values
        To store.
    findings
        Why it could not be measured.
    checks
        What a person should look at although it was measured.
    """

    values: tuple[StoredValue, ...] = ()
    findings: tuple[Finding, ...] = ()
    checks: tuple[Check, ...] = ()


def measure_series(
    tasks: Sequence[Task], entry: DatasetSeries, archive: ImageSource, keys: tuple[str, str, str]
) -> SeriesResult:
    """Measure one series; whatever is wrong with it becomes a finding, not the end of the run."""
    try:
        return _measure_series(tasks, entry, archive, keys)
    except Unavailable:
        raise
    except RacoonError as error:
        return SeriesResult(findings=(Finding(*keys, error.error_code, error.public_message),))
    except Exception as error:  # noqa: BLE001 - one broken series must not stop the other thousand
        _log.warning("series could not be measured", exc_info=True, extra={"code": "measuring.defect"})
        text = f"The series could not be measured ({type(error).__name__}); the node's log names the place."
        return SeriesResult(findings=(Finding(*keys, "measuring.defect", text),))


def _measure_series(
    tasks: Sequence[Task], entry: DatasetSeries, archive: ImageSource, keys: tuple[str, str, str]
) -> SeriesResult:
    facts = archive.series_row(entry.series_uid).facts
    if len(archive.instances(entry.series_uid)) != entry.instance_count:
        raise DatasetChanged("The series no longer has the instances it had when the dataset was frozen.")
    taken = acquisition_of(archive, entry.series_uid)
    context = Context(
        modality=facts.modality,
        kvp=taken.kvp,
        has_contrast=taken.has_contrast,
        slice_thickness_mm=taken.slice_thickness_mm,
        kernel=taken.kernel,
        is_gated=taken.is_gated,
        suv_factor=taken.suv_factor,
    )
    rule = tasks[0].series
    if not rule.fits(facts.modality, taken.slice_thickness_mm, taken.has_contrast, taken.kernel):
        # No image is read for a series the protocol leaves out.
        left_out = [
            (task, task.definition.missing("other_series", context, task.parameters)) for task in tasks
        ]
        return SeriesResult(tuple(_stored(task, (), value, None, entry, keys) for task, value in left_out))
    volume = archive.load_volume(
        entry.series_uid, resample=any(task.irregular == "resample" for task in tasks)
    )
    if taken.suv_factor not in (None, 1.0):
        scaled = volume.image.voxels.astype(np.float32) * np.float32(taken.suv_factor)
        volume = dataclasses.replace(volume, image=Image(scaled, volume.image.affine))
    structures = Structures(volume.image, _frozen_masks(archive, entry, volume), Wanted.of(tasks))
    values = []
    for task in tasks:
        used, value = _measure(task, structures, context, taken)
        values.append(_stored(task, _sources(used), value, volume, entry, keys))
    checks = check_series(values, structures, volume, taken, facts.modality)
    return SeriesResult(tuple(values), (), checks)


def acquisition_of(archive: ImageSource, series_uid: str) -> Acquisition:
    """Facts of the first object's header; all images of a series share them (PS3.3 A.1.4)."""
    document = next((document for _, document, _ in archive.metadata(series_uid)), {})
    return read_acquisition(document)


def _frozen_masks(archive: ImageSource, entry: DatasetSeries, volume: Volume) -> Iterator[SegmentationMask]:
    """Yield only the masks frozen with the series; one drawn later belongs to another dataset."""
    frozen = {
        row.sop_instance_uid
        for row in archive.segmentations(entry.series_uid)
        if row.series_uid in entry.mask_series_uids
    }
    for mask in archive.iterate_masks(entry.series_uid, volume):
        if mask.seg_instance_uid in frozen:
            yield mask


def _measure(
    task: Task, structures: Structures, context: Context, taken: Acquisition
) -> tuple[list[Structure], Value]:
    """Compute one value; also return the structures it was computed from, the measured one first."""
    definition = task.definition
    parameters = {**_of_subject(definition, taken), **task.parameters}
    if not definition.validity.defines(context):
        return [], definition.missing("wrong_modality", context, parameters)
    label = task.measurement.label
    structure = structures.of_label(label, task.drawn) if label else structures.body()
    if structure is None:
        return [], definition.missing("mask_missing", context, parameters)
    used = [structure]
    if task.within:
        reference = structures.get(task.within, task.drawn) or structures.get(task.within)
        used += [reference] if reference else []
        context = dataclasses.replace(context, reference=reference.region if reference else None)
    further = {}
    for name in sorted(task.structures):
        # A comparison stays on one automation level where it can.
        other = structures.named(name, task.drawn) or structures.named(name)
        if other is not None:
            further[name] = other.region
            used.append(other)
    context = dataclasses.replace(context, structures=further)
    return used, definition.compute_region(structure.region, context, parameters)


def _of_subject(definition: Definition, taken: Acquisition) -> dict[str, float | str]:
    """Facts of the subject that a definition asks for; what the plan says wins over them."""
    return {
        name: fact
        for name, fact in taken.subject.items()
        if name in definition.defaults and isinstance(definition.defaults[name], str) == isinstance(fact, str)
    }


def _sources(used: Sequence[Structure]) -> tuple[MaskSource, ...]:
    return tuple(dict.fromkeys(source for structure in used for source in structure.sources))


def _stored(
    task: Task,
    sources: tuple[MaskSource, ...],
    value: Value,
    volume: Volume | None,
    entry: DatasetSeries,
    keys: tuple[str, str, str],
) -> StoredValue:
    biomarker, version, _, parameters_hash = task.identity
    # A slice of an interpolated volume is no instance's; the value then links to the series alone.
    place = value.key_slice if volume is not None and volume.instance_uids else None
    resampled = "resampled" if volume is not None and is_resampled(volume) else ""
    stated = {WITHIN: "+".join(task.within), DRAWN: task.drawn, "geometry": resampled}
    return StoredValue(
        study_id=keys[0],
        dataset_hash=keys[1],
        series_uid=entry.series_uid,
        pseudonym=entry.pseudonym,
        measurement=task.measurement.key,
        biomarker=biomarker,
        version=version,
        label=task.measurement.label,
        parameters_hash=parameters_hash,
        value=value.value if math.isfinite(value.value) else None,
        unit=value.unit,
        valid=value.valid,
        reason=value.reason,
        parameters={**value.parameters, **{name: word for name, word in stated.items() if word}},
        masks=sources,
        automation=automation_of(sources),
        key_instance_uid=volume.instance_uids[place] if volume and place is not None else "",
        key_frame=volume.frame_numbers[place] if volume and place is not None else 0,
        key_slice=place,
        software=SOFTWARE,
        computed_at=clock.now(),
        warnings=value.warnings,
        evidence=value.evidence,
    )
