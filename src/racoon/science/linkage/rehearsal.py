"""Linkage rehearsed on invented people with typing errors: what precision and recall a setting has.

Families share a name and a postcode, twins a birthday too, common names are common: these are who a linkage confuses.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from racoon.science.linkage.filters import Person, encode
from racoon.science.linkage.matching import MARGIN, THRESHOLD, link

FAMILY = (
    "Müller", "Schmidt", "Schneider", "Fischer", "Weber", "Meyer", "Wagner", "Becker", "Schulz",
    "Hoffmann", "Schäfer", "Koch", "Bauer", "Richter", "Klein", "Wolf", "Schröder", "Neumann",
    "Schwarz", "Zimmermann", "Braun", "Krüger", "Hofmann", "Hartmann", "Lange", "Schmitt", "Werner",
    "Krause", "Meier", "Lehmann", "Köhler", "Herrmann", "König", "Walter", "Mayer", "Huber", "Kaiser",
    "Fuchs", "Peters", "Lang", "Scholz", "Möller", "Weiß", "Jung", "Hahn", "Vogel", "Keller", "Günther",
    "Roth", "Beck", "Lorenz", "Baumann", "Franke", "Albrecht", "Schuster", "Simon", "Ludwig", "Böhm",
    "Winter", "Kraus", "Schumacher", "Krämer", "Groß", "Yılmaz", "Kaya", "Demir", "Şahin", "Nowak",
    "Kowalski", "Nguyen", "Petrov",
)  # fmt: skip
GIVEN = {
    "female": (
        "Maria", "Anna", "Ursula", "Karin", "Helga", "Sabine", "Ingrid", "Renate", "Monika", "Susanne",
        "Gisela", "Petra", "Birgit", "Andrea", "Claudia", "Brigitte", "Julia", "Katharina", "Lena", "Laura",
        "Sarah", "Sophie", "Jürgine", "Änne", "Bärbel", "Käthe", "Ayşe", "Fatma", "Emilia", "Mia", "Hannah",
        "Lea", "Marie",
    ),
    "male": (
        "Peter", "Hans", "Wolfgang", "Klaus", "Jürgen", "Michael", "Thomas", "Andreas", "Günter", "Stefan",
        "Werner", "Horst", "Frank", "Uwe", "Bernd", "Dieter", "Jörg", "Markus", "Christian", "Martin",
        "Björn", "Kevin", "Lukas", "Leon", "Paul", "Jonas", "Finn", "Mehmet", "Mustafa", "Ali",
        "Karl-Heinz", "Hans-Peter", "Jan",
    ),
}  # fmt: skip
_STARTS = (
    "Bach", "Berg", "Birken", "Brand", "Buch", "Diet", "Eber", "Eich", "Feld", "Frei", "Gold", "Grün",
    "Hag", "Heid", "Holz", "Kalt", "Kirch", "Lind", "Mühl", "Neu", "Ober", "Ost", "Reit", "Rot", "Sand",
    "Schön", "Stein", "Stroh", "Tann", "Wald", "Weid", "Wild", "Winkel", "Ziegel",
)  # fmt: skip
_ENDS = (
    "acher", "auer", "bauer", "berger", "born", "brink", "dorf", "eder", "egger", "eler", "felder",
    "gruber", "hammer", "häuser", "hof", "huber", "kamp", "ke", "lein", "ler", "macher", "mann",
    "meier", "müller", "ner", "rich", "ring", "schmidt", "stätter", "wieser",
)  # fmt: skip


@dataclass(frozen=True)
class Rehearsal:
    """How a rehearsed linkage went.

    Parameters
    ----------
    people
        Persons of each site.
    overlap
        Persons that both sites know.
    linked, right
        Pairs that were linked, and how many of them are one person.
    unclear
        Pairs that were left apart because of a rival.
    """

    people: int
    overlap: int
    linked: int
    right: int
    unclear: int
    threshold: float
    margin: float

    @property
    def precision(self) -> float:
        """Part of the linked pairs that are one person; 1 where none was linked."""
        return self.right / self.linked if self.linked else 1.0

    @property
    def recall(self) -> float:
        """Part of the common persons that were linked."""
        return self.right / self.overlap if self.overlap else 1.0


def rehearse(
    people: int,
    overlap: float,
    key: bytes,
    *,
    seed: int = 1,
    errors: float = 0.4,
    threshold: float = THRESHOLD,
    margin: float = MARGIN,
) -> Rehearsal:
    """Link two invented sites and compare with the truth.

    Parameters
    ----------
    people
        Persons of each site.
    overlap
        Part of a site's persons that the other one knows too.
    key
        Any project secret; use another one than that of a real project.
    seed
        Of the invented people.
    errors
        Part of the common persons whose second record was typed with an error, a third of them with two.
    """
    chance = random.Random(seed)
    common = round(people * overlap)
    everybody = invent(2 * people - common, chance)
    left = everybody[:people]
    right = [mistype(person, chance) if chance.random() < errors else person for person in everybody[:common]]
    right += everybody[people:]
    places = list(range(people))
    chance.shuffle(places)
    found = link(
        encode(left, key), encode([right[place] for place in places], key), threshold=threshold, margin=margin
    )
    correct = sum(int(a) == places[int(b)] for a, b in zip(found.left, found.right, strict=True))
    return Rehearsal(people, common, len(found), correct, found.unclear, threshold, margin)


def invent(count: int, chance: random.Random) -> list[Person]:
    """Invent people in households, in random order."""
    found: list[Person] = []
    while len(found) < count:
        family, postcode = _family(chance), f"{chance.randrange(1000, 99999):05d}"
        if chance.random() < 0.04:
            family = f"{family}-{_family(chance)}"
        twins_born = ""
        for member in range(min(chance.choice((1, 1, 1, 2, 2, 3, 4)), count - len(found))):
            sex = chance.choice(("female", "male"))
            born = (date(1930, 1, 1) + timedelta(days=chance.randrange(33_000))).isoformat()
            if twins_born and chance.random() < 0.03:
                born = twins_born
            twins_born = born
            given = chance.choice(GIVEN[sex])
            if chance.random() < 0.15:
                given = f"{given} {chance.choice(GIVEN[sex])}"
            birth_name = _family(chance) if sex == "female" and member < 2 and chance.random() < 0.4 else ""
            found.append(Person(given, family, birth_name, born, sex, postcode))
    chance.shuffle(found)
    return found


def _family(chance: random.Random) -> str:
    if chance.random() < 0.3:
        # The commoner, the earlier in the list.
        return FAMILY[min(int(chance.expovariate(6 / len(FAMILY))), len(FAMILY) - 1)]
    return chance.choice(_STARTS) + chance.choice(_ENDS)


def mistype(person: Person, chance: random.Random) -> Person:
    """Return a person as another hospital's desk typed him."""
    for _ in range(2 if chance.random() < 1 / 3 else 1):
        person = chance.choice(ERRORS)(person, chance)
    return person


