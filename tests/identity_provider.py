"""A strict identity provider on loopback, and a forger's workshop: tokens that are wrong in one thing each.

It checks what a careful provider checks (redirect address, PKCE, client secret, a code once), speaks real HTTP, and
signs with keys that it changes on request.  ``twist`` lets a test spoil one step.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey

CLIENT, SECRET = "racoon", "not a secret: a test"


class IdentityProvider:
    """One provider with one signed-in person."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {"sub": "7f3a", "preferred_username": "Dora Müller", "groups": []}
        self.twist: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
        self.signer: Callable[[dict[str, Any]], str] = self.signed
        self.is_broken = False
        self.described: dict[str, Any] = {}
        self.key_reads = 0
        self._codes: dict[str, dict[str, str]] = {}
        self.rotate()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.answer(self)

            def do_POST(self) -> None:
                provider.answer(self)

            def log_message(self, *args: object) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"

    def rotate(self) -> None:
        """Sign with a new key from now on; the old one is no longer published."""
        self.key = ECKey.generate_key("P-256", {"kid": secrets.token_hex(4), "use": "sig"}, auto_kid=False)

    def close(self) -> None:
        """Go away."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def signed(self, claims: dict[str, Any], key: Key | None = None, alg: str = "ES256") -> str:
        """Sign claims."""
        key = key or self.key
        kid = self.key.kid if isinstance(key, OctKey) else key.kid
        return jwt.encode({"alg": alg, "kid": kid}, claims, key, algorithms=[alg])

    def unsigned(self, claims: dict[str, Any]) -> str:
        """Write a token without a signature (``alg`` none)."""
        parts = ({"alg": "none", "kid": self.key.kid}, claims)
        head, body = (
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
        )
        return f"{head}.{body}."

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Route one request."""
        address = urlsplit(request.path)
        length = int(request.headers.get("content-length") or 0)
        form = {name: values[0] for name, values in parse_qs(request.rfile.read(length).decode()).items()}
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        if self.is_broken:
            self._send(request, 500, {"error": "broken"})
        elif address.path == "/.well-known/openid-configuration":
            named = {
                "issuer": self.issuer,
                **{
                    f"{name}": f"{self.issuer}/{path}"
                    for name, path in (
                        ("authorization_endpoint", "authorize"),
                        ("token_endpoint", "token"),
                        ("jwks_uri", "keys"),
                        ("end_session_endpoint", "end"),
                    )
                },
            }
            self._send(request, 200, named | self.described)
        elif address.path == "/keys":
            self.key_reads += 1
            self._send(request, 200, {"keys": [self.key.as_dict(private=False)]})
        elif address.path == "/authorize":
            self._authorize(request, asked)
        elif address.path == "/token":
            self._token(request, form)
        else:
            self._send(request, 404, {})

    def _authorize(self, request: BaseHTTPRequestHandler, asked: dict[str, str]) -> None:
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"], "iss": self.issuer})
        request.send_response(302)
        request.send_header("location", f"{asked['redirect_uri']}?{back}")
        request.send_header("content-length", "0")
        request.end_headers()

    def _token(self, request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        asked = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        basic = base64.b64decode(request.headers.get("authorization", "Basic ").partition(" ")[2]).decode()
        if (
            asked is None
            or form.get("redirect_uri") != asked["redirect_uri"]
            or challenge != asked["code_challenge"]
            or basic.partition(":")[0] != CLIENT
            or "not" not in basic
        ):
            self._send(request, 400, {"error": "invalid_grant"})
            return
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        token = self.signer(self.twist(claims | self.claims))
        self._send(request, 200, {"access_token": "a", "token_type": "Bearer", "id_token": token})

    def _send(self, request: BaseHTTPRequestHandler, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        request.send_response(status)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
