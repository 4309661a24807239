"""Settings: precedence, and messages a tired person can act on."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from racoon.platform.settings import ConfigurationError, load_settings


class Dicom(BaseModel):
    host: str = "127.0.0.1"
    port: int = Field(default=11112, ge=1, le=65535)


class Settings(BaseSettings):
    site: str
    http_port: int = 8080
    dicom: Dicom = Dicom()
    password: SecretStr = SecretStr("")
    names: list[str] = []

    @field_validator("site")
    @classmethod
    def _upper(cls, value: str) -> str:
        if not value.isupper():
            raise ValueError("a site code is upper case")
        return value


PREFIX = "RACOON_TEST_"


def _load(tmp_path: Path, text: str, **flags: object) -> Settings:
    path = tmp_path / "node.toml"
    path.write_text(text)
    return load_settings(Settings, path, PREFIX, flags=flags)


def _problem(tmp_path: Path, text: str, **flags: object) -> str:
    with pytest.raises(ConfigurationError) as raised:
        _load(tmp_path, text, **flags)
    return raised.value.public_message


def test_file_environment_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "site = 'ALPHA'\nhttp_port = 1\n[dicom]\nhost = 'h'\nport = 1\n"
    settings = _load(tmp_path, text)
    assert (settings.site, settings.http_port, settings.dicom) == ("ALPHA", 1, Dicom(host="h", port=1))
    monkeypatch.setenv(PREFIX + "HTTP_PORT", "2")
    monkeypatch.setenv(PREFIX + "DICOM__PORT", "2")
    settings = _load(tmp_path, text)
    assert (settings.http_port, settings.dicom) == (2, Dicom(host="h", port=2))
    assert _load(tmp_path, text, http_port=3, site=None).http_port == 3
    assert isinstance(settings, Settings)


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        _load(tmp_path, "site = 'ALPHA'").site = "BRAVO"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("site = 'A'\nhtp_port = 1\n", ["node.toml, line 2", "unknown key 'htp_port'", "'http_port'"]),
        ("site = 'A'\n[dicom]\nprot = 1\n", ["line 3", "'dicom.prot'", "Did you mean 'dicom.port'"]),
        ("site = 'A'\n[dicmo]\nport = 1\n", ["line 2", "'dicmo'", "Did you mean 'dicom'"]),
        ("site = 'A'\nzzz = 1\n", ["'zzz'", "Valid: ", "http_port"]),
        ("site = 'A'\nhttp_port = 'x'\n", ["line 2", "'http_port' (is 'x')", "valid integer", "Correct"]),
        ("site = 'A'\n[dicom]\nport = 70000\n", ["line 3", "'dicom.port' (is 70000)", "65535"]),
        ("http_port = 1\n", ["'site' is missing", "RACOON_TEST_SITE"]),
        ("site = 'alpha'\n", ["line 1", "a site code is upper case"]),
        ("site = \n", ["not valid TOML", "line 1"]),
    ],
)
def test_problem_names_place_key_and_fix(tmp_path: Path, text: str, parts: list[str]) -> None:
    message = _problem(tmp_path, text)
    assert all(part in message for part in parts), message


def test_all_problems_at_once(tmp_path: Path) -> None:
    assert len(_problem(tmp_path, "site = 'alpha'\nhttp_port = 'x'\nextra = 1\n").splitlines()) == 3


def test_environment_and_flags_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "command line --http-port" in _problem(tmp_path, "site = 'A'", http_port="x")
    monkeypatch.setenv(PREFIX + "HTTP_PORT", "x")
    assert f"environment variable {PREFIX}HTTP_PORT" in _problem(tmp_path, "site = 'A'")
    monkeypatch.delenv(PREFIX + "HTTP_PORT")
    monkeypatch.setenv(PREFIX + "HTP_PORT", "1")
    assert f"Did you mean {PREFIX}HTTP_PORT?" in _problem(tmp_path, "site = 'A'")
    monkeypatch.delenv(PREFIX + "HTP_PORT")
    monkeypatch.setenv(PREFIX + "NAMES", "not json")
    assert "cannot be read" in _problem(tmp_path, "site = 'A'")


def test_secret_values_are_not_shown(tmp_path: Path) -> None:
    message = _problem(tmp_path, "site = 'A'\npassword = 4711\n")
    assert "'password'" in message
    assert "4711" not in message


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_settings(Settings, tmp_path / "nothing.toml", PREFIX)
    (tmp_path / "latin.toml").write_bytes(b"site = '\xff'")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings(Settings, tmp_path / "latin.toml", PREFIX)


def test_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX + "SITE", "ALPHA")
    assert load_settings(Settings, None, PREFIX).site == "ALPHA"
