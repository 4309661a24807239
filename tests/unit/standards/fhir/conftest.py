"""How the tests write FHIR."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from racoon.standards.fhir.imaging import Writing
from racoon.standards.fhir.versions import VERSIONS


@pytest.fixture(params=sorted(VERSIONS))
def writing(request: pytest.FixtureRequest) -> Writing:
    """Every package of profiles in turn."""
    return Writing(
        VERSIONS[request.param],
        ZoneInfo("Europe/Berlin"),
        "urn:racoon:site:alpha",
        "urn:racoon:alpha:pseudonym",
    )
