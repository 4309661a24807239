"""Volume of a part of the brain, normalised to the intracranial volume."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.organs import share_of

DEFINITION = Definition(
    id="intracranial_percent",
    version="1",
    title_de="Volumenanteil am Schädelinneren",
    title_en="Volume as a share of the intracranial volume",
    unit="%",
    formula="100 × volume / intracranial volume",
    source="no paper: the proportion method, a volume as a share of the intracranial one",
    compute_formula=share_of("intracranial_volume"),
    method="volumetric",
    applies_to=(
        "cortex",
        "white_matter",
        "lateral_ventricle",
        "cerebellum",
        "thalamus",
        "amygdala",
        "caudate",
        "putamen",
        "pallidum",
        "brain_stem",
    ),
    needs=("intracranial_volume",),
    quality=(whole_structure,),
)
