"""Persons of two sites are found by keyed bits; spellings join, strangers do not, and the key is needed."""

from __future__ import annotations

import random

import numpy as np
import pytest

from racoon.science.linkage.filters import BITS, Person, encode
from racoon.science.linkage.matching import THRESHOLD, link
from racoon.science.linkage.names import name_parts
from racoon.science.linkage.rehearsal import ERRORS, invent, mistype, rehearse

KEY = b"k" * 32
ANNA = Person("Änne Marie", "Müller-Groß", "Schäfer", "1962-12-17", "female", "17487")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller", "MUELLER"),
        ("Groß", "GROSS"),
        ("Prof. Dr. med. Weiß", "Weiss"),
        ("von der Leyen", "Leyen"),
        ("Müller-Lüdenscheidt", "Luedenscheidt Mueller"),
        ("Graf von Stein", "Stein"),
        ("Schroeder", "Schröder"),
    ],
)
def test_spellings_of_one_name_are_one_name(one: str, other: str) -> None:
    assert name_parts(one) == name_parts(other)


def test_a_name_that_is_only_a_particle_stays() -> None:
    assert name_parts("Graf") == ("graf",)
    assert name_parts("") == ()


def dice(one: Person, other: Person, key: bytes = KEY, other_key: bytes = KEY) -> float:
    a = np.unpackbits(encode([one], key)[0]).astype(int)
    b = np.unpackbits(encode([other], other_key)[0]).astype(int)
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_one_person_is_alike_and_strangers_are_not() -> None:
    typed = Person("Aenne", "MUELLER-GROSS", "", "1962-12-17", "female", "17487")
    assert dice(ANNA, ANNA) == 1
    assert dice(ANNA, typed) > 0.75
    stranger = Person("Bernd", "Kowalski", "", "1980-02-03", "male", "80331")
    assert dice(ANNA, stranger) < 0.6


def test_rows_of_two_keys_cannot_be_compared() -> None:
    assert dice(ANNA, ANNA, KEY, b"x" * 32) < 0.6
    with pytest.raises(ValueError, match="32 bytes"):
        encode([ANNA], b"short")


def test_a_row_is_neither_empty_nor_full() -> None:
    filled = np.unpackbits(encode(invent(200, random.Random(1)), KEY), axis=1).sum(axis=1) / BITS
    assert filled.min() > 0.1
    assert filled.max() < 0.6


def test_a_pair_with_a_rival_is_left_apart() -> None:
    twin = Person("Änne Mario", "Müller-Groß", "Schäfer", "1962-12-17", "female", "17487")
    found = link(encode([ANNA], KEY), encode([ANNA, twin], KEY), margin=0.2)
    assert (len(found), found.unclear) == (0, 1)
    assert len(link(encode([ANNA], KEY), encode([ANNA, twin], KEY), margin=0.0)) == 1


def test_nobody_is_linked_with_nobody() -> None:
    empty = np.empty((0, BITS // 8), np.uint8)
    assert len(link(empty, encode([ANNA], KEY))) == 0
    assert len(link(encode([ANNA], KEY), empty)) == 0


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__.strip("_"))
def test_every_error_of_a_desk_can_be_made(error: object) -> None:
    chance = random.Random(4)
    assert callable(error)
    assert any(error(person, chance) != person for person in invent(400, chance))


def test_the_rehearsal_reports_what_the_unit_would_do() -> None:
    found = rehearse(700, 0.3, KEY)
    assert found.overlap == 210
    assert found.precision >= 0.99
    assert found.recall >= 0.9
    assert found.threshold == THRESHOLD
    assert rehearse(300, 0.3, KEY, errors=0.0).recall > 0.99
    assert rehearse(300, 0.0, KEY).linked <= 1


def test_errors_come_once_or_twice() -> None:
    chance = random.Random(7)
    people = invent(100, chance)
    assert sum(mistype(person, chance) != person for person in people) > 50
