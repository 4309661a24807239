"""Manual against automatic per site, from what a site's gate let through."""

from __future__ import annotations

import numpy as np
import pytest

from racoon.central.results.agreement import FIGURES, agreement_rows, compare_sites
from racoon.central.results.model import SiteRelease
from racoon.central.results.report import view
from racoon.domain.coding import Code
from racoon.domain.plan import Bins, Measurement, MeasuringPlan, agreement_pairs
from racoon.science.statistics import Moments
from racoon.science.statistics.agreement import (
    bland_altman,
    concordance_correlation,
    intraclass_correlation,
    paired,
)
from racoon.web.pages import environment

LIVER = Code("10200004", "SCT", "Liver")
PLAN = MeasuringPlan(
    "livers",
    tuple(
        Measurement("volume", "1", LIVER, Bins(0.0, 3000.0, 100.0), parameters)
        for parameters in ({"drawn": "manual"}, {"drawn": "automatic"}, {})
    ),
)
(PAIR,) = agreement_pairs(PLAN.measurements)


def release(site: str, manual, automatic, *, held_back: bool = False) -> SiteRelease:
    columns = {PAIR.manual: manual, PAIR.automatic: automatic, PAIR.key: np.subtract(automatic, manual)}
    items = [
        {
            "key": key,
            "unit": "mL",
            "title": "Volume",
            "moments": None if held_back and key == PAIR.key else Moments.of(values).to_dict(),
        }
        for key, values in columns.items()
    ]
    return SiteRelease(site, {"measurements": items})


def test_figures_are_those_of_the_pairs_themselves() -> None:
    draw = np.random.default_rng(7)
    manual = {site: draw.normal(1500.0, 200.0, 12) for site in ("ALPHA", "BRAVO")}
    automatic = {
        site: values + draw.normal(20.0 if site == "ALPHA" else -40.0, 15.0, 12)
        for site, values in manual.items()
    }
    releases = [release(site, manual[site], automatic[site]) for site in manual]
    releases.append(release("CHARLIE", manual["ALPHA"], automatic["ALPHA"], held_back=True))
    (found,) = compare_sites(PLAN, releases)
    assert (found["unit"], found["title"], found["label"]["meaning"]) == ("mL", "Volume", "Liver")
    for row in found["per_site"][:2]:
        table = paired(automatic[row["site"]], manual[row["site"]])
        limits = bland_altman(table)
        for name, wanted in (
            ("bias", limits.bias),
            ("lower", limits.lower),
            ("upper", limits.upper),
            ("icc", intraclass_correlation(table).two_way),
            ("ccc", concordance_correlation(table)),
        ):
            assert row[name] == pytest.approx([wanted.value, wanted.low, wanted.high], rel=1e-6), name
    assert found["per_site"][2] == {
        "site": "CHARLIE",
        "n": None,
        "bias": None,
        "lower": None,
        "upper": None,
        "icc": None,
        "ccc": None,
    }
    together = paired(np.concatenate(list(automatic.values())), np.concatenate(list(manual.values())))
    assert found["pooled"]["n"] == 24
    assert found["pooled"]["ccc"][0] == pytest.approx(concordance_correlation(together).value, rel=1e-6)


def test_sums_that_do_not_belong_together_are_not_used() -> None:
    honest = release("ALPHA", [1.0, 2.0, 3.0, 5.0], [1.5, 2.0, 3.5, 5.0])
    other = honest.payload["measurements"][2] | {"moments": Moments.of([9.0, 9.0, 8.0, 9.5]).to_dict()}
    broken = SiteRelease("ALPHA", {"measurements": [*honest.payload["measurements"][:2], other]})
    assert compare_sites(PLAN, [broken])[0]["per_site"][0]["n"] is None
    assert compare_sites(MeasuringPlan("none", PLAN.measurements[2:]), [honest]) == []


def test_page_and_report_show_each_site() -> None:
    releases = [release("ALPHA", [1500.0, 1600.0, 1750.0, 1900.0], [1510.0, 1612.0, 1757.0, 1911.0])]
    releases.append(release("BRAVO", [1.0, 2.0, 3.0], [1.0, 2.0, 3.5], held_back=True))
    result = {
        "study_id": "study-1",
        "measuring": [],
        "training": None,
        "agreement": compare_sites(PLAN, releases),
    }
    shown = view(result, "de", {"ALPHA": "https://alpha.example"})
    # The name of a site opens the site's own page, where each pair opens its images.
    assert shown["agreement"][0]["opens"] == {"ALPHA": "https://alpha.example/values/agreement?study=study-1"}
    source = (
        '{% from "central/_result.html" import agreement_section with context %}'
        "{{ agreement_section(agreement, figure) }}"
    )
    page = environment("de").from_string(source).render(language="de", **shown)
    assert "Manuell gegen automatisch, je Standort" in page
    assert "zurückgehalten" in page
    assert page.count('href="https://alpha.example/values/agreement?study=study-1"') == 1
    assert "Mittlere Abweichung" in page
    # The mean of 10, 12, 7 and 11.
    assert ">10,00 (" in page


def test_each_site_is_a_line_of_the_table_and_what_was_held_back_has_no_numbers() -> None:
    releases = [release("ALPHA", [1500.0, 1600.0, 1750.0, 1900.0], [1510.0, 1612.0, 1757.0, 1911.0])]
    releases.append(release("BRAVO", [1.0, 2.0, 3.0], [1.0, 2.0, 3.5], held_back=True))
    found = compare_sites(PLAN, releases)
    result = {"study_id": "study-1", "data_origin": "synthetic", "agreement": found}
    head, alpha, bravo, pooled = (list(row) for row in agreement_rows(result))
    line = dict(zip(head, alpha, strict=True))
    assert (line["label"], line["site"], line["n"], line["unit"]) == ("Liver", "ALPHA", 4, "mL")
    assert [line[f"bias{end}"] for end in ("", "_low", "_high")] == found[0]["per_site"][0]["bias"]
    hidden = dict(zip(head, bravo, strict=True))
    assert (hidden["n"], hidden["suppressed"]) == (None, "yes")
    assert {hidden[name] for name in FIGURES} == {None}
    assert dict(zip(head, pooled, strict=True))["site"] == "(pooled)"
