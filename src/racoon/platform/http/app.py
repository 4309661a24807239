"""The application factory of both roles."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from racoon.errors import Refused
from racoon.platform.http.guard import Guard
from racoon.platform.http.health import Health
from racoon.platform.http.metrics import Metrics
from racoon.platform.http.problem import install_problems

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)
"""Nothing from elsewhere.  Image decoders are WebAssembly and run in workers; plots set inline styles."""

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Messages and forms are small; routes for uploads raise it by prefix."""


class MetricsRefused(Refused):
    """Metrics are for the machine itself and whom the operator names."""

    code = "http.metrics_refused"


def create_app(
    title: str,
    version: str,
    *,
    debug: bool = False,
    content_security_policy: str = CONTENT_SECURITY_POLICY,
    max_body_bytes: int = MAX_BODY_BYTES,
    body_limits: Mapping[str, int] | None = None,
    login_path: str | None = None,
    metrics_access: Callable[[Request], bool] | None = None,
) -> FastAPI:
    """Make an application with the house's error shape, headers, limits, health and metrics.

    Parameters
    ----------
    title, version
        Shown in the OpenAPI document.
    debug
        Never shows internals to a client; only turns on the framework's own consistency checks.
    content_security_policy
        Value of the header.
    max_body_bytes, body_limits
        Largest request body, and other limits by path prefix.
    login_path
        Where a browser without a session is sent; ``None`` answers 401 to browsers too.
    metrics_access
        Who may read ``/metrics``; by default only clients on the same machine, because counts of a small site
        are data too.

    Returns
    -------
    FastAPI
        ``app.state.health`` and ``app.state.metrics`` are for contexts to register with.
        ``app.state.render_problem`` may be set to ``f(request, problem) -> Response`` to show errors as
        pages.
    """
    # The interactive API pages load scripts from elsewhere; the document itself is served.
    app = FastAPI(title=title, version=version, debug=False, docs_url=None, redoc_url=None)
    app.router.redirect_slashes = False
    app.state.debug = debug
    app.state.login_path = login_path
    app.state.health = health = Health()
    app.state.metrics = metrics = Metrics()
    allowed = metrics_access or _is_local
    install_problems(app)
    app.add_middleware(
        Guard,
        content_security_policy=content_security_policy,
        max_body_bytes=max_body_bytes,
        body_limits=dict(body_limits or {}),
        metrics=metrics,
    )

    @app.get("/health/live", tags=["health"])
    async def live() -> dict[str, str]:
        """Tell that the process answers."""
        return {"status": "alive"}

    @app.get("/health/ready", tags=["health"], responses={503: {"description": "Not ready, with reasons"}})
    async def ready() -> Response:
        """Tell whether the role can do its work, and what is missing."""
        findings = await run_in_threadpool(health.examine)
        is_ready = all(finding.ready for finding in findings)
        document = {
            "status": "ready" if is_ready else "not_ready",
            "checks": {f.name: {"ready": f.ready, "message": f.message} for f in findings},
        }
        return JSONResponse(document, status_code=200 if is_ready else 503)

    @app.get("/metrics", tags=["health"], response_class=Response)
    async def prometheus(request: Request) -> Response:
        """Report counters and gauges in the Prometheus text format."""
        if not allowed(request):
            raise MetricsRefused("Metrics are not shown to this address.")
        text, media_type = await run_in_threadpool(metrics.text)
        return Response(text, media_type=media_type)

    return app


def _is_local(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
