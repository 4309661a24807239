"""The image series of the archive as one long list: which match, how they are distributed, a window of them.

A list of a hundred thousand is scrolled, so it is asked for in two ways: once all ids, newest first, and then the few
rows that can be seen, by id.  Every statement carries what the person may see; other rooms narrow it by conditions of
their own on the series.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.archive import _assessments, _store
from racoon.node.archive._hiding import Hidden, shows_series
from racoon.node.archive.access import GRANTED, Restriction
from racoon.standards.dicomweb.query import wildcard_to_like

MOST_ROWS = 500
"""Rows that one window holds at most."""

_SERIES, _KNOWN = _store.series, _assessments.assessments
_DRAWN = sa.alias(_store.series)

HAS_MASK = sa.exists().where(
    _DRAWN.c.referenced_series_uid == _SERIES.c.series_uid, _DRAWN.c.modality == "SEG"
)


def _known(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(column, "")


FACETS: Mapping[str, sa.ColumnElement[Any]] = {
    "modality": _SERIES.c.modality,
    "body_part": _SERIES.c.body_part,
    "kind": _known(_KNOWN.c.kind),
    "plane": _known(_KNOWN.c.plane),
    "contrast": _known(_KNOWN.c.contrast),
    "thickness": _known(_KNOWN.c.thickness),
    "manufacturer": _SERIES.c.manufacturer,
    "mask": sa.case((HAS_MASK, "yes"), else_="no"),
    "quality": sa.case(
        (_KNOWN.c.worst.is_(None), "unknown"), (_KNOWN.c.worst == "", "none"), else_=_KNOWN.c.worst
    ),
}
"""What a series has exactly one value of."""

_RULES = sa.cast(_KNOWN.c.rules, sa.Text)

RULE = "rule"
"""The facet of which a series has any number: the rules of quality it breaks."""


@dataclass(frozen=True)
class SeriesCriteria:
    """What series are asked for; what is empty matches all.

    Parameters
    ----------
    facets
        By name of :data:`FACETS`, or :data:`RULE`: the accepted values.
    subject
        Pseudonym, or its beginning and ``*``.
    text
        Occurs in the description or the protocol's name.
    day_from, day_to
        Shifted day of the examination, ``YYYYMMDD``.
    images_from, images_to
        Number of images.
    """

    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    subject: str = ""
    text: str = ""
    day_from: str = ""
    day_to: str = ""
    images_from: int | None = None
    images_to: int | None = None


@dataclass(frozen=True)
class Sight:
    """What somebody may see.

    Parameters
    ----------
    readable
        Condition of ``consent`` over a column with subjects.
    restriction
        Imaging studies that the person's rights leave; None for all.
    hidden
        Objects that the person must not see yet.
    """

    readable: Callable[[sa.ColumnElement[Any]], sa.ColumnElement[bool]]
    restriction: Restriction | None = None
    hidden: Hidden | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Parameters of a statement with these conditions."""
        return self.restriction.parameters if self.restriction else {}

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Conditions of a statement on the table of series."""
        study = _store.imaging_studies
        found = [self.readable(_SERIES.c.pseudonym)]
        if self.restriction is not None:
            found.append(sa.exists().where(study.c.id == _SERIES.c.study_id, GRANTED))
        if self.hidden is not None:
            found.append(shows_series(self.hidden))
        return found


Also = Callable[[sa.ColumnElement[Any]], sa.ColumnElement[bool]]
"""A further condition, over the column with the series UID: tags, datasets, what other rooms know."""


@dataclass(frozen=True)
class GalleryRow:
    """One series as the gallery shows it; texts as the archive has them, ``rules`` are codes."""

    id: int
    series_uid: str
    imaging_study_uid: str
    pseudonym: Pseudonym
    modality: str
    body_part: str
    description: str
    day_shifted: str
    images: int
    slice_thickness_mm: float | None
    kind: str
    plane: str
    contrast: str
    quality: str
    rules: tuple[str, ...]
    has_mask: bool


def is_image(series: sa.FromClause = _SERIES) -> sa.ColumnElement[bool]:
    """Condition: a series of pictures, no mask and no document."""
    return sa.and_(series.c.rows.is_not(None), series.c.modality != "SEG")


def _joined(*columns: Any) -> sa.Select[Any]:
    joined = sa.join(_SERIES, _KNOWN, _KNOWN.c.series_id == _SERIES.c.id, isouter=True)
    return sa.select(*columns).select_from(joined).where(is_image())


def _conditions(criteria: SeriesCriteria, *, with_facets: bool = True) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if criteria.subject.endswith("*"):
        found.append(_SERIES.c.pseudonym.like(wildcard_to_like(criteria.subject), escape="\\"))
    elif criteria.subject:
        found.append(_SERIES.c.pseudonym == criteria.subject)
    if criteria.text:
        words = _SERIES.c.description + "\n" + _SERIES.c.protocol_name
        found.append(words.icontains(criteria.text, autoescape=True))
    if criteria.day_from:
        found.append(_SERIES.c.study_date >= criteria.day_from)
    if criteria.day_to:
        found += [_SERIES.c.study_date <= criteria.day_to, _SERIES.c.study_date != ""]
    if criteria.images_from is not None:
        found.append(_SERIES.c.frame_count >= criteria.images_from)
    if criteria.images_to is not None:
        found.append(_SERIES.c.frame_count <= criteria.images_to)
    for name, values in criteria.facets.items() if with_facets else ():
        if not values:
            continue
        if name == RULE:
            found.append(sa.or_(*(_RULES.contains(f'"{code}"', autoescape=True) for code in values)))
        else:
            found.append(FACETS[name].in_(values))
    return found


def _asked(statement: sa.Select[Any], sight: Sight, also: Sequence[Also]) -> sa.Select[Any]:
    return statement.where(*sight.conditions(), *(condition(_SERIES.c.series_uid) for condition in also))


def matching(criteria: SeriesCriteria, sight: Sight, also: Sequence[Also] = ()) -> sa.Select[Any]:
    """Select the UIDs of the series that match, to stand in a statement; run it with ``sight.parameters``."""
    return _asked(_joined(_SERIES.c.series_uid).where(*_conditions(criteria)), sight, also)


def outline(
    connection: sa.Connection, criteria: SeriesCriteria, sight: Sight, also: Sequence[Also] = ()
) -> list[int]:
    """Return the ids of all series that match, newest first."""
    query = _asked(_joined(_SERIES.c.id).where(*_conditions(criteria)), sight, also)
    query = query.order_by(_SERIES.c.id.desc())
    return [row[0] for row in connection.execute(query, sight.parameters)]


def rows(
    connection: sa.Connection, ids: Sequence[int], sight: Sight, also: Sequence[Also] = ()
) -> list[GalleryRow]:
    """Return some series by id, newest first; whichever may not be seen is left out."""
    query = _joined(_SERIES, *_KNOWN_COLUMNS, FACETS["mask"].label("mask")).where(
        _SERIES.c.id.in_(list(ids)[:MOST_ROWS])
    )
    found = connection.execute(_asked(query, sight, also).order_by(_SERIES.c.id.desc()), sight.parameters)
    return [_row_of(row) for row in found]


_KNOWN_COLUMNS = [
    FACETS[name].label(f"known_{name}") for name in ("kind", "plane", "contrast", "quality")
] + [_KNOWN.c.rules.label("known_rules")]


def _row_of(row: sa.Row[Any]) -> GalleryRow:
    return GalleryRow(
        id=row.id,
        series_uid=row.series_uid,
        imaging_study_uid=row.imaging_study_uid,
        pseudonym=Pseudonym(row.pseudonym),
        modality=row.modality,
        body_part=row.body_part,
        description=row.description,
        day_shifted=row.study_date,
        images=row.frame_count,
        slice_thickness_mm=row.slice_thickness_mm,
        kind=row.known_kind,
        plane=row.known_plane,
        contrast=row.known_contrast,
        quality=row.known_quality,
        rules=tuple(row.known_rules or ()),
        has_mask=row.mask == "yes",
    )


def uids_of(connection: sa.Connection, ids: Sequence[int], sight: Sight) -> dict[str, Pseudonym]:
    """Return subject by UID of some series, by id; whichever may not be seen is left out."""
    found: dict[str, Pseudonym] = {}
    for start in range(0, len(ids), _store.MOST_PARAMETERS):
        part = list(ids[start : start + _store.MOST_PARAMETERS])
        query = _joined(_SERIES.c.series_uid, _SERIES.c.pseudonym).where(_SERIES.c.id.in_(part))
        for row in connection.execute(_asked(query, sight, ()), sight.parameters):
            found[row.series_uid] = Pseudonym(row.pseudonym)
    return found


def facets(
    connection: sa.Connection, criteria: SeriesCriteria, sight: Sight, also: Sequence[Also] = ()
) -> dict[str, dict[str, int]]:
    """Count the values of each facet among the series that match all the others.

    One pass over the series: what is asked for of the facets themselves is applied to the combinations that occur,
    which are few.

    Returns
    -------
    dict
        Numbers by value, by name of the facet; :data:`RULE` among them.
    """
    names = list(FACETS)
    columns = [FACETS[name].label(name) for name in names]
    inner = _asked(
        _joined(*columns, _RULES.label(RULE)).where(*_conditions(criteria, with_facets=False)), sight, also
    ).subquery()
    every = [inner.c[name] for name in (*names, RULE)]
    counted = sa.select(*every, sa.func.count()).group_by(*every)
    wanted = {name: frozenset(values) for name, values in criteria.facets.items() if values}
    found: dict[str, Counter[str]] = {name: Counter() for name in (*names, RULE)}
    for *values, rules, number in connection.execute(counted, sight.parameters):
        codes = _codes_in(rules)
        missed = [
            name for name, value in zip(names, values, strict=True) if value not in wanted.get(name, (value,))
        ]
        if wanted.get(RULE) and not wanted[RULE] & codes:
            missed.append(RULE)
        if len(missed) > 1:
            continue
        for name, value in zip(names, values, strict=True):
            if not missed or missed == [name]:
                found[name][value] += number
        if not missed or missed == [RULE]:
            for code in codes:
                found[RULE][code] += number
    return {name: dict(counts) for name, counts in found.items()}


def _codes_in(rules: str | None) -> frozenset[str]:
    """Read the codes of a JSON list of plain words without building it."""
    return frozenset(
        word for word in (rules or "").strip("[]").replace('"', "").replace(" ", "").split(",") if word
    )


def distribution(
    connection: sa.Connection, criteria: SeriesCriteria, sight: Sight, also: Sequence[Also] = ()
) -> Iterator[tuple[str, Pseudonym, tuple[str, ...]]]:
    """Yield UID, subject and the values of all facets, in their order, of every series that matches."""
    columns = [FACETS[name].label(name) for name in FACETS]
    query = _joined(_SERIES.c.series_uid, _SERIES.c.pseudonym, *columns).where(*_conditions(criteria))
    for uid, pseudonym, *values in connection.execute(_asked(query, sight, also), sight.parameters):
        yield uid, Pseudonym(pseudonym), tuple(values)


@dataclass(frozen=True)
class Contents:
    """What a dataset freezes of a series: instances, the hashes of them and of its masks, and the masks."""

    series_uid: str
    pseudonym: Pseudonym
    day_shifted: str
    instance_count: int
    hashes: tuple[str, ...]
    mask_series_uids: tuple[str, ...]


def contents(connection: sa.Connection, series_uids: Sequence[str], sight: Sight) -> Iterator[Contents]:
    """Yield what a dataset freezes, series by series in the order of their UIDs."""
    ordered = sorted(set(series_uids))
    for start in range(0, len(ordered), _store.MOST_PARAMETERS):
        part = ordered[start : start + _store.MOST_PARAMETERS]
        images = _asked(_joined(_SERIES).where(_SERIES.c.series_uid.in_(part)), sight, ())
        found = {row.series_uid: row for row in connection.execute(images, sight.parameters)}
        masks: dict[str, dict[str, int]] = {uid: {} for uid in found}
        drawn = sa.select(_SERIES.c.id, _SERIES.c.series_uid, _SERIES.c.referenced_series_uid).where(
            _SERIES.c.modality == "SEG", _SERIES.c.referenced_series_uid.in_(found)
        )
        for row in connection.execute(drawn):
            masks[row.referenced_series_uid][row.series_uid] = row.id
        ids = [row.id for row in found.values()] + [key for group in masks.values() for key in group.values()]
        hashes = _hashes(connection, ids)
        for uid in sorted(found):
            row = found[uid]
            of_all = [*hashes[row.id], *(item for key in masks[uid].values() for item in hashes[key])]
            yield Contents(
                uid,
                Pseudonym(row.pseudonym),
                row.study_date,
                len(hashes[row.id]),
                tuple(sorted(of_all)),
                tuple(sorted(masks[uid])),
            )


def _hashes(connection: sa.Connection, ids: Sequence[int]) -> dict[int, list[str]]:
    table = _store.instances
    found: dict[int, list[str]] = {key: [] for key in ids}
    for start in range(0, len(ids), _store.MOST_PARAMETERS):
        part = list(ids[start : start + _store.MOST_PARAMETERS])
        query = sa.select(table.c.series_id, table.c.sha256).where(table.c.series_id.in_(part))
        for row in connection.execute(query):
            found[row.series_id].append(row.sha256)
    return found
