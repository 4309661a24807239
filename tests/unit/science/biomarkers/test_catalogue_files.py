"""One file for each definition: named by its id, listed, and opened only when somebody asks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom.sr._concepts_dict import concepts

from racoon.demo.labels import LABELS
from racoon.domain.labels import LABEL_MAPS
from racoon.science.biomarkers import CATALOGUE, UnknownBiomarker, definitions, get_definition
from racoon.science.biomarkers.structures import CODES, structure_name

FOLDER = Path(definitions.__file__).parent
SOURCES = Path(__file__).parents[4] / "docs" / "explanation" / "definition-sources.md"

OPENED = """
import sys
from racoon.demo.labels import LABELS
from racoon.domain.labels import LABEL_MAPS
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
    known = {
        (scheme, code)
        for scheme in ("SCT", "DCM")
        for entries in concepts[scheme].values()
        for code in entries
    }
    unknown = {name for name, code in CODES.items() if (code.scheme, code.value) not in known}
    # The dictionary says left and right by a modifier, so that it lacks the codes of sides and lobes.
    sided = {
        name for name in unknown if name.startswith("kidney_") or re.match(r"lung_.*(left|right)$", name)
    }
    assert unknown - sided == {"subcutaneous_fat", "vertebral_body"}


TIMES = [
    [(a + b) % 5 if a < 5 else 5 + (a - b) % 5 for b in range(5)]
    + [5 + (a + b) % 5 if a < 5 else (a - b) % 5 for b in range(5)]
    for a in range(10)
]
"""Multiplication of the ten symmetries of a pentagon."""

MOVED = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
"""Where one place further to the left takes a digit."""


def is_sound(identifier: str) -> bool:
    """Check the last digit of a SNOMED CT identifier (Verhoeff's scheme)."""
    total = 0
    for place, digit in enumerate(identifier[::-1]):
        moved = int(digit)
        for _ in range(place % 8):
            moved = MOVED[moved]
        total = TIMES[total][moved]
    return total == 0


def test_no_digit_of_a_snomed_code_is_mistyped() -> None:
    assert is_sound("67769002")
    assert not is_sound("67769003")
    codes = [*CODES.values(), *(label.code for label in LABELS.values())]
    codes += [label.code for labels in LABEL_MAPS for label in labels.labels]
    assert not [code for code in codes if code.scheme == "SCT" and not is_sound(code.value)]


ROW = re.compile(r"^\| `(10\.\d{4,9}/[^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
CHECKS = ("opened", "record", "opened, DOI not seen", "not opened")


def test_every_doi_was_looked_up_and_stands_in_the_list_of_sources() -> None:
    rows = ROW.findall(SOURCES.read_text(encoding="utf-8"))
    listed = [doi for doi, *_ in rows]
    named: dict[str, set[str]] = {}
    for definition in CATALOGUE.values():
        for found in DOI.findall(definition.source):
            named.setdefault(found.removeprefix("doi:"), set()).add(definition.id)
    assert sorted(listed) == sorted(set(listed)) == sorted(named)
    for doi, paper, used, check in rows:
        assert check.strip() in CHECKS, doi
        assert NAMED.search(paper), doi
        assert set(re.findall(r"`([a-z0-9_]+)`", used)) == named[doi], doi


def test_structures_without_a_code_stand_in_the_list_of_sources() -> None:
    used = {
        name
        for definition in CATALOGUE.values()
        for name in (*definition.applies_to, *definition.needs, *definition.uses)
    }
    words = SOURCES.read_text(encoding="utf-8").partition("## Structures without a code")[2]
    assert set(re.findall(r"^\| `([a-z_]+)`", words, re.MULTILINE)) == used - set(CODES)
