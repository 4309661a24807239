"""Finds and reads what the archive holds: the half of it that changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, BinaryIO

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.archive import _browse, _store
from racoon.node.archive._hiding import (
    Hidden,
    HiddenFrom,
    no_values_are_hidden,
    nothing_is_hidden,
    shows_instance,
    shows_series,
)
from racoon.node.archive._volumes import SegmentationMask, VolumeLoader
from racoon.node.archive.access import Restriction
from racoon.node.archive.model import (
    SEGMENTATION_MODALITY,
    ArchiveCounts,
    FilterChoices,
    InstanceRow,
    ObjectDamaged,
    ReadableAmong,
    SeriesFilter,
    SeriesNotFound,
    SeriesRow,
    StudyFilter,
    StudyRow,
)
from racoon.node.archive.objects import ObjectStore
from racoon.platform.database import Database
from racoon.standards.dicom.resampling import is_resampled
from racoon.standards.dicom.volume import Arrangement, Volume

REPORT_MODALITY = "SR"


def masks_and_reports_on(imaging_study_uids: sa.Select[Any], *, but: sa.Select[Any]) -> sa.Select[Any]:
    """Select the segmentations and structured reports of some imaging studies but some, by SOP Instance UID."""
    instances, series = sa.alias(_store.instances), sa.alias(_store.series)
    return (
        sa.select(instances.c.sop_instance_uid)
        .join(series, series.c.id == instances.c.series_id)
        .where(
            series.c.modality.in_((SEGMENTATION_MODALITY, REPORT_MODALITY)),
            series.c.imaging_study_uid.in_(imaging_study_uids),
            instances.c.sop_instance_uid.not_in(but),
        )
    )


def everything_is_readable(_: Pseudonym) -> bool:
    """Refuse nothing: the archive of a tool that reads files no consent is known of."""
    return True


class ArchiveReader:
    """Finds and reads the de-identified instances of one node.

    Parameters
    ----------
    database
        The node's database; holds the index.
    objects
        Where the files lie.
    is_readable
        Whether a subject's data may be read now (consent, withdrawal); asked on every read.
    readable_among
        The same of many subjects at once, for lists; without it each is asked for on its own.
    hidden_from
        What a person must not see yet, whoever else may; asked wherever something is given to a person.
    values_hidden_from
        Imaging studies of which a person must see no automatic value yet.
    """

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        *,
        is_readable: Callable[[Pseudonym], bool] = everything_is_readable,
        readable_among: ReadableAmong | None = None,
        hidden_from: HiddenFrom = nothing_is_hidden,
        values_hidden_from: HiddenFrom = no_values_are_hidden,
    ) -> None:
        self._database = database
        self._objects = objects
        self._is_readable = is_readable
        self._readable_among = readable_among
        self._hidden_from = hidden_from
        self._values_hidden_from = values_hidden_from
        self._volumes = VolumeLoader(self.read_object, self.open_object)

    @property
    def objects(self) -> ObjectStore:
        """Where the files lie; only this room asks."""
        return self._objects

    @property
    def database(self) -> Database:
        """The database the index is in; the search language of DICOMweb compiles to it."""
        return self._database

    def is_readable(self, pseudonym: Pseudonym) -> bool:
        """Tell whether a subject's data may be read now."""
        return self._is_readable(pseudonym)

    def readable_among(
        self, connection: sa.Connection, pseudonyms: Collection[Pseudonym]
    ) -> Collection[Pseudonym]:
        """Return those of some subjects whose data may be read now."""
        if self._readable_among is not None:
            return self._readable_among(connection, pseudonyms) if pseudonyms else ()
        return {pseudonym for pseudonym in set(pseudonyms) if self._is_readable(pseudonym)}

    def hidden_from(self, connection: sa.Connection, user_name: str) -> Hidden | None:
        """Select the SOP Instance UIDs that a person must not see now; None where nothing is hidden."""
        return self._hidden_from(connection, user_name)

    def series_without_values(self, connection: sa.Connection, user_name: str) -> frozenset[str]:
        """Return the series of which a person must see no automatic value now: a blinded reading.

        Whatever gives measured values to a person asks this: lists, files, pictures, pages and FHIR.
        """
        studies = self._values_hidden_from(connection, user_name)
        if studies is None:
            return frozenset()
        table = _store.series
        query = sa.select(table.c.series_uid).where(table.c.imaging_study_uid.in_(studies))
        return frozenset(connection.execute(query).scalars())

    # -- finding

    def series(self, criteria: SeriesFilter | None = None) -> list[SeriesRow]:
        """List series in the order in which they came; go on with ``criteria.after``."""
        criteria = criteria or SeriesFilter()
        table = _store.series
        query = sa.select(table).where(table.c.id > criteria.after).order_by(table.c.id)
        for column, value in (
            (table.c.modality, criteria.modality),
            (table.c.body_part, criteria.body_part),
            (table.c.pseudonym, criteria.pseudonym),
            (table.c.imaging_study_uid, criteria.imaging_study_uid),
            (table.c.referenced_series_uid, criteria.referenced_series_uid),
        ):
            if value:
                query = query.where(column == value)
        if criteria.series_uids:
            query = query.where(table.c.series_uid.in_(criteria.series_uids))
        with self._database.connect() as connection:
            rows = connection.execute(query.limit(max(1, min(criteria.limit, 1000)))).all()
            readable = self.readable_among(connection, {Pseudonym(row.pseudonym) for row in rows})
        return [_store.series_row_of(row) for row in rows if row.pseudonym in readable]

    def browse(
        self,
        criteria: StudyFilter,
        restriction: Restriction | None = None,
        *,
        seen_by: str = "",
    ) -> list[StudyRow]:
        """List imaging studies with their series, newest first; go on with ``criteria.before``.

        Parameters
        ----------
        restriction
            Imaging studies that the user's rights leave.
        seen_by
            Name of the user it is shown to; empty for the node itself.
        """
        with self._database.connect() as connection:
            hidden = self._hidden_from(connection, seen_by) if seen_by else None
            found = _browse.browse(connection, criteria, restriction, hidden)
            readable = self.readable_among(connection, {row.pseudonym for row in found})
        return [row for row in found if row.pseudonym in readable]

    def filter_choices(self) -> FilterChoices:
        """Return the values that occur of what the browser filters by, sorted."""
        with self._database.connect() as connection:
            return _browse.choices(connection)

    def series_row(self, series_uid: str, *, seen_by: str = "") -> SeriesRow:
        """Return one series.

        Parameters
        ----------
        seen_by
            Name of the user it is shown to; empty for the node itself.

        Raises
        ------
        SeriesNotFound
            If it is not there, its subject's data may not be read, or it is hidden from the user.
        """
        rows = self.series(SeriesFilter(series_uids=(series_uid,), limit=1))
        if not rows or (seen_by and not self._is_shown(series_uid, seen_by)):
            raise SeriesNotFound("There is no such series in this archive.")
        return rows[0]

    def _is_shown(self, series_uid: str, user_name: str) -> bool:
        with self._database.connect() as connection:
            hidden = self._hidden_from(connection, user_name)
            if hidden is None:
                return True
            table = _store.series
            query = sa.select(table.c.id).where(table.c.series_uid == series_uid, shows_series(hidden))
            return connection.execute(query).first() is not None

    def instances(self, series_uid: str) -> list[InstanceRow]:
        """List the instances of a series by instance number, empty when there is no such series."""
        table = _store.instances
        query = _store.select_instances().where(_store.series.c.series_uid == series_uid)
        return self._instance_rows(query.order_by(table.c.instance_number, table.c.id))

    def instances_of_study(
        self, imaging_study_uid: str, *, seen_by: str, series: str = "", instance: str = ""
    ) -> list[InstanceRow]:
        """List instances of an imaging study, optionally of one series or one instance of it, in reading
        order.

        Parameters
        ----------
        seen_by
            Name of the user they are shown to; empty for the node itself.
        """
        query = _store.select_instances().where(_store.series.c.imaging_study_uid == imaging_study_uid)
        if series:
            query = query.where(_store.series.c.series_uid == series)
        if instance:
            query = query.where(_store.instances.c.sop_instance_uid == instance)
        if seen_by:
            with self._database.connect() as connection:
                hidden = self._hidden_from(connection, seen_by)
            if hidden is not None:
                query = query.where(shows_instance(hidden))
        table = _store.instances
        return self._instance_rows(query.order_by(_store.series.c.id, table.c.instance_number, table.c.id))

    def instance(self, sop_instance_uid: str) -> InstanceRow:
        """Return one instance.

        Raises
        ------
        SeriesNotFound
            If it is not there or may not be read.
        """
        rows = self._instance_rows(
            _store.select_instances().where(_store.instances.c.sop_instance_uid == sop_instance_uid)
        )
        if not rows:
            raise SeriesNotFound("There is no such instance in this archive.")
        return rows[0]

    def segmentations(self, series_uid: str) -> list[InstanceRow]:
        """List the DICOM SEG instances that were drawn on a series."""
        query = _store.select_instances().where(
            _store.series.c.referenced_series_uid == series_uid,
            _store.instances.c.referenced_series_uid == series_uid,
        )
        return self._instance_rows(query.order_by(_store.instances.c.id))

    def _instance_rows(self, query: sa.Select[Any]) -> list[InstanceRow]:
        with self._database.connect() as connection:
            rows = connection.execute(query).all()
            readable = self.readable_among(connection, {Pseudonym(row.pseudonym) for row in rows})
        return [_store.instance_row_of(row) for row in rows if row.pseudonym in readable]

    def evidence(self, sop_instance_uid: str) -> dict[str, Any]:
        """Return what the de-identification said about an instance."""
        self.instance(sop_instance_uid)
        table = _store.instances
        query = sa.select(table.c.evidence).where(table.c.sop_instance_uid == sop_instance_uid)
        with self._database.connect() as connection:
            found: dict[str, Any] = connection.execute(query).scalar_one()
        return found

    def metadata(self, series_uid: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
        """Yield (SOP Instance UID, DICOM JSON, whether it is complete) of each instance of a series.

        Many-frame objects are stored without their per-frame groups; read the object where completeness
        matters.
        """
        self.series_row(series_uid)
        with self._database.connect() as connection:
            lines = list(_store.load_metadata_lines(connection, series_uid))
        for line in lines:
            entry = json.loads(line)
            yield entry["uid"], entry["metadata"], not entry["omitted"]

    def counts(self) -> ArchiveCounts:
        """Count what the archive holds."""
        with self._database.connect() as connection:
            return _browse.count(connection)

    # -- reading

    def read_object(self, row: InstanceRow, *, verify: bool = False) -> bytes:
        """Return the file of an instance.

        Raises
        ------
        ObjectDamaged
            With ``verify``, if the content is not what was stored.
        SeriesNotFound
            If its subject's data may no longer be read, however short ago the row was found.
        """
        self._require_readable(row)
        data = self._objects.read(row.object_key)
        if len(data) != row.size_bytes or (verify and hashlib.sha256(data).hexdigest() != row.sha256):
            raise ObjectDamaged(
                "An archived object is damaged on disk. Restore it from a backup.",
                details={"key": row.object_key},
            )
        return data

    def open_object(self, row: InstanceRow) -> BinaryIO:
        """Open the file of an instance for streaming."""
        self._require_readable(row)
        return self._objects.open(row.object_key)

    def _require_readable(self, row: InstanceRow) -> None:
        if not self._is_readable(row.pseudonym):
            raise SeriesNotFound("There is no such instance in this archive.")

    def content_hash(self, series_uids: Sequence[str]) -> str:
        """SHA-256 over the sorted SHA-256 of all instances of some series: the fingerprint a dataset
        freezes.
        """
        hashes: list[str] = []
        for series_uid in series_uids:
            hashes += [row.sha256 for row in self.instances(series_uid)]
        return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()

    def arrange(self, series_uid: str) -> Arrangement:
        """Sort the planes of a series and report irregularities, without decoding pixels."""
        self.series_row(series_uid)
        return self._volumes.arrange(self.instances(series_uid))

    def load_volume(self, series_uid: str, *, resample: bool = False) -> Volume:
        """Load a series as one volume in output units.

        Parameters
        ----------
        resample
            Interpolate missing, uneven, tilted or repeated slices instead of refusing them.

        Raises
        ------
        SeriesNotFound
            If it is not there or may not be read.
        IrregularSeries
            If it is not one regular grid, or with ``resample`` if interpolation would invent an image; its
            findings say why.
        """
        self.series_row(series_uid)
        return self._volumes.load_volume(self.instances(series_uid), resample=resample)

    def load_masks(self, series_uid: str) -> list[SegmentationMask]:
        """Load every segment drawn on a series, on the exact grid of that series."""
        return list(self.iterate_masks(series_uid))

    def iterate_masks(
        self, series_uid: str, source: Volume | Arrangement | None = None
    ) -> Iterator[SegmentationMask]:
        """Yield every segment drawn on a series, one at a time: a hundred organs do not fit in memory
        together.

        Parameters
        ----------
        series_uid
            The source series.
        source
            The loaded volume or the arrangement, when the caller has it; saves reading the headers again.
        """
        self.series_row(series_uid)
        drawn = self.segmentations(series_uid)
        if isinstance(source, Volume) and is_resampled(source):
            rows = self.instances(series_uid)
            yield from self._volumes.iterate_resampled_masks(drawn, rows, source)
        else:
            yield from self._volumes.iterate_masks(drawn, source or self.arrange(series_uid))
