"""All routes of an application, those of included routers too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi.routing import APIRoute


def api_routes(router: Any) -> Iterator[APIRoute]:
    """Yield every API route; FastAPI keeps an included router as one entry of its own."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from api_routes(route.original_router)


def actions_of(route: APIRoute) -> set[str]:
    """Return the keys of the permission table that a route asks for."""
    asked = (getattr(dependency.call, "action", None) for dependency in route.dependant.dependencies)
    return {action for action in asked if action is not None}
