"""The commands on real files whose numbers somebody else computed."""

from __future__ import annotations

import csv
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from racoon.cli.app import main
from racoon.standards.files import load_image


def answer(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, object]]:
    assert main([*map(str, words), "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_chest_ct_with_contours(
    shared_data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = shared_data / "ct_lung_rtstruct"
    with tarfile.open(folder / "LUNG1-001_CT.tar.xz") as tar:
        # The filter came with Python 3.11.4; Debian 12 has 3.11.2.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(tmp_path)
    expected = json.loads((folder / "expected_volumes.json").read_text())
    rows = answer(
        capsys,
        "measure",
        tmp_path,
        folder / "LUNG1-001_RTSTRUCT.dcm",
        "--biomarkers",
        "volume,mean_density,laa_950",
    )
    found = {(row["id"], row["label"]): row for row in rows}
    for name, numbers in expected.items():
        assert found["volume", name]["value"] == pytest.approx(numbers["raster_xor_volume_ml"], abs=0.01)
        assert found["volume", name]["value"] == pytest.approx(
            numbers["sum_polygon_area_x_spacing_ml"], rel=0.01
        )
        assert found["mean_density", name]["value"] == pytest.approx(numbers["mean_hu_in_raster"], abs=0.01)
    for side in ("Lung-Left", "Lung-Right"):
        row = found["laa_950", side]
        assert row["value"] == pytest.approx(expected[side]["percent_below_-950"], abs=0.001)
        assert row["valid"]
        assert row["warnings"] == []
    assert found["laa_950", "lung"]["label_numbers"]


def test_torso_with_61_organs(shared_data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = shared_data / "ct_torso_61_organs"
    expected = json.loads((folder / "reference" / "label_volumes_and_hu.json").read_text())
    names = tmp_path / "names.json"
    names.write_text(json.dumps({number: row["name"] for number, row in expected.items()}))
    words = ("measure", folder / "ct.nii.gz", folder / "seg_61_labels.nii.gz", "--labels", names)
    rows = answer(
        capsys,
        *words,
        "--biomarkers",
        "volume,mean_density,trabecular_attenuation,liver_pdff,liver_spleen_ratio",
        "--modality",
        "CT",
        "--kvp",
        "120",
        "--contrast",
        "no",
    )
    found = {(row["id"], row["label"]): row for row in rows}
    for row in expected.values():
        assert found["volume", row["name"]]["value"] == pytest.approx(row["ml"], abs=5e-4)
        assert found["mean_density", row["name"]]["value"] == pytest.approx(row["mean_hu"], abs=5e-4)
    # Without the rim the liver is a little denser than with it, and the spleen is the softer organ here.
    assert found["liver_spleen_ratio", "liver"]["value"] == pytest.approx(44.46 / 32.77, rel=0.05)
    assert found["liver_pdff", "liver"]["value"] == pytest.approx(38.2 - 0.58 * 44.46, abs=2)
    # Trabecular bone is softer than the whole vertebra, whose cortex this leaves out.
    for level in ("L1", "L2", "L3", "L4", "L5"):
        whole = found["mean_density", f"vertebrae_{level}"]["value"]
        assert 80 < found["trabecular_attenuation", f"vertebrae_{level}"]["value"] < whole


def test_tissue_masks_of_thirty_slices(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared_data / "ct_torso_61_organs" / "sub30"
    flags = ("--modality", "CT", "--kvp", "120", "--contrast", "no")
    for file, biomarker in (
        ("tissue_skeletal_muscle", "muscle_volume"),
        ("tissue_subcutaneous_fat", "sat_volume"),
        ("tissue_torso_fat", "vat_volume"),
    ):
        rows = answer(
            capsys,
            "measure",
            folder / "ct_30slices.nii.gz",
            folder / f"{file}.nii.gz",
            "--biomarkers",
            f"{biomarker},volume",
            *flags,
        )
        part, whole = rows[0]["value"], rows[1]["value"]
        # Masks of a network follow the tissue intervals; what lies outside is rim and noise.
        assert 0.5 * whole < part <= whole


@pytest.mark.parametrize("case", ["STS_001", "STS_002", "STS_014", "STS_050"])
def test_uptake_of_sarcomas(shared_data: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    folder = shared_data / "sarcoma_pet"
    with (folder / "cases.csv").open() as stream:
        expected = next(row for row in csv.DictReader(stream) if row["case"] == case)
    rows = answer(
        capsys,
        "measure",
        folder / f"{case}_PET_image.nii.gz",
        folder / f"{case}_PET_mask.nii.gz",
        "--biomarkers",
        "suv_max,suv_mean,mtv,tlg",
        "--modality",
        "PT",
    )
    found = {row["id"]: row["value"] for row in rows}
    for biomarker, column in (
        ("suv_max", "suv_max"),
        ("suv_mean", "suv_mean"),
        ("mtv", "gtv_ml"),
        ("tlg", "tlg"),
    ):
        assert found[biomarker] == pytest.approx(float(expected[column]), rel=1e-3)


def test_seg_and_label_map_of_the_same_liver(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared_data / "dicom_seg_sr" / "dcmqi" / "segmentations"
    main(
        [
            "compare",
            str(folder / "liver.dcm"),
            str(folder / "liver_seg.nrrd"),
            "--image",
            str(folder / "ct-3slice"),
            "--json",
        ]
    )
    found = json.loads(capsys.readouterr().out)
    assert (found["dice"], found["hd_mm"]) == (1.0, 0.0)
    (row,) = answer(
        capsys, "measure", folder / "ct-3slice", folder / "liver.dcm", "--biomarkers", "liver_attenuation"
    )
    assert row["structure"] == "liver"
    assert row["code"] is not None


@pytest.mark.parametrize("case", ["LIDC-IDRI-0001", "LIDC-IDRI-0003"])
def test_nodules_of_four_readers(shared_data: Path, tmp_path: Path, case: str) -> None:
    folder = shared_data / "lidc_nodules"
    with zipfile.ZipFile(folder / f"{case}.zip") as archive:
        archive.extractall(tmp_path)
    image = load_image(tmp_path).image
    from racoon.science.biomarkers import Context, Region, get_definition
    from racoon.standards.files.contours import toggle_polygon

    document = json.loads((folder / f"{case}_annotations.json").read_text())
    volumes, polygons, densities = [], [], []
    for reader in document["annotations"]:
        if not reader.get("fully_inside_supplied_slices", True):
            continue
        mask = np.zeros(image.shape, bool)
        for contour in reader["contours"]:
            slice_index = round((contour["z"] - image.affine[2, 3]) / image.affine[2, 0])
            points = np.array(contour["col_row"], dtype=np.float64)
            toggle_polygon(mask[slice_index], points[:, 1], points[:, 0])
        region = Region(image, mask)
        volumes.append(
            1000 * get_definition("volume", "1").compute_region(region, Context("CT", kvp=120.0)).value
        )
        polygons.append(reader["polygon_volume_mm3"])
        densities.append(get_definition("mean_density", "1").compute_region(region, Context("CT")).value)
    # Columns and rows exchanged would land in air or in the wall of the chest.
    assert -250 < max(densities) < 100
    for volume, polygon in zip(volumes, polygons, strict=True):
        assert volume == pytest.approx(polygon, rel=0.05)
    assert 0.95 * min(polygons) <= float(np.median(volumes)) <= 1.05 * max(polygons)
