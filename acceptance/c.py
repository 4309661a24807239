"""Issue C, reading: images, findings and structured reports that radiologists like."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.acceptance import ROOT, Figures, Step

TITLE = "reading at and in the image: viewer, findings and structured reports"


def first_image(folder: Path) -> Figures:
    """Open a 300-slice CT in the reading room and in OHIF's published build, in turns, after one login."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, ROOT / "tools" / "build_ohif.py"], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "bench.bench_viewers", "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    (folder / "viewers.json").write_text(done.stdout, encoding="utf-8")
    found = json.loads(done.stdout)
    figures: Figures = {f"{name}, median s": round(value, 2) for name, value in found["median_s"].items()}
    figures |= {f"ratio to OHIF, {state}": round(value, 2) for state, value in found["ratio"].items()}
    assert done.returncode == 0, figures
    return figures


def gallery(folder: Path) -> Figures:
    """Fill a node with 100 000 series; ask for lists, facets and windows, and scroll them in Chromium."""
    found = _bench("bench.bench_gallery", folder, "--pictures", str(folder))
    figures: Figures = {f"{name}, p95 ms": row["p95"] for name, row in found["server_ms"].items()}
    figures |= found["browser"]
    assert found["met"], figures
    return figures


def answers(folder: Path) -> Figures:
    """Fill a node with 6.6 million answers; ask what a researcher asks."""
    found = _bench("bench.bench_answers", folder)
    figures: Figures = {"answers": found["answers"]}
    figures |= {f"{name}, p50 s": row["p50_s"] for name, row in found.items() if isinstance(row, dict)}
    assert found["met"], figures
    return figures


def _bench(module: str, folder: Path, *more: str) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", module, "--json", *more],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    (folder / "figures.json").write_text(done.stdout, encoding="utf-8")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


DCMQI = "dcmqi==1.5.7"
"""Published converter between DICOM SEG and NRRD; a judge only, never a dependency."""


