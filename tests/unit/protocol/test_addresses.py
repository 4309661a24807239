"""Which addresses a node may say of itself: CENTRAL makes links of them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from racoon.node.settings import HttpSettings
from racoon.protocol.addresses import check_people_url


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("https://racoon.hospital.example/", "https://racoon.hospital.example"),
        ("https://hospital.example:8443/racoon", "https://hospital.example:8443/racoon"),
        ("http://127.0.0.1:8600", "http://127.0.0.1:8600"),
        ("http://localhost:8600", "http://localhost:8600"),
        ("http://[::1]:8600", "http://[::1]:8600"),
    ],
)
def test_https_or_this_machine(said: str, kept: str) -> None:
    assert check_people_url(said) == kept
    assert HttpSettings(people_url=said).people_url == kept


@pytest.mark.parametrize(
    "said",
    [
        "http://racoon.hospital.example",
        "http://127.0.0.1.evil.example",
        "javascript:alert(1)",
        "https://user:secret@hospital.example",
        "https://hospital.example/?next=elsewhere",
        "https://hospital.example/#part",
        'https://hospital.example/"><script>',
        "https://hospital.example:port",
        "https://" + "a" * 200,
        "//hospital.example",
        "",
    ],
)
def test_nothing_else_becomes_a_link(said: str) -> None:
    with pytest.raises(ValidationError):
        HttpSettings(people_url=said)
