"""harmonise, punch, comorbidome and import-table on small files whose answers are known."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from racoon.cli.app import main

STATS = """# Title Segmentation Statistics
#
# generating_program mri_segstats
# cvs_version 7.4.1
# cmdline mri_segstats --seg aseg.mgz
# hostname workstation-of-somebody
# user somebody
# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial Volume, 1500000.0, mm^3
# Measure VentricleChoroidVol, VentricleChoroidVol, Volume of ventricles, 21000.0, mm^3
# ColHeaders  Index SegId NVoxels Volume_mm3 StructName normMean
  1  17  4010  4012.5  Left-Hippocampus  70.1
  2  53  4100  nan  Right-Hippocampus  71.0
"""

APARC = """# generating_program mris_anatomical_stats
# hemi lh
# ColHeaders StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv
bankssts 1200 850 2100 2.512 0.450 0.1
"""


def answer(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> dict:
    assert main([str(word) for word in words] + ["--json"]) == code
    shown = capsys.readouterr()
    return json.loads(shown.out or shown.err)


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def two_sites(path: Path) -> Path:
    draw = np.random.default_rng(4)
    rows = []
    for site, shift, scale in (("A", 0.0, 1.0), ("B", 5.0, 2.0)):
        for number in range(40):
            age = 30 + number
            rows.append(
                {"subject": f"{site}{number}", "site": site, "age": age, "sex": "FM"[number % 2]}
                | {name: shift + scale * draw.normal() + 0.1 * age for name in ("f1", "f2", "f3")}
            )
    rows[3]["f2"] = ""
    return write(path, rows)


def test_harmonising_takes_the_site_away_and_says_what_it_did(capsys, tmp_path):
    table, out, picture = two_sites(tmp_path / "t.csv"), tmp_path / "out.csv", tmp_path / "p.svg"
    words = (
        "--site",
        "site",
        "--features",
        "f1,f2,f3",
        "--covariates",
        "age,sex",
        "--out",
        out,
        "--picture",
        picture,
    )
    found = answer(capsys, "harmonise", table, *words)
    assert found["sites"] == {"A": 39, "B": 40}
    assert found["left_out_incomplete"] == 1
    for share in found["site_share_percent"].values():
        assert share["before"] > 30
        assert share["after"] < 2
    changes = {(item["site"], item["feature"]): item for item in found["changes"]}
    assert changes["A", "f1"]["shift"] > 1.5
    assert changes["B", "f1"]["shift"] < -1.5
    assert changes["B", "f1"]["sd_factor"] < changes["A", "f1"]["sd_factor"]
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert rows[3]["f1"] == rows[3]["f2"] == ""
    by_site = {site: [float(row["f1"]) for row in rows if row["site"] == site and row["f1"]] for site in "AB"}
    assert np.mean(by_site["A"]) == pytest.approx(np.mean(by_site["B"]), abs=0.5)
    ages = np.array([float(row["age"]) for row in rows if row["f1"]])
    # The effect of age stays: a tenth for each year.
    assert np.polyfit(ages, [float(row["f1"]) for row in rows if row["f1"]], 1)[0] == pytest.approx(
        0.1, abs=0.03
    )
    assert picture.read_text().count("before") == 6


@pytest.mark.parametrize(
    "words",
    [("--features", "f1"), ("--features", "f1,nothing"), ("--features", "f1,f2", "--covariates", "subject")],
)
def test_what_cannot_be_harmonised_is_refused(capsys, tmp_path, words):
    found = answer(capsys, "harmonise", two_sites(tmp_path / "t.csv"), "--site", "site", *words, code=2)
    assert found["error"]["code"] == "table.unusable"


def test_punches_at_landmarks_link_to_the_slot_of_the_tissue(capsys, tmp_path):
    voxels = np.zeros((20, 30, 30), np.int16)
    voxels[5:15, 10:20, 10:20] = 100
    image = tmp_path / "ct.nii.gz"
    # Rows and columns of this file run like LPS: NIfTI is RAS.
    nibabel.save(nibabel.Nifti1Image(voxels.transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0])), image)
    rows = [
        {"id": "core", "x": 15, "y": 15, "z": 10, "slot": "S24-1/A1"},
        {"id": "edge", "x": 0, "y": 15, "z": 10, "slot": ""},
        {"id": "far", "x": 400, "y": 15, "z": 10, "slot": "S24-1/A2"},
    ]
    out = tmp_path / "patches"
    found = answer(capsys, "punch", image, write(tmp_path / "l.csv", rows), "--size", "6", "--out", out)
    core, edge, far = found["punches"]
    assert (core["slot"], core["mean"], core["sd"], core["is_cut_off"]) == ("S24-1/A1", 100.0, 0.0, False)
    assert core["volume_ml"] == pytest.approx(4 / 3 * np.pi * 27 / 1000, rel=0.1)
    assert core["features"]["stat_mean"] == 100.0
    assert (edge["is_cut_off"], edge["mean"], edge["slot"]) == (True, 0.0, None)
    assert (far["mean"], far["reason"], far["slot"]) == (None, "outside", "S24-1/A2")
    patch = nibabel.load(out / core["files"]["patch"])
    assert np.asarray(patch.dataobj).mean() == 100.0
    assert patch.affine[:3, 3] == pytest.approx([-12, -12, 7])
    markups = {
        "markups": [
            {"coordinateSystem": "RAS", "controlPoints": [{"label": "m", "position": [-15, -15, 10]}]}
        ]
    }
    (tmp_path / "m.mrk.json").write_text(json.dumps(markups))
    again = answer(capsys, "punch", image, tmp_path / "m.mrk.json", "--size", "6")
    assert again["punches"][0]["mean"] == 100.0
    twice = write(tmp_path / "twice.csv", [rows[0], rows[0]])
    assert answer(capsys, "punch", image, twice, code=2)["error"]["code"] == "table.unusable"


def test_tables_of_freesurfer_keep_their_origin(capsys, tmp_path):
    (tmp_path / "aseg.stats").write_text(STATS)
    (tmp_path / "lh.aparc.stats").write_text(APARC)
    found = answer(capsys, "import-table", tmp_path / "aseg.stats", tmp_path / "lh.aparc.stats")
    values = {(row["id"], row["label"]): row for row in found}
    assert values["volume", "eTIV"]["value"] == pytest.approx(1500.0)
    hippocampus = values["volume", "Left-Hippocampus"]
    assert (hippocampus["value"], hippocampus["unit"], hippocampus["valid"]) == (
        pytest.approx(4.0125),
        "mL",
        True,
    )
    assert hippocampus["structure"] == "hippocampus_left"
    assert hippocampus["provenance"]["program"] == "mri_segstats 7.4.1"
    assert len(hippocampus["provenance"]["sha256"]) == 64
    assert "somebody" not in json.dumps(found)
    assert (
        values["volume", "Right-Hippocampus"]["value"],
        values["volume", "Right-Hippocampus"]["valid"],
    ) == (None, False)
    assert values["cortical_thickness", "lh-bankssts"]["value"] == pytest.approx(2.512)
    assert values["surface_area", "lh-bankssts"]["value"] == pytest.approx(8.5)
    (tmp_path / "no.stats").write_text("nothing\n")
    assert "error" in answer(capsys, "import-table", tmp_path / "no.stats", code=65)


def cohort(path: Path) -> Path:
    draw = np.random.default_rng(7)
    rows = []
    for number in range(120):
        age = float(draw.uniform(30, 80))
        sex = "FM"[number % 2]
        first, second = bool(draw.random() < 0.4), draw.random()
        rows.append(
            {
                "subject": f"S{number}",
                "age_years": age,
                "sex": sex,
                "smi": 60 - 0.2 * age + (5 if sex == "M" else 0) + draw.normal(),
                "laa": 0.05 * age + draw.normal(),
                "diabetes": int(first),
                "fat": int(second < (0.7 if first else 0.2)),
                "reference": int(number < 100),
            }
        )
    rows[110]["laa"] = ""
    rows[111]["fat"] = ""
    rows[112]["smi"] = 20.0
    return write(path, rows)


def test_a_comorbidome_has_scores_gaps_and_links_with_what_they_rest_on(capsys, tmp_path):
    picture = tmp_path / "network.svg"
    words = ("--biomarkers", "smi,laa", "--conditions", "diabetes,fat", "--picture", picture)
    found = answer(capsys, "comorbidome", cohort(tmp_path / "c.csv"), *words)
    people = {person["subject"]: person for person in found["subjects"]}
    scores = [people[f"S{number}"]["z"]["smi"] for number in range(100)]
    assert np.mean(scores) == pytest.approx(0.0, abs=1e-9)
    assert found["reference"]["F"]["smi"]["slope_per_year"] == pytest.approx(-0.2, abs=0.03)
    assert found["reference"]["F"]["smi"]["subjects"] == 50
    assert people["S112"]["z"]["smi"] < -10
    assert people["S112"]["deficits"]["smi low"] is True
    assert people["S110"]["z"]["laa"] is None
    assert people["S110"]["age_gap"] is None
    assert people["S110"]["frailty"]["missing"] == 1
    assert people["S111"]["conditions"]["fat"] is None
    assert found["missing"] == {"smi": 0, "laa": 1}
    model = found["biological_age"]
    assert model["subjects"] == 100
    assert model["calibration"]["slope"] == pytest.approx(1.0, abs=0.2)
    gaps = [(people[f"S{n}"]["age_years"], people[f"S{n}"]["age_gap"]["years"]) for n in range(100)]
    assert abs(np.corrcoef(*zip(*gaps, strict=True))[0, 1]) < 0.25
    low, high = people["S0"]["age_gap"]["interval"]
    assert high - low == pytest.approx(2 * 1.96 * model["gap_sd_years"])
    terms = people["S0"]["age_gap"]["terms_years"]
    assert set(terms) == {"smi", "laa"}
    link = next(item for item in found["links"] if {item["first"], item["second"]} == {"diabetes", "fat"})
    assert link["shown"]
    assert link["odds_ratio"] > 3
    assert link["known"] == 119
    shares = {item["name"]: item for item in found["prevalence"]}
    assert shares["fat"]["known"] == 119
    assert "<line" in picture.read_text()


def test_rods_calibrate_bone_density(capsys, tmp_path):
    voxels = np.zeros((30, 30, 30), np.int16)
    labels = np.zeros(voxels.shape, np.uint8)
    voxels[5:25, 5:25, 5:25], labels[5:25, 5:25, 5:25] = 113, 1
    voxels[2:4, 2:4, 2:4], labels[2:4, 2:4, 2:4] = 185, 2
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    for name, array in (("ct", voxels), ("labels", labels)):
        nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), affine), tmp_path / f"{name}.nii.gz")
    (tmp_path / "names.json").write_text('{"1": "vertebra_l1", "2": "rod_2"}')
    words = (
        "measure",
        tmp_path / "ct.nii.gz",
        tmp_path / "labels.nii.gz",
        "--labels",
        tmp_path / "names.json",
    )
    facts = ("--modality", "CT", "--kvp", "120", "--contrast", "no", "--biomarkers", "bone_mineral_density")
    (found, *_) = answer(capsys, *words, *facts, "--rods", "5=0,rod_2=150")
    assert found["value"] == pytest.approx(90.0, abs=1e-3)
    assert found["parameters"]["slope_mg_per_cm3_per_hu"] == pytest.approx(150 / 180)
    assert answer(capsys, *words, *facts, "--rods", "5=0", code=2)["error"]["code"] == "measure.bad_setting"
