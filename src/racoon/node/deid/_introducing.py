"""What an image's header says of who its patient is: for the room that knows who is who, before it is taken out."""

from __future__ import annotations

from racoon.node.pseudonyms.cards import Card
from racoon.science.linkage.filters import Person
from racoon.standards.dicom.elements import Dataset
from racoon.standards.dicom.text import encodings_of, text_of

_NAME, _BIRTH_DATE, _SEX, _BIRTH_NAME = 0x00100010, 0x00100030, 0x00100040, 0x00101005

_SEXES = {"F": "female", "M": "male", "O": "other"}


def card_of(dataset: Dataset, number: str) -> Card:
    """Return what a header says of its patient (PS3.3 section C.2.3)."""
    encodings = encodings_of(dataset)
    family, given = _names(text_of(dataset.get(_NAME), encodings))
    born = text_of(dataset.get(_BIRTH_DATE))
    return Card(
        "images",
        number,
        Person(
            given=given,
            family=family,
            birth_name=_names(text_of(dataset.get(_BIRTH_NAME), encodings))[0],
            born=f"{born[:4]}-{born[4:6]}-{born[6:8]}" if len(born) == 8 and born.isdigit() else "",
            sex=_SEXES.get(text_of(dataset.get(_SEX)).strip(), ""),
        ),
    )


def _names(text: str) -> tuple[str, str]:
    """Split a person's name (PS3.5 section 6.2.1): alphabetic group, family and given names."""
    parts = [*text.partition("=")[0].split("^"), "", "", ""]
    return parts[0].strip(), " ".join(part.strip() for part in parts[1:3] if part.strip())
