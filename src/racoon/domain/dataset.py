"""Frozen datasets: a named list of series at one site, with a hash that never changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from racoon.domain.canonical import content_hash
from racoon.domain.identity import Pseudonym


@dataclass(frozen=True, order=True)
class DatasetSeries:
    """One image series of a frozen dataset, with the masks drawn on it.

    Parameters
    ----------
    series_uid
        Pseudonymous Series Instance UID.
    pseudonym
        Subject the series belongs to.
    instance_count
        Number of instances when frozen.
    content_hash
        SHA-256 over the sorted SHA-256 of all instances of the series and its masks.
    mask_series_uids
        Pseudonymous Series Instance UIDs of the DICOM SEG series that refer to it, sorted.
    """

    series_uid: str
    pseudonym: Pseudonym
    instance_count: int
    content_hash: str
    mask_series_uids: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetManifest:
    """What a site froze for a study.  It stays at the site; CENTRAL sees counts and the hash.

    Parameters
    ----------
    study_id, name
        What it was frozen for.
    series
        What it holds; after :meth:`without` only what may still be used.
    frozen_hash
        The hash it was frozen with, where series were taken out since; empty for a whole one.
    """

    study_id: str
    name: str
    series: tuple[DatasetSeries, ...]
    frozen_hash: str = ""

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical manifest as it was frozen; independent of the order of its series."""
        return self.frozen_hash or content_hash(self.to_dict())

    def without(self, series_uids: Iterable[str]) -> DatasetManifest:
        """Return the dataset without some series, under the hash it was frozen with."""
        gone = set(series_uids)
        if not gone:
            return self
        kept = tuple(entry for entry in self.series if entry.series_uid not in gone)
        return replace(self, series=kept, frozen_hash=self.hash)

    @property
    def subject_count(self) -> int:
        """Number of distinct subjects."""
        return len({entry.pseudonym for entry in self.series})

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form with the series sorted."""
        return {
            "study_id": self.study_id,
            "name": self.name,
            "series": [
                {
                    "series_uid": entry.series_uid,
                    "pseudonym": entry.pseudonym,
                    "instance_count": entry.instance_count,
                    "content_hash": entry.content_hash,
                    "mask_series_uids": list(entry.mask_series_uids),
                }
                for entry in sorted(self.series)
            ],
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> DatasetManifest:
        """Read the JSON form."""
        return cls(
            study_id=document["study_id"],
            name=document["name"],
            series=tuple(
                DatasetSeries(
                    series_uid=entry["series_uid"],
                    pseudonym=Pseudonym(entry["pseudonym"]),
                    instance_count=entry["instance_count"],
                    content_hash=entry["content_hash"],
                    mask_series_uids=tuple(entry["mask_series_uids"]),
                )
                for entry in document["series"]
            ),
        )
