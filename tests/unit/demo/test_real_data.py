"""Real images keep their voxels and places, outlines keep every voxel, a wrong manifest says why."""

from __future__ import annotations

import json
from itertools import permutations, product
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from racoon.demo.contours import fill_polygon, rasterise
from racoon.demo.country import plan_institutions, write_country
from racoon.demo.manifest import ManifestRefused, load_manifest
from racoon.demo.nifti import NiftiDefect, Volume, load_nifti, match_labels, turn_to_axial
from racoon.demo.real_data import compute_geometry, read_datasets, sort_slices, store_values

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "real-data.toml"


def place(affine: np.ndarray, index: tuple[int, ...]) -> np.ndarray:
    return (affine @ np.array([*index, 1.0]))[:3]


@given(
    order=st.sampled_from(list(permutations(range(3)))),
    signs=st.sampled_from(list(product((1, -1), repeat=3))),
    tilt=st.floats(-0.5, 0.5),
)
def test_turning_moves_no_voxel_in_the_world(
    order: tuple[int, int, int], signs: tuple[int, int, int], tilt: float
) -> None:
    data = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    turn = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.eye(3)[:, list(order)] @ np.diag(np.multiply(signs, (1.0, 2.0, 3.0)))
    affine[:3, 3] = (5, -7, 11)
    turned, found = turn_to_axial(data, affine)
    before = {int(data[i]): place(affine, i) for i in np.ndindex(*data.shape)}
    for index in np.ndindex(*turned.shape):
        np.testing.assert_allclose(place(found, index), before[int(turned[index])], atol=1e-9)
    # Slices run to the head, rows to the back, columns to the left.
    assert all(found[axis, 2 - axis] > 0 for axis in range(3))


@given(axes=st.sampled_from(["RAS", "LPS", "LAS", "SRP", "AIL", "PSR"]))
def test_nifti_world_is_ras_and_ours_is_lps(tmp_path_factory: pytest.TempPathFactory, axes: str) -> None:
    folder = tmp_path_factory.mktemp("nifti")
    data = np.zeros((4, 5, 6), dtype=np.int16)
    data[1, 2, 3] = 7
    image = nib.Nifti1Image(data, np.array([[2, 0, 0, -3], [0, 2, 0, 4], [0, 0, 3, 10], [0, 0, 0, 1.0]]))
    code = nib.orientations.axcodes2ornt(axes)
    start = nib.orientations.io_orientation(image.affine)
    turned = image.as_reoriented(nib.orientations.ornt_transform(start, code))
    nib.save(turned, folder / "a.nii.gz")
    volume = load_nifti(folder / "a.nii.gz")
    at = np.argwhere(volume.data == 7)[0]
    np.testing.assert_allclose(place(volume.affine, tuple(at)), (-(2 * 1 - 3), -(2 * 2 + 4), 3 * 3 + 10))


def test_label_map_on_another_grid_is_refused() -> None:
    labels = Volume(np.zeros((3, 3, 3), dtype=np.uint8), np.eye(4), is_integer=True)
    shifted = np.eye(4)
    shifted[0, 3] = 0.4
    with pytest.raises(NiftiDefect):
        match_labels(labels, (3, 3, 3), shifted)


def test_values_without_unit_are_stored_whole() -> None:
    large = Volume(np.array([[[0.0, 1_432_837.375]]]), np.eye(4), is_integer=False)
    stored, factor = store_values(large, "MR")
    assert factor == 100
    assert stored.max() == 14328
    small = Volume(np.array([[[0, 255]]], dtype=np.uint8), np.eye(4), is_integer=True)
    assert store_values(small, "MR")[1] == 1
    np.testing.assert_array_equal(store_values(small, "MR")[0], small.data)


