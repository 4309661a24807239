"""What happens around every request: id, limits, same-origin rule, security headers, access line."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from racoon.errors import Refused
from racoon.platform.http.metrics import Metrics
from racoon.platform.http.problem import answer_unhandled, problem_of, respond

_access = logging.getLogger("racoon.platform.http.access")

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_QUIET_ROUTES = frozenset({"/health/live", "/health/ready", "/metrics"})
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # "no-referrer" would make browsers send "Origin: null" and break the same-origin rule for forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}


class CrossOrigin(Refused):
    """A page of another origin tried to change something with this user's cookie."""

    code = "http.cross_origin"


class BodyTooLarge(Refused):
    """The request body is larger than this route takes."""

    code = "http.body_too_large"
    status = 413


class Guard:
    """ASGI middleware around the whole application.

    Parameters
    ----------
    app
        What it protects.
    content_security_policy
        Value of the header; a response that sets its own keeps it.
    max_body_bytes
        Largest request body.
    body_limits
        Path prefix to another limit in bytes, for uploads.
    metrics
        Where requests are counted.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        content_security_policy: str,
        max_body_bytes: int,
        body_limits: Mapping[str, int],
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._policy = content_security_policy
        self._max_body_bytes = max_body_bytes
        self._body_limits = sorted(body_limits.items(), key=lambda item: -len(item[0]))
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # It names a request in logs and is no secret: the kernel need not be asked for it each time.
        scope["racoon.request_id"] = f"urn:uuid:{uuid.UUID(int=random.getrandbits(128), version=4)}"
        begin = time.perf_counter()
        status = 500
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                self._add_headers(scope, MutableHeaders(scope=message))
            await send(message)

        try:
            if refusal := self._refuse(scope):
                await refusal(scope, receive, send_with_headers)
            else:
                await self._app(scope, self._limited(scope, receive), send_with_headers)
        except Exception as error:  # noqa: BLE001 -- a node never stops because of a request
            response = answer_unhandled(Request(scope), error)
            if not started:
                await response(scope, receive, send_with_headers)
        finally:
            self._account(scope, status, time.perf_counter() - begin)

    def _refuse(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        request = Request(scope)
        declared = headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self._limit(scope):
            return respond(request, problem_of(request, BodyTooLarge("The request is too large.")))
        if scope["method"] not in _SAFE_METHODS and not _is_same_origin(headers):
            error = CrossOrigin("This request came from another site's page and was not carried out.")
            return respond(request, problem_of(request, error))
        return None

    def _limit(self, scope: Scope) -> int:
        for prefix, limit in self._body_limits:
            if scope["path"].startswith(prefix):
                return limit
        return self._max_body_bytes

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        remaining = self._limit(scope)

        async def receive_limited() -> Message:
            nonlocal remaining
            message = await receive()
            if message["type"] == "http.request":
                remaining -= len(message.get("body", b""))
                if remaining < 0:
                    # The framework turns other exceptions raised while it reads a body into status 400.
                    raise HTTPException(413)
            return message

        return receive_limited

    def _add_headers(self, scope: Scope, headers: MutableHeaders) -> None:
        headers["x-request-id"] = scope["racoon.request_id"].removeprefix("urn:uuid:")
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("content-security-policy", self._policy)
        if scope.get("scheme") == "https":
            headers.setdefault("strict-transport-security", "max-age=31536000")

    def _account(self, scope: Scope, status: int, seconds: float) -> None:
        route = str(getattr(scope.get("route"), "path", "(unknown)"))
        self._metrics.count_request(scope["method"], route, status, seconds)
        _access.log(
            logging.DEBUG if route in _QUIET_ROUTES else logging.INFO,
            "request",
            extra={
                "request_id": scope["racoon.request_id"],
                "method": scope["method"],
                "route": route,
                "status": status,
                "duration_ms": round(seconds * 1000, 1),
            },
        )


def _is_same_origin(headers: Headers) -> bool:
    """Decide whether a state-changing request may use this origin's cookies.

    Browsers always send ``Sec-Fetch-Site`` or ``Origin`` with such requests; a program that uses a cookie
    without either is refused, and a program with an ``Authorization`` header cannot be a foreign page.
    """
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if site is not None:
        return site in ("same-origin", "none")
    if origin is not None:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    return "authorization" in headers or "cookie" not in headers
