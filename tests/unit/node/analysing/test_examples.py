"""The examples: notebook, workflows and plans run as they stand; the notebook's outputs are tolerant references."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from racoon.cli import main
from racoon.node.analysing.tables import read_plan

EXAMPLES = Path(__file__).resolve().parents[4] / "examples" / "analysis"
NUMBER = re.compile(r"-?\d+\.\d+")


@pytest.mark.parametrize("notebook", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_runs_and_says_what_it_said(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    names: dict[str, Any] = {"EXAMPLES": EXAMPLES}
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert sum(bool(cell.get("outputs")) for cell in cells) >= 2
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile("".join(cell["source"]), notebook.name, "exec"), names)
        kept = "".join(line for output in cell["outputs"] for line in output["text"])
        assert NUMBER.sub("#", said.getvalue()) == NUMBER.sub("#", kept)
        for mine, other in zip(NUMBER.findall(said.getvalue()), NUMBER.findall(kept), strict=True):
            assert float(mine) == pytest.approx(float(other), rel=0.02, abs=1e-6)


def test_the_steps_of_both_workflows_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snake, flow = ((EXAMPLES / name).read_text(encoding="utf-8") for name in ("Snakefile", "main.nf"))
    commands = re.findall(r'shell: "(.+)"', snake)
    assert [" ".join(command.split()[:2]) for command in commands] == [
        "python {params.script}",
        "racoon analyse",
    ]
    for command in commands:
        plain = command.replace("{params.script}", "$script").replace("{input.plan}", "$plan")
        assert plain.replace("{input.table}", "$table").replace("{output}", "cohort.csv") in flow
    monkeypatch.chdir(tmp_path)
    subprocess.run(
        [sys.executable, EXAMPLES / "cohort.py", "--rows", "600", "--output", "cohort.csv"], check=True
    )
    words = (
        commands[1]
        .replace("{input.plan}", str(EXAMPLES / "effusion.toml"))
        .replace("{input.table}", "cohort.csv")
    )
    assert main(words.split()[1:]) == 0
    assert json.loads((tmp_path / "analysis" / "results.json").read_text())["plan_hash"]
    if shutil.which("snakemake"):
        dry = ["snakemake", "--cores", "1", "--dry-run", "--snakefile", EXAMPLES / "Snakefile"]
        subprocess.run(dry, check=True, cwd=tmp_path)
    if shutil.which("nextflow"):
        subprocess.run(["nextflow", "lint", EXAMPLES / "main.nf"], check=True, cwd=tmp_path)
    assert flow.count("{") == flow.count("}")
    assert flow.count('"""') == 4


def test_every_plan_is_a_plan() -> None:
    plans = [read_plan(path) for path in sorted(EXAMPLES.glob("*")) if path.suffix in {".toml", ".yaml"}]
    assert len(plans) >= 2
    assert {item.source for plan in plans for item in plan.variables} >= {
        "clinical died_within 30",
        "clinical days_observed",
    }
