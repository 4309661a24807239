"""The page of an acceptance run says enough to go on from it in another checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import acceptance
from tools.acceptance import Result, Step, read_page, write_page


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "docs" / "measured").mkdir(parents=True)
    monkeypatch.setattr(acceptance, "ROOT", tmp_path)
    steps = [
        Step("measured", "it is fast", action=lambda _: {}),
        Step("tested", "it is right", tests=("t",), times=3),
    ]
    figures = {"ratio to a peer (goal 2)": 2.5, "attacker right": "0.66 [0.59, 0.72] of 200"}
    results = {
        "measured": Result(
            "measured", "passed", 1, 12.4, figures=dict(figures), machine="2 cores, x", commit="abc"
        ),
        "tested": Result("tested", "passed", 3, 7.0, 41, 2, machine="2 cores, x", commit="abc with changes"),
    }
    return write_page("X", "a room", [*steps, Step("left", "not yet")], results)


def test_what_passed_is_read_back_from_the_page(page: Path) -> None:
    found = read_page(page)
    assert set(found) == {"measured", "tested"}
    tested = found["tested"]
    assert (tested.runs, tested.tests, tested.skipped, tested.commit) == (3, 41, 2, "abc with changes")
    assert found["measured"].figures == {
        "ratio to a peer (goal 2)": "2.5",
        "attacker right": "0.66 [0.59, 0.72] of 200",
    }
    assert found["measured"].machine == "2 cores, x"


def test_what_failed_is_not_kept(page: Path) -> None:
    page.write_text(
        page.read_text("utf-8").replace("| it is fast | passed |", "| it is fast | failed |"), "utf-8"
    )
    assert set(read_page(page)) == {"tested"}
    assert read_page(page.parent / "none.md") == {}
