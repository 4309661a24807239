"""How near two descriptions of a person are, part by part: for a person who decides, never for a program that merges.

Weights after Fellegi and Sunter's idea (1969, doi:10.1080/01621459.1969.10501049) that a rare agreement tells more: the
day of birth and the names carry nearly all of it, sex and postcode little.  A part that one side does not say is left
out of the sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from racoon.science.linkage.filters import Person
from racoon.science.linkage.names import name_parts

WEIGHTS = {"family": 0.30, "given": 0.25, "born": 0.35, "sex": 0.05, "postcode": 0.05}

NEAR = 0.82
"""From here on two numbers may be one person.  Twins of one family name reach 0.75 and stay below."""

FAR = 0.55
"""Below it two descriptions under one number may be two people."""


@dataclass(frozen=True)
class Nearness:
    """How near two descriptions are.

    Parameters
    ----------
    likeness
        0 to 1, over the parts that both say.
    differing
        Parts that both say and that are not the same.
    compared
        Parts that both say.
    """

    likeness: float
    differing: tuple[str, ...]
    compared: tuple[str, ...]


def compare(left: Person, right: Person) -> Nearness:
    """Compare two descriptions.

    Examples
    --------
    >>> compare(
    ...     Person("Änne", "Müller", born="1961-05-17"), Person("Aenne", "Mueller", born="1961-05-17")
    ... ).likeness
    1.0
    >>> compare(Person("Jan", "Groß", born="1961-05-17"), Person("Jan", "Gross", born="1961-05-71")).differing
    ('born',)
    """
    parts = {
        "family": _names({left.family, left.birth_name}, {right.family, right.birth_name}),
        "given": _names({left.given}, {right.given}),
        "born": _days(left.born, right.born),
        "sex": _same(left.sex, right.sex),
        "postcode": _same(left.postcode, right.postcode),
    }
    known = {name: value for name, value in parts.items() if value is not None}
    total = sum(WEIGHTS[name] for name in known)
    likeness = sum(WEIGHTS[name] * value for name, value in known.items()) / total if total else 0.0
    differing = tuple(name for name, value in known.items() if value < 1)
    return Nearness(round(likeness, 4), differing, tuple(known))


def blocks(person: Person) -> Iterator[str]:
    """Yield the words under which persons are looked for that may be the same; one of them is enough.

    A typed error in a name leaves the day of birth, one in the day leaves the names.
    """
    families = {part for name in (person.family, person.birth_name) for part in name_parts(name)}
    given = set(name_parts(person.given))
    if len(person.born) == len("1961-05-17"):
        for first in sorted({part[0] for part in given}):
            yield f"born|{person.born}|{first}"
        for family in sorted(families):
            yield f"family|{family[:4]}|{person.born[:4]}"
    for family in sorted(families):
        for name in sorted(given):
            yield f"name|{family}|{name}"


def _same(left: str, right: str) -> float | None:
    return None if not left or not right else float(left == right)


def _names(left: set[str], right: set[str]) -> float | None:
    """Compare names; the best part of each side counts, as people write one of two given names or the birth name."""
    lefts = {part for name in left for part in name_parts(name)}
    rights = {part for name in right for part in name_parts(name)}
    if not lefts or not rights:
        return None
    return max(_letters(one, other) for one in lefts for other in rights)


def _letters(left: str, right: str) -> float:
    longest = max(len(left), len(right))
    wrong = distance(left, right)
    # A short name with one wrong letter is mostly another name.
    return 0.0 if wrong > 2 or (longest < 3 and wrong) else 1 - wrong / longest


def _days(left: str, right: str) -> float | None:
    if len(left) < 10 or len(right) < 10:
        return None
    if left == right:
        return 1.0
    one, other = left.split("-"), right.split("-")
    if one[0] == other[0] and one[1:] == other[:0:-1]:
        return 0.8
    wrong = distance(left.replace("-", ""), right.replace("-", ""))
    return {1: 0.7, 2: 0.3}.get(wrong, 0.0)


def distance(left: str, right: str) -> int:
    """Count letters to change, add, leave out or swap with a neighbour (Damerau 1964, doi:10.1145/363958.363994)."""
    before, last = list[int](), list(range(len(right) + 1))
    for row, one in enumerate(left, start=1):
        current = [row]
        for column, other in enumerate(right, start=1):
            found = min(last[column] + 1, current[column - 1] + 1, last[column - 1] + (one != other))
            if row > 1 and column > 1 and one == right[column - 2] and left[row - 2] == other:
                found = min(found, before[column - 2] + 1)
            current.append(found)
        before, last = last, current
    return last[-1]
