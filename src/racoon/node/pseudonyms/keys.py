"""The node's master key: a file only its owner can read, and the keys derived from it (HKDF, RFC 5869)."""

from __future__ import annotations

import json
import os
import secrets
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from racoon.node.pseudonyms.model import KeyFileBroken, KeyFileUnsafe
from racoon.platform.files import create_atomically

KEY_BYTES = 32


@dataclass(frozen=True)
class MasterKey:
    """Secret of one node; ``versions`` are kept forever, the highest one is used for new pseudonyms."""

    node: str
    versions: tuple[tuple[int, bytes], ...]

    @property
    def current_version(self) -> int:
        """Version in use."""
        return self.versions[-1][0]

    def derive(
        self, purpose: str, domain: str, *, version: int | None = None, length: int = KEY_BYTES
    ) -> bytes:
        """Derive the key of one purpose and one domain; no derived key tells anything of another."""
        wanted = self.current_version if version is None else version
        return _derive(
            dict(self.versions)[wanted], f"racoon\x1f{purpose}\x1f{self.node}\x1f{domain}\x1f{wanted}", length
        )


@lru_cache(maxsize=1024)
def _derive(secret: bytes, info: str, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info.encode()).derive(secret)


def make_ephemeral_key() -> MasterKey:
    """Make a key that lives in memory only: pseudonyms of one run that nobody can repeat."""
    return MasterKey(secrets.token_hex(8), ((1, secrets.token_bytes(KEY_BYTES)),))


def load_or_create_key(path: Path) -> MasterKey:
    """Load the master key, or make it on first use with mode 0600.

    Raises
    ------
    KeyFileUnsafe
        If group or others may read it.
    KeyFileBroken
        If it does not hold a key; a new one is never made over it, as that would orphan every pseudonym.
    """
    if not path.exists():
        key = make_ephemeral_key()
        content = {"node": key.node, "versions": {str(v): secret.hex() for v, secret in key.versions}}
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        create_atomically(path, json.dumps(content).encode(), mode=0o600)
    if stat.S_IMODE(os.stat(path).st_mode) & 0o077:  # noqa: PTH116 - follows the link on purpose
        raise KeyFileUnsafe(
            "The pseudonym key can be read by others. Set its permissions to 0600.",
            details={"file": str(path)},
        )
    try:
        content = json.loads(path.read_bytes())
        versions = sorted(
            (int(number), bytes.fromhex(secret)) for number, secret in content["versions"].items()
        )
        key = MasterKey(str(content["node"]), tuple(versions))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KeyFileBroken("The pseudonym key file is damaged. Restore it from its backup.") from error
    if not versions or any(len(secret) != KEY_BYTES for _, secret in versions):
        raise KeyFileBroken("The pseudonym key file is damaged. Restore it from its backup.")
    return key
