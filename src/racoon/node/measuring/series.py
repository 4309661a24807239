"""One series: load image and masks once, compute every value of the plan, name where each came from."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator, Sequence
from typing import Protocol

from racoon import __version__
from racoon.domain.dataset import DatasetSeries
from racoon.domain.identity import Pseudonym
from racoon.errors import Defect, RacoonError, Unavailable
from racoon.node.archive.model import InstanceRow, SeriesRow
from racoon.node.archive.service import SegmentationMask
from racoon.node.measuring.model import Finding, StoredValue, Task, automation_of
from racoon.node.measuring.regions import Structure, Structures
from racoon.platform import clock
from racoon.science.biomarkers import Context, Value
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

    def segmentations(self, series_uid: str) -> Sequence[InstanceRow]:
        """SEG instances drawn on a series."""
        ...

    def load_volume(self, series_uid: str, *, resample: bool = False) -> Volume:
        """Load the image; interpolate an irregular one only when asked to."""
        ...

    def iterate_masks(self, series_uid: str, volume: Volume | None = None) -> Iterator[SegmentationMask]:
        """Yield its segments one at a time, on the grid of the image."""
        ...


def measure_series(
    tasks: Sequence[Task], entry: DatasetSeries, archive: ImageSource, keys: tuple[str, str, str]
) -> tuple[list[StoredValue], list[Finding]]:
    """Measure one series; whatever is wrong with it becomes a finding, not the end of the run."""
    try:
        return _measure_series(tasks, entry, archive, keys), []
    except Unavailable:
        raise
    except RacoonError as error:
        return [], [Finding(*keys, error.error_code, error.public_message)]
    except Exception as error:  # noqa: BLE001 - one broken series must not stop the other thousand
        _log.warning("series could not be measured", exc_info=True, extra={"code": "measuring.defect"})
        text = f"The series could not be measured ({type(error).__name__}); the node's log names the place."
        return [], [Finding(*keys, "measuring.defect", text)]


def _measure_series(
    tasks: Sequence[Task], entry: DatasetSeries, archive: ImageSource, keys: tuple[str, str, str]
) -> list[StoredValue]:
    facts = archive.series_row(entry.series_uid).facts
    if len(archive.instances(entry.series_uid)) != entry.instance_count:
        raise DatasetChanged("The series no longer has the instances it had when the dataset was frozen.")
    resample = any(task.irregular == "resample" for task in tasks)
    volume = archive.load_volume(entry.series_uid, resample=resample)
    structures = Structures(volume.image, _frozen_masks(archive, entry, volume), _wanted(tasks))
    context = Context(
        modality=facts.modality,
        kvp=facts.kvp,
        has_contrast=facts.has_contrast,
        slice_thickness_mm=facts.slice_thickness_mm,
        kernel=facts.kernel,
    )
    values = []
    for task in tasks:
        structure, value = _measure(task, structures, context)
        values.append(_stored(task, structure, value, volume, entry, keys))
    return values


def _wanted(tasks: Sequence[Task]) -> set[str]:
    return {key for task in tasks for key in (task.label_key, *task.within) if key}


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


def _measure(task: Task, structures: Structures, context: Context) -> tuple[Structure | None, Value]:
    definition = task.definition
    if not definition.validity.defines(context):
        return None, definition.missing("wrong_modality", context, task.parameters)
    structure = structures.get((task.label_key,)) if task.label_key else structures.body()
    if structure is None:
        return None, definition.missing("mask_missing", context, task.parameters)
    if task.within:
        reference = structures.get(task.within)
        context = dataclasses.replace(context, reference=reference.region if reference else None)
    return structure, definition.compute_region(structure.region, context, task.parameters)


def _stored(
    task: Task,
    structure: Structure | None,
    value: Value,
    volume: Volume,
    entry: DatasetSeries,
    keys: tuple[str, str, str],
) -> StoredValue:
    biomarker, version, _, parameters_hash = task.identity
    sources = structure.sources if structure else ()
    # A slice of an interpolated volume is no instance's; the value then links to the series alone.
    place = value.key_slice if volume.instance_uids else None
    within = {"within": "+".join(task.within)} if task.within else {}
    geometry = {"geometry": "resampled"} if is_resampled(volume) else {}
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
        parameters={**value.parameters, **within, **geometry},
        masks=sources,
        automation=automation_of(sources),
        key_instance_uid=volume.instance_uids[place] if place is not None else "",
        key_frame=volume.frame_numbers[place] if place is not None else 0,
        key_slice=place,
        software=SOFTWARE,
        computed_at=clock.now(),
    )
