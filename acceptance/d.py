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
    Step(
        "killed",
        "200 series measured at a node while the process is killed three times: the table equals the undisturbed run",
        tests=("tests/unit/node/measuring/test_processes.py",),
        times=3,
    ),
    Step(
        "node",
        "the whole catalogue at a node: structures, facts of the header, reasons for every value that is not valid",
        tests=(
            "tests/unit/node/measuring/test_whole_catalogue.py",
            "tests/unit/node/measuring/test_service.py",
            "tests/unit/standards/test_acquisition.py",
        ),
    ),
    Step(
        "pages",
        "a value's page shows slice, overlay, definition, parameters and provenance; its picture is compared",
        tests=("tests/unit/node/measuring/test_pages.py",),
    ),
    Step(
        "quality",
        "checks, exclusion, sign-off, manual against automatic, and limits that nobody can overrule",
        tests=(
            "tests/unit/node/measuring/test_checks.py",
            "tests/unit/node/measuring/test_comparing.py",
        ),
    ),
]
