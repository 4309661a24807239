"""Values beside a protocol: pieces punched out at marked points, and tables that other programs computed.

They stand in the same table as measured values, with their own provenance.  No plan names them, so they are in no
aggregate that a job releases.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from racoon.domain.canonical import content_hash
from racoon.domain.coding import Code
from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.errors import Defect, Refused
from racoon.node.measuring import _facts, _patches, _store
from racoon.node.measuring.model import StoredValue
from racoon.node.measuring.series import SOFTWARE, ImageSource, acquisition_of
from racoon.platform import clock
from racoon.platform.database import Database
from racoon.science.geometry.box import shifted_affine
from racoon.science.image import Image
from racoon.science.radiomics import Configuration, extract
from racoon.science.segmentation import Punch, punch
from racoon.standards.dicom.volume import Volume
from racoon.standards.files.freesurfer import ForeignTable

Shape = Literal["sphere", "cylinder", "cube"]

SLOT = re.compile(r"[A-Z]{1,4}[0-9]{1,4}/[A-Z]{1,2}[0-9]{1,3}")
"""Place in a tissue array or block, such as TMA03/B12.  A case number would name a patient, and has another form."""

PUNCH_VERSION = "1"


class BadSlot(Defect):
    """A pathology slot that is no code."""

    code = "measuring.bad_slot"


class NotInDataset(Refused):
    """A series that the study's frozen dataset does not hold."""

    code = "measuring.not_in_dataset"


@dataclass(frozen=True)
class Mark:
    """A point where a piece is punched out.

    Parameters
    ----------
    name
        Its name; a finding's id where it comes from one.
    point_mm
        LPS, in the frame of reference of the archived series.
    slot
        Place of the tissue that was taken there; empty where none was.
    axis
        Direction of a cylinder, LPS.
    origin
        Where the point comes from: facts that are stored with every value.
    """

    name: str
    point_mm: tuple[float, float, float]
    slot: str = ""
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    origin: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PunchRule:
    """Form and size of the piece, and whether features are computed.

    Parameters
    ----------
    size_mm
        Diameter of sphere or cylinder, side of the cube.
    length_mm
        Length of the cylinder; its diameter when ``None``.
    settings
        Of the features; ``None`` for none.
    """

    shape: Shape = "sphere"
    size_mm: float = 10.0
    length_mm: float | None = None
    settings: Configuration | None = None


def find_series(manifest: DatasetManifest, series_uid: str) -> DatasetSeries:
    """Find a series in a frozen dataset.

    Raises
    ------
    NotInDataset
    """
    for entry in manifest.series:
        if entry.series_uid == series_uid:
            return entry
    raise NotInDataset("The dataset frozen for this study does not hold this series; name one that it holds.")


def check_slots(slots: Collection[str]) -> None:
    """Make sure that slots are codes.

    Raises
    ------
    BadSlot
    """
    for slot in slots:
        if slot and not SLOT.fullmatch(slot):
            raise BadSlot(
                f"{slot[:40]!r} is no slot; write array or block and place, such as TMA03/B12. "
                "Numbers of cases and names stay in pathology."
            )


def punch_marks(
    archive: ImageSource,
    database: Database,
    manifest: DatasetManifest,
    series_uid: str,
    marks: Sequence[Mark],
    rule: PunchRule,
) -> list[StoredValue]:
    """Punch a piece out at each mark and store what it holds; the same piece is stored once.

    Parameters
    ----------
    archive, database
        Where images come from and values go.
    manifest
        The study's frozen dataset.
    series_uid
        Series to punch.
    marks, rule
        Where, and how.

    Returns
    -------
    list of StoredValue
        Volume, mean and standard deviation of each piece, then its IBSI features if the rule asks for them.  The
        piece itself and its mask are kept as files beside them.

    Raises
    ------
    BadSlot, NotInDataset
        Before anything is computed.
    """
    check_slots([mark.slot for mark in marks])
    entry = find_series(manifest, series_uid)
    modality = archive.series_row(series_uid).facts.modality
    taken = acquisition_of(archive, series_uid)
    volume = archive.load_volume(series_uid)
    image = volume.image
    if taken.suv_factor not in (None, 1.0):
        image = Image(image.voxels.astype(np.float32) * np.float32(taken.suv_factor), image.affine)
    is_suv = modality == "PT" and taken.suv_factor is not None
    unit = "[hnsf'U]" if modality == "CT" else "g/mL" if is_suv else "[arb'U]"
    found: list[StoredValue] = []
    patches = []
    for mark in marks:
        piece = punch(
            image, mark.point_mm, rule.size_mm, shape=rule.shape, length_mm=rule.length_mm, axis=mark.axis
        )
        numbers = _numbers(image, piece, unit, rule)
        parameters = _parameters(mark, rule) | {"modality": modality, "kvp": taken.kvp}
        for name, number, own in numbers:
            stated = parameters
            if own == "1" and rule.settings:
                stated = parameters | {"settings": rule.settings.to_dict()}
            value = _value(manifest, entry, _Number(f"punch_{name}", number, own), stated, mark.name)
            if piece is None:
                found.append(replace(value, reason="outside_image"))
            else:
                warnings = ("cut_off",) if piece.is_cut_off else ()
                value = replace(value, warnings=warnings, evidence=_evidence(mark, rule))
                found.append(_placed(value, volume, _slice_of(image, mark)))
        if piece is not None:
            patches.append((found[-1], *_files(image, piece)))
    _save(database, found, patches)
    return found


