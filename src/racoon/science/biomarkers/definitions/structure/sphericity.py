"""Sphericity."""

from racoon.science.biomarkers.definition import Definition, enough_voxels, whole_structure
from racoon.science.biomarkers.volumes import sphericity

DEFINITION = Definition(
    id="sphericity",
    version="1",
    title_de="Kugelähnlichkeit",
    title_en="Sphericity",
    unit="1",
    formula="(36 π V²)^(1/3) / A with volume and area of the marching-cubes mesh",
    source="IBSI QCFX, doi:10.1148/radiol.2020191145",
    compute_formula=sphericity,
    method="volumetric",
    quality=(whole_structure, enough_voxels),
)
