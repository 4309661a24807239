"""One file for each definition: named by its id, listed, and opened only when somebody asks."""

import subprocess
import sys
from pathlib import Path

import pytest

from racoon.science.biomarkers import CATALOGUE, UnknownBiomarker, definitions, get_definition

FOLDER = Path(definitions.__file__).parent

OPENED = """
import sys
from racoon.science.biomarkers import CATALOGUE, get_definition
place = "racoon.science.biomarkers.definitions."
before = [name for name in sys.modules if name.startswith(place)]
get_definition("laa_950", "1")
print(before, sorted(name.removeprefix(place) for name in sys.modules if name.startswith(place)))
"""


def test_every_file_is_listed_and_named_by_its_id() -> None:
    files = {f"{path.parent.name}.{path.stem}" for path in FOLDER.glob("*/*.py") if path.stem != "__init__"}
    assert sorted(definitions.FILES) == sorted(files)
    assert [key.partition("@")[0] for key in CATALOGUE] == [
        file.rpartition(".")[2] for file in definitions.FILES
    ]
    assert len(CATALOGUE) == len(set(CATALOGUE)) > 100


def test_asking_for_one_opens_one() -> None:
    done = subprocess.run([sys.executable, "-c", OPENED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] ['lung', 'lung.laa_950']"


def test_another_version_is_unknown() -> None:
    with pytest.raises(UnknownBiomarker):
        get_definition("laa_950", "99")
    assert "no_such@1" not in CATALOGUE
