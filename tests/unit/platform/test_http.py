"""The HTTP room: one error shape that never quotes data, the same-origin rule, limits, health, metrics."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.testclient import TestClient

from racoon.errors import Defect, Refused, Unavailable
from racoon.platform.http import Listener, Problem, create_app, serve_in_thread
from racoon.platform.logs import JsonFormatter

PLANTED = "Doe^Erika-4711"


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int = Field(ge=0)
    names: dict[str, int] = {}


def _app() -> FastAPI:
    app = create_app("Test", "1", max_body_bytes=1000, body_limits={"/upload": 5000})

    @app.get("/refused")
    def refused() -> None:
        raise Refused("The rule says no.", code="test.no", details={"patient": PLANTED, "reason": PLANTED})

    @app.get("/unavailable")
    def unavailable() -> None:
        raise Unavailable("Come again.", details={"patient": PLANTED})

    @app.get("/defect")
    def defect() -> None:
        raise Defect("The object is broken.") from ValueError(PLANTED)

    @app.get("/unhandled")
    def unhandled() -> None:
        raise KeyError(PLANTED)

    @app.get("/http/{name}")
    def http_error(name: str) -> None:
        raise HTTPException(409, detail=f"{name} exists")

    @app.post("/body")
    def body(body: Body) -> dict[str, int]:
        return {"count": body.count}

    @app.post("/upload")
    async def upload(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.get("/page")
    def page() -> HTMLResponse:
        return HTMLResponse("<p>page</p>", headers={"Content-Security-Policy": "default-src 'none'"})

    return app


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(_app(), raise_server_exceptions=True) as client:
        yield client


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter("test"))
    root = logging.getLogger()
    ours = logging.getLogger("racoon")
    before = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    ours.setLevel(before)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/refused", 403, "test.no"),
        ("/unavailable", 503, "unavailable"),
        ("/defect", 422, "defect"),
        ("/unhandled", 500, "defect"),
        (f"/http/{PLANTED}", 409, "http.conflict"),
        (f"/nothing/{PLANTED}", 404, "http.not_found"),
        (f"/nothing?name={PLANTED}", 404, "http.not_found"),
    ],
)
def test_problem_shape_and_silence(
    client: TestClient, log: io.StringIO, path: str, status: int, code: str
) -> None:
    response = client.get(path)
    problem = response.json()
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert set(problem) == {"type", "title", "status", "detail", "code", "instance"}
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["instance"] == f"urn:uuid:{response.headers['x-request-id']}"
    assert problem["instance"] in log.getvalue()
    assert PLANTED not in response.text + str(response.headers) + log.getvalue()
    assert "Erika" not in response.text + log.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        {"count": PLANTED},
        {"count": -1, PLANTED: 1},
        {"count": 1, "names": {PLANTED: PLANTED}},
        [PLANTED],
        PLANTED,
    ],
)
def test_validation_never_quotes_input(client: TestClient, log: io.StringIO, body: object) -> None:
    response = client.post("/body", json=body)
    assert response.status_code == 422
    assert response.json()["code"] == "request.invalid"
    assert response.json()["errors"]
    assert "Erika" not in response.text + log.getvalue()


def test_validation_names_the_field(client: TestClient) -> None:
    errors = client.post("/body", json={"count": -1}).json()["errors"]
    assert errors == [
        {
            "at": "body.count",
            "code": "greater_than_equal",
            "message": "Input should be greater than or equal to 0",
        }
    ]


def test_broken_json_is_a_problem(client: TestClient, log: io.StringIO) -> None:
    response = client.post(
        "/body", content=b'{"' + PLANTED.encode(), headers={"content-type": "application/json"}
    )
    assert response.status_code == 422
    assert "Erika" not in response.text + log.getvalue()


def test_planted_value_could_have_leaked(log: io.StringIO) -> None:
    """The test above proves something only if the logger would write such a text when told to."""
    logging.getLogger("racoon.test").info("request", extra={"route": PLANTED})
    assert PLANTED in log.getvalue()


def test_method_not_allowed_keeps_allow_header(client: TestClient) -> None:
    response = client.delete("/page")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET"


def test_security_headers(client: TestClient) -> None:
    headers = client.get("/refused").headers
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert client.get("/page").headers["content-security-policy"] == "default-src 'none'"


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"cookie": "racoon_session=x"}, False),
        ({"cookie": "racoon_session=x", "authorization": "Bearer y"}, True),
        ({"cookie": "racoon_session=x", "origin": "http://testserver"}, True),
        ({"cookie": "racoon_session=x", "origin": "http://testserver:81"}, False),
        ({"cookie": "racoon_session=x", "origin": "null"}, False),
        ({"cookie": "racoon_session=x", "sec-fetch-site": "same-origin"}, True),
        ({"cookie": "racoon_session=x", "sec-fetch-site": "same-site"}, False),
        (
            {"cookie": "racoon_session=x", "sec-fetch-site": "cross-site", "origin": "http://testserver"},
            False,
        ),
        ({"origin": "https://evil.example"}, False),
        ({"authorization": "Bearer y", "origin": "https://evil.example"}, False),
    ],
)
def test_same_origin_rule(client: TestClient, headers: dict[str, str], allowed: bool) -> None:
    response = client.post("/body", json={"count": 1}, headers=headers)
    assert response.status_code == (200 if allowed else 403)
    if not allowed:
        assert response.json()["code"] == "http.cross_origin"


def test_reading_is_never_refused_for_its_origin(client: TestClient) -> None:
    assert client.get("/page", headers={"cookie": "a=b", "sec-fetch-site": "cross-site"}).status_code == 200


def test_body_limits(client: TestClient) -> None:
    assert client.post("/body", content=b"x" * 1001).status_code == 413
    assert client.post("/upload", content=b"x" * 5000).json() == {"bytes": 5000}
    assert client.post("/upload", content=b"x" * 5001).json()["code"] == "http.body_too_large"


def test_body_limit_counts_streams_without_a_length(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(11):
            yield b"x" * 500

    response = client.post("/upload", content=chunks())
    assert response.status_code == 413


def test_readiness_tells_what_is_missing() -> None:
    app = create_app("Test", "1")

    def broken() -> None:
        raise RuntimeError(PLANTED)

    def away() -> None:
        raise Unavailable("The database does not answer.")

    app.state.health.register("disk", lambda: None)
    with TestClient(app) as client:
        assert client.get("/health/ready").json() == {
            "status": "ready",
            "checks": {"disk": {"ready": True, "message": "ok"}},
        }
        app.state.health.register("database", away)
        app.state.health.register("queue", broken)
        response = client.get("/health/ready")
        assert response.status_code == 503
        checks = response.json()["checks"]
        assert checks["database"] == {"ready": False, "message": "The database does not answer."}
        assert checks["queue"]["ready"] is False
        assert PLANTED not in response.text
        assert client.get("/health/live").json() == {"status": "alive"}


def test_metrics_count_routes_and_read_gauges() -> None:
    app = create_app("Test", "1", metrics_access=lambda request: True)
    app.state.metrics.gauge("racoon_jobs", "Jobs by state", lambda: {"running": 2.0, "failed": 0.0})

    def broken() -> float:
        raise RuntimeError

    app.state.metrics.gauge("racoon_broken", "Fails", broken)
    with TestClient(app) as client:
        client.get("/health/live")
        client.get(f"/nothing/{PLANTED}")
        text = client.get("/metrics").text
    assert 'racoon_jobs{state="running"} 2.0' in text
    assert 'racoon_http_requests_total{method="GET",route="/health/live",status="200"} 1.0' in text
    assert 'route="(unknown)",status="404"' in text
    assert "racoon_broken" not in text
    assert PLANTED not in text


def test_metrics_are_refused_to_other_machines() -> None:
    with TestClient(create_app("Test", "1"), client=("192.0.2.7", 1)) as client:
        assert client.get("/metrics").status_code == 403
    with TestClient(create_app("Test", "1"), client=("127.0.0.1", 1)) as client:
        assert client.get("/metrics").status_code == 200


def test_browser_gets_page_or_login() -> None:
    app = _app()
    app.state.login_path = "/login"

    def render(request: Request, problem: Problem) -> Response:
        return HTMLResponse(f"<h1>{problem.title}</h1>", status_code=problem.status)

    app.state.render_problem = render

    @app.get("/private")
    def private() -> None:
        error = Refused("Sign in first.")
        error.status = 401
        raise error

    with TestClient(app, follow_redirects=False) as client:
        page = client.get("/refused", headers={"accept": "text/html,*/*"})
        assert (page.status_code, page.text) == (403, "<h1>Forbidden</h1>")
        login = client.get("/private?a=1", headers={"accept": "text/html"})
        assert (login.status_code, login.headers["location"]) == (303, "/login?next=/private%3Fa%3D1")
        assert client.get("/private").status_code == 401


def test_openapi_is_served_and_interactive_pages_are_not(client: TestClient) -> None:
    assert client.get("/openapi.json").json()["info"]["title"] == "Test"
    assert client.get("/docs").status_code == 404


def test_access_log_has_templates_not_paths(log: io.StringIO) -> None:
    app = _app()
    listener = Listener(app, "127.0.0.1", 0)
    with serve_in_thread([listener]):
        httpx.get(f"http://127.0.0.1:{listener.port}/http/{PLANTED}?q={PLANTED}", trust_env=False)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    access = [line for line in lines if line["logger"] == "racoon.platform.http.access"]
    assert [(line["route"], line["status"]) for line in access] == [("/http/{name}", 409)]
    assert "Erika" not in log.getvalue()
