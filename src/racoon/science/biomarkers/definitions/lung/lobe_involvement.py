"""Share of a lobe taken by opacities."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.aeration import lobe_share
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.structures import LOBES

DEFINITION = Definition(
    id="lobe_involvement",
    version="1",
    title_de="Anteil der Verschattung am Lungenlappen",
    title_en="Share of a lobe taken by opacities",
    unit="%",
    formula="100 × voxels of the lobe that are opacity / voxels of the lobe",
    source="Pan 2020, doi:10.1148/radiol.2020200370; what its severity score grades",
    compute_formula=lobe_share,
    validity=Validity(frozenset({"CT"})),
    applies_to=LOBES,
    needs=("lung_opacity",),
    method="volumetric",
    quality=(whole_structure,),
)