def test_polygon_is_filled_by_pixel_centres() -> None:
    square = np.array([[0.5, 0.5], [0.5, 3.5], [2.5, 3.5], [2.5, 0.5]])
    expected = np.zeros((5, 6), dtype=bool)
    expected[1:3, 1:4] = True
    np.testing.assert_array_equal(fill_polygon(square, (5, 6)), expected)
    bow = np.array([[-0.5, -0.5], [-0.5, 4.5], [4.5, -0.5], [4.5, 4.5]])
    assert fill_polygon(bow, (5, 5))[0, 2]
    assert not fill_polygon(bow, (5, 5))[2, 0]


def test_absent_root_is_refused_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('root = "nowhere"\n')
    with pytest.raises(ManifestRefused, match="root"):
        load_manifest(tmp_path / "m.toml")
    (tmp_path / "m.toml").write_text('root = "."\ntitel = "x"\n')
    with pytest.raises(ManifestRefused, match="key"):
        load_manifest(tmp_path / "m.toml")
    with pytest.raises(ManifestRefused, match="no manifest"):
        load_manifest(tmp_path / "absent.toml")


def test_folder_of_nifti_images_becomes_a_country(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for part in ("images", "labels"):
        (tmp_path / "in" / part).mkdir(parents=True)
    for number in range(4):
        image = rng.integers(0, 500, (8, 9, 7)).astype(np.int16)
        for part, data in (("images", image), ("labels", (image > 300).astype(np.uint8))):
            nib.save(
                nib.Nifti1Image(data, np.diag([1, 1, 2, 1.0])), tmp_path / "in" / part / f"p{number}.nii.gz"
            )
    country = write_country(tmp_path / "out", source=tmp_path / "in", holdout=False, pool=False, processes=1)
    assert country.kind == "real"
    assert [len(site.cases) for site in country.sites] == [2, 1, 1]
    planned = plan_institutions(source=tmp_path / "in", light=True)
    assert [site.code for site in planned] == [site.code for site in country.sites]


def test_example_describes_the_shared_images(shared_data: Path, tmp_path: Path) -> None:
    del shared_data
    manifest = load_manifest(EXAMPLE)
    assert manifest.site_codes == ["ALPHA", "BRAVO", "CHARLIE"]
    country = write_country(
        tmp_path, source=EXAMPLE, sites=1, cases_per_site=2, holdout_cases=1, pool=False, processes=1
    )
    case = next(case for case in country.cases if case.modality == "MR" and case.split == "train")
    folder = country.get_pacs(case.site) / case.case
    images = sort_slices([dcmread(path) for path in folder.glob("MR-*.dcm")], "MR")
    source = load_nifti(manifest.root / str(case.truth["source"]))
    shape, affine = compute_geometry(images)
    np.testing.assert_allclose(affine, source.affine, atol=1e-4)
    np.testing.assert_array_equal(np.stack([image.pixel_array for image in images]), source.data)
    name = Path(str(case.truth["source"])).name
    outlines = load_nifti(manifest.root / "hippocampus_mr" / "labels" / name)
    segmentation = hd.seg.segread(folder / "SEG-0001.dcm")
    pixels = segmentation.get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in images], ignore_spatial_locations=True
    )
    np.testing.assert_array_equal(pixels[..., 0] > 0, outlines.data > 0)
    np.testing.assert_array_equal(pixels[..., 1] > 0, outlines.data == 1)
    assert shape == outlines.data.shape
    assert dcmread(folder / "SEG-0001.dcm").PatientID == case.truth["patient_id"]


def test_contours_have_the_published_volume(shared_data: Path) -> None:
    folder = shared_data / "ct_lung_rtstruct"
    expected = json.loads((folder / "expected_volumes.json").read_text())
    images = sort_slices(read_datasets(folder / "LUNG1-001_CT.tar.xz"), "CT")
    shape, affine = compute_geometry(images)
    structures = dcmread(folder / "LUNG1-001_RTSTRUCT.dcm")
    for region in ("GTV-1", "Lung-Left"):
        mask = rasterise(structures, region, shape, affine)
        volume_ml = float(mask.sum()) * abs(float(np.linalg.det(affine[:3, :3]))) / 1000
        assert volume_ml == pytest.approx(expected[region]["raster_xor_volume_ml"], rel=1e-3)
