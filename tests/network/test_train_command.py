"""The how-to page of training, executed as it stands: real engine processes, package, inference, scores."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')
pytest.importorskip("nvflare", reason='needs the extra: pip install "racoon[learning]"')

from racoon.cli import main
from racoon.learning.packages import open_package
from tests.unit.learning.making import write_nifti_site

pytestmark = [
    pytest.mark.learning,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # nvflare 2.9 passes aiohttp a deprecated argument; as an error that would end FLARE's connector.
    pytest.mark.filterwarnings("ignore:ssl_context is deprecated:DeprecationWarning"),
]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "train-and-share-models.md"


def test_the_page_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (plan,) = re.findall(r"```json\n(.*?)```", text, flags=re.DOTALL)
    commands = [block.strip() for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)]
    monkeypatch.chdir(tmp_path)
    Path("plan.json").write_text(plan)
    write_nifti_site(Path("north"), 1, 4)
    write_nifti_site(Path("south"), 2, 4)

    model, answers = "", []
    for command in commands:
        words = shlex.split(command.replace("MODEL", model))
        assert words[0] == "racoon"
        assert main(words[1:]) == 0, command
        answers.append(json.loads(capsys.readouterr().out))
        if words[1] == "train":
            model = answers[0]["models"][0]["package"]
    trained, verified, inferred, scored = answers

    assert [sorted(entry["sites"]) for entry in trained["rounds"]["federated"]] == [["north", "south"]] * 2
    assert [entry["missing"] for entry in trained["rounds"]["federated"]] == [[], []]
    rows = {(row["model"], row["site"]): row for row in trained["table"]}
    assert rows["federated", "all"]["n"] == 2
    assert {"trivial:empty", "trivial:prior", "trivial:threshold"} <= {name for name, _ in rows}
    assert trained["fingerprint"]["images"] == 6
    assert trained["fingerprint"]["planned_size"] == [32, 32]
    assert trained["fingerprint"]["spacing_mm"] == [1.0, 1.0, 1.0]
    federated = trained["membership"]["models"]["federated"]
    assert (federated["members"], federated["others"]) == (2, 2)
    assert 0.0 <= federated["lower"] <= federated["auc"] <= federated["upper"] <= 1.0
    assert set(verified["golden_differences"]) == {"onnx", "torch"}
    assert inferred["runtime"] == "onnx"
    assert sorted(inferred["most_uncertain_first"]) == sorted(row["name"] for row in inferred["series"])
    assert verified["hash"] == inferred["model"]["hash"] == Path(model).stem
    card = open_package(Path(model)).card
    assert card.training["strategy"] == {"name": "fedprox", "proximal": 0.01}
    assert card.metrics["all"]["n"] == 2
    assert [row["state"] for row in inferred["series"]] == ["segmented"] * 4
    assert scored["subjects_compared"] == 4
