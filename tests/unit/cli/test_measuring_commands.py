"""measure, compare, agreement and radiomics on small files whose answers are known."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom.dataset import Dataset

from racoon.cli.app import main
from tests.dicom_objects import ct_series, segmentation, to_bytes

SPACING = (0.5, 0.5, 3.0)


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """Write an array (slice, row, column) as NIfTI with the usual axis order of that format."""
    nibabel.save(
        nibabel.Nifti1Image(array.transpose(2, 1, 0), np.diag([*SPACING, 1.0]) if affine is None else affine),
        path,
    )
    return path


@pytest.fixture
def scan(tmp_path: Path) -> tuple[Path, Path]:
    voxels = np.zeros((4, 40, 60), np.int16)
    voxels[2, 2:6, 2:6], voxels[2, 12:16, 2:6], voxels[2, 22:26, 2:6] = 150, 250, 350
    voxels[3, 32:36, 2:6] = 450
    labels = np.zeros(voxels.shape, np.uint8)
    labels[:, :, :30], labels[:, :10, 40:50] = 1, 2
    return save(tmp_path / "ct.nii.gz", voxels), save(tmp_path / "labels.nii.gz", labels)


def answer(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> object:
    assert main([str(word) for word in words] + ["--json"]) == code
    return json.loads(capsys.readouterr().out)


CARDIAC = ("--modality", "CT", "--kvp", "120", "--contrast", "no", "--gated", "yes")


def test_measure_gives_value_validity_and_provenance(scan, capsys, tmp_path):
    names = tmp_path / "names.json"
    names.write_text('{"1": "coronary_artery", "2": "liver"}')
    found = answer(capsys, "measure", *scan, "--labels", names, "--biomarkers", "agatston,volume", *CARDIAC)
    assert [(row["id"], row["label"]) for row in found] == [
        ("agatston", "coronary_artery"),
        ("volume", "coronary_artery"),
        ("volume", "liver"),
    ]
    score = found[0]
    assert score["value"] == pytest.approx(40)
    assert (score["valid"], score["reason"], score["unit"]) == (True, None, "[arb'U]")
    assert score["definition"] == "agatston@1"
    assert score["parameters"]["threshold_hu"] == 130
    assert score["provenance"]["masks"] == [{"file": "labels.nii.gz", "format": "NIfTI", "number": 1}]
    assert found[2]["value"] == pytest.approx(4 * 10 * 10 * 0.75 / 1000)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ((), "modality_unknown"),
        (("--modality", "CT"), "kvp_unknown"),
        (("--modality", "CT", "--kvp", "100"), "kvp_outside"),
        (("--modality", "CT", "--kvp", "120"), "contrast_unknown"),
        (("--modality", "CT", "--kvp", "120", "--contrast", "yes"), "contrast"),
        (("--modality", "CT", "--kvp", "120", "--contrast", "no"), "not_gated"),
        (CARDIAC, None),
    ],
)
def test_what_nobody_said_is_a_reason_and_not_a_guess(scan, capsys, flags, reason):
    (row, *_) = answer(capsys, "measure", *scan, "--biomarkers", "agatston", *flags)
    assert (row["value"], row["valid"], row["reason"]) == (pytest.approx(40), reason is None, reason)


def test_unnamed_masks_get_no_valid_value_of_a_special_rule(scan, capsys):
    plain = answer(capsys, "measure", *scan, "--modality", "CT")
    assert {"volume", "mean_density", "surface_area"} <= {row["id"] for row in plain}
    assert not {"laa_950", "agatston"} & {row["id"] for row in plain}
    every = answer(capsys, "measure", *scan, "--biomarkers", "all", *CARDIAC)
    special = [row for row in every if row["id"] in {"laa_950", "agatston", "eat_volume"}]
    assert {row["reason"] for row in special} == {"structure_unknown"}
    assert any(row["reason"] == "structure_missing" for row in every)


def test_settings_reach_the_definitions_that_have_them(scan, capsys):
    (row, *_) = answer(
        capsys, "measure", *scan, "--biomarkers", "calcium_mass", "--set", "mg_per_cm3_per_hu=0.8", *CARDIAC
    )
    assert row["value"] == pytest.approx(0.8 * 16 * (150 + 250 + 350 + 450) * 0.75 / 1000)


def test_masks_in_another_axis_order_are_turned_and_other_grids_refused(scan, capsys, tmp_path):
    image, labels = scan
    loaded = nibabel.load(labels)
    turned = tmp_path / "turned.nii.gz"
    nibabel.save(nibabel.as_closest_canonical(loaded).slicer[:, :, :], turned)
    flipped = tmp_path / "flipped.nii.gz"
    data = np.asarray(loaded.dataobj)[::-1]
    affine = loaded.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (data.shape[0] - 1)
    affine[:3, 0] *= -1
    nibabel.save(nibabel.Nifti1Image(data, affine), flipped)
    first = answer(capsys, "measure", image, labels, "--biomarkers", "volume,mean_density")
    for other in (turned, flipped):
        again = answer(capsys, "measure", image, other, "--biomarkers", "volume,mean_density")
        assert [row["value"] for row in again] == [row["value"] for row in first]
    shifted = tmp_path / "shifted.nii.gz"
    moved = loaded.affine.copy()
    moved[0, 3] += 1.0
    nibabel.save(nibabel.Nifti1Image(np.asarray(loaded.dataobj), moved), shifted)
    failure = answer(capsys, "measure", image, shifted, code=2)
    assert failure["error"]["code"] == "files.other_grid"


def test_nrrd_is_read_like_nifti(scan, capsys, tmp_path):
    image, labels = scan
    array = np.asarray(nibabel.load(labels).dataobj)
    header = (
        "NRRD0004\ntype: uchar\ndimension: 3\nspace: right-anterior-superior\nsizes: {} {} {}\n"
        "space directions: (0.5,0,0) (0,0.5,0) (0,0,3)\nkinds: domain domain domain\nendian: little\n"
        "encoding: gzip\nspace origin: (0,0,0)\nSegment0_LabelValue:=1\nSegment0_Name:=Left Main\n\n"
    ).format(*array.shape)
    file = tmp_path / "labels.nrrd"
    file.write_bytes(header.encode() + gzip.compress(array.tobytes(order="F")))
    (row, *_) = answer(capsys, "measure", image, file, "--biomarkers", "agatston", *CARDIAC)
    assert (row["value"], row["structure"]) == (pytest.approx(40), "left_main")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("measure", "nothing.nii.gz", "nothing.nii.gz"), "files.unreadable"),
        (("measure", "{image}", "{labels}", "--biomarkers", "no_such"), "biomarkers.unknown_choice"),
        (("measure", "{image}", "{labels}", "--set", "nonsense"), "measure.bad_setting"),
        (("measure", "{image}", "{labels}", "--labels", "{image}"), "files.bad_label_names"),
        (("radiomics", "{image}", "{labels}", "--label", "9"), "radiomics.no_region"),
    ],
)
def test_mistakes_end_with_one_sentence(scan, capsys, words, code):
    places = {"image": scan[0], "labels": scan[1]}
    main([word.format(**places) for word in words] + ["--json"])
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code


def test_compare_knows_phantom_g4(capsys, tmp_path):
    first, second = np.zeros((14, 14, 14), np.uint8), np.zeros((14, 14, 14), np.uint8)
    first[2:12, 2:12, 0:10], second[2:12, 2:12, 2:12] = 1, 1
    paths = [save(tmp_path / f"{name}.nii.gz", array) for name, array in (("a", first), ("b", second))]
    found = answer(capsys, "compare", *paths, "--tolerance", "1.0")
    assert found["dice"] == pytest.approx(0.8)
    assert found["jaccard"] == pytest.approx(2 / 3)
    assert found["hd_mm"] == pytest.approx(1.0)
    assert found["hd95_mm"] == pytest.approx(1.0)
    assert found["nsd"] == 1.0
    assert found["volume_a_ml"] == found["volume_b_ml"] == pytest.approx(0.75)
    assert [row["label"] for row in found["labels"]] == [1]
    empty = save(tmp_path / "empty.nii.gz", np.zeros_like(first))
    none = answer(capsys, "compare", paths[0], empty)
    assert (none["dice"], none["hd_mm"], none["valid"]) == (0.0, None, False)
    nothing = answer(capsys, "compare", empty, empty)
    assert (nothing["dice"], nothing["valid"], nothing["labels"]) == (None, False, [])


def test_agreement_of_numbers_and_of_words(capsys, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("case,manual,automatic\nA,10,11\nB,20,19\nC,30,32\nD,41,40\nE,,7\n")
    found = answer(capsys, "agreement", table)
    assert (found["columns"], found["subjects"], found["left_out_incomplete"]) == (
        ["manual", "automatic"],
        4,
        1,
    )
    assert found["bland_altman"]["bias"]["value"] == pytest.approx(-0.25)
    assert found["bland_altman"]["upper_limit"]["value"] == pytest.approx(-0.25 + 1.959964 * 1.5)
    assert found["icc"]["icc_2_1"]["value"] == pytest.approx(0.9949, abs=1e-4)
    assert "kappa" not in found
    table.write_text("a;b\nnone;none\nnone;mild\nmild;mild\nsevere;severe\n")
    words = answer(capsys, "agreement", table)
    assert words["kappa"]["value"] == pytest.approx(7 / 11)
    assert "kappa_linear" not in words
    ordered = answer(capsys, "agreement", table, "--categories", "none,mild,severe")
    assert ordered["kappa"]["value"] == pytest.approx(7 / 11)
    assert ordered["kappa_quadratic"]["value"] > ordered["kappa"]["value"]
    table.write_text("a,b\n1\n")
    assert answer(capsys, "agreement", table, code=2)["error"]["code"] == "agreement.bad_table"


def test_radiomics_keys_are_ibsi_tags_and_settings_are_checked(scan, capsys, tmp_path):
    settings = tmp_path / "settings.toml"
    settings.write_text('discretisation = "fixed_bin_number"\nbin_number = 8\naggregation = ["3D_comb"]\n')
    found = answer(capsys, "radiomics", *scan, "--label", "1", "--config", settings)
    assert found["morph_vol_approx"] == pytest.approx(4 * 40 * 30 * 0.75)
    assert found["stat_max"] == 450
    assert "cm_joint_max_3D_comb" in found
    whole = answer(capsys, "radiomics", *scan, "--config", settings, "--details")
    assert whole["settings"]["bin_number"] == 8
    settings.write_text("bins = 3\n")
    assert answer(capsys, "radiomics", *scan, "--config", settings, code=2)["error"]["code"] == (
        "radiomics.bad_configuration"
    )


def test_people_get_tables(scan, capsys):
    assert main(["measure", *map(str, scan), "--biomarkers", "volume"]) == 0
    assert "volume" in capsys.readouterr().out


PET = {
    "Modality": "PT",
    "Units": "BQML",
    "DecayCorrection": "START",
    "SeriesTime": "110000",
    "AcquisitionTime": "110000",
    "PatientWeight": "70",
}
HALF_LIFE_S = 6586.2


def pet_series(folder: Path, injected: str, **attributes: object) -> tuple[Path, Path]:
    """A PET of 3000 Bq/mL with a hot spot of 3070, its dose and clocks; images and their mask."""
    voxels = np.full((4, 8, 8), 3000, np.int16)
    voxels[1, 3, 3] = 3070
    drug = Dataset()
    drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = "350000000", str(HALF_LIFE_S)
    drug.RadiopharmaceuticalStartTime = injected
    series = ct_series(voxels, RadiopharmaceuticalInformationSequence=[drug], **{**PET, **attributes})
    mask = np.zeros((4, 8, 8, 1), bool)
    mask[1, 3:5, 3:5] = True
    drawn = segmentation(series, mask, [("108369006", "SCT", "Neoplasm")])
    (folder / "pet").mkdir(parents=True)
    for number, dataset in enumerate(series):
        (folder / "pet" / f"{number}.dcm").write_bytes(to_bytes(dataset))
    (folder / "seg.dcm").write_bytes(to_bytes(drawn))
    return folder / "pet", folder / "seg.dcm"


def test_pet_from_dicom_becomes_suv_by_body_weight(capsys, tmp_path):
    words = ("--biomarkers", "suv_max,suv_mean,mtv,tlg")
    found = answer(capsys, "measure", *pet_series(tmp_path / "a", "110000"), *words)
    values = {row["id"]: row["value"] for row in found}
    # 70 kg and 350 MBq: 1 Bq/mL is 0.0002 g/mL when nothing has decayed.
    assert values["suv_max"] == pytest.approx(0.614, rel=1e-6)
    assert values["suv_mean"] == pytest.approx((3 * 0.6 + 0.614) / 4, rel=1e-6)
    assert values["mtv"] == pytest.approx(4 * 0.8 * 0.7 * 2.5 / 1000)
    assert values["tlg"] == pytest.approx(values["mtv"] * values["suv_mean"], rel=1e-6)
    assert found[0]["valid"]
    assert found[0]["parameters"]["suv_factor"] == pytest.approx(0.0002)
    # 6586 s later half of it has decayed, so the same activity stands for twice the uptake.
    late = answer(capsys, "measure", *pet_series(tmp_path / "b", "091013.8"), *words)
    assert late[0]["value"] == pytest.approx(2 * 0.614, rel=1e-4)


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"PatientWeight": None}, "the body weight"),
        ({"Units": "CNTS"}, "The values are in CNTS"),
        ({"DecayCorrection": "NONE"}, "the time the decay is corrected to"),
    ],
)
def test_pet_without_what_suv_needs_is_not_valid_and_says_what_lacks(capsys, tmp_path, attributes, sentence):
    found = answer(
        capsys,
        "measure",
        *pet_series(tmp_path / "a", "110000", **attributes),
        "--biomarkers",
        "suv_max",
    )
    assert (found[0]["valid"], found[0]["reason"]) == (False, "uptake_unknown")
    assert sentence in found[0]["reason_text"]


def test_agreement_for_each_site(capsys, tmp_path):
    rows = [("A", 10 + n, 11 + n + 0.1 * (n % 2)) for n in range(6)]
    rows += [("B", 10 + n, 8 + n - 0.1 * (n % 2)) for n in range(6)] + [("C", 1, 2)]
    table = tmp_path / "t.csv"
    table.write_text("site,manual,automatic\n" + "".join(f"{s},{a},{b}\n" for s, a, b in rows))
    found = answer(capsys, "agreement", table, "--by", "site")
    assert found["columns"] == ["manual", "automatic"]
    assert found["by"]["A"]["bland_altman"]["bias"]["value"] == pytest.approx(-1.05)
    assert found["by"]["B"]["bland_altman"]["bias"]["value"] == pytest.approx(2.05)
    assert (
        found["by"]["B"]["bland_altman"]["bias"]["low"]
        < 2.05
        < found["by"]["B"]["bland_altman"]["bias"]["high"]
    )
    assert found["by"]["C"] == {"subjects": 1, "reason": "fewer than three subjects"}
