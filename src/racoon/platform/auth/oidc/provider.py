"""Talk to one identity provider: what it says of itself, its keys, and a code against a checked token."""

from __future__ import annotations

import json
import logging
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from racoon.errors import Refused, Unavailable
from racoon.platform import clock
from racoon.platform.auth.oidc.settings import ProviderSettings, is_safe_address

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures with a public key only: "none", or a client secret as the key, would let others make tokens."""

KEY_TYPES = ("RSA", "EC", "OKP")

FRESH_FOR = timedelta(hours=1)
"""How long a provider's own description and keys are believed; an unknown key is looked up at once."""

CLOCK_LEEWAY_S = 60
LARGEST_ANSWER = 1 << 20
OK = 200

_log = logging.getLogger(__name__)


class ProviderAway(Unavailable):
    """The identity provider does not answer, or not as OpenID Connect says."""

    code = "auth.provider_away"


class TokenRefused(Refused):
    """The identity provider's token is not for this sign-in, not from this provider, or not valid now."""

    code = "auth.token_refused"
    status = 401


@dataclass(frozen=True)
class Attempt:
    """A sign-in that was begun; what has to fit when it comes back.

    Parameters
    ----------
    address
        Where the browser goes.
    """

    state: str
    nonce: str
    verifier: str
    address: str


@dataclass(frozen=True)
class _Known:
    description: Mapping[str, Any]
    keys: KeySet
    read_at: Any


class Provider:
    """One provider; keeps its description and keys for an hour."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings
        path = settings.client_secret_file
        self._secret = path.read_text(encoding="utf-8").strip() if path else None
        # Made once: reading the system's authorities takes longer than asking the provider.
        self._trust = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
        self._known: _Known | None = None

    def begin(self, return_to: str) -> Attempt:
        """Begin a sign-in: fresh state, nonce and PKCE verifier.

        Raises
        ------
        ProviderAway
        """
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        address = prepare_grant_uri(
            self._load().description["authorization_endpoint"],
            self.settings.client_id,
            "code",
            redirect_uri=return_to,
            scope=" ".join(dict.fromkeys(("openid", *self.settings.scopes))),
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return Attempt(state, nonce, verifier, str(address))

    def finish(self, code: str, *, nonce: str, verifier: str, return_to: str) -> Mapping[str, Any]:
        """Change the code for a token and check it.

        Returns
        -------
        Mapping
            Claims of the identity token.

        Raises
        ------
        ProviderAway, TokenRefused
        """
        body = prepare_token_request(
            "authorization_code", redirect_uri=return_to, code=code, code_verifier=verifier
        )
        method = self.settings.client_auth if self._secret else "none"
        headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
        address, headers, body = ClientAuth(self.settings.client_id, self._secret, method).prepare(
            "POST", self._load().description["token_endpoint"], headers, body
        )
        answer = self._ask("POST", address, headers=headers, content=body)
        if answer.status_code in (400, 401, 403):
            # "invalid_client" is the operator's affair: a wrong secret looks the same to the person.
            _log.warning("identity provider refused a code", extra={"status": answer.status_code})
            raise TokenRefused("The identity provider refused this sign-in. Begin it again.")
        token = _document(answer)
        if not isinstance(token.get("id_token"), str):
            raise TokenRefused("The identity provider refused this sign-in. Begin it again.")
        return self._checked(token["id_token"], nonce=nonce, access_token=token.get("access_token"))

    def end_session_address(self, back_to: str) -> str | None:
        """Where a browser goes to sign out at the provider too; None where the provider has no such page."""
        address = self._known.description.get("end_session_endpoint") if self._known else None
        if not isinstance(address, str) or not is_safe_address(address):
            return None
        query = urlencode({"client_id": self.settings.client_id, "post_logout_redirect_uri": back_to})
        return f"{address}{'&' if '?' in address else '?'}{query}"

    def _checked(self, text: str, *, nonce: str, access_token: object) -> Mapping[str, Any]:
        try:
            kid = jws.extract_compact(text.encode("utf-8", "replace")).headers().get("kid")
            known = self._load()
            if kid is not None and all(key.kid != kid for key in known.keys.keys):
                known = self._load(anew=True)  # The provider has changed its keys.
            token = jwt.decode(text, known.keys, algorithms=list(ALGORITHMS))
            client_id = self.settings.client_id
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": self.settings.issuer},
                    "aud": {"essential": True, "value": client_id},
                    "nonce": {"essential": True, "value": nonce},
                },
                {"nonce": nonce, "client_id": client_id, "access_token": access_token},
            )
            claims.validate(now=int(clock.now().timestamp()), leeway=CLOCK_LEEWAY_S)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise TokenRefused(
                "The identity provider's token does not fit this sign-in. Begin it again.",
                details={"reason": type(error).__name__},
            ) from error
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise TokenRefused("The identity provider's token does not fit this sign-in. Begin it again.")
        return dict(claims)

    def _load(self, *, anew: bool = False) -> _Known:
        known = self._known
        if known is None or anew or clock.now() - known.read_at > FRESH_FOR:
            issuer = self.settings.issuer
            description = _document(
                self._ask("GET", issuer.rstrip("/") + "/.well-known/openid-configuration")
            )
            needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if description.get("issuer") != issuer or not all(
                isinstance(description.get(name), str) and is_safe_address(description[name])
                for name in needed
            ):
                raise ProviderAway(
                    "The identity provider describes itself in another way than is configured here. Tell who runs "
                    "this server; accounts with a password work."
                )
            keys = _document(self._ask("GET", description["jwks_uri"])).get("keys")
            usable = [
                key
                for key in keys or ()
                if isinstance(key, dict) and key.get("kty") in KEY_TYPES and key.get("use", "sig") == "sig"
            ]
            self._known = known = _Known(description, _key_set(usable), clock.now())
        return known

    def _ask(self, method: str, address: str, **rest: Any) -> httpx.Response:
        try:
            with httpx.Client(
                timeout=self.settings.timeout_s, verify=self._trust, follow_redirects=False
            ) as client:
                return client.request(method, address, **rest)
        except httpx.HTTPError as error:
            raise _away(error) from error


def _document(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != OK or len(answer.content) > LARGEST_ANSWER:
        raise _away(answer.status_code)
    try:
        document = json.loads(answer.content)
    except ValueError as error:
        raise _away(error) from error
    if not isinstance(document, dict):
        raise _away(type(document).__name__)
    return document


def _key_set(keys: list[dict[str, Any]]) -> KeySet:
    try:
        return KeySet.import_key_set({"keys": keys})
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise _away(error) from error


def _away(reason: object) -> ProviderAway:
    return ProviderAway(
        "The identity provider does not answer. Try later; accounts with a password work.",
        details={"reason": type(reason).__name__ if isinstance(reason, Exception) else str(reason)},
    )
