"""What sites and the linkage unit send each other: filters one way, numbers of pairs the other.

Neither message has a field that could hold a name, a date or a number of a patient; CENTRAL gets neither of them.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Literal, TypeVar

from pydantic import Field, StringConstraints, ValidationError

from racoon.errors import Defect
from racoon.protocol.messages import Id, Message, Sha256

Token = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
FILTER_BYTES = 128

MessageT = TypeVar("MessageT", bound=Message)


class BadLinkageFile(Defect):
    """A file that is no message of linkage."""

    code = "linkage.bad_file"


class FilterPackage(Message):
    """A site's persons as rows of bits, under random names that the site alone can read.

    Attributes
    ----------
    project
        Study that agreed on the linkage.
    site
        Who sends it.
    key_mark
        Tells whether two sites used the same secret; it tells nothing of the secret.
    records
        Random names of the rows, in their order.
    filters
        Base64 of 128 bytes a row.
    """

    kind: Literal["linkage.filters"] = "linkage.filters"
    version: Literal[1] = 1
    project: Id
    site: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{1,15}$")]
    key_mark: Sha256
    records: list[Token]
    filters: str

    def rows(self) -> bytes:
        """Return the bits of all rows.

        Raises
        ------
        BadLinkageFile
            If there are not 128 bytes for each.
        """
        try:
            found = base64.b64decode(self.filters, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadLinkageFile(
                "The filters of this package cannot be read. Let the site write it again."
            ) from error
        if len(found) != FILTER_BYTES * len(self.records) or len(set(self.records)) != len(self.records):
            raise BadLinkageFile("This package is not whole. Let the site write it again.")
        return found


class LinkAnswer(Message):
    """What one site is told: which of its rows are also at another site, by a random name of the pair.

    Attributes
    ----------
    pairs
        Name of the row to the name of the pair, which both sites are told.
    counted_elsewhere
        Rows of ``pairs`` whose person another site of the pair counts, so that counts have everybody once; None in
        answers of units that did not say.
    sites
        The sites that were compared.
    unclear
        Pairs that were left apart because of a rival.
    threshold
        Likeness from which a pair counted.
    """

    kind: Literal["linkage.answer"] = "linkage.answer"
    version: Literal[1] = 1
    project: Id
    site: str
    sites: list[str]
    pairs: dict[Token, Token]
    counted_elsewhere: list[Token] | None = None
    unclear: Annotated[int, Field(ge=0)]
    threshold: float


def read_package(data: bytes) -> FilterPackage:
    """Read a site's package.

    Raises
    ------
    BadLinkageFile
    """
    return _read(FilterPackage, data)


def read_answer(data: bytes) -> LinkAnswer:
    """Read the unit's answer.

    Raises
    ------
    BadLinkageFile
    """
    return _read(LinkAnswer, data)


def _read(form: type[MessageT], data: bytes) -> MessageT:
    try:
        return form.model_validate(json.loads(data))
    except (ValueError, ValidationError) as error:
        raise BadLinkageFile(
            "This file is no message of linkage. Take the file that racoon linkage wrote."
        ) from error
