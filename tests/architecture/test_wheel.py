"""What the wheel carries: all of ours, nothing of others, nothing of patients."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(repository),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        yield archive


def test_wheel_holds_one_package_only(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {re.sub(r"-[^-]*(?=\.dist-info$)", "", top) for top in tops} == {"racoon", "racoon.dist-info"}


def test_wheel_holds_every_source_file(wheel: zipfile.ZipFile, repository: Path) -> None:
    source = repository / "src"
    ours = {path.relative_to(source).as_posix() for path in (source / "racoon").rglob("*.py")}
    assert ours - set(wheel.namelist()) == set()
    assert "racoon/py.typed" in wheel.namelist()


def test_wheel_holds_templates_and_static_files(wheel: zipfile.ZipFile, repository: Path) -> None:
    source = repository / "src"
    kinds = {".html", ".css", ".js", ".json", ".toml", ".mako", ".svg", ".po"}
    ours = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.suffix in kinds}
    assert ours - set(wheel.namelist()) == set()


def test_wheel_holds_no_data_and_no_waste(wheel: zipfile.ZipFile) -> None:
    waste = re.compile(
        r"\.(dcm|nii|nrrd|gz|npz|pt|pth|pkl|safetensors|sqlite|db|pem|key|log|pyc)$|__pycache__|\.git/"
    )
    assert [name for name in wheel.namelist() if waste.search(name)] == []
    ours = [item for item in wheel.infolist() if "/static/vendor/" not in item.filename]
    assert sum(item.file_size for item in ours) < 10_000_000
    assert sum(item.file_size for item in wheel.infolist()) < 25_000_000


def test_wheel_brings_the_reading_room_where_it_is_built(wheel: zipfile.ZipFile, repository: Path) -> None:
    built = repository / "src/racoon/web/static/vendor/cornerstone"
    if not built.is_dir():
        pytest.skip("THE READING ROOM IS NOT BUILT: make viewer")
    root = "racoon/web/static/vendor/cornerstone/"
    inside = {name.removeprefix(root) for name in wheel.namelist() if name.startswith(root)}
    assert inside == {path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()}
    assert {"cornerstone.js", "LICENCES.txt", "built-from.txt"} <= inside


def test_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = message_from_string(wheel.read(name).decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] == "RACOON contributors"
    assert "research use" in metadata.get_payload().lower()
    assert set(metadata.get_all("Provides-Extra") or []) == {
        "learning",
        "radiomics",
        "ocr",
        "postgres",
        "s3",
        "parquet",
        "pdf",
        "oidc",
        "columns",
    }
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_wheel_requires_no_address(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = message_from_string(wheel.read(name).decode())
    assert [line for line in metadata.get_all("Requires-Dist") or [] if "://" in line or "@" in line] == []
