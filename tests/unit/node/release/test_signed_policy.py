"""The network's policy is one signed file; a node starts with exactly that or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from racoon.cli.central import sign_policy as command
from racoon.node.release.policy import BadPolicy, DisclosurePolicy
from racoon.node.release.signed import read_signed_policy, sign_policy
from racoon.node.settings.rooms import ReleaseSettings
from racoon.platform.certificates import public_key_text, sign
from tests.count_attacks import CountingSite

KEY = Ed25519PrivateKey.generate()
PUBLIC = public_key_text(KEY)


def signed(**limits: object) -> bytes:
    return json.dumps(sign_policy(limits, "the steering board", lambda data: sign(KEY, data))).encode()


def test_a_signed_file_is_in_force_and_its_version_is_in_every_answer(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_bytes(signed(version="network-2", minimum_cell=7))
    settings = ReleaseSettings(policy_file=tmp_path / "policy.json", policy_key=PUBLIC)
    policy = settings.policy()
    assert policy == replace(DisclosurePolicy(minimum_cell=7), version=policy.version)
    assert policy.version.startswith("network-2#")
    tightened = ReleaseSettings(
        policy_file=tmp_path / "policy.json",
        policy_key=PUBLIC,
        site_policy={"minimum_cell": 3, "group_minimum": 20},
    ).policy()
    assert (tightened.minimum_cell, tightened.group_minimum) == (7, 20)
    assert tightened.version == f"{policy.version}+site.1"
    site = CountingSite(tmp_path, policy)
    site.ask("q", frozenset(map(str, range(50))))
    with site.database.connect() as connection:
        (release,) = site.gate.releases(connection)
    site.close()
    assert release["policy_version"] == policy.version
    assert release["payload"]["count"]["policy_version"] == policy.version


def test_two_documents_never_share_a_version() -> None:
    one, other = (read_signed_policy(signed(version="1", minimum_cell=size), PUBLIC) for size in (5, 6))
    assert one.version != other.version


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        signed().replace(b'"minimum_cell": 5', b'"minimum_cell": 2'),
        signed().replace(b"the steering board", b"somebody else!!!!!"),
        signed().replace(b"policy/1", b"policy/9"),
        signed()[:-10],
    ],
)
def test_nothing_but_what_was_signed_is_read(data: bytes) -> None:
    with pytest.raises(BadPolicy):
        read_signed_policy(data, PUBLIC)


def test_another_key_and_half_settings_stop_the_node(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_bytes(signed())
    stranger = public_key_text(Ed25519PrivateKey.generate())
    for wrong in (
        {"policy_file": path, "policy_key": stranger},
        {"policy_file": path},
        {"policy_key": PUBLIC},
        {"policy_file": path, "policy_key": PUBLIC, "network_policy": {"minimum_cell": 3}},
        {"policy_file": tmp_path / "absent.json", "policy_key": PUBLIC},
    ):
        with pytest.raises(ValidationError):
            ReleaseSettings.model_validate(wrong)


def test_central_signs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, limits, output = (tmp_path / name for name in ("central.toml", "limits.toml", "policy.json"))
    config.write_text(f'data_directory = "{tmp_path / "data"}"\n', encoding="utf-8")
    limits.write_text('version = "network-3"\ncounts_per_week = 20\n', encoding="utf-8")
    assert command(config=config, limits=limits, output=output, signed_by="the board", json=True) == 0
    said = json.loads(capsys.readouterr().out)
    policy = ReleaseSettings(policy_file=output, policy_key=said["policy_key"]).policy()
    assert (policy.version, policy.counts_per_week) == (said["version"], 20)
