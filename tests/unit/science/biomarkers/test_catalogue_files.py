"""One file for each definition: named by its id, listed, and opened only when somebody asks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom.sr._concepts_dict import concepts

from racoon.science.biomarkers import CATALOGUE, UnknownBiomarker, definitions, get_definition
from racoon.science.biomarkers.structures import CODES, structure_name

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


DOI = re.compile(r"doi:10\.\d{4,9}/[^\s;,]+")
NAMED = re.compile(r"[A-ZÄÖÜ][\w/\- ]+ \d{4}|PS3\.\d|RECIST 1\.1|IBSI [A-Z0-9]{4}")
"""A paper by its first author and year, a part of DICOM, or a standard."""

SAYS_WHY = ("no paper: ", "no standard exists")
"""Beginnings of what stands where a rule needs no paper."""


@pytest.mark.parametrize("key", sorted(CATALOGUE))
def test_every_definition_names_one_source_and_where_its_ranges_come_from(key: str) -> None:
    definition = CATALOGUE[key]
    source = definition.source
    assert source.startswith(SAYS_WHY) or NAMED.search(source), source
    assert len(DOI.findall(source)) == source.count("doi") <= 1, source
    # Ranges end on the paper in brackets; what follows a semicolon is a remark.
    if definition.ranges:
        assert re.search(r"\([^()]*(\d{4}|ACR)[^()]*\)(;.*)?$", definition.ranges), definition.ranges


@pytest.mark.parametrize("key", sorted(CATALOGUE))
def test_every_definition_says_what_it_is_measured_in_and_when_to_doubt_it(key: str) -> None:
    definition = CATALOGUE[key]
    assert definition.unit == definition.unit.strip()
    assert definition.unit
    assert definition.formula
    assert definition.title_de
    assert definition.title_en
    assert definition.quality
    assert all((rule.__doc__ or "").startswith("Warn ") for rule in definition.quality)


def test_codes_belong_to_one_structure() -> None:
    keys = [code.key for code in CODES.values()]
    assert len(keys) == len(set(keys))
    assert all(structure_name("anything", code) == name for name, code in CODES.items())


def test_codes_are_those_of_the_dictionary_of_dicom() -> None:
    known = {str(code) for entries in concepts["SCT"].values() for code in entries}
    # The dictionary says left and right by a modifier, so that it lacks the codes of sides and lobes.
    unknown = {name for name, code in CODES.items() if code.value not in known}
    assert {name.partition("_")[0] for name in unknown} == {"lung", "kidney"}
