"""The country is written beside the servers' start: its result arrives, its error too, and it can be given up."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from racoon.demo.country import plan_institutions, write_country
from racoon.demo.records import Country, Progress
from racoon.demo.writing import CountryWriter

COUNTRY = Country(Path(), "synthetic", "", "", "", (), {}, ())


def test_the_result_arrives_and_every_case_is_reported() -> None:
    seen: list[Any] = []

    def write(progress: Progress) -> Country:
        progress(1, 2, "a")
        progress(2, 2, "b")
        return COUNTRY

    writer = CountryWriter(write, lambda *case: seen.append(case))
    writer.start()
    assert writer.result() is COUNTRY
    assert seen == [(1, 2, "a"), (2, 2, "b")]
    writer.stop()


def test_what_its_writing_raised_is_raised() -> None:
    def write(_progress: Progress) -> Country:
        raise OSError(28, "disk full")

    writer = CountryWriter(write, lambda *_: None)
    writer.start()
    with pytest.raises(OSError, match="disk full"):
        writer.result()


def test_it_can_be_given_up_also_before_it_began() -> None:
    begun = threading.Event()

    def write(progress: Progress) -> Country:
        while True:
            progress(1, 2, "a")
            begun.set()

    CountryWriter(write, lambda *_: None).stop()
    writer = CountryWriter(write, lambda *_: None)
    writer.start()
    begun.wait(10)
    writer.stop()
    with pytest.raises(Exception):  # noqa: B017, PT011 - which one is nobody's business
        writer.result()


@pytest.mark.parametrize("light", [True, False])
def test_the_institutions_are_known_before_the_images(tmp_path: Path, light: bool) -> None:
    planned = plan_institutions(sites=1, light=light)
    written = write_country(
        tmp_path, sites=1, cases_per_site=3, seed=4, light=True, pool=not light, holdout=not light,
        holdout_cases=1, small_site=0, processes=1,
    )  # fmt: skip
    assert [(s.code, s.name, s.city, s.purpose) for s in planned] == [
        (s.code, s.name, s.city, s.purpose) for s in written.sites
    ]
