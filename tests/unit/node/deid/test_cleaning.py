"""Free text keeps what is on the reviewed list and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.node.deid import cleaning
from racoon.node.deid.rules import Action, resolve, words


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Thorax 1.0 B31f", "Thorax 1.0 B31f"),
        ("THORAX_NATIV 5.0 Br40d", "THORAX_NATIV 5.0 Br40d"),
        ("CT Abdomen Müller 4711", "CT Abdomen"),
        ("t1_mprage_sag_1mm", "t1_mprage_sag_1mm"),
        ("Outlines: lung, left", "Outlines: lung, left"),
        ("lung-Schmidt left", "lung left"),
        ("Kopf 2023-05-04 Herr Schmidt", "Kopf"),
        ("Abd 030 1234 567", "Abd"),
        ("4711", ""),
        ("12 3", ""),
        ("Thorax 29.08.1951", "Thorax"),
        ("Dr. House: Leber/Milz", "Leber/Milz"),
        ("", ""),
    ],
)
def test_text(text: str, clean: str) -> None:
    assert cleaning.clean_text(text) == clean


@given(st.text(max_size=80))
def test_cleaned_text_holds_reviewed_words_only_and_is_stable(text: str) -> None:
    clean = cleaning.clean_text(text)
    assert cleaning.clean_text(clean) == clean
    for part in re.split(r"[^\w.%]|_", clean):
        assert part.strip(".").lower() in words() | {""} or any(character.isdigit() for character in part)


@pytest.mark.parametrize(
    "text", ["MRN 12345678", "a@b.de", "MILLER^JOHN", "2019-05-04", "4.5.2019", "x" * 65, "Größe"]
)
def test_personal_technical_text_goes(text: str) -> None:
    assert cleaning.clean_technical(text) == ""


@pytest.mark.parametrize(
    "text", ["syngo CT VB20A", "LightSpeed16", "06MW03.5", "SOMATOM Definition AS+", "Qr40d\\3"[:5]]
)
def test_technical_text_stays(text: str) -> None:
    assert cleaning.clean_technical(text) == text


def test_local_codes_are_not_public() -> None:
    assert cleaning.is_public_code("SCT", "39607008")
    assert not cleaning.is_public_code("99KLINIK", "39607008")
    assert cleaning.clean_scheme("99KLINIKUMXY") == "99LOCAL"
    assert (
        cleaning.clean_meaning("SCT", "39607008", "Lunge von Frau Müller")
        == "Lung structure (body structure)"
    )
    assert cleaning.clean_meaning("SCT", "39607008", "Lung") == "Lung"


@pytest.mark.parametrize("code", ["X", "Z", "D", "X/Z", "X/D", "Z/D", "X/Z/D"])
def test_mandatory_elements_get_a_dummy_and_optional_ones_go(code: str) -> None:
    assert resolve(code, "1") is Action.DUMMY
    assert resolve(code, "2") in (Action.EMPTY, Action.DUMMY)
    assert resolve(code, "3") is (
        Action.REMOVE if "X" in code else Action.DUMMY if code == "D" else Action.EMPTY
    )


@pytest.mark.parametrize("text", ["ORIGINAL", "AXIAL", "M_FFE", "CHEST", "LOW DOSE", "YES"])
def test_code_strings_of_the_standard_and_of_scanners_stay(text: str) -> None:
    assert cleaning.clean_code_string(text.lower()) == text


@pytest.mark.parametrize("text", ["MILLER", "PAT4711", "HERR SCHMIDT", "LEAK00001", "Ä", "A" * 17])
def test_names_in_code_strings_go(text: str) -> None:
    assert cleaning.clean_code_string(text) == ""


@pytest.mark.parametrize("value", ["MILLER", "47110815A", "LEAK00001"])
def test_a_public_scheme_does_not_carry_somebody_s_own_code(value: str) -> None:
    assert not cleaning.is_public_code("SCT", value)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Miller und Thorax", "Thorax"),
        ("Thorax ohne Miller", "Thorax"),
        ("Smith and Jones", ""),
        ("Thorax und Abdomen", "Thorax und Abdomen"),
    ],
)
def test_words_that_joined_what_is_gone_go_too(text: str, clean: str) -> None:
    assert cleaning.clean_text(text) == clean
