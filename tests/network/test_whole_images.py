"""Classes and numbers of whole images by the commands: real engine processes, package, inference, scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')
pytest.importorskip("nvflare", reason='needs the extra: pip install "racoon[learning]"')

from racoon.cli import main
from tests.unit.learning.making import AREA, SIZE, write_table_site

pytestmark = [
    pytest.mark.learning,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # nvflare 2.9 passes aiohttp a deprecated argument; as an error that would end FLARE's connector.
    pytest.mark.filterwarnings("ignore:ssl_context is deprecated:DeprecationWarning"),
]


def run(capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 0) -> dict:
    assert main([str(word) for word in (*words, "--json")]) == code, words
    return json.loads(capsys.readouterr().out)


def test_classes_in_a_federation_of_real_processes(tmp_path, capsys) -> None:
    plan = replace(SIZE, local_steps=6)
    (tmp_path / "plan.json").write_text(json.dumps(plan.to_dict()))
    sites = {
        name: write_table_site(tmp_path / name, number, 6)
        for number, name in enumerate(("north", "south"), 1)
    }
    words = [word for name, folder in sites.items() for word in ("--data", f"{name}={folder}")]
    trained = run(capsys, "train", tmp_path / "plan.json", *words, "--out", tmp_path / "out")

    assert [sorted(entry["sites"]) for entry in trained["rounds"]["federated"]] == [["north", "south"]] * 2
    rows = {(row["model"], row["site"]): row for row in trained["table"]}
    assert rows["federated", "all"]["n"] == 4
    assert trained["fingerprint"]["images"] == 8
    assert rows["trivial:majority", "all"]["measures"]["auc"]["n"] == 4
    counts, weights = (trained["fingerprint"][name] for name in ("class_counts", "planned_class_weights"))
    assert sum(counts) == 8
    assert weights[0] * counts[0] == pytest.approx(weights[1] * counts[1])
    assert trained["verdict"]["metric"] == "balanced_accuracy"
    assert list((tmp_path / "out" / "scores" / "north" / "worst").glob("worst-*.png"))
    package = trained["models"][0]["package"]
    assert set(run(capsys, "model", "verify", package)["golden_differences"]) == {"onnx", "torch"}
    follow_the_package(capsys, package, sites["north"], tmp_path / "read")


def test_numbers_at_one_site(tmp_path, capsys) -> None:
    plan = replace(AREA, local_steps=6, rounds=1)
    (tmp_path / "plan.json").write_text(json.dumps(plan.to_dict()))
    site = write_table_site(tmp_path / "north", 1, 6)
    data = ("--data", f"north={site}", "--mode", "local", "--out", tmp_path / "out")
    trained = run(capsys, "train", tmp_path / "plan.json", *data)
    rows = {(row["model"], row["site"]): row for row in trained["table"]}
    assert rows["trivial:mean", "north"]["metric"] == rows["local:north", "north"]["metric"] == "mae"
    assert trained["verdict"]["lower_is_better"]
    follow_the_package(capsys, trained["models"][0]["package"], site, tmp_path / "read")


def follow_the_package(capsys: pytest.CaptureFixture[str], package: str, site: Path, target: Path) -> None:
    inferred = run(capsys, "infer", package, site, target)
    assert [row["state"] for row in inferred["series"]] == ["read"] * 6
    table = (target / "results.csv").read_text().splitlines()
    assert len(table) == 7
    assert all("Research use only" in line for line in table[1:])
    scored = run(capsys, "evaluate", target, site)
    assert scored["images_compared"] == 6
    measure = scored["measures"][scored["metric"]]
    assert measure["lower"] <= measure["mean"] <= measure["upper"]
    assert set(scored["baseline"]["measures"]) == set(scored["measures"])


def test_tables_that_cannot_be_used_are_refused_with_the_reason(tmp_path, capsys) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(SIZE.to_dict()))
    site = write_table_site(tmp_path / "north", 1, 6)
    command = [
        "train",
        tmp_path / "plan.json",
        "--data",
        f"north={site}",
        "--mode",
        "local",
        "--out",
        tmp_path / "out",
    ]
    table = (site / "labels.csv").read_text()
    for text, reason in (
        (table.replace("image,size", "image,grade"), "needs a column"),
        (table + "case10,small,1,cm2\n", "two rows"),
        (table.replace("small", "tiny").replace("large", "huge"), "usable training cases"),
    ):
        (site / "labels.csv").write_text(text)
        assert main([str(word) for word in (*command, "--json")]) != 0
        assert reason in capsys.readouterr().out
    (site / "labels.csv").unlink()
    assert main([str(word) for word in (*command, "--json")]) != 0
    assert "no table of labels" in capsys.readouterr().out
