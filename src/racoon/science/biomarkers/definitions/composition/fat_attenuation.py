"""Fat (HU −190 to −30): mean density."""

from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import CT, HOUNSFIELD
from racoon.science.biomarkers.tissues import interval_mean

DEFINITION = Definition(
    id="fat_attenuation",
    version="1",
    title_de="Fett (HU −190 bis −30): mittlere Dichte",
    title_en="Fat (HU −190 to −30): mean density",
    unit=HOUNSFIELD,
    formula="mean HU of the region's voxels with lower_hu <= HU <= upper_hu",
    source="Hofmann 2025, doi:10.1038/s41598-025-96238-6",
    compute_formula=interval_mean,
    validity=CT,
    defaults={"lower_hu": -190, "upper_hu": -30},
    whole_image=True,
    quality=(enough_voxels,),
)
