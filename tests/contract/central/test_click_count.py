"""One submission serves all sites: what people do does not grow with the number of sites, but at each site itself."""

from __future__ import annotations

from pathlib import Path

from tests.click_count import study_with


def test_forms_at_central_do_not_depend_on_the_number_of_sites(tmp_path: Path) -> None:
    few, more = study_with(tmp_path / "few", 3), study_with(tmp_path / "more", 5)
    assert few["central"] == more["central"]
    assert (few["submissions"], more["submissions"]) == (1, 1)
    assert (few["versions"], more["versions"]) == (1, 1), "every site was offered the same application"
    assert (few["results"], more["results"]) == (3, 5)
    assert sum(few["per_site"].values()) == 8
