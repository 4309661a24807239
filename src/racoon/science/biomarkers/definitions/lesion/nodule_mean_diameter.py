"""Mean axial diameter of the largest nodule."""

from racoon.science.biomarkers.definition import Definition, enough_voxels, whole_structure
from racoon.science.biomarkers.lesions import mean_axis

DEFINITION = Definition(
    id="nodule_mean_diameter",
    version="1",
    title_de="Mittlerer axialer Durchmesser des größten Rundherds",
    title_en="Mean axial diameter of the largest nodule",
    unit="mm",
    formula="(long axis + short axis) / 2, both in the slice of the long axis",
    source="MacMahon 2017 (Fleischner), doi:10.1148/radiol.2017161659",
    compute_formula=mean_axis,
    defaults={"smallest_voxels": 1},
    method="length",
    applies_to=("nodule",),
    quality=(whole_structure, enough_voxels),
    ranges="no routine follow-up below 6 mm at low risk (Fleischner 2017)",
)
