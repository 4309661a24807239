"""What one may ask of the gallery: what matches, its facets, a window of rows; tags, saved views, freezing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.domain.identity import Pseudonym
from racoon.node.archive import gallery as index
from racoon.node.archive.access import ImageAccess
from racoon.node.archive.service import Archive
from racoon.node.cohorts.service import CohortSeries
from racoon.node.curation import _tags, service
from racoon.node.curation.model import (
    FACET_NAMES,
    LONGEST_TAG,
    BadTag,
    BadView,
    GalleryFilter,
    NoSuchSet,
    SetName,
    TooMany,
    View,
    ViewOfSomebodyElse,
)
from racoon.node.measuring import service as measuring
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database

MOST_FROZEN = 20_000
"""Series that one act freezes: the hashes of all their images are read in one transaction."""

LONGEST_NAME = 80

Readable = Callable[[sa.ColumnElement[Any]], sa.ColumnElement[bool]]


@dataclass(frozen=True)
class Shown:
    """A row of the gallery with what other tables know of it."""

    row: index.GalleryRow
    tags: tuple[str, ...]
    checks: tuple[str, ...]


class Gallery:
    """The gallery of one node.

    Parameters
    ----------
    database, audit, archive
        The node's own.
    readable
        Condition of ``consent`` on every read.
    access
        Rights per research study, where the node limits anybody by them.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        archive: Archive,
        readable: Readable,
        access: ImageAccess | None = None,
    ) -> None:
        self._database = database
        self._audit = audit
        self._archive = archive
        self._readable = readable
        self._access = access

    # -- looking

    def outline(self, user: User, wanted: GalleryFilter) -> list[int]:
        """Return the ids of all series that match, newest first."""
        with self._database.connect() as connection:
            sight, also = self._asked(connection, user, wanted)
            return index.outline(connection, criteria_of(wanted), sight, also)

    def facets(self, user: User, wanted: GalleryFilter) -> dict[str, dict[str, int]]:
        """Count the values of every facet; of a facet that is filtered by, as if it were not.

        Tags and checks are counted among what matches, for of tags a series may have several.
        """
        with self._database.connect() as connection:
            sight, also = self._asked(connection, user, wanted)
            criteria = criteria_of(wanted)
            found = index.facets(connection, criteria, sight, also)
            matches = index.matching(criteria, sight, also).correlate(None)
            tag = _tags.series_tag.c
            every = sa.select(tag.tag, sa.func.count()).group_by(tag.tag)
            counted = every.where(tag.series_uid.in_(matches))
            found["tag"] = dict.fromkeys(connection.execute(sa.select(tag.tag).distinct()).scalars(), 0)
            found["tag"] |= _numbers(connection, counted, sight)
            flagged = self._flagged(connection, user)
            of_checks = sa.select(flagged.c.code, sa.func.count(sa.distinct(flagged.c.series_uid)))
            of_checks = of_checks.where(flagged.c.series_uid.in_(matches)).group_by(flagged.c.code)
            found["check"] = _numbers(connection, of_checks, sight)
        return found

    def rows(self, user: User, ids: Sequence[int]) -> list[Shown]:
        """Return some series, newest first; whichever may not be seen is left out."""
        with self._database.connect() as connection:
            sight = self._sight(connection, user)
            found = index.rows(connection, ids, sight)
            uids = [row.series_uid for row in found]
            tags = _tags.tags_of(connection, uids)
            flagged = self._flagged(connection, user)
            checks: dict[str, list[str]] = {}
            query = sa.select(flagged.c.series_uid, flagged.c.code).where(flagged.c.series_uid.in_(uids))
            for uid, code in connection.execute(query.order_by(flagged.c.code)):
                checks.setdefault(uid, []).append(code)
        return [
            Shown(row, tuple(tags.get(row.series_uid, ())), tuple(checks.get(row.series_uid, ())))
            for row in found
        ]

    # -- tagging

    def tag(self, user: User, tag: str, ids: Sequence[int], *, take: bool = False) -> int:
        """Give some series a tag, or take it from them; audited.  Returns how many it changed.

        Raises
        ------
        BadTag
        """
        name = tag.strip()
        if not name or len(name) > LONGEST_TAG or not name.isprintable():
            raise BadTag("A tag is a word or two, at most 40 characters.")
        with self._database.begin() as connection:
            subjects = index.uids_of(connection, ids, self._sight(connection, user))
            if take:
                changed = _tags.take(connection, name, list(subjects))
            else:
                changed = _tags.give(
                    connection, name, {uid: str(subject) for uid, subject in subjects.items()}, user.name
                )
            self._record(connection, user, "series.untag" if take else "series.tag", f"tag/{name}", changed)
        return changed

    # -- views

    def views(self) -> list[View]:
        """List the saved views by name."""
        with self._database.connect() as connection:
            return _tags.views(connection)

    def save_view(self, user: User, name: str, wanted: GalleryFilter) -> View:
        """Save a filter under a name; a name of one's own is replaced.

        Raises
        ------
        BadView, ViewOfSomebodyElse, NoSuchSet
        """
        name = name.strip()
        if not name or len(name) > LONGEST_NAME:
            raise BadView("A view needs a name of at most 80 characters.")
        for text in (*wanted.within, *wanted.without):
            if SetName.parse(text).kind == "view":
                raise BadView("A view cannot stand on another view; open that view and change it instead.")
        with self._database.begin() as connection:
            before = next((view for view in _tags.views(connection) if view.name == name), None)
            if before is not None and before.owner != user.name:
                raise ViewOfSomebodyElse("Somebody else saved a view of this name; choose another name.")
            view = View(before.view_id if before else 0, name, user.name, wanted, clock.now())
            return replace(view, view_id=_tags.save_view(connection, view))

    def delete_view(self, user: User, view_id: int) -> None:
        """Delete a view of one's own.

        Raises
        ------
        NoSuchSet, ViewOfSomebodyElse
        """
        with self._database.begin() as connection:
            view = _view(connection, str(view_id))
            if view.owner != user.name:
                raise ViewOfSomebodyElse("Only who saved a view may delete it.")
            _tags.delete_view(connection, view_id)

    # -- sets

    def distribution_of(
        self, connection: sa.Connection, user: User, name: SetName
    ) -> dict[str, tuple[Pseudonym, tuple[str, ...]]]:
        """Return subject and facet values by UID of the series of a set that may be seen now."""
        wanted = (
            _view(connection, name.key).wanted if name.kind == "view" else GalleryFilter(within=(str(name),))
        )
        sight, also = self._asked(connection, user, wanted)
        found = index.distribution(connection, criteria_of(wanted), sight, also)
        return {uid: (subject, values) for uid, subject, values in found}

    def sets(self) -> list[tuple[str, str, int | None]]:
        """List the sets there are: name, what people call it, number of series where that is known."""
        with self._database.connect() as connection:
            found: list[tuple[str, str, int | None]] = [("all", "", None)]
            found += [(f"view:{view.view_id}", view.name, None) for view in _tags.views(connection)]
            names = connection.execute(sa.select(_tags.series_tag.c.tag).distinct()).scalars()
            found += [(f"tag:{tag}", tag, None) for tag in sorted(names, key=str.casefold)]
            found += [
                (f"dataset:{item['study_id']}/{item['hash']}", item["name"], item["series_count"])
                for item in service.datasets(connection)
            ]
        return found

    # -- freezing

    def freeze(
        self, user: User, study_id: str, name: str, ids: Sequence[int], usable: service.Usable
    ) -> DatasetManifest:
        """Freeze some series to a dataset with a hash; audited.

        Parameters
        ----------
        study_id
            What for; consent is asked for this study, series by series.
        name
            Of the dataset.
        ids
            The series; those that may not be seen or used are left out.
        usable
            The port to ``consent``.

        Raises
        ------
        TooMany, BadView
        NothingUsable
            When this study may use none of them.
        """
        name = name.strip()
        if not name or len(name) > LONGEST_NAME:
            raise BadView("A dataset needs a name of at most 80 characters.")
        if len(ids) > MOST_FROZEN:
            raise TooMany("At most 20 000 series are frozen at once; narrow the filter.")
        with self._database.begin() as connection:
            sight = self._sight(connection, user)
            found = list(index.contents(connection, list(index.uids_of(connection, ids, sight)), sight))
            offered = [
                CohortSeries(item.series_uid, item.pseudonym, item.mask_series_uids, item.day_shifted)
                for item in found
            ]
            permitted = set(usable(connection, study_id, offered))
            if not permitted:
                raise service.NothingUsable(
                    "This site may use none of the chosen images for this study: it has recorded neither consents nor"
                    " a legal basis that permit it.",
                    details={"series": len(found)},
                )
            series = tuple(
                DatasetSeries(
                    series_uid=item.series_uid,
                    pseudonym=item.pseudonym,
                    instance_count=item.instance_count,
                    content_hash=service.content_hash_of(item.hashes),
                    mask_series_uids=item.mask_series_uids,
                )
                for item in found
                if item.series_uid in permitted
            )
            manifest = service.keep(connection, DatasetManifest(study_id, name, series))
            self._record(
                connection, user, "dataset.freeze", f"dataset/{manifest.hash}", len(series), study_id
            )
        return manifest

    # -- what everything above stands on

    def _sight(self, connection: sa.Connection, user: User) -> index.Sight:
        restriction = self._access.restriction(user, connection) if self._access else None
        return index.Sight(self._readable, restriction, self._archive.hidden_from(connection, user.name))

    def _flagged(self, connection: sa.Connection, user: User) -> sa.Subquery:
        found = measuring.flagged().subquery()
        hidden = self._archive.series_without_values(connection, user.name)
        narrowed = sa.select(found.c.series_uid, found.c.code)
        return (narrowed.where(found.c.series_uid.not_in(hidden)) if hidden else narrowed).subquery()

    def _asked(
        self, connection: sa.Connection, user: User, wanted: GalleryFilter
    ) -> tuple[index.Sight, list[index.Also]]:
        tags = _tags.series_tag.c
        also = [
            _in(sa.select(tags.series_uid).where(tags.tag == tag)) for tag in wanted.facets.get("tag", ())
        ]
        checks = wanted.facets.get("check", ())
        if checks:
            flagged = self._flagged(connection, user)
            also.append(_in(sa.select(flagged.c.series_uid).where(flagged.c.code.in_(checks))))
        sight = self._sight(connection, user)
        also += [_in(self._set(connection, user, text, sight)) for text in wanted.within if text != "all"]
        also += [_not_in(self._set(connection, user, text, sight)) for text in wanted.without]
        return sight, also

    def _set(self, connection: sa.Connection, user: User, text: str, sight: index.Sight) -> sa.Select[Any]:
        name = SetName.parse(text)
        if name.kind == "tag":
            return sa.select(_tags.series_tag.c.series_uid).where(_tags.series_tag.c.tag == name.key)
        if name.kind == "dataset":
            study_id, _, dataset_hash = name.key.rpartition("/")
            columns = _tags.member.c
            service.load(connection, study_id, dataset_hash)
            return sa.select(columns.series_uid).where(
                columns.study_id == study_id, columns.hash == dataset_hash
            )
        view = _view(connection, name.key).wanted if name.kind == "view" else GalleryFilter()
        # A saved view stands on no other view, so this ends.
        _, also = self._asked(connection, user, view)
        return index.matching(criteria_of(view), replace(sight, readable=_everything), also)

    def _record(
        self, connection: sa.Connection, user: User, action: str, target: str, series: int, purpose: str = ""
    ) -> None:
        self._audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action=action,
            target=target,
            purpose=purpose,
            details={"series": series},
        )


def criteria_of(wanted: GalleryFilter) -> index.SeriesCriteria:
    """Return the part of a filter that the archive answers."""
    return index.SeriesCriteria(
        facets={name: values for name, values in wanted.facets.items() if name in FACET_NAMES},
        subject=wanted.subject,
        text=wanted.text,
        day_from=wanted.day_from,
        day_to=wanted.day_to,
        images_from=wanted.images_from,
        images_to=wanted.images_to,
    )


def _numbers(connection: sa.Connection, counted: sa.Select[Any], sight: index.Sight) -> dict[str, int]:
    return {row[0]: int(row[1]) for row in connection.execute(counted, sight.parameters)}


def _everything(_column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Ask nothing here: the statement around asks for every row."""
    return sa.true()


def _in(uids: sa.Select[Any]) -> index.Also:
    return lambda column: column.in_(uids.correlate(None))


def _not_in(uids: sa.Select[Any]) -> index.Also:
    return lambda column: column.not_in(uids.correlate(None))


def _view(connection: sa.Connection, key: str) -> View:
    found = next((view for view in _tags.views(connection) if str(view.view_id) == key), None)
    if found is None:
        raise NoSuchSet("There is no such view; open the list of views again.")
    return found
