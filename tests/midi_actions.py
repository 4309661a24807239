"""The ten actions by which MIDI-B scores de-identification (arXiv 2508.01889): an answer key over input and output.

An answer key is a list of checks; the worst outcome for each action, attribute and series counts, and the score is the
share of passed ones.  Over-removal costs as much as a leak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from pydicom.dataset import Dataset

ACTIONS = (
    "tag_retained",
    "text_notnull",
    "text_retained",
    "text_removed",
    "date_shifted",
    "uid_changed",
    "uid_consistent",
    "patid_consistent",
    "pixels_hidden",
    "pixels_retained",
)


@dataclass(frozen=True)
class Check:
    """One line of an answer key.

    Parameters
    ----------
    action
        One of :data:`ACTIONS`.
    place
        Keywords from the top of the object to the attribute, items of sequences by their first item.
    words
        For ``text_retained`` and ``text_removed``: what has to stand there, or must not.
    region
        For the pixel actions: rows and columns.
    """

    action: str
    place: tuple[str, ...]
    words: str = ""
    region: tuple[slice, ...] = ()


@dataclass
class Harness:
    """Judges outputs; the maps of UIDs and patients are what a contestant hands in."""

    uids: dict[str, str] = field(default_factory=dict)
    patients: dict[str, str] = field(default_factory=dict)
    shifts: dict[str, int] = field(default_factory=dict)
    outcomes: dict[tuple[str, str, str], bool] = field(default_factory=dict)

    def judge(self, before: Dataset, after: Dataset, checks: Iterable[Check]) -> None:
        """Judge one object; the worst outcome of its series stays."""
        for check in checks:
            key = (check.action, ".".join(check.place), str(before.SeriesInstanceUID))
            passed = self._judges()[check.action](before, after, check)
            self.outcomes[key] = self.outcomes.get(key, True) and passed

    def score(self) -> tuple[int, int, list[tuple[str, str, str]]]:
        """Give passed, all, and what failed."""
        failed = [key for key, passed in self.outcomes.items() if not passed]
        return len(self.outcomes) - len(failed), len(self.outcomes), failed

    def by_action(self) -> Mapping[str, int]:
        """Count the judged attributes of each action."""
        return {action: sum(key[0] == action for key in self.outcomes) for action in ACTIONS}

    def _judges(self) -> Mapping[str, Callable[[Dataset, Dataset, Check], bool]]:
        return {
            "tag_retained": lambda _before, after, check: found(after, check.place) is not None,
            "text_notnull": lambda _before, after, check: bool(text(after, check.place)),
            "text_retained": lambda _before, after, check: check.words in text(after, check.place),
            "text_removed": lambda _before, after, check: check.words not in text(after, check.place),
            "date_shifted": self._date_shifted,
            "uid_changed": lambda before, after, check: (
                text(after, check.place) not in ("", text(before, check.place))
            ),
            "uid_consistent": self._uid_consistent,
            "patid_consistent": self._patid_consistent,
            "pixels_hidden": lambda _before, after, check: not after.pixel_array[check.region].any(),
            "pixels_retained": lambda before, after, check: bool(
                np.array_equal(before.pixel_array[check.region], after.pixel_array[check.region])
            ),
        }

    def _date_shifted(self, before: Dataset, after: Dataset, check: Check) -> bool:
        """Every date of a patient moves by the same days, and moves at all."""
        then, now = text(before, check.place), text(after, check.place)
        if len(now) != 8 or not now.isdigit():
            return False
        days = (day(now) - day(then)).days
        return days != 0 and self.shifts.setdefault(str(before.PatientID), days) == days

    def _uid_consistent(self, before: Dataset, after: Dataset, check: Check) -> bool:
        then, now = text(before, check.place), text(after, check.place)
        known = self.uids.setdefault(then, now)
        return known == now and sum(value == now for value in self.uids.values()) == 1

    def _patid_consistent(self, before: Dataset, after: Dataset, check: Check) -> bool:
        then, now = text(before, check.place).strip(), text(after, check.place)
        known = self.patients.setdefault(then, now)
        return known == now != then and sum(value == now for value in self.patients.values()) == 1


def found(dataset: Dataset, place: Sequence[str]) -> object | None:
    """Give the element at a place; None where it is not."""
    *path, keyword = place
    for name in path:
        items = dataset.get(name)
        if not items:
            return None
        dataset = items[0]
    try:
        return dataset[keyword]
    except KeyError:
        return None


def text(dataset: Dataset, place: Sequence[str]) -> str:
    """Give a value as text; empty where it is not."""
    element = found(dataset, place)
    value = getattr(element, "value", None)
    return "" if value is None else str(value)


def day(written: str) -> date:
    """Read a DICOM date."""
    return date(int(written[:4]), int(written[4:6]), int(written[6:8]))
