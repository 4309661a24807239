"""A country is the same for the same seed, however many processes made it, and its index tells the truth."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pydicom import dcmread

from racoon.demo.country import CountryRefused, load_country, plan_cases, write_country
from racoon.demo.hospitals import HOLDOUT, HOSPITALS, POOL, get_style
from racoon.domain.identity import is_site_code


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.dcm"))}


def list_uids(folder: Path) -> list[str]:
    return sorted(dcmread(p, specific_tags=["SOPInstanceUID"]).SOPInstanceUID for p in folder.rglob("*.dcm"))


@pytest.fixture(scope="module")
def country_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("country")
    write_country(
        folder, sites=1, cases_per_site=3, seed=4, light=True, pool=True, holdout=True, holdout_cases=1,
        small_site=0, processes=1,
    )  # fmt: skip
    return folder


def test_same_seed_same_bytes_whatever_the_processes(country_folder: Path, tmp_path: Path) -> None:
    write_country(
        tmp_path, sites=1, cases_per_site=3, seed=4, light=True, pool=True, holdout=True, holdout_cases=1,
        small_site=0, processes=2,
    )  # fmt: skip
    assert contents(country_folder) == contents(tmp_path)
    assert (country_folder / "truth.json").read_bytes() == (tmp_path / "truth.json").read_bytes()


def test_index_matches_the_files(country_folder: Path) -> None:
    country = load_country(country_folder)
    assert [site.code for site in country.sites] == ["ALPHA", HOLDOUT, POOL]
    assert [site.purpose for site in country.sites] == ["training", "holdout", "pool"]
    assert country.instance_count == len(contents(country_folder))
    assert {case.split for case in country.cases if case.site == HOLDOUT} == {"test"}
    held_out = {case.case for case in country.cases if case.split == "test"}
    assert held_out.isdisjoint(case.case for case in country.cases if case.split == "train")


def test_pool_holds_the_same_instances(country_folder: Path) -> None:
    country = load_country(country_folder)
    assert list_uids(country.get_pacs("ALPHA")) == list_uids(country.get_pacs(POOL))


def test_instances_are_unique_within_a_site(country_folder: Path) -> None:
    for site in ("ALPHA", HOLDOUT):
        uids = list_uids(country_folder / "pacs" / site)
        assert len(set(uids)) == len(uids) > 0


def test_sites_are_unequal_and_large_enough_to_be_released() -> None:
    counts = Counter(code for code, _, _ in plan_cases(12, 8, None))
    assert min(counts.values()) >= 5
    assert len(set(counts.values())) > 1
    assert Counter(code for code, _, _ in plan_cases(3, 8, 1))["BRAVO"] == 3


def test_there_are_38_hospitals_with_proper_codes() -> None:
    codes = [hospital.code for hospital in HOSPITALS]
    assert len(set(codes)) == 38
    assert all(is_site_code(code) for code in [*codes, POOL, HOLDOUT])


def test_sites_see_different_disease() -> None:
    shares = [get_style(index).mixture.ground_glass for index in range(3)]
    assert max(shares) - min(shares) > 0.5


@pytest.mark.parametrize("sites", [0, 39])
def test_impossible_number_of_sites_is_refused(tmp_path: Path, sites: int) -> None:
    with pytest.raises(CountryRefused, match="1 to 38"):
        write_country(tmp_path, sites=sites)
