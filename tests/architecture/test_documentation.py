"""The documentation cannot lie: it is complete where it is generated and true where it is written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from racoon.central.settings import CentralSettings
from racoon.node.settings import NodeSettings
from tools.reference import cli_page, error_classes, errors_page, protocol_page, setting_rows

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = sorted(
    path
    for path in (
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("*.md"),
        ROOT / "src/racoon/README.md",
        ROOT / "tests/README.md",
    )
)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def known_flags() -> dict[str, set[str]]:
    """Flags of each command, from the generated page."""
    flags: dict[str, set[str]] = {}
    command = ""
    for line in cli_page().splitlines():
        if heading := re.match(r"#+ (racoon .*)", line):
            command = heading.group(1)
            flags[command] = {"--help", "--debug"}
        elif parameter := re.match(r"\* `(.+?)`", line):
            flags.setdefault(command, set()).update(re.findall(r"--[a-z][a-z-]*", parameter.group(1)))
    return flags


def test_every_flag_says_what_it_does() -> None:
    parameters = [line for line in cli_page().splitlines() if re.match(r"\* `[^`]*[-A-Z]", line)]
    assert len(parameters) > 20
    assert [line for line in parameters if not re.match(r"\* `[^`]+`: \w.{8,}", line)] == []


def test_every_command_speaks_json() -> None:
    leaves = {command: flags for command, flags in known_flags().items() if flags - {"--help", "--debug"}}
    assert len(leaves) >= 9
    assert [command for command, flags in leaves.items() if "--json" not in flags] == []


@pytest.mark.parametrize("settings", [NodeSettings, CentralSettings], ids=["node", "central"])
def test_every_setting_says_what_it_means(settings: type) -> None:
    rows = list(setting_rows(settings))
    assert len(rows) > 10
    assert [key for key, _, _, meaning in rows if not meaning] == []


def test_every_error_says_what_it_means() -> None:
    assert [cls.__name__ for cls in error_classes() if not (cls.__doc__ or "").strip()] == []
    page = errors_page()
    assert [cls.code for cls in error_classes() if f"`{cls.code}`" not in page] == []


def test_every_message_says_what_it_is_for() -> None:
    sections = re.split(r"\n## ", protocol_page())[2:]
    assert [text.splitlines()[0] for text in sections if not re.search(r"\*to .+?\*\n\n\w.{15,}", text)] == []


@pytest.mark.parametrize("page", WRITTEN, ids=relative)
def test_written_pages_name_only_flags_that_exist(page: Path) -> None:
    flags = known_flags()
    unknown = []
    for line in page.read_text(encoding="utf-8").splitlines():
        for call in re.findall(r"racoon ((?:[a-z][a-z-]* )*)((?:[^`|]*))", line):
            words = ["racoon", *call[0].split()]
            while " ".join(words) not in flags and len(words) > 1:
                words.pop()
            known = flags.get(" ".join(words), set())
            if len(words) > 1:
                unknown += [
                    flag for flag in re.findall(r"(?<!\w)--[a-z][a-z-]+", call[1]) if flag not in known
                ]
    assert unknown == []


@pytest.mark.parametrize("page", WRITTEN, ids=relative)
def test_links_of_written_pages_lead_somewhere(page: Path) -> None:
    generated = {"cli.md", "settings.md", "api.md", "protocol.md", "errors.md", "biomarkers.md"}
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [target for target in targets if target and "://" not in target]
    missing = [
        target
        for target in local
        if not (page.parent / target).exists() and Path(target).name not in generated
    ]
    assert missing == []


def test_make_targets_in_the_documentation_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    named = {
        target
        for page in WRITTEN
        for target in re.findall(r"`make ([a-z]+)", page.read_text(encoding="utf-8"))
    }
    assert named - targets == set()


def test_every_decision_is_a_short_record_and_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    records = sorted(path for path in folder.glob("[0-9]*.md"))
    numbers = [int(path.name[:4]) for path in records]
    assert len(set(numbers)) == len(numbers), "each number once; rooms number in blocks of their own"
    index = (folder / "index.md").read_text(encoding="utf-8")
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert record.name in index
        assert re.findall(r"^## (.+)", text, flags=re.MULTILINE) == ["Context", "Decision", "Consequences"]
        assert len(text.splitlines()) <= 60, "one page"


@pytest.mark.timeout(180)
def test_documentation_builds_strictly_and_asks_no_other_host(tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "build_docs.py"), str(site)],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (site / "index.html").is_file()
    assert (site / "reference" / "settings.html").is_file()
