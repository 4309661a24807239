"""``racoon measure``: biomarkers of one image and its masks, without a node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from racoon.cli.output import JsonFlag, print_json, print_table
from racoon.errors import Refused

if TYPE_CHECKING:
    from racoon.science.biomarkers import Context, Value
    from racoon.science.biomarkers.panel import Row, Structure
    from racoon.standards.files import LabelledMask, LoadedImage


class BadSetting(Refused):
    """A ``--set`` that is not ``name=value``."""

    code = "measure.bad_setting"


def measure(  # noqa: PLR0913 - each is a flag of its own, and each fills one gap of a header
    image: Path,
    mask: Path,
    /,
    *,
    biomarkers: str | None = None,
    labels: Path | None = None,
    modality: str | None = None,
    kvp: float | None = None,
    contrast: Literal["yes", "no"] | None = None,
    gated: Literal["yes", "no"] | None = None,
    slice_thickness: float | None = None,
    kernel: str | None = None,
    settings: Annotated[list[str] | None, Parameter(name="--set")] = None,
    rods: str | None = None,
    json: JsonFlag = False,
) -> None:
    """Measure biomarkers of one image with its masks; a value outside its limits says why.

    Parameters
    ----------
    image
        Image: NIfTI, NRRD, or a folder, ZIP or TAR archive with one DICOM series.
    mask
        Masks on the grid of the image: NIfTI or NRRD label map, DICOM SEG or RTSTRUCT.
    biomarkers
        Ids of biomarkers, joined by commas, or `all`; without it, those that fit the names of the masks.
    labels
        JSON table of label numbers and names, such as {"1": "liver", "2": "spleen"}.
    modality
        Kind of image (`CT`, `MR`, `PT`) where the file does not say it.
    kvp
        Tube voltage in kV where the file does not say it.
    contrast
        Whether contrast medium was given, where the file does not say it.
    gated
        Whether the scan was triggered by the heart beat, where the file does not say it.
    slice_thickness
        Slice thickness in mm where the file does not say it; else the distance between slices is taken.
    kernel
        Reconstruction kernel where the file does not say it.
    settings
        A parameter as name=value, such as height_m=1.75; may be given several times.
    rods
        Calibration of bone density: pairs of HU and mg/cm³ such as 5=0,185=150; the name of a mask stands for its
        mean HU, as in rod_1=0,rod_2=150.
    json
        Print one JSON document.
    """
    from racoon.science.biomarkers import Context
    from racoon.science.biomarkers.panel import choose, measure_panel, with_wholes
    from racoon.standards.files import load_image, load_masks, read_label_names

    everything = biomarkers is not None and biomarkers.strip().lower() == "all"
    chosen = None
    if biomarkers is not None and not everything:
        chosen = choose([name.strip() for name in biomarkers.split(",") if name.strip()])
    parameters = _settings(settings or [])
    names = read_label_names(labels) if labels else {}
    loaded = load_image(image)
    masks = list(load_masks(mask, loaded, names))
    context = _context(
        loaded,
        Context(
            (modality or "").upper(), kvp, _yes(contrast), slice_thickness, kernel or "", is_gated=_yes(gated)
        ),
    )
    for name, value in loaded.patient.items():
        parameters.setdefault(name, value)
    structures = with_wholes(loaded.image, open_structures(loaded, masks))
    if rods is not None:
        slope, intercept = _calibration(rods, structures)
        parameters["slope_mg_per_cm3_per_hu"], parameters["intercept_mg_per_cm3"] = slope, intercept
    rows = measure_panel(structures, context, chosen, parameters, everything=everything, threads=2)
    documents = [_document(row, loaded, masks) for row in rows]
    if json:
        print_json(documents)
    elif documents:
        print_table(f"{image.name}: {len(documents)} values", [_line(item) for item in documents])


def _settings(words: list[str]) -> dict[str, float | int | str]:
    found: dict[str, float | int | str] = {}
    for word in words:
        name, mark, text = word.partition("=")
        if not mark or not name:
            raise BadSetting(f"{word[:60]!r} is no setting; write it as name=value.")
        try:
            found[name] = float(text)
        except ValueError:
            found[name] = text
    return found


def _calibration(text: str, structures: list[Structure]) -> tuple[float, float]:
    """Slope and intercept from rods; their HU are numbers or means of masks."""
    from racoon.science.biomarkers.bone import calibration_line

    means = {structure.title: structure.region.mean for structure in structures}
    pairs = []
    for word in text.split(","):
        place, _, density = word.strip().rpartition("=")
        try:
            pairs.append((means[place] if place in means else float(place), float(density)))
        except ValueError as error:
            raise BadSetting(
                f"{word[:60]!r} is no rod; write HU=density, or the name of a mask in place of HU."
            ) from error
    try:
        return calibration_line(tuple(pairs))
    except ValueError as error:
        raise BadSetting("A calibration needs two rods, such as 5=0,185=150.") from error


def _yes(word: str | None) -> bool | None:
    return None if word is None else word == "yes"


def _context(loaded: LoadedImage, given: Context) -> Context:
    import dataclasses

    # What the header says wins: the command line fills gaps, it does not overrule the scanner.
    return dataclasses.replace(
        given,
        modality=loaded.modality or given.modality,
        kvp=loaded.kvp if loaded.kvp is not None else given.kvp,
        has_contrast=loaded.has_contrast if loaded.has_contrast is not None else given.has_contrast,
        slice_thickness_mm=loaded.slice_thickness_mm
        or given.slice_thickness_mm
        or loaded.image.spacing_mm[0],
        kernel=loaded.kernel or given.kernel,
        has_header=loaded.has_header,
        is_gated=loaded.is_gated if loaded.is_gated is not None else given.is_gated,
        suv_factor=loaded.suv_factor,
    )


def open_structures(loaded: LoadedImage, masks: list[LabelledMask]) -> list[Structure]:
    """Turn the masks of a file into named regions of the image."""
    from racoon.science.biomarkers import Region
    from racoon.science.biomarkers.panel import Structure, join
    from racoon.science.biomarkers.structures import structure_name

    found = []
    for position, item in enumerate(masks):
        region = Region(loaded.image, item.crop, item.box) if item.box else join(loaded.image, [])
        title = item.name or f"label {item.number}"
        found.append(Structure(structure_name(item.name, item.code), title, region, (position,)))
    return found


_LEVELS = {"MANUAL": "manual", "SEMIAUTOMATIC": "assisted", "AUTOMATIC": "automatic"}


def _document(row: Row, loaded: LoadedImage, masks: list[LabelledMask]) -> dict[str, Any]:
    import math

    from racoon import __version__

    value = row.value
    members = [masks[position] for position in row.structure.members] if row.structure else []
    levels = {_LEVELS.get(str(item.source.get("algorithm_type", "")), "unknown") for item in members}
    return {
        "id": row.definition.id,
        "definition": row.definition.key,
        "label": row.structure.title if row.structure else None,
        "label_numbers": [item.number for item in members],
        "structure": (row.structure.name or None) if row.structure else None,
        "code": next((item.code.to_dict() for item in members if item.code and item.code.value), None),
        "value": value.value if math.isfinite(value.value) else None,
        "unit": value.unit,
        "valid": value.valid,
        "reason": value.reason or None,
        "reason_text": _reason_text(value, loaded) or None,
        "warnings": list(value.warnings),
        "parameters": dict(value.parameters),
        "provenance": {
            "image": loaded.source,
            "masks": [dict(item.source) | {"number": item.number} for item in members],
            "automation": levels.pop() if len(levels) == 1 else "unknown",
            "slice": value.key_slice,
            "instance_uid": _instance(loaded, value.key_slice),
            "formula": row.definition.formula,
            "source": row.definition.source,
            "software": f"racoon {__version__}",
        },
    }


def _reason_text(value: Value, loaded: LoadedImage) -> str:
    if value.reason == "uptake_unknown":
        return f"{value.public_reason} {loaded.suv_gap}".strip()
    return value.public_reason


def _instance(loaded: LoadedImage, place: int | None) -> str | None:
    return loaded.volume.instance_uids[place] if loaded.volume and place is not None else None


def _line(document: dict[str, Any]) -> dict[str, object]:
    value = document["value"]
    return {
        "biomarker": document["id"],
        "structure": document["label"] or "–",
        "value": "–" if value is None else f"{value:.5g}",
        "unit": document["unit"],
        "valid": "yes" if document["valid"] else f"no: {document['reason_text']}",
    }