def _files(image: Image, piece: Punch) -> tuple[bytes, bytes]:
    """Image and mask of a piece, as files that other programs read."""
    from racoon.standards.nifti import nifti_bytes  # noqa: PLC0415 - nibabel, only to punch

    affine = shifted_affine(np.asarray(image.affine, dtype=np.float64), piece.box)
    patch = Image(np.ascontiguousarray(piece.patch), affine)
    return nifti_bytes(patch), nifti_bytes(Image(piece.mask.astype(np.uint8), affine))


def import_table(
    database: Database, manifest: DatasetManifest, series_uid: str, table: ForeignTable
) -> list[StoredValue]:
    """Store the numbers of another program's table beside the series it was computed from; twice is once.

    Parameters
    ----------
    manifest
        The study's frozen dataset.
    table
        As ``standards.files.freesurfer`` reads it; the subject's name in it is left out.

    Raises
    ------
    NotInDataset
    """
    entry = find_series(manifest, series_uid)
    # The program's own name of the subject may be the person's.
    kept = {name: word for name, word in table.facts.items() if name not in {"subjectname", "SUBJECTS_DIR"}}
    facts = {"program": table.program, "table_sha256": table.sha256, "imported_by": SOFTWARE, "facts": kept}
    found = [
        replace(
            _value(manifest, entry, _Number(item.biomarker, item.value, item.unit), facts, item.structure),
            label=Code(item.structure[:64], "99FREESURFER", item.structure[:64]),
            version="freesurfer",
            automation="automatic",
            software=(table.program or "FreeSurfer or FastSurfer")[:80],
        )
        for item in table.values
    ]
    _save(database, found)
    return found


def _save(
    database: Database,
    values: Sequence[StoredValue],
    patches: Sequence[tuple[StoredValue, bytes, bytes]] = (),
) -> None:
    if values:
        with database.begin() as connection:
            _store.add_values(connection, values)
            _facts.record(connection, values)
            _patches.save_patches(connection, patches)


@dataclass(frozen=True)
class _Number:
    biomarker: str
    value: float
    unit: str


def _numbers(image: Image, piece: Punch | None, unit: str, rule: PunchRule) -> list[tuple[str, float, str]]:
    if piece is None:
        return [("volume", math.nan, "mL"), ("mean", math.nan, unit), ("sd", math.nan, unit)]
    values = piece.patch[piece.mask].astype(np.float64)
    numbers = [
        ("volume", values.size * image.voxel_volume_ml, "mL"),
        ("mean", float(values.mean()), unit),
        ("sd", float(values.std()), unit),
    ]
    if rule.settings is not None:
        region = np.zeros(image.shape, bool)
        region[piece.box.slices] = piece.mask
        numbers += [(tag, number, "1") for tag, number in extract(image, region, rule.settings).items()]
    return numbers


def _parameters(mark: Mark, rule: PunchRule) -> dict[str, Any]:
    found: dict[str, Any] = {
        "mark": mark.name,
        "point_mm": list(mark.point_mm),
        "shape": rule.shape,
        "size_mm": rule.size_mm,
        "origin": dict(mark.origin),
    }
    if rule.shape == "cylinder":
        found |= {"length_mm": rule.length_mm or rule.size_mm, "axis": list(mark.axis)}
    return found | ({"slot": mark.slot} if mark.slot else {})


def _slice_of(image: Image, mark: Mark) -> int:
    inverse = np.linalg.inv(np.asarray(image.affine, dtype=np.float64))
    place = round(float((inverse @ np.array([*mark.point_mm, 1.0]))[0]))
    return min(max(place, 0), image.shape[0] - 1)


def _evidence(mark: Mark, rule: PunchRule) -> dict[str, Any]:
    """The patient's transverse plane through the mark, with the piece's circle where it is one."""
    plane: dict[str, Any] = {
        "centre_mm": list(mark.point_mm),
        "across": [1.0, 0.0, 0.0],
        "up": [0.0, -1.0, 0.0],
        "reach_mm": 2.0 * rule.size_mm,
    }
    return {"plane": plane | ({"circle_mm": rule.size_mm} if rule.shape == "sphere" else {})}


def _value(
    manifest: DatasetManifest,
    entry: DatasetSeries,
    number: _Number,
    parameters: Mapping[str, Any],
    where: str,
) -> StoredValue:
    is_number = math.isfinite(number.value)
    return StoredValue(
        study_id=manifest.study_id,
        dataset_hash=manifest.hash,
        series_uid=entry.series_uid,
        pseudonym=entry.pseudonym,
        measurement=f"{number.biomarker} {where}"[:300],
        biomarker=number.biomarker[:80],
        version=PUNCH_VERSION,
        label=None,
        parameters_hash=content_hash(dict(parameters)),
        value=number.value if is_number else None,
        unit=number.unit,
        valid=is_number,
        reason="" if is_number else "not_finite",
        parameters=parameters,
        masks=(),
        # A person marked the place, a program measured.
        automation="assisted",
        key_instance_uid="",
        key_frame=0,
        key_slice=None,
        software=SOFTWARE,
        computed_at=clock.now(),
    )


def _placed(value: StoredValue, volume: Volume, index: int) -> StoredValue:
    if not volume.instance_uids:
        return value
    instance_uid, frame = volume.instance_uids[index], volume.frame_numbers[index]
    return replace(value, key_instance_uid=instance_uid, key_frame=frame, key_slice=index)
