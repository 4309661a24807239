"""Issue D, measuring: every image biomarker defined once, exact, and traceable to its pixels."""

from __future__ import annotations

from tools.acceptance import Step

TITLE = "every image biomarker of the network, defined once, exact, and traceable to its pixels"

STEPS = [
    Step(
        "phantoms",
        "all phantoms pass with the stated answers; flips, upsampling, additivity and monotonicity hold",
        tests=(
            "tests/unit/science/geometry",
            "tests/unit/science/biomarkers",
            "tests/unit/science/segmentation",
        ),
    ),
    Step(
        "radiomics",
        "IBSI digital phantom and configurations A and C: every feature within tolerance",
        tests=("tests/conformance/test_ibsi.py",),
    ),
    Step(
        "real-files",
        "organs, lungs, tumours, nodules and uptake of real scans against numbers that somebody else computed",
        tests=(
            "tests/conformance/test_measuring_real_files.py",
            "tests/conformance/test_biomarkers_on_real_data.py",
        ),
    ),
    Step(
        "limits",
        "outside its limits a value says so, on the command line too",
        tests=("tests/unit/cli/test_measuring_commands.py",),
    ),
]
