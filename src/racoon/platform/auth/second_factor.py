"""One-time codes as a second factor (TOTP, RFC 6238), and recovery codes for a lost telephone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20
"""The length RFC 4226 section 4 recommends; authenticators know SHA-1, six digits and thirty seconds only."""

DRIFT_STEPS = 1
"""Steps a telephone's clock may be off (RFC 6238 section 5.2)."""

RECOVERY_CODES = 8


def make_secret() -> str:
    """Make a secret as authenticators take it: base 32 without padding."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii").rstrip("=")


def is_secret(text: str) -> bool:
    """Tell whether a text is a secret of this length."""
    try:
        return len(_bytes(text)) == SECRET_BYTES
    except ValueError:
        return False


def address_of(secret: str, *, account: str, place: str) -> str:
    """Write a secret as the address that an authenticator reads from a picture."""
    label = quote(f"RACOON {place}:{account}", safe="")
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(f'RACOON {place}', safe='')}"


def step_of(secret: str, code: str, moment: datetime, *, after_step: int) -> int | None:
    """Find the time step of a code.

    Parameters
    ----------
    secret, code
        The secret, and what was typed; spaces do not count.
    moment
        Now.
    after_step
        Step of the last code that was taken: no code is taken twice (RFC 6238 section 5.2).

    Returns
    -------
    int or None
        None when the code is wrong, used, too old or too new.
    """
    typed = "".join(code.split())
    if len(typed) != DIGITS or not (typed.isascii() and typed.isdigit()):
        return None
    # The library's own check compares one counter; shorter keys than RFC 4226 asks for never come here.
    generator = HOTP(_bytes(secret), DIGITS, SHA1())  # noqa: S303 - HMAC-SHA-1 is what authenticators compute
    now = int(moment.timestamp()) // STEP_S
    for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        if step > after_step and hmac.compare_digest(generator.generate(step), typed.encode("ascii")):
            return step
    return None


def code_at(secret: str, moment: datetime) -> str:
    """Compute the code an authenticator shows at a moment."""
    generator = HOTP(_bytes(secret), DIGITS, SHA1())  # noqa: S303 - as above
    return generator.generate(int(moment.timestamp()) // STEP_S).decode("ascii")


def make_recovery_codes() -> list[str]:
    """Make codes that each work once, instead of the telephone's: 80 random bits, easy to type."""
    made = (base64.b32encode(secrets.token_bytes(10)).decode("ascii").lower() for _ in range(RECOVERY_CODES))
    return [f"{code[:4]}-{code[4:8]}-{code[8:12]}-{code[12:]}" for code in made]


def recovery_hash(code: str) -> str:
    """Hash a recovery code for storing; it has so many random bits that a fast hash is enough."""
    return hashlib.sha256("".join(code.lower().replace("-", " ").split()).encode()).hexdigest()


def without_recovery_code(hashes: Sequence[str], code: str) -> list[str] | None:
    """Take a recovery code out of those that are left; None when it is not among them."""
    used = recovery_hash(code)
    left = [known for known in hashes if not hmac.compare_digest(known, used)]
    return left if len(left) < len(hashes) else None


def _bytes(secret: str) -> bytes:
    text = secret.strip().upper()
    return base64.b32decode(text + "=" * (-len(text) % 8))
