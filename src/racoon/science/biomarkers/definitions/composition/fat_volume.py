"""Fat (HU −190 to −30): volume."""

from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.tissues import interval_volume

DEFINITION = Definition(
    id="fat_volume",
    version="1",
    title_de="Fett (HU −190 bis −30): Volumen",
    title_en="Fat (HU −190 to −30): volume",
    unit="mL",
    formula="voxels of the region with lower_hu <= HU <= upper_hu × |det(affine)| / 1000",
    source="Hofmann 2025, doi:10.1038/s41598-025-96238-6",
    compute_formula=interval_volume,
    validity=CT,
    defaults={"lower_hu": -190, "upper_hu": -30},
    whole_image=True,
    quality=(enough_voxels,),
)