def dcmqi(folder: Path) -> Figures:
    """Let dcmqi read what was drawn here; it is installed into a folder of its own."""
    target = folder / "dcmqi"
    if not target.is_dir():
        install = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--target", str(target), DCMQI]
        subprocess.run(install, check=True)
    (program,) = target.glob("dcmqi/bin/segimage2itkimage")
    program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/unit/node/reading/test_drawings.py", "-k", "dcmqi"],
        cwd=ROOT,
        env={**os.environ, "RACOON_DCMQI": str(program)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    (folder / "dcmqi.txt").write_text(done.stdout, encoding="utf-8")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "2 passed" in done.stdout, done.stdout[-500:]
    return {"objects read voxel for voxel by dcmqi": 2}


def keyboard(folder: Path) -> Figures:
    """Let a reader work the published lung case off in Chromium by keys alone; count them and the seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder.resolve() / "figures.json"
    kept.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/browser/reading_room/test_real_case.py"],
        cwd=ROOT,
        env={**os.environ, "RACOON_FIGURES": str(kept)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    (folder / "keyboard.txt").write_text(done.stdout, encoding="utf-8")
    assert done.returncode == 0, done.stdout[-2000:]
    assert kept.is_file(), f"nothing was counted: {done.stdout[-500:]}"
    figures: Figures = json.loads(kept.read_text(encoding="utf-8"))
    return figures


STEPS = [
    Step(
        "room",
        "in a real Chromium: first image, scrolling, masks on their voxels, findings, a signature by keyboard, axe; "
        "network cut, tab killed, node killed while drawing, marking and reporting",
        tests=("tests/browser/reading_room",),
    ),
    Step(
        "keyboard",
        "a real chest CT with contours from the worklist to a signed report by keys alone: at most 25 actions",
        action=keyboard,
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
        "numbers-open-pixels",
        "a crawl from the values on: every number has a link, and it opens the slice it was measured in with its mask; "
        "numbers over many cases (answers, agreement, compared sets) open their cases, and each case its image",
        tests=(
            "tests/unit/node/measuring/test_pages.py",
            "tests/unit/node/reading/test_numbers_open_pixels.py",
            "tests/unit/node/reading/test_cases_behind_numbers.py",
            "tests/unit/node/curation/test_gallery.py",
        ),
    ),
    Step(
        "demo-crawl",
        "the running demo, every page of a site and of CENTRAL: every number from an image opens its slice, as the "
        "node's own database knows it; CENTRAL's numbers name the sites where their images are",
        tests=("tests/network/test_crawl_of_the_demo.py",),
    ),
    Step(
        "drawing",
        "a drawn SEG read by highdicom voxel for voxel, oblique and anisotropic too; locks, revisions, pre-labels; "
        "growing, filling, margins against shapes known by hand",
        tests=(
            "tests/unit/node/reading/test_drawings.py",
            "tests/unit/node/reading/test_mask_volumes.py",
            "tests/unit/science/segmentation/test_editing.py",
        ),
    ),
    Step("dcmqi", "the same by dcmqi's converter, oblique and anisotropic", action=dcmqi),
    Step(
        "uptake-and-layers",
        "SUV of a real PET equals the published one; PET, maps and contours lie at their place in the patient",
        tests=("tests/unit/node/reading/test_layers.py",),
    ),
    Step(
        "sections",
        "sections across a tilted tube of known size: its true diameters, stored, filed with coordinates in space",
        tests=("tests/unit/node/reading/test_sections.py",),
    ),
    Step(
        "foreign-reports",
        "measurements of published and made structured reports become findings at their place, in bounds, with origin",
        tests=("tests/unit/node/reading/test_foreign_reports.py",),
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
        tests=("tests/unit/node/reading/test_work.py", "tests/unit/node/reading/test_blinding.py"),
    ),
    Step(
        "agreement",
        "two readers with a known disagreement: exact kappa, weighted kappa, ICC, Dice, 95 % distance and limits "
        "through the interface; pictures of the widest disagreements; whoever reads blinded in the list is refused",
        tests=("tests/unit/node/reading/test_agreement.py",),
    ),
    Step(
        "practice",
        "calibration and teaching: the reference hidden by every route, scores exact, no study case before passing, "
        "let off with a reason, nothing of an attempt in study data",
        tests=("tests/unit/node/reading/test_practice.py",),
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
        "conditions, sums, limits, repeats and first answers of a Questionnaire; what the subset lacks is refused with "
        "its reason; every shipped template filled to the last question, signed, filed and read in two languages",
        tests=(
            "tests/unit/domain/questionnaire",
            "tests/unit/node/reading/test_shipped_templates.py",
            "tests/unit/node/reading/test_prefilled_reports.py",
            "tests/unit/node/reading/test_template_choice.py",
        ),
    ),
    Step(
        "coded-words",
        "codes for words of free texts: offered offline, never for what is denied, in response, SR, rows and on paper",
        tests=("tests/unit/node/reading/test_coding_help.py",),
    ),
    Step(
        "foreign-templates",
        "seven published DRG Questionnaires and the MRRT file load unchanged with a lint report, every question kept; "
        "filled answers go through QuestionnaireResponse, SR and rows and come back the same; what is wrong is said at "
        "its field",
        tests=("tests/unit/node/reading/test_foreign_templates.py", "tests/unit/standards/test_mrrt.py"),
    ),
    Step(
        "template-editor",
        "drafts, signatures of experts, release, also of what is shipped; whatever version 2 does, reports of version "
        "1 stay as they were",
        tests=("tests/unit/node/reading/test_templates.py", "tests/unit/cli/test_reading_commands.py"),
    ),
    Step(
        "queries",
        "edit checks and monitors ask at a field, the reader answers, nothing is signed unanswered; audited",
        tests=("tests/unit/node/reading/test_queries.py", "tests/unit/domain/questionnaire/test_checks.py"),
    ),
    Step(
        "first-image",
        "OHIF's build opens a study from our node with a login; the room's first image comes in half its time",
        tests=("tests/unit/node/reading/test_second_viewer.py",),
        action=first_image,
    ),
    Step(
        "gallery",
        "100 000 series scroll: every filter, facet, tag, view, set and freeze over a real archive; nothing of a "
        "subject who withdrew in any answer, no picture left on disk; windows and frames measured",
        tests=("tests/unit/node/curation",),
        action=gallery,
    ),
    Step(
        "answers",
        "6.6 million coded answers: counts, cross tables, ranges, files and all answers to a question equal the signed "
        "reports, and come in two seconds",
        tests=("tests/unit/node/reading/test_answers.py", "tests/contract/test_answer_columns.py"),
        action=answers,
    ),
    Step("words", "German and English complete", tests=("tests/unit/web",)),
]
