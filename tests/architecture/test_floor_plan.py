"""The shape of the tree: names of folders and classes, first sentences, length of files, mirrors."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

FORBIDDEN_FOLDERS = {"common", "utils", "util", "core", "helpers", "helper", "lib", "libs", "misc", "shared"}
"""Where such folders exist they end up in the knot (measured on 36 code bases)."""

FORBIDDEN_SUFFIXES = ("Manager", "Helper", "Util", "Utils")

LONGEST_FILE = 600
ROOM_FOR_A_FOLDER = 400
"""A file that outgrows this many lines wants to become a folder of the same name."""

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "racoon"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if "/migrations/" not in path.as_posix())
PACKAGES = sorted(path for path in MODULES if path.name == "__init__.py")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked_files() -> list[Path]:
    """Files under version control, those not committed yet included."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("this is no git clone")
    names = [name for name in done.stdout.decode().split("\0") if name]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_no_folder_is_a_junk_drawer() -> None:
    folders = [path for path in (*SOURCE.rglob("*"), *(ROOT / "tests").rglob("*")) if path.is_dir()]
    assert [relative(path) for path in folders if path.name.lower() in FORBIDDEN_FOLDERS] == []


def test_no_class_is_a_manager_or_helper() -> None:
    found = []
    for path in MODULES:
        classes = (
            item
            for item in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(item, ast.ClassDef)
        )
        found += [
            f"{relative(path)}:{item.lineno} {item.name}"
            for item in classes
            if item.name.endswith(FORBIDDEN_SUFFIXES)
        ]
    assert found == []


def test_no_file_is_too_long() -> None:
    lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    growing = {name: lines for name, lines in lengths.items() if lines > ROOM_FOR_A_FOLDER}
    print(f"files that want to become a folder (> {ROOM_FOR_A_FOLDER} lines): {growing}")
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


@pytest.mark.parametrize("package", PACKAGES, ids=relative)
def test_every_folder_has_a_first_sentence(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8")))
    assert docstring, "a folder begins with five lines: what it is for, what it is not"
    assert docstring.split("\n\n")[0].endswith((".", ":")), "the first paragraph is one sentence"
    assert len(docstring.splitlines()) >= 3, "say also what the folder is not, and where it stands"


def test_folders_of_unit_tests_mirror_the_sources() -> None:
    unit = ROOT / "tests" / "unit"
    folders = {path.parent.relative_to(unit) for path in unit.rglob("test_*.py")}
    assert sorted(str(folder) for folder in folders if not (SOURCE / folder).is_dir()) == []


def test_no_committed_file_names_a_registry_or_a_machine() -> None:
    # Written in pieces, so that this file does not find itself.
    registries = ["pypi" + ".org", "python" + "hosted", "npm" + "js.org", "deb." + "debian.org"]
    machines = ["/" + "work/", "/" + "root/", "/" + "opt/wheels", "/" + "opt/pypi", "/" + "home/"]
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{relative(path)}: {word}" for word in (*registries, *machines) if word in text]
    assert found == []


def test_no_committed_file_is_an_image_of_somebody() -> None:
    suffixes = {
        ".dcm",
        ".nii",
        ".nrrd",
        ".mha",
        ".gz",
        ".npz",
        ".pt",
        ".pth",
        ".pkl",
        ".safetensors",
        ".sqlite",
    }
    assert [relative(path) for path in tracked_files() if path.suffix.lower() in suffixes] == []


def test_no_committed_file_is_large() -> None:
    assert [relative(path) for path in tracked_files() if path.stat().st_size > 1_000_000] == []


def test_only_one_configuration_file() -> None:
    others = {
        "setup.cfg",
        "setup.py",
        "tox.ini",
        "pytest.ini",
        "mypy.ini",
        ".flake8",
        "ruff.toml",
        "mkdocs.yml",
        "alembic.ini",
        ".importlinter",
        "towncrier.toml",
        ".coveragerc",
    }
    assert [relative(path) for path in tracked_files() if path.name in others] == []
