"""The Python client: an analysis written over a table that nobody sees, proposed, approved, run, fetched."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from racoon.client import CentralClient, ServerProblem
from racoon.client.analysis import FormulaDefect, ResearchStudy, Table, parse_formula
from racoon.client.results import AnalysisFailed
from racoon.domain.analysis import parse_plan
from racoon.science.analysis import OpenGate, SiteTable, run_plan
from racoon.science.statistics.derivation import derive
from tests.analysing_sites import AnalysingSite, carry_on, cohort, definition, merged, release_study
from tests.simulated_network import Network

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "run-an-analysis.md"


class Person(CentralClient):
    """The client of somebody who is signed in; while it waits, the sites work."""

    def __init__(self, network: Network) -> None:
        super().__init__("http://127.0.0.1:8500")
        self.close()
        self._client = network.person("pi")
        self.network = network
        self.sites: dict[str, AnalysingSite] = {}

    def analysis(self, run_id: str) -> dict[str, Any]:
        for site in self.sites.values():
            for offer in site.node.offers():
                site.answer(offer)
        carry_on(self.network)
        return super().analysis(run_id)


def test_the_examples_of_the_guide_run(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    central = Person(network)
    study_id = central.create_study(definition({}))["study_id"]
    propose, run = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)[:2]
    names: dict[str, Any] = {"central": central, "study_id": study_id}
    exec(compile(propose, PAGE.name, "exec"), names)
    plan = names["plan"]
    assert capsys.readouterr().out.strip() == plan.hash
    with pytest.raises(ServerProblem, match="Not possible while the study is concept"):
        names["table"].run("Ventilation")
    tables = {code: cohort(200, number) for number, code in enumerate(("ALPHA", "BRAVO", "CHARLIE"))}
    central.sites = release_study(network, study_id, tables, plan.to_dict())
    exec(compile(run, PAGE.name, "exec"), names)
    out = capsys.readouterr().out
    assert "sites that count: ALPHA, BRAVO, CHARLIE" in out
    rows = SiteTable("all", derive(plan, merged(tables).columns), OpenGate())
    pooled = run_plan(parse_plan(plan.to_dict()), [rows]).tables[1]
    fit = names["fit"]
    assert [list(row) for row in fit.rows] == [list(row) for row in pooled.rows]
    assert f"calcium: odds ratio {fit.row('calcium')['ratio']:.3f}" in out
    assert zipfile.ZipFile(io.BytesIO((tmp_path / "ventilation.zip").read_bytes())).testzip() is None
    with pytest.raises(ServerProblem, match="approved analysis plans: Ventilation"):
        names["table"].glm("effusion_ml ~ age").run("Ventilation")
    stopped = names["table"].run("Ventilation")
    network.post("pi", f"/api/runs/{stopped.run_id}/cancellation", {"reason": "enough"})
    with pytest.raises(AnalysisFailed, match="cancelled"):
        stopped.wait()


def test_formulas() -> None:
    assert parse_formula("y ~ a + b*c + a", 1) == (["y"], ["a", "b", "c", "b:c"])
    assert parse_formula("days, died ~ a:b", 2) == (["days", "died"], ["a:b"])
    for wrong in ("y", "y ~", "y ~ log(a)", "y, z ~ a", "~ a"):
        with pytest.raises(FormulaDefect, match="is no formula"):
            parse_formula(wrong, 1)


def test_harmonised_names_are_known_after_the_harmonisation() -> None:
    columns = tuple({"name": name, "kind": "number"} for name in ("age", "liver", "fat", "lung"))
    table = Table(ResearchStudy(CentralClient("http://127.0.0.1:8500"), "S1"), columns)
    with pytest.raises(FormulaDefect, match="no column 'liver_h'"):
        table.glm("liver_h ~ age")
    plan = table.harmonise("liver", "fat", keeping=["age"]).glm("liver_h ~ age + fat_h").plan("Harmonised")
    assert [variable.name for variable in plan.variables] == ["age", "liver", "fat"]
    assert set(plan.harmonised) == {"liver_h", "fat_h"}
