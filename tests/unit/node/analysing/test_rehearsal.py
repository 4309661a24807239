"""A paper's analysis on a synthetic cohort with planted effects: federated behind the gate, and pooled."""

import csv
import json
import math
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from racoon.cli import main
from racoon.domain.analysis import PlanDefect, parse_plan
from racoon.node.analysing.rehearsal import rehearse, write_results
from racoon.node.analysing.tables import TableDefect, read_plan, read_sites
from racoon.node.release.policy import DisclosurePolicy

ROOT = Path(__file__).resolve().parents[4]
PLAN = (ROOT / "examples" / "analysis" / "effusion.toml").read_text(encoding="utf-8")

TRUTH = {"effusion": 2.2, "muscle_loss": 3.0}
HEADER = [
    "site",
    "subject",
    "age",
    "sex",
    "effusion_ml",
    "muscle_loss",
    "calcium_100",
    "days",
    "died",
    "ventilated",
]


def write_cohort(path, *, rows=3000, sites=5, seed=7, tiny=0):
    """Subjects of several sites with planted hazard ratios 2.2 and 3.0 and an odds ratio of 1.1 per 100."""
    random = np.random.default_rng(seed)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        for number in range(rows + tiny):
            site = f"site-{number % sites}" if number < rows else "tiny"
            age, male = random.normal(62, 12), random.integers(0, 2)
            effusion = random.exponential(150) * (random.random() < 0.6)
            muscle, calcium = random.random() < 0.3, random.gamma(1, 4)
            hazard = 0.004 * math.exp(
                math.log(2.2) * (effusion >= 100) + math.log(3.0) * muscle + 0.02 * (age - 62)
            )
            time, censoring = random.exponential(1 / hazard), random.uniform(5, 180)
            odds = math.exp(-1.5 + math.log(1.1) * calcium + 0.01 * (age - 62))
            writer.writerow(
                [site, number, "" if number % 50 == 0 and number < rows else f"{age:.1f}",
                 ["female", "male"][male], f"{effusion:.0f}", int(muscle), f"{calcium:.2f}",
                 f"{min(time, censoring):.2f}", int(time <= censoring), int(random.random() < odds / (1 + odds))]
            )  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "plan.toml").write_text(PLAN)
    write_cohort(folder / "cohort.csv", tiny=4)
    return folder


@pytest.fixture(scope="module")
def rehearsal(study):
    return rehearse(read_plan(study / "plan.toml"), read_sites(study / "cohort.csv", "site"))


def table_of(analysis, title, subgroup=""):
    return next(t for t in analysis.tables if (t.title, t.subgroup) == (title, subgroup))


def lines(table):
    return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}


def test_planted_effects_lie_in_the_intervals(rehearsal):
    for title in ("Hazard, grid", "Hazard, by site"):
        rows = lines(table_of(rehearsal.federated, title))
        for name, truth in TRUTH.items():
            assert rows[name]["ratio low"] < truth < rows[name]["ratio high"], (title, name)
    calcium = lines(table_of(rehearsal.federated, "Ventilation"))["calcium_100"]
    assert calcium["ratio low"] < 1.1 < calcium["ratio high"]


def test_federated_is_pooled_without_the_refused_site(rehearsal, study):
    sites = read_sites(study / "cohort.csv", "site")
    tiny = sites.pop("tiny")
    without = rehearse(rehearsal.plan, sites)
    assert len(tiny["age"]) == 4
    for title in ("Ventilation", "Hazard, grid"):
        federated = table_of(rehearsal.federated, title)
        assert federated.rows == table_of(without.pooled, title).rows
        assert [site for site, _ in federated.withheld] == ["tiny"]
        assert federated.sites == tuple(sorted(sites))


def test_the_cost_of_the_grid_is_told(rehearsal):
    assert set(rehearsal.grid) == {"Survival", "Hazard, grid"}
    cox = re.search(r"largest difference (\S+) standard errors", rehearsal.grid["Hazard, grid"])
    curves = re.search(r"largest difference (\S+) at its edges", rehearsal.grid["Survival"])
    assert 0 < float(cox[1]) < 0.5
    assert 0 < float(curves[1]) < 0.1


def test_table_one_says_what_the_pooled_rows_say(rehearsal, study):
    sites = read_sites(study / "cohort.csv", "site")
    del sites["tiny"]
    pooled = table_of(rehearse(rehearsal.plan, sites).pooled, "Table 1")
    federated = table_of(rehearsal.federated, "Table 1")
    for ours, theirs in zip(federated.rows, pooled.rows, strict=True):
        mine, other = (dict(zip(federated.columns, row, strict=True)) for row in (ours, theirs))
        assert (mine["n"], mine["mean"], mine["sd"], mine["smd"]) == (
            other["n"], other["mean"], other["sd"], other["smd"]
        )  # fmt: skip


def test_quantiles_come_with_the_error_of_their_bins(rehearsal, study):
    note = next(note for note in table_of(rehearsal.federated, "Table 1").notes if "(not effusion)" in note)
    median, error = re.search(r"median (\S+) ± (\S+),", note).groups()
    table = [row for site, rows in read_sites(study / "cohort.csv", "site").items() if site != "tiny"
             for row in zip(rows["age"], rows["effusion_ml"], strict=True)]  # fmt: skip
    ages = [float(age) for age, effusion in table if age and float(effusion) < 100]
    assert float(error) <= 5
    assert abs(float(np.median(ages)) - float(median)) <= float(error)


