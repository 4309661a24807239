"""Tissue by its HU interval, inside the body or inside a labelled compartment.

Intervals are closed at both ends.  Voxels at the border of lung and tissue average into the fat interval;
inside the whole body this adds a thin shell of false fat, inside a labelled compartment it does not matter.
"""

from __future__ import annotations

from racoon.science.biomarkers.definition import Context, Definition, Measured, Parameters, Region
from racoon.science.biomarkers.densities import CT, HOUNSFIELD
from racoon.science.biomarkers.region import mean_of

_SOURCE = "Mitsiopoulos 1998, doi:10.1152/jappl.1998.85.1.115"


def _interval_volume(region: Region, _context: Context, parameters: Parameters) -> Measured:
    # "No voxel of this tissue" is an answer, not a missing one; an empty region never gets here.
    inside = region.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return (
        Measured(inside.size * region.voxel_ml) if region.is_finite else Measured(float("nan"), "not_finite")
    )


def _interval_mean(region: Region, _context: Context, parameters: Parameters) -> Measured:
    inside = region.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return Measured(mean_of(inside)) if inside.size else Measured(float("nan"), "nothing_in_range")


def _volume(name: str, german: str, english: str, lower_hu: int, upper_hu: int) -> Definition:
    return Definition(
        id=f"{name}_volume",
        version="1",
        title_de=f"{german}: Volumen",
        title_en=f"{english}: volume",
        unit="mL",
        formula="voxels of the region with lower_hu <= HU <= upper_hu × |det(affine)| / 1000",
        source=_SOURCE,
        compute_formula=_interval_volume,
        validity=CT,
        defaults={"lower_hu": lower_hu, "upper_hu": upper_hu},
        whole_image=True,
        method="density",
    )


def _attenuation(name: str, german: str, english: str, lower_hu: int, upper_hu: int) -> Definition:
    return Definition(
        id=f"{name}_attenuation",
        version="1",
        title_de=f"{german}: mittlere Dichte",
        title_en=f"{english}: mean density",
        unit=HOUNSFIELD,
        formula="mean HU of the region's voxels with lower_hu <= HU <= upper_hu",
        source=_SOURCE,
        compute_formula=_interval_mean,
        validity=CT,
        defaults={"lower_hu": lower_hu, "upper_hu": upper_hu},
        whole_image=True,
    )


FAT_VOLUME = _volume("fat", "Fett (HU −190 bis −30)", "Fat (HU −190 to −30)", -190, -30)
FAT_ATTENUATION = _attenuation("fat", "Fett (HU −190 bis −30)", "Fat (HU −190 to −30)", -190, -30)
MUSCLE_VOLUME = _volume(
    "muscle_range", "Muskelbereich (HU −29 bis 150)", "Muscle range (HU −29 to 150)", -29, 150
)
MUSCLE_ATTENUATION = _attenuation(
    "muscle_range", "Muskelbereich (HU −29 bis 150)", "Muscle range (HU −29 to 150)", -29, 150
)
BONE_VOLUME = _volume("bone_range", "Knochenbereich (HU ab 200)", "Bone range (HU from 200)", 200, 3071)
