"""All modes on real MR in a reduced setting: the whole way in minutes, with numbers that only have to be sane."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')
pytest.importorskip("nvflare", reason='needs the extra: pip install "racoon[learning]"')

pytestmark = [pytest.mark.learning, pytest.mark.slow, pytest.mark.timeout(420)]

ROOT = Path(__file__).resolve().parents[2]


def test_every_mode_is_in_one_table_on_subjects_nobody_trained_on(shared_data: Path, tmp_path: Path) -> None:
    assert (shared_data / "hippocampus_mr").is_dir()
    command = [sys.executable, str(ROOT / "tools" / "compare_modes.py"), "hippocampus", "--reduced"]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(done.stdout)
    (run,) = found["runs"]
    sites = set(found["sites"])
    assert len(sites) == 4
    rows = {(row["model"], row["site"]): row for row in run["table"]}
    models = {"pooled", "federated", "ensemble"} | {f"local:{site}" for site in sites}
    for model in models:
        for site in sites | {"all"}:
            row = rows[model, site]
            assert row["lower"] <= row["mean"] <= row["upper"]
    assert len({rows[model, "all"]["n"] for model in models}) == 1
    assert rows["federated", "all"]["mean"] > rows["trivial:empty", "all"]["mean"]
    assert all(not entry["missing"] for entry in run["rounds"]["federated"])
    assert {model["name"] for model in run["models"]} == models - {"ensemble"}
    verdict = run["verdict"]
    assert all(verdict[key] is not None for key in verdict)
