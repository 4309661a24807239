"""Every image biomarker of the network: defined once, versioned, with source, unit and limits of validity.

A definition is one file in ``definitions``; the modules here hold what a family of them computes alike.
Outside its limits a value says so, and an empty or broken input gives NaN with a reason, never 0.
Each has a phantom with an exact answer.
Not here: loading images (``node.archive``), running over datasets and storing (``node.measuring``).
"""

from racoon.science.biomarkers.acquisition import Context, Validity
from racoon.science.biomarkers.catalogue import CATALOGUE, UnknownBiomarker, get_definition
from racoon.science.biomarkers.definition import Definition, Region, Value
from racoon.science.biomarkers.reasons import REASONS

__all__ = [
    "CATALOGUE",
    "REASONS",
    "Context",
    "Definition",
    "Region",
    "UnknownBiomarker",
    "Validity",
    "Value",
    "get_definition",
]
