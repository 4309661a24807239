"""Settings of CENTRAL: what is refused at boot, and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from racoon.central.administration import load_central_settings
from racoon.platform.settings import ConfigurationError


def test_defaults_are_on_loopback_with_derived_addresses(tmp_path: Path) -> None:
    settings = load_central_settings(_write(tmp_path, ""))
    assert settings.people_url == "http://127.0.0.1:8500"
    assert settings.nodes_url == "https://127.0.0.1:8501"
    assert settings.data_directory == tmp_path / "data"
    assert settings.database == f"sqlite:///{tmp_path / 'data' / 'central.sqlite'}"


def _write(folder: Path, text: str) -> Path:
    path = folder / "central.toml"
    path.write_text(f'data_directory = "data"\n{text}', encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[people]\nhost = "0.0.0.0"', "plain text"),
        ('[people]\ntls_key = "k.pem"', "belong together"),
        ("[people]\nport = 0", "people.port"),
        ("[peeple]\nport = 1", "people"),
        ('[account]\nusername = "a"\npassword = "short"', "account.password"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_central_settings(_write(tmp_path, text))


@pytest.mark.parametrize("extra", ["behind_proxy = true", 'tls_certificate = "c.pem"\ntls_key = "k.pem"'])
def test_other_addresses_need_tls_or_a_proxy(tmp_path: Path, extra: str) -> None:
    settings = load_central_settings(_write(tmp_path, f'[people]\nhost = "0.0.0.0"\n{extra}'))
    assert settings.people.host == "0.0.0.0"
