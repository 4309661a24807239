"""Radiomic features as the Image Biomarker Standardisation Initiative defines them (IBSI 1).

Settings in, tagged numbers out; every feature has its IBSI tag, every result its settings.
Not here: reading files (``standards.files``), and deciding which features mean anything.
"""

from racoon.science.radiomics.configuration import BadConfiguration, Configuration
from racoon.science.radiomics.extraction import extract

__all__ = ["BadConfiguration", "Configuration", "extract"]
