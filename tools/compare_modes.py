"""Compare local, pooled and federated training on the real data: `python tools/compare_modes.py hippocampus`.

Sites of the hippocampus set are by intensity class, which is our split and not a hospital's; sites of the sarcoma set
are by the true MR vendor of the patient.  Prints one JSON document; the full setting takes hours.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"

Case = tuple[Path, Path]
"""Image and label file."""


@dataclass(frozen=True)
class Setting:
    """How much of it is done.

    Parameters
    ----------
    seeds
        One comparison each.
    rounds, local_steps, batch_size
        Of the plan.
    subjects
        Most subjects per site; 0 takes all.
    """

    seeds: tuple[int, ...]
    rounds: int
    local_steps: int
    batch_size: int
    subjects: int


FULL = Setting((1, 2, 3), 20, 40, 12, 0)
REDUCED = Setting((1,), 2, 12, 6, 6)
"""Within three minutes on two busy cores: shows that the whole way works, not how good it gets."""


def hippocampus_sites(data: Path) -> dict[str, list[Case]]:
    """Four unequal sites by stored intensity: 8 bit; float below 2 000; below 100 000; above."""
    sites: dict[str, list[Case]] = {"BYTES": [], "LOW": [], "MIDDLE": [], "HIGH": []}
    for row in csv.DictReader((data / "cases.csv").open(encoding="utf-8")):
        largest = float(row["intensity_max"])
        if row["stored_dtype"] == "uint8":
            site = "BYTES"
        else:
            site = "LOW" if largest < 2000 else "MIDDLE" if largest < 100_000 else "HIGH"
        image, label = (next((data / part).glob(f"{row['case']}.nii*")) for part in ("images", "labels"))
        sites[site].append((image, label))
    return sites


def sarcoma_sites(data: Path) -> dict[str, list[Case]]:
    """Sites by MR vendor; vendors with fewer than six patients make one site."""
    sites: dict[str, list[Case]] = {}
    for row in csv.DictReader((data / "cases.csv").open(encoding="utf-8")):
        vendor = row["mr_vendor_same_patient"].split()[0].upper() or "OTHER"
        pair = tuple(data / f"{row['case']}_PET_{part}.nii.gz" for part in ("image", "mask"))
        sites.setdefault(vendor, []).append((pair[0], pair[1]))
    small = [vendor for vendor, cases in sites.items() if len(cases) < 6]
    rest = [case for vendor in small for case in sites.pop(vendor)]
    if rest:
        sites["OTHERS"] = rest
    return sites


PLANS: dict[str, dict[str, Any]] = {
    "hippocampus": {
        "name": "hippocampus",
        "modality": "MR",
        "labels": [
            {"value": "anterior", "scheme": "99MSD", "meaning": "Anterior hippocampus"},
            {"value": "posterior", "scheme": "99MSD", "meaning": "Posterior hippocampus"},
        ],
        "size": [64, 64],
    },
    "sarcoma": {
        "name": "sarcoma",
        "modality": "PT",
        "labels": [{"value": "GTV", "scheme": "99STS", "meaning": "Gross tumour volume"}],
        "size": [64, 64],
    },
}
SITES = {"hippocampus": ("hippocampus_mr", hippocampus_sites), "sarcoma": ("sarcoma_pet", sarcoma_sites)}


def compare(name: str, setting: Setting, folder: Path) -> dict[str, Any]:
    """Run one comparison per seed.

    Returns
    -------
    dict
        ``runs`` (answers of ``racoon train``), ``mean`` of each figure of the verdict over seeds, ``sites``.
    """
    part, choose = SITES[name]
    sites = {site: cases[: setting.subjects or None] for site, cases in choose(DATA / part).items()}
    words = []
    for site, cases in sites.items():
        target = folder / "data" / site
        shutil.rmtree(target, ignore_errors=True)
        for kind, index in (("images", 0), ("labels", 1)):
            (target / kind).mkdir(parents=True)
            for case in cases:
                (target / kind / case[0].name).symlink_to(case[index])
        words += ["--data", f"{site}={target}"]
    runs = []
    for seed in setting.seeds:
        plan = PLANS[name] | {
            "kind": "training",
            "window_hu": None,
            "rounds": setting.rounds,
            "local_steps": setting.local_steps,
            "batch_size": setting.batch_size,
            "seed": seed,
            "min_sites": len(sites),
            "min_cases": 2,
        }
        path = folder / f"plan-{seed}.json"
        path.write_text(json.dumps(plan), encoding="utf-8")
        out = folder / f"seed-{seed}"
        command = [sys.executable, "-m", "racoon", "train", str(path), *words, "--mode", "compare"]
        done = subprocess.run(
            [*command, "--out", str(out), "--json"], stdout=subprocess.PIPE, text=True, check=True
        )
        runs.append(json.loads(done.stdout))
    names = [key for key, value in runs[0]["verdict"].items() if isinstance(value, float)]
    figures = {key: statistics.mean(run["verdict"][key] for run in runs) for key in names}
    return {"sites": {site: len(cases) for site, cases in sites.items()}, "mean": figures, "runs": runs}


WHOLE: dict[str, dict[str, Any]] = {
    "regression": {
        "name": "hippocampus-volume",
        "labels": [{"value": "volume", "scheme": "99MSD", "meaning": "Hippocampus volume"}],
        "target": {"source": "table", "name": "volume", "unit": "mL", "limits": [1.0, 6.0]},
    },
    "classification": {
        "name": "hippocampus-size",
        "labels": [
            {"value": "small", "scheme": "99MSD", "meaning": "Small"},
            {"value": "large", "scheme": "99MSD", "meaning": "Large"},
        ],
        # The median of all, rounded: published before anything is trained.
        "target": {"source": "table", "name": "volume", "unit": "mL", "edges": [3.35]},
    },
}


def compare_whole(task: str, folder: Path, rounds: int = 15, local_steps: int = 30) -> dict[str, Any]:
    """Read the volume of the hippocampus, or whether it is large, off the whole image; one seed, every mode.

    The truth is the volume of the reference mask, which no network sees.

    Returns
    -------
    dict
        The answer of ``racoon train``.
    """
    part, choose = SITES["hippocampus"]
    data = DATA / part
    rows = csv.DictReader((data / "cases.csv").open(encoding="utf-8"))
    volumes = {row["case"]: float(row["total_mm3"]) / 1000.0 for row in rows}
    sites, words = choose(data), []
    for site, cases in sites.items():
        target = folder / "data" / site
        shutil.rmtree(target, ignore_errors=True)
        (target / "images").mkdir(parents=True)
        lines = ["image,volume,volume_unit"]
        for image, _ in cases:
            (target / "images" / image.name).symlink_to(image)
            name = image.name.removesuffix(".gz").removesuffix(".nii")
            lines.append(f"{name},{volumes[name]:.3f},mL")
        (target / "labels.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
        words += ["--data", f"{site}={target}"]
    plan = WHOLE[task] | {
        "kind": "training",
        "task": task,
        "modality": "MR",
        "architecture": "encoder3d-small",
        "size": [40, 56, 40],
        "window_hu": None,
        "rounds": rounds,
        "local_steps": local_steps,
        "batch_size": 8,
        "learning_rate": 5e-3,
        "min_sites": len(sites),
        "min_cases": 5,
    }
    path = folder / "plan.json"
    path.write_text(json.dumps(plan), encoding="utf-8")
    command = [sys.executable, "-m", "racoon", "train", str(path), *words, "--mode", "compare"]
    done = subprocess.run(
        [*command, "--out", str(folder / "out"), "--json"], stdout=subprocess.PIPE, text=True, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main() -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(SITES))
    parser.add_argument("--folder", type=Path, required=True, help="for data links, models and scores")
    parser.add_argument("--reduced", action="store_true", help="the setting of CI")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print(
        json.dumps(
            compare(options.name, REDUCED if options.reduced else FULL, options.folder.resolve()), indent=1
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
