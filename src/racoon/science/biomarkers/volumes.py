"""Volumes of labelled structures."""

from __future__ import annotations

import math

from racoon.science.biomarkers.definition import (
    Context,
    Definition,
    Measured,
    Parameters,
    Region,
    enough_voxels,
    whole_structure,
)
from racoon.science.biomarkers.evidence import line_in_plane
from racoon.science.geometry import Surface, longest_line, surface_of


def _volume(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    return Measured(region.voxel_count * region.voxel_ml)


def _mesh(region: Region) -> Surface:
    """The mesh's figures, computed once for all definitions that need them."""
    if "surface" not in region.memo:
        region.memo["surface"] = surface_of(region.mask, region.affine)
    found: Surface = region.memo["surface"]
    return found


def _surface(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    return Measured(_mesh(region).area_mm2 / 100.0)


def _sphericity(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    return Measured(_mesh(region).sphericity)


def _diameter(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    found = longest_line(region.mask, region.affine)
    if found is None:
        return Measured(math.nan, "empty_mask")
    return Measured(found[0], evidence=line_in_plane(found[1]))


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
    quality=(whole_structure,),
)

SURFACE_AREA = Definition(
    id="surface_area",
    version="1",
    title_de="Oberfläche",
    title_en="Surface area",
    unit="cm2",
    formula="area of the marching-cubes mesh at level 0.5",
    source="IBSI C0JK, doi:10.1148/radiol.2020191145",
    compute_formula=_surface,
    method="volumetric",
    quality=(whole_structure, enough_voxels),
)

SPHERICITY = Definition(
    id="sphericity",
    version="1",
    title_de="Kugelähnlichkeit",
    title_en="Sphericity",
    unit="1",
    formula="(36 π V²)^(1/3) / A with volume and area of the marching-cubes mesh",
    source="IBSI QCFX, doi:10.1148/radiol.2020191145",
    compute_formula=_sphericity,
    method="volumetric",
    quality=(whole_structure, enough_voxels),
)

STRUCTURE_DIAMETER = Definition(
    id="max_diameter",
    version="1",
    title_de="Größter räumlicher Durchmesser",
    title_en="Largest 3D diameter",
    unit="mm",
    formula="largest distance between voxel corners of the mask, all its parts together",
    source="IBSI L0JK, doi:10.1148/radiol.2020191145; on voxel corners",
    compute_formula=_diameter,
    method="length",
    quality=(whole_structure,),
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
    applies_to=("pleural_effusion", "pericardial_effusion"),
)
