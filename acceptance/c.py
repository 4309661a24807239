"""Issue C, reading: images, findings and structured reports that radiologists like."""

from __future__ import annotations

from tools.acceptance import Step

TITLE = "reading at and in the image: viewer, findings and structured reports"

STEPS = [
    Step(
        "room",
        "in a real Chromium: first image, scrolling, masks on their voxels, findings, a report signed by keyboard, axe",
        tests=("tests/browser/test_reading_room.py",),
    ),
    Step(
        "plain-viewer",
        "the same address without WebGL: slices, windows, masks",
        tests=("tests/browser/test_viewer.py",),
    ),
    Step(
        "findings",
        "every stored finding lies on its image; lengths and areas equal the affine's; rights, revisions, audit",
        tests=("tests/unit/node/reading", "tests/unit/science/geometry/test_drawn.py"),
    ),
    Step(
        "drawing",
        "a drawn SEG read by highdicom voxel for voxel, oblique and anisotropic too; locks, revisions, pre-labels; "
        "growing, filling, margins against shapes known by hand",
        tests=("tests/unit/node/reading/test_drawings.py", "tests/unit/science/segmentation/test_editing.py"),
    ),
    Step(
        "signed-reports",
        "a signed report as DICOM SR TID 1500 read by highdicom, amendments and addenda as versions; "
        "the page in two languages",
        tests=("tests/unit/node/reading/test_signed_reports.py",),
    ),
    Step(
        "double-reading",
        "a blinded pair sees nothing of each other by any route of the room until both are done; kappa and ICC of a "
        "known disagreement",
        tests=("tests/unit/node/reading/test_work.py",),
    ),
    Step(
        "decisions",
        "a third reader sees nothing before both are done, then both side by side; the signed record names all three "
        "and whose answer each is; Dice and distance of two boxes known by hand",
        tests=("tests/unit/node/reading/test_decisions.py",),
    ),
    Step(
        "protocols",
        "reading protocols as data with every mistake in words; lists from a dataset, shared out evenly; stored masks "
        "hidden where the protocol says so; an unfinished case handed over with what was begun",
        tests=("tests/unit/domain/test_reading_protocol.py", "tests/unit/node/reading/test_protocols.py"),
    ),
    Step(
        "proposals",
        "measured values as proposed answers: none is an answer before a person says so, none is signed undecided, "
        "the level of automation is in what is signed",
        tests=("tests/unit/node/reading/test_proposals.py",),
    ),
    Step(
        "templates",
        "conditions, sums, limits and repeats of a Questionnaire; what the subset lacks is refused",
        tests=("tests/unit/domain/questionnaire",),
    ),
    Step("words", "German and English complete", tests=("tests/unit/web",)),
]