def _spelled(person: Person, _chance: random.Random) -> Person:
    plain = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
    names = (person.given, person.family, person.birth_name)
    given, family, birth_name = (name.translate(plain).upper() for name in names)
    return replace(person, given=given, family=family, birth_name=birth_name)


def _titled(person: Person, chance: random.Random) -> Person:
    return replace(person, family=f"{chance.choice(('Dr. ', 'Prof. Dr. med. ', 'von '))}{person.family}")


def _first_only(person: Person, _chance: random.Random) -> Person:
    return replace(person, given=person.given.replace("-", " ").split()[0])


def _shortened(person: Person, _chance: random.Random) -> Person:
    return replace(person, given=person.given[:4])


def _letter(text: str, chance: random.Random) -> str:
    if len(text) < 3:
        return text
    place = chance.randrange(len(text) - 1)
    kind = chance.randrange(3)
    if kind == 0:
        return text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    if kind == 1:
        return text[:place] + text[place + 1 :]
    return text[:place] + chance.choice("aeinrst") + text[place + 1 :]


def _family_letter(person: Person, chance: random.Random) -> Person:
    return replace(person, family=_letter(person.family, chance))


def _given_letter(person: Person, chance: random.Random) -> Person:
    return replace(person, given=_letter(person.given, chance))


def _half_name(person: Person, _chance: random.Random) -> Person:
    return replace(person, family=person.family.split("-")[0])


def _married(person: Person, chance: random.Random) -> Person:
    return replace(person, family=_family(chance), birth_name=person.birth_name or person.family)


def _no_birth_name(person: Person, _chance: random.Random) -> Person:
    return replace(person, birth_name="")


def _moved(person: Person, chance: random.Random) -> Person:
    return replace(person, postcode=f"{chance.randrange(1000, 99999):05d}")


def _no_postcode(person: Person, _chance: random.Random) -> Person:
    return replace(person, postcode="")


def _swapped_date(person: Person, _chance: random.Random) -> Person:
    year, month, day = person.born.split("-")
    return replace(person, born=f"{year}-{day}-{month}" if int(day) <= 12 else person.born)


def _other_day(person: Person, chance: random.Random) -> Person:
    return replace(person, born=f"{person.born[:8]}{chance.randrange(1, 29):02d}")


def _other_year(person: Person, chance: random.Random) -> Person:
    return replace(person, born=f"{person.born[:3]}{chance.randrange(10)}{person.born[4:]}")


def _no_sex(person: Person, _chance: random.Random) -> Person:
    return replace(person, sex="")


ERRORS: Sequence[Callable[[Person, random.Random], Person]] = (
    _spelled, _titled, _first_only, _shortened, _family_letter, _given_letter, _half_name, _married, _no_birth_name,
    _moved, _no_postcode, _swapped_date, _other_day, _other_year, _no_sex,
)  # fmt: skip
"""What goes wrong at desks, each as likely as the others."""
