"""Words of the gallery: what is asked for, saved views, names of sets, keys, and what can be wrong with them.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from racoon.errors import Defect, Refused

FACET_NAMES = (
    "modality", "body_part", "kind", "plane", "contrast", "thickness", "manufacturer", "mask", "quality", "rule",
)  # fmt: skip
"""Facets of the archive; ``tag`` and ``check`` come from other tables."""

OTHER_FACETS = ("tag", "check")

LONGEST_TAG = 40
MOST_VALUES = 50


class BadTag(Defect):
    """A tag without a name, or with one that is too long."""

    code: ClassVar[str] = "curation.bad_tag"


class BadView(Defect):
    """A view that cannot be saved."""

    code: ClassVar[str] = "curation.bad_view"


class NoSuchSet(Refused):
    """A view, dataset or tag that is not there."""

    code: ClassVar[str] = "curation.no_such_set"
    status: ClassVar[int] = 404


class ViewOfSomebodyElse(Refused):
    """Only who saved a view changes or deletes it."""

    code: ClassVar[str] = "curation.view_of_somebody_else"


class TooMany(Refused):
    """More series than can be frozen at once."""

    code: ClassVar[str] = "curation.too_many"
    status: ClassVar[int] = 413


@dataclass(frozen=True)
class GalleryFilter:
    """What the gallery shows; empty fields match all.

    Parameters
    ----------
    facets
        By name: accepted values.  Of ``tag`` a series has to have every one, of the others one.
    subject, text, day_from, day_to, images_from, images_to
        As in the archive's ``SeriesCriteria``.
    within, without
        Names of sets: the series must be in all of the former, in none of the latter.
    """

    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    subject: str = ""
    text: str = ""
    day_from: str = ""
    day_to: str = ""
    images_from: int | None = None
    images_to: int | None = None
    within: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, without what is empty."""
        found: dict[str, Any] = {
            "facets": {name: list(values) for name, values in self.facets.items() if values}
        }
        for item in fields(self)[1:]:
            value = getattr(self, item.name)
            if value not in ("", None, ()):
                found[item.name] = list(value) if isinstance(value, tuple) else value
        return found

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> GalleryFilter:
        """Read the JSON form."""
        facets = {name: tuple(values) for name, values in document.get("facets", {}).items()}
        rest: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in document.items()
            if name != "facets"
        }
        return replace(cls(facets), **rest)

    def query(self) -> str:
        """Return it as the query of an address."""
        plain = self.to_dict()
        pairs = [(name, value) for name, values in plain.pop("facets").items() for value in values]
        for name, value in plain.items():
            pairs += [(name, item) for item in value] if isinstance(value, list) else [(name, value)]
        return urlencode(pairs)

    def names_subject(self, pseudonym: str) -> bool:
        """Tell whether it names a subject, wholly or by a beginning."""
        return bool(self.subject) and (
            self.subject == pseudonym
            or (self.subject.endswith("*") and pseudonym.startswith(self.subject.rstrip("*")))
        )


@dataclass(frozen=True)
class SetName:
    """A named set of series: ``view:7``, ``tag:blurred``, ``dataset:STUDY/HASH``, or ``all``."""

    kind: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> SetName:
        """Read a name.

        Raises
        ------
        NoSuchSet
        """
        kind, _, key = text.partition(":")
        if text == "all" or (kind in ("view", "tag", "dataset") and key):
            return cls(kind, key)
        raise NoSuchSet("There is no such set; choose a view, a tag or a dataset.")

    def __str__(self) -> str:
        return f"{self.kind}:{self.key}" if self.key else self.kind


@dataclass(frozen=True)
class View:
    """A filter that somebody saved under a name, for everybody who may see the gallery."""

    view_id: int
    name: str
    owner: str
    wanted: GalleryFilter
    changed_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "id": self.view_id,
            "name": self.name,
            "owner": self.owner,
            "filter": self.wanted.to_dict(),
            "query": self.wanted.query(),
            "changed_at": self.changed_at.isoformat(),
        }


@dataclass(frozen=True)
class Key:
    """A key of the gallery: what it is called in the script, and in the printed list."""

    keys: tuple[str, ...]
    action: str
    label: str
    shown: tuple[str, ...] = ()


KEYS = (
    Key(("ArrowLeft",), "left", "one series back", ("←",)),
    Key(("ArrowRight",), "right", "one series on", ("→",)),
    Key(("ArrowUp",), "up", "one row up", ("↑",)),
    Key(("ArrowDown",), "down", "one row down (with Shift: select on the way)", ("↓",)),
    Key(("PageUp",), "page-up", "one screen up", ("PgUp",)),
    Key(("PageDown",), "page-down", "one screen down", ("PgDn",)),
    Key(("Home",), "first", "first series"),
    Key(("End",), "last", "last series"),
    Key((" ", "x"), "select", "select, or no longer", ("Space", "x")),
    Key(("a",), "select-all", "select all that match"),
    Key(("Escape",), "select-none", "select none", ("Esc",)),
    Key(tuple("123456789"), "tag-number", "give or take the tag of this number", ("1", "…", "9")),
    Key(("t",), "tag", "type a tag"),
    Key(("/",), "search", "search in descriptions"),
    Key(("s",), "save", "save this view"),
    Key(("f",), "freeze", "freeze to a dataset"),
    Key(("Enter",), "open", "open in the reading room"),
    Key(("?",), "help", "show or hide these keys"),
)
