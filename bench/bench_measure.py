"""Time of the lung and body panel on a 512 × 512 × 300 CT, and of the 3D shape of a 1.8 M-voxel organ.

Run ``python bench/bench_measure.py``; ``--slices 60`` measures a smaller volume and says so.  The phantom has the size
of a thin-slice chest CT and the smoothness of none: noise makes decoding honest.  Where pyradiomics is installed its
shape features are timed in the same run, else the line says that there is no peer.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np

from racoon.science.biomarkers import Context, Region
from racoon.science.biomarkers.panel import Structure, measure_panel, with_wholes
from racoon.science.geometry import max_diameter_mm, surface_of
from racoon.standards.files import load_image

SPACING_MM = (1.0, 0.8, 0.8)
ORGAN_VOXELS = 1_800_000
LIMITS_S = {"panel": 5.0, "shape": 0.5}
"""What issue D asks for on two cores, decoding included."""

LUNGS = ("lung_left", "lung_right")


def phantom(slices: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Make a body with lungs, muscle, fat, liver, spleen and a vertebra; HU with noise."""
    z, y, x = np.ogrid[0:slices, 0:512, 0:512]
    body = ((y - 256) / 170.0) ** 2 + ((x - 256) / 230.0) ** 2 <= 1.0
    muscle = (((y - 256) / 150.0) ** 2 + ((x - 256) / 205.0) ** 2 <= 1.0) & body
    cavity = ((y - 250) / 125.0) ** 2 + ((x - 256) / 180.0) ** 2 <= 1.0
    chest = z >= slices * 0.4
    half = ((y - 250) / 110.0) ** 2
    left = chest & (half + ((x - 345) / 75.0) ** 2 <= 1.0)
    right = chest & (half + ((x - 165) / 75.0) ** 2 <= 1.0)
    belly = (z >= slices * 0.05) & (z < slices * 0.38)
    liver = belly & (((y - 245) / 90.0) ** 2 + ((x - 170) / 80.0) ** 2 <= 1.0)
    spleen = belly & (((y - 300) / 40.0) ** 2 + ((x - 370) / 35.0) ** 2 <= 1.0)
    bone = (
        (z >= slices * 0.15)
        & (z < slices * 0.25)
        & (((y - 370) / 26.0) ** 2 + ((x - 256) / 30.0) ** 2 <= 1.0)
    )
    everywhere = np.ones((slices, 1, 1), bool)
    voxels = np.full((slices, 512, 512), -1000, np.int16)
    masks = {
        "subcutaneous_fat": (body & ~muscle) & everywhere,
        "skeletal_muscle": (muscle & ~cavity) & everywhere,
        "visceral_cavity": cavity & belly,
        "lung_left": left,
        "lung_right": right,
        "liver": liver,
        "spleen": spleen,
        "vertebra_l3": bone,
    }
    densities = (-100, 50, -95, -860, -870, 55, 50, 180)
    for mask, density in zip(masks.values(), densities, strict=True):
        voxels[mask] = density
    noise = np.random.default_rng(1).integers(-30, 31, voxels.shape[1:], dtype=np.int16)
    for index in range(slices):
        voxels[index] += np.roll(noise, index * 7, axis=1)
    return voxels, masks


def time_panel(slices: int) -> dict[str, float]:
    """Time decoding and every biomarker that fits the masks; without centrelines there is none in the panel."""
    voxels, masks = phantom(slices)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ct.nii"
        affine = np.diag([*SPACING_MM[::-1], 1.0])
        nibabel.save(nibabel.Nifti1Image(voxels.transpose(2, 1, 0), affine), path)
        size_mb = voxels.nbytes / 2**20
        del voxels
        begun = time.perf_counter()
        image = load_image(path).image
        # The file's axes come back as the reader keeps them; masks follow.
        turned = {name: _like(mask, image.shape) for name, mask in masks.items()}
        decoded = time.perf_counter()
        structures = [
            Structure(name, name, Region(image, mask), (number,))
            for number, (name, mask) in enumerate(turned.items())
        ]
        context = Context("CT", kvp=120.0, has_contrast=False, slice_thickness_mm=1.0, kernel="B30f")
        rows = measure_panel(with_wholes(image, structures), context, None, {"height_m": 1.75})
        ended = time.perf_counter()
    return {
        "values": len(rows),
        "valid": sum(row.value.valid for row in rows),
        "decode_s": decoded - begun,
        "panel_s": ended - decoded,
        "seconds": ended - begun,
        "volume_mb": size_mb,
    }


def _like(mask: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    if mask.shape == shape:
        return mask
    if mask.transpose(2, 1, 0).shape == shape:
        return np.ascontiguousarray(mask.transpose(2, 1, 0))
    raise SystemExit(f"the reader gave {shape} for masks of {mask.shape}")


def time_shape() -> dict[str, float]:
    """Time surface, volume, sphericity and largest diameter of one large organ."""
    radius = (3.0 * ORGAN_VOXELS / (4.0 * np.pi)) ** (1.0 / 3.0)
    reach = int(radius * 1.4) + 2
    z, y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1, -reach : reach + 1]
    mask = (z / 0.8) ** 2 + (y / 1.25) ** 2 + x**2 <= radius**2
    affine = np.diag([1.5, 0.8, 0.8, 1.0])
    begun = time.perf_counter()
    surface = surface_of(mask, affine)
    diameter = max_diameter_mm(mask, affine)
    seconds = time.perf_counter() - begun
    figures = {
        "voxels": float(np.count_nonzero(mask)),
        "seconds": seconds,
        "area_cm2": surface.area_mm2 / 100.0,
        "diameter_mm": diameter,
    }
    if find_spec("radiomics") is not None:
        figures["pyradiomics_s"] = _pyradiomics_shape(mask)
    return figures


def _pyradiomics_shape(mask: np.ndarray) -> float:
    # The peer and what it needs are optional.
    toolkit, shape = import_module("SimpleITK"), import_module("radiomics.shape")

    picture = toolkit.GetImageFromArray(mask.astype(np.uint8))
    picture.SetSpacing((0.8, 0.8, 1.5))
    begun = time.perf_counter()
    shape.RadiomicsShape(picture, picture).execute()
    return time.perf_counter() - begun


def main() -> int:
    """Print one line for each figure, and the ratio to the peer where there is one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    panel, shape = time_panel(chosen.slices), time_shape()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if chosen.json:
        print(json.dumps({"slices": chosen.slices, "panel": panel, "shape": shape, "peak_rss_mb": peak_mb}))
        return 0
    print(
        f"lung and body panel, 512 × 512 × {chosen.slices}: {panel['seconds']:.2f} s "
        f"({panel['values']:.0f} values, {panel['valid']:.0f} valid; decoding {panel['decode_s']:.2f} s; "
        f"limit for 300 slices {LIMITS_S['panel']:.0f} s)"
    )
    peer = shape.get("pyradiomics_s")
    ratio = f"pyradiomics {peer:.2f} s, ratio {peer / shape['seconds']:.1f}" if peer else "no peer installed"
    print(
        f"3D shape, {shape['voxels']:.0f} voxels: {shape['seconds']:.2f} s (limit {LIMITS_S['shape']} s; {ratio})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
