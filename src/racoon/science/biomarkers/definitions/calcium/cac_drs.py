"""CAC-DRS category A."""

from racoon.science.biomarkers.calcium import category
from racoon.science.biomarkers.definition import Definition, Validity
from racoon.science.biomarkers.structures import CORONARIES

DEFINITION = Definition(
    id="cac_drs",
    version="1",
    title_de="CAC-DRS-Kategorie A",
    title_en="CAC-DRS category A",
    unit="{score}",
    formula="A0: 0; A1: 1–99; A2: 100–299; A3: ≥300",
    source="Agatston 1990, doi:10.1016/0735-1097(90)90282-T",
    compute_formula=category,
    validity=Validity(
        frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True, maximum_slice_mm=3.0, gated=True
    ),
    defaults={"threshold_hu": 130, "smallest_mm2": 1.0, "connectivity": 8, "reference_slice_mm": 3.0},
    applies_to=CORONARIES,
    ranges="0; 1–10; 11–100; 101–400; >400 AU",
)