def test_no_number_of_the_tiny_site_stands_anywhere(rehearsal):
    for table in rehearsal.federated.tables:
        assert "tiny" not in table.sites
        for site, reason in table.withheld:
            assert not any(character.isdigit() for character in reason), (site, reason)


def test_subgroups_are_computed_too(rehearsal):
    men = table_of(rehearsal.federated, "Table 1", "men")
    counts = {row[2]: row[3] for row in men.rows if row[0] == "sex" and row[1] == "male"}
    assert len(rehearsal.federated.tables) == 14
    assert sum(counts.values()) > 1000


def test_a_stricter_site_policy_wins_over_the_plan(study):
    strict = DisclosurePolicy(training_minimum_sites=9)
    found = rehearse(read_plan(study / "plan.toml"), read_sites(study / "cohort.csv", "site"), strict)
    assert all(table.rows == () for table in found.federated.tables)
    assert table_of(found.federated, "Ventilation").notes == ("Too few sites take part in this analysis.",)
    assert table_of(found.pooled, "Ventilation").rows != ()


def test_a_subgroup_that_leaves_one_person_out_is_refused(study):
    sites = read_sites(study / "cohort.csv", "site")
    oldest = max(float(age) for table in sites.values() for age in table["age"] if age)
    document = rehearse(read_plan(study / "plan.toml"), sites).plan.to_dict()
    document["subgroups"] = [{"name": "all but one", "condition": f"missing(age) or age < {oldest}"}]
    found = rehearse(parse_plan(document), sites)
    withheld = table_of(found.federated, "Ventilation", "all but one").withheld
    assert [reason for _, reason in withheld].count(
        "This subgroup differs from another one in too few subjects."
    ) == 1


def test_order_of_sites_and_rows_changes_no_byte(rehearsal, study):
    sites = read_sites(study / "cohort.csv", "site")
    turned = {
        site: {name: values[::-1] for name, values in sites[site].items()} for site in reversed(list(sites))
    }
    again = rehearse(rehearsal.plan, turned)
    ours = json.dumps([t.to_dict() for t in again.federated.tables if t.title != "Hazard, by site"])
    assert ours == json.dumps(
        [t.to_dict() for t in rehearsal.federated.tables if t.title != "Hazard, by site"]
    )


def test_files_are_complete_and_figures_are_drawings(rehearsal, tmp_path):
    files = write_results(rehearsal, tmp_path)
    assert {path.suffix for path in files} == {".json", ".csv", ".svg"}
    drawings = [ET.parse(path) for path in files if path.suffix == ".svg"]
    assert len(drawings) == 7
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["plan_hash"] == rehearsal.plan.hash
    survival = next(path for path in files if "survival" in path.name and path.suffix == ".svg").read_text()
    assert "at risk" in survival
    assert "effusion" in survival
    with (tmp_path / "06-hazard-grid.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert {row[0] for row in rows if row[0] in {"federated", "pooled"}} == {"federated", "pooled"}


def test_one_command_runs_it_all(study, tmp_path, capsys):
    command = [
        "analyse",
        str(study / "plan.toml"),
        "--table",
        str(study / "cohort.csv"),
        "--output",
        str(tmp_path),
    ]
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["federated"]) == 14
    assert main(command) == 0
    assert "Table 1" in capsys.readouterr().out


def test_bad_files_are_named(tmp_path):
    table = tmp_path / "rows.csv"
    with pytest.raises(TableDefect, match="can't be read"):
        read_sites(table, "site")
    table.write_text("a,b\n1,2\n")
    with pytest.raises(TableDefect, match="column 'site'"):
        read_sites(table, "site")
    table.write_text("site,age\nA\n")
    with pytest.raises(TableDefect, match="line 2"):
        read_sites(table, "site")
    table.write_text("site,age\nA,Müller\n")
    plan = parse_plan(
        {"name": "x", "variables": [{"name": "age", "kind": "number"}],
         "estimators": [{"estimator": "description", "title": "t", "variables": ["age"]}]}
    )  # fmt: skip
    with pytest.raises(TableDefect, match="Table of A: the column age") as refused:
        rehearse(plan, read_sites(table, "site"))
    assert "Müller" not in refused.value.public_message
    bad = tmp_path / "plan.toml"
    bad.write_text("= 3")
    with pytest.raises(PlanDefect, match=r"plan.toml can't be read"):
        read_plan(bad)


def test_the_examples_of_the_guide_run(study, tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "how-to" / "analyse-across-sites.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(snippets) >= 2
    monkeypatch.chdir(study)
    for snippet in snippets:
        exec(compile(snippet, "analyse-across-sites.md", "exec"), {})
    assert "risk ratio 0.45, I² 31 %" in capsys.readouterr().out
    for plan in re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL):
        (tmp_path / "plan.toml").write_text(plan)
        assert read_plan(tmp_path / "plan.toml").estimators
