"""How a network's list is read and written: its columns, its codes for sites and visits beside ours."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from racoon.node.clinical.table_mapping import BadMapping

Column = Annotated[str, Field(min_length=1, max_length=200)]
Word = Annotated[str, Field(min_length=1, max_length=40)]

DATE_FORMATS = ("%Y-%m-%d", "%d.%m.%Y")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ListMapping(_Model):
    """How a cohort list is read.

    Attributes
    ----------
    project
        Under which name the list is kept here, such as ``napkon-suep``.
    separator, encoding
        Of the file.
    person
        Column of the network's pseudonym.
    number
        Column of this hospital's number, in lists that stay in the hospital; never written.
    site, sites
        Column of the network's site code, and these codes to ours.
    visit, visits, day
        Column of the visit's name, the network's names to ours, and column of its day.
    window_days
        Images so many days before or after a visit belong to it.
    """

    project: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]{3,80}$")]
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ";"
    encoding: Literal["utf-8", "iso-8859-1", "iso-8859-15", "windows-1252", "utf-16"] = "utf-8"
    person: Column
    number: Column | None = None
    site: Column
    sites: Annotated[Mapping[Word, Word], Field(min_length=1)]
    visit: Column | None = None
    visits: Mapping[Word, Word] = Field(default_factory=dict)
    day: Column | None = None
    window_days: Annotated[int, Field(ge=0, le=365)] = 14

    @model_validator(mode="after")
    def _both_ways(self) -> ListMapping:
        for name, table in (("sites", self.sites), ("visits", self.visits)):
            if len(set(table.values())) != len(table):
                raise ValueError(
                    f"{name}: two words of the network mean the same here, so none can be written back"
                )
        if (self.visit is None) != (not self.visits):
            raise ValueError("a column of visits needs the table 'visits', and the table needs the column")
        if self.day is not None and self.visit is None:
            raise ValueError("a day belongs to a visit: name the column of visits")
        return self

    def columns(self) -> set[str]:
        """Every column that the mapping names."""
        return {name for name in (self.person, self.number, self.site, self.visit, self.day) if name}


def read_list_mapping(path: Path) -> ListMapping:
    """Read a mapping.

    Raises
    ------
    BadMapping
        With the place of the first mistake.
    """
    try:
        return parse_list_mapping(path.read_bytes())
    except OSError as error:
        raise BadMapping(f"The mapping {path.name} cannot be read: {error}.") from error


def parse_list_mapping(content: bytes) -> ListMapping:
    """Read the content of a mapping's file.

    Raises
    ------
    BadMapping
        With the place of the first mistake.
    """
    try:
        return ListMapping.model_validate(tomllib.loads(content.decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadMapping("The mapping is no TOML file.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise BadMapping(
            f"The mapping says something wrong at {place or 'its whole'}: {first['msg']}."
        ) from error
