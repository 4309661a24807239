"""``racoon radiomics``: IBSI features of one image and its mask, without a node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from racoon.cli.output import JsonFlag, print_facts, print_json
from racoon.errors import Refused


class BadSettingsFile(Refused):
    """A file of settings that cannot be read."""

    code = "radiomics.bad_settings_file"


class NoRegion(Refused):
    """A mask without the label that was asked for."""

    code = "radiomics.no_region"


def radiomics(
    image: Path,
    mask: Path,
    /,
    *,
    config: Path | None = None,
    label: int | None = None,
    details: bool = False,
    json: JsonFlag = False,
) -> None:
    """Compute IBSI features of a region; the keys are IBSI tags, the settings decide every number.

    Parameters
    ----------
    image
        Image: NIfTI, NRRD, or a folder, ZIP or TAR archive with one DICOM series.
    mask
        Mask on the grid of the image: NIfTI or NRRD label map, DICOM SEG or RTSTRUCT.
    config
        Settings, JSON or TOML; {"ibsi": "C"} takes a configuration of the IBSI phantom study.
    label
        Number of the label to measure; without it all labels together are the region.
    details
        Put the features under `features`, beside settings and provenance.
    json
        Print one JSON document.
    """
    import math

    import numpy as np

    from racoon import __version__
    from racoon.science.radiomics import Configuration, extract
    from racoon.standards.files import load_image, load_masks

    settings = Configuration.from_dict(read_settings(config))
    loaded = load_image(image)
    region = np.zeros(loaded.image.shape, bool)
    members = []
    for item in load_masks(mask, loaded, {}):
        if item.box is not None and label in {None, item.number}:
            region[item.box.slices] |= item.crop
            members.append({**item.source, "number": item.number, "name": item.name})
    if not members:
        wanted = "no voxel" if label is None else f"no label {label}"
        raise NoRegion(f"{mask.name} has {wanted}; there is nothing to measure.")
    found = extract(loaded.image, region, settings)
    if not found:
        raise NoRegion("Nothing is left of the mask after resampling and re-segmentation; check the range.")
    features = {tag: value if math.isfinite(value) else None for tag, value in found.items()}
    document: dict[str, Any] = {
        "features": features,
        "settings": settings.to_dict(),
        "provenance": {"image": loaded.source, "masks": members, "software": f"racoon {__version__}"},
    }
    if json:
        print_json(document if details else features)
    else:
        shown = {tag: "–" if value is None else f"{value:.5g}" for tag, value in features.items()}
        print_facts(f"{image.name}: {len(shown)} features", shown)


def read_settings(config: Path | None) -> dict[str, Any]:
    """Read settings of features, JSON or TOML; none without a file."""
    import json
    import tomllib

    if config is None:
        return {}
    try:
        text = config.read_text(encoding="utf-8")
        document = tomllib.loads(text) if config.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise BadSettingsFile(
            f"{config.name} cannot be read as JSON or TOML ({type(error).__name__})."
        ) from error
    if not isinstance(document, dict):
        raise BadSettingsFile(f"{config.name} is no table of settings.")
    return document
