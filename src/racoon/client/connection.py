"""One signed-in HTTP connection; problems come back as errors of the house."""

from __future__ import annotations

from types import TracebackType
from typing import Any, ClassVar, Self

import httpx

from racoon.errors import Refused, Unavailable


class ServerProblem(Refused):
    """The server said no; ``error_code`` is its problem code and ``http_status`` the answer's status."""

    code: ClassVar[str] = "client.problem"

    def __init__(self, public_message: str, *, code: str | None = None, details: Any = None) -> None:
        super().__init__(public_message, code=code, details=details)
        self.http_status = int(self.details.get("status", 0) or 0)  # type: ignore[call-overload]  # a number in the server's own answer


class ServerSilent(Unavailable):
    """The server does not answer (yet)."""

    code: ClassVar[str] = "client.silent"


class Connection:
    """A signed-in connection to one server.

    Parameters
    ----------
    url
        Base URL, e.g. ``"http://127.0.0.1:8500"``.
    timeout_s
        Seconds to wait for an answer.
    """

    def __init__(self, url: str, *, timeout_s: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(base_url=self.url, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def login(self, username: str, password: str, code: str = "") -> dict[str, Any]:
        """Sign in; later requests carry the bearer token.  Returns the user.

        Parameters
        ----------
        username, password
            Of the account.
        code
            One-time code, where the account has a second factor.
        """
        document = {"username": username, "password": password}
        answer = self.post("/api/session", document | ({"code": code} if code else {}))
        self._client.headers["Authorization"] = f"Bearer {answer['token']}"
        self._client.cookies.clear()
        user: dict[str, Any] = answer["user"]
        return user

    def get(self, path: str, **parameters: Any) -> Any:
        """Get a JSON document."""
        return self._send("GET", path, params=parameters).json()

    def get_bytes(self, path: str, **parameters: Any) -> bytes:
        """Get a document as it is."""
        return self._send("GET", path, params=parameters).content

    def post(self, path: str, document: Any) -> Any:
        """Post a JSON document and return the answer."""
        response = self._send("POST", path, json=document)
        return response.json() if response.content else None

    def put(self, path: str, document: Any) -> Any:
        """Put a JSON document and return the answer."""
        return self._send("PUT", path, json=document).json()

    def is_ready(self) -> bool:
        """Tell whether the server says it is ready."""
        try:
            return self._client.get("/health/ready").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise ServerSilent(f"{self.url} does not answer. Is it running?") from error
        if response.status_code in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.BAD_GATEWAY):
            raise ServerSilent(f"{self.url} is not ready to answer.")
        if response.is_error:
            raise _problem(response)
        return response


def _problem(response: httpx.Response) -> ServerProblem:
    try:
        document = response.json()
        detail = str(document.get("detail") or document.get("title") or response.reason_phrase)
        code = str(document.get("code") or "client.problem")
    except ValueError:
        detail, code = response.reason_phrase, "client.problem"
    return ServerProblem(detail, code=code, details={"status": response.status_code})
