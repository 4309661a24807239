"""CAC-DRS category A."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.calcium import category
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.structures import CORONARIES

DEFINITION = Definition(
    id="cac_drs",
    version="1",
    title_de="CAC-DRS-Kategorie A",
    title_en="CAC-DRS category A",
    unit="{score}",
    formula="A0: 0; A1: 1–99; A2: 100–299; A3: ≥300",
    source="Hecht 2018 (CAC-DRS), doi:10.1016/j.jcct.2018.03.008",
    compute_formula=category,
    validity=Validity(
        frozenset({"CT"}),
        kvp=(120.0, 120.0),
        unenhanced=True,
        maximum_slice_mm=3.0,
        gated=True,
        soft_kernel=True,
    ),
    defaults={"threshold_hu": 130, "smallest_mm2": 1.0, "connectivity": 8, "reference_slice_mm": 3.0},
    applies_to=CORONARIES,
    quality=(whole_structure,),
    ranges="A0 none, A1 mild, A2 moderate, A3 severe (Hecht 2018)",
)
