"""A configuration file says by its keys whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from racoon.cli.role import role_of


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ('site = "ALPHA"\ndata_directory = "x"\n[dicom]\nport = 11112\n', "node"),
        ('data_directory = "x"\n[people]\nport = 8500\n', "central"),
        ('data_directory = "x"\nnetwork = "ours"\n', "central"),
        ('data_directory = "x"\n', "central"),
        ("this is not TOML", "node"),
    ],
)
def test_role_is_told_by_the_keys(tmp_path: Path, text: str, role: str) -> None:
    config = tmp_path / "some.toml"
    config.write_text(text)
    assert role_of(config) == role
