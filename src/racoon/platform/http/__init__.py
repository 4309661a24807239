"""HTTP for both roles: one application factory, one error shape, several listeners in one process.

``create_app`` gives an application with problem+json errors, request ids, security headers, health and
metrics; ``serve`` runs it on listeners with and without client certificates. It is not the place of any page
or route of a context: those are plugged in by a role's ``app``.
"""

from racoon.platform.http.app import CONTENT_SECURITY_POLICY, create_app
from racoon.platform.http.health import Health
from racoon.platform.http.metrics import Metrics
from racoon.platform.http.peer import peer_certificate
from racoon.platform.http.problem import Problem
from racoon.platform.http.serving import Listener, PortInUse, serve, serve_in_thread

__all__ = [
    "CONTENT_SECURITY_POLICY",
    "Health",
    "Listener",
    "Metrics",
    "PortInUse",
    "Problem",
    "create_app",
    "peer_certificate",
    "serve",
    "serve_in_thread",
]
