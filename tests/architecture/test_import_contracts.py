"""The floor plan holds, and each rule of it would notice if somebody broke it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

LINT_IMPORTS = Path(sys.executable).parent / "lint-imports"

NOT_OPEN_YET: frozenset[str] = frozenset()
"""Rooms of the plan that no issue needed so far.  The linter refuses to hear of modules that do not exist."""

HOUSE = {
    # contract id: (type, key, the whole list as the plan says it)
    "composition-root": ("allowed_importers", ["racoon.node.app", "racoon.central.app"]),
    "who-is-who": (
        "allowed_importers",
        ["racoon.node.deid", "racoon.node.clinical", "racoon.node.consent", "racoon.node.app"],
    ),
    "hospital-wall": (
        "forbidden_modules",
        [
            "pydicom",
            "pynetdicom",
            "highdicom",
            "dicomweb_client",
            "SimpleITK",
            "nibabel",
            "torch",
            "monai",
        ],
    ),
    "pure": ("forbidden_modules", ["sqlalchemy", "starlette", "httpx", "torch", "os", "socket"]),
    "one-line-out": ("allowed_importers", ["racoon.node.release", "racoon.node.app"]),
    "silent-rooms": (
        "source_modules",
        [
            "racoon.node.archive",
            "racoon.node.consent",
            "racoon.node.cohorts",
            "racoon.node.approvals",
            "racoon.node.curation",
            "racoon.node.deid",
            "racoon.node.measuring",
            "racoon.node.pooling",
            "racoon.node.reading",
            "racoon.node.release",
        ],
    ),
    "demo": ("forbidden_modules", ["racoon.node", "racoon.central"]),
}
"""The lists that carry the data-protection concept.  Changing one is a decision with a record."""


@dataclass(frozen=True)
class Breach:
    """One deliberate mistake: lines added to a module, and what the linter must say about it."""

    name: str
    contract: str
    lines: dict[str, str]
    named: tuple[str, ...]
    rooms: tuple[str, ...] = field(default=())


BREACHES = [
    # The eleven of the plan.
    Breach(
        "node imports central",
        "floor-plan",
        {"node/archive/model.py": "import racoon.central.settings"},
        ("racoon.node.archive.model", "racoon.central"),
    ),
    Breach(
        "node imports demo",
        "floor-plan",
        {"node/archive/model.py": "import racoon.demo"},
        ("racoon.node.archive.model", "racoon.demo"),
    ),
    Breach(
        "a context imports another context's routes",
        "composition-root",
        {"node/curation/service.py": "import racoon.node.reading.http"},
        ("racoon.node.curation.service", "racoon.node.reading.http"),
        ("node/reading/http.py",),
    ),
    Breach(
        "central reaches pydicom through standards",
        "hospital-wall",
        {
            "standards/breach.py": "import pydicom",
            "central/studies/model.py": "import racoon.standards.breach",
        },
        ("racoon.central", "pydicom"),
    ),
    Breach(
        "science opens files",
        "pure",
        {"science/image.py": "import os"},
        ("racoon.science", "os"),
    ),
    Breach(
        "reading learns who is who",
        "who-is-who",
        {"node/reading/service.py": "import racoon.node.pseudonyms.service"},
        ("racoon.node.reading.service", "racoon.node.pseudonyms"),
    ),
    Breach(
        "protocol imports platform",
        "floor-plan",
        {"protocol/envelope.py": "import racoon.platform.clock"},
        ("racoon.protocol.envelope", "racoon.platform.clock"),
    ),
    Breach(
        "a model calls its service",
        "context",
        {"node/approvals/model.py": "import racoon.node.approvals.service"},
        ("racoon.node.approvals.model", "racoon.node.approvals.service"),
    ),
    Breach(
        "archive and intake import each other",
        "cycles",
        {
            "node/archive/breach.py": "import racoon.node.intake.breach",
            "node/intake/breach.py": "import racoon.node.archive.breach",
        },
        ("archive", "intake"),
    ),
    Breach(
        "a foreign table is read",
        "private",
        {"node/reading/service.py": "import racoon.node.approvals._store"},
        ("racoon.node.reading.service", "racoon.node.approvals._store"),
    ),
    Breach(
        "a new top folder appears",
        "floor-plan",
        {"utils/__init__.py": "import racoon.errors"},
        ("racoon.utils",),
    ),
    # One for each further rule.
    Breach(
        "a room opens a connection",
        "silent-rooms",
        {"node/archive/model.py": "import httpx"},
        ("racoon.node.archive.model", "httpx"),
    ),
    Breach(
        "a room hands something to the line out",
        "one-line-out",
        {"node/measuring/service.py": "import racoon.node.link"},
        ("racoon.node.measuring.service", "racoon.node.link"),
    ),
    Breach(
        "the demo calls the node's code",
        "demo",
        {"demo/breach.py": "import racoon.node.settings"},
        ("racoon.demo", "racoon.node.settings"),
    ),
]


def lint(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the import linter on a tree that lies in ``root``."""
    return subprocess.run(
        [LINT_IMPORTS, "--no-logo", "--cache-dir", str(root / ".cache"), *arguments],
        cwd=root,
        env={"PYTHONPATH": f"{root / 'src'}:{root}", "PATH": "/usr/bin:/bin", "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """A copy of the sources in which mistakes may be made."""
    root = tmp_path_factory.mktemp("tree")
    ignore = shutil.ignore_patterns("__pycache__", "static", "templates")
    shutil.copytree(repository / "src" / "racoon", root / "src" / "racoon", ignore=ignore)
    shutil.copytree(repository / "tools", root / "tools", ignore=ignore)
    shutil.copy(repository / "pyproject.toml", root)
    return root


def write_module(package: Path, path: str, line: str) -> None:
    """Append a line to a module, making it and its package where they do not exist."""
    module = package / path
    module.parent.mkdir(parents=True, exist_ok=True)
    (module.parent / "__init__.py").touch()
    before = module.read_text(encoding="utf-8") if module.exists() else ""
    module.write_text(f"{before}\n{line}\n", encoding="utf-8")


def contracts(repository: Path) -> dict[str, dict[str, object]]:
    """The contracts of pyproject.toml by id."""
    configuration = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    return {item["id"]: item for item in configuration["tool"]["importlinter"]["contracts"]}


def test_all_contracts_are_kept(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "11 kept, 0 broken" in done.stdout


@pytest.mark.parametrize("contract", HOUSE)
def test_lists_of_the_plan_stand_in_the_contracts(repository: Path, contract: str) -> None:
    key, plan = HOUSE[contract]
    present = contracts(repository)[contract][key]
    assert present == [name for name in plan if name not in NOT_OPEN_YET]


def test_rooms_not_open_yet_are_really_not_there(repository: Path) -> None:
    for name in NOT_OPEN_YET:
        assert not (repository / "src" / Path(*name.split("."))).exists(), (
            f"{name} is open: add it to the contracts"
        )


def test_layers_are_those_of_the_floor_plan(repository: Path) -> None:
    layers = contracts(repository)["floor-plan"]["layers"]
    assert layers == [
        "cli",
        "demo",
        "client",
        "node | central",
        "web",
        "learning",
        "platform | protocol | standards",
        "science",
        "domain",
        "errors",
    ]


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.name.replace(" ", "-"))
def test_deliberate_breach_is_caught(tree: Path, tmp_path: Path, breach: Breach) -> None:
    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    for room in breach.rooms:
        write_module(root / "src" / "racoon", room, "")
    for path, line in breach.lines.items():
        write_module(root / "src" / "racoon", path, line)
    done = lint(root, "--contract", breach.contract)
    assert done.returncode == 1, f"nobody noticed: {breach.name}\n{done.stdout}{done.stderr}"
    assert "0 kept, 1 broken" in done.stdout, done.stdout + done.stderr
    for name in breach.named:
        assert name in done.stdout
