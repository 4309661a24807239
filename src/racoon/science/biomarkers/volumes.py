"""Volumes of labelled structures."""

from __future__ import annotations

from racoon.science.biomarkers.definition import Context, Definition, Measured, Parameters, Region


def _volume(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    return Measured(region.voxel_count * region.voxel_ml)


VOLUME = Definition(
    id="volume",
    version="1",
    title_de="Volumen",
    title_en="Volume",
    unit="mL",
    formula="number of voxels × |det(affine)| / 1000",
    source="DICOM PS3.3 C.7.6.2.1.1",
    compute_formula=_volume,
    method="volumetric",
)

EFFUSION_VOLUME = Definition(
    id="effusion_volume",
    version="1",
    title_de="Ergussvolumen",
    title_en="Effusion volume",
    unit="mL",
    formula="number of voxels of the effusion × |det(affine)| / 1000",
    source="DICOM PS3.3 C.7.6.2.1.1",
    compute_formula=_volume,
    method="volumetric",
)
