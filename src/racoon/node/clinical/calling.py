"""Calls another system of the hospital by HTTP: time-out, circuit breaker, what to do next in words.

For the trust services and the data integration centre.  Nothing here retries on its own: who calls knows whether a
batch may be asked again, and nobody reads data while a service that has to agree does not answer.
"""

from __future__ import annotations

import email.utils
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import httpx

from racoon.errors import Defect, Refused, Unavailable
from racoon.platform import clock

FHIR_JSON = "application/fhir+json"

FAILURES_BEFORE_BREAK = 3
BREAK_S = 30.0
"""After three failures in a row nobody asks for half a minute: a service that comes up again is not run over."""

LONGEST_WAIT_S = 300.0
"""A server that asks for a longer pause is asked again after this time."""

LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed."""


Parameters = Sequence[tuple[str, str]]
"""Of a query, in their order; a name may come twice."""


class ServiceDown(Unavailable):
    """A service did not answer, or asked to come later; nothing that needs its agreement is read meanwhile."""

    code: ClassVar[str] = "clinical.service_down"

    def __init__(self, *arguments: Any, wait_s: float | None = None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.wait_s = wait_s


class ServiceRefused(Refused):
    """A service does not let this node in, or does not know what it was asked for."""

    code: ClassVar[str] = "clinical.service_refused"


class AnswerNotUnderstood(Defect):
    """A service answered with something else than its published interface says; nothing of it is used."""

    code: ClassVar[str] = "clinical.answer_not_understood"


@dataclass(frozen=True)
class Address:
    """Where a service answers, and how this node shows who it is.

    Parameters
    ----------
    name
        For people, such as ``gICS``.
    url
        Root of its interface.
    authority
        PEM file of who signs its certificate; the system's authorities without one.
    certificate, key
        PEM files by which this node shows itself.
    token_file
        File with a bearer token; read for every request, so that it may be renewed.
    user, password_file
        Name and file with the password where the service asks for these.
    timeout_s
        How long one answer may be silent.
    """

    name: str
    url: str
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    token_file: Path | None = None
    user: str = ""
    password_file: Path | None = None
    timeout_s: float = 5.0


class Breaker:
    """Opens after failures in a row, so that callers are answered at once while a service is down.

    Parameters
    ----------
    now
        Seconds of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._failures = 0
        self._closed_at = float("-inf")

    @property
    def wait_s(self) -> float:
        """Seconds until the next call is let through; 0 where one is let through now."""
        with self._lock:
            return max(0.0, self._closed_at - self._now())

    def note(self, *, succeeded: bool) -> None:
        """Count how a call ended."""
        with self._lock:
            self._failures = 0 if succeeded else self._failures + 1
            if self._failures >= FAILURES_BEFORE_BREAK:
                self._closed_at = self._now() + BREAK_S


class Service:
    """One service of the hospital.

    Parameters
    ----------
    address
        Where and how.
    breaker
        Shared by whoever calls the same service.
    """

    def __init__(self, address: Address, breaker: Breaker | None = None) -> None:
        self.address = address
        self._breaker = breaker or Breaker()
        self._client: httpx.Client | None = None

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def get(self, path: str, parameters: Parameters | None = None) -> Any:
        """Ask for a JSON document; a path may be a whole address of the same server."""
        return self.read(self.request("GET", path, parameters=parameters))

    def post(self, path: str, document: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Send a JSON document and return the one that is the answer."""
        return self.read(self.request("POST", path, document=document, headers=headers))

    def request(
        self,
        method: str,
        path: str,
        *,
        parameters: Parameters | None = None,
        document: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        accepted: frozenset[int] = frozenset(),
    ) -> httpx.Response:
        """Send one request.

        Parameters
        ----------
        accepted
            Further statuses that are an answer.

        Raises
        ------
        ServiceDown
            If there is no answer, the answer asks to come later, or the breaker is open.
        ServiceRefused
            For every other answer that is none.
        """
        with self._guarded():
            answer = self._http().request(
                method,
                self._target(path),
                params=list(parameters) if parameters else None,
                json=document,
                data=dict(form) if form is not None else None,
                headers={**self._credentials(), **(headers or {})},
            )
            self.check(answer, accepted)
        return answer

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Open an answer that is read piece by piece."""
        with (
            self._guarded(),
            self._http().stream(
                "GET", self._target(path), headers={**self._credentials(), **headers}
            ) as answer,
        ):
            self.check(answer, frozenset())
            yield answer

    def read(self, answer: httpx.Response) -> Any:
        """Return the JSON document of an answer.

        Raises
        ------
        AnswerNotUnderstood
            If it is none.
        """
        try:
            return answer.json()
        except ValueError as error:
            raise AnswerNotUnderstood(
                f"{self.address.name} answered with something that is no JSON. Check that its address is the root of"
                " its interface and not of its pages."
            ) from error

    def check(self, answer: httpx.Response, accepted: frozenset[int]) -> None:
        """Make an error of an answer that is none."""
        status, name = answer.status_code, self.address.name
        if status < 300 or status in accepted:
            return
        if status in LATER:
            raise ServiceDown(
                f"{name} asks to come later (HTTP {status}).",
                wait_s=_wait_of(answer),
                details={"status": status},
            )
        if status in (401, 403):
            raise ServiceRefused(
                f"{name} does not let this node in. Check user, password file, token file and certificate.",
                code="clinical.service_not_let_in",
                details={"status": status},
            )
        raise ServiceRefused(
            f"{name} refused the request (HTTP {status}). Check its address, domain and version.",
            details={"status": status},
        )

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        name, wait_s = self.address.name, self._breaker.wait_s
        if wait_s > 0:
            raise ServiceDown(f"{name} did not answer lately and is asked again soon.", wait_s=wait_s)
        try:
            yield
        except ServiceDown:
            self._breaker.note(succeeded=False)
            raise
        except httpx.HTTPError as error:
            self._breaker.note(succeeded=False)
            raise ServiceDown(
                f"{name} did not answer. Check that it runs and that this machine reaches it.",
                details={"kind": type(error).__name__},
            ) from error
        except Refused:
            # It answers, so it is there.
            self._breaker.note(succeeded=True)
            raise
        self._breaker.note(succeeded=True)

    def _target(self, path: str) -> str:
        root = self.address.url.rstrip("/")
        if path.startswith(("http://", "https://")):
            # A link of an answer: only ever to the same server, because this node's password goes with it.
            if httpx.URL(path).netloc != httpx.URL(root).netloc:
                raise ServiceRefused(
                    f"{self.address.name} gave a link to another server, which is not followed. Let it write links"
                    " with the address under which this node reaches it.",
                    code="clinical.foreign_link",
                )
            return path
        return f"{root}/{path.lstrip('/')}" if path else root

    def _http(self) -> httpx.Client:
        if self._client is None:
            address = self.address
            verify: ssl.SSLContext | bool = False
            if address.url.startswith("https://"):
                verify = _tls(address)
            self._client = httpx.Client(timeout=address.timeout_s, verify=verify, trust_env=False)
            # Adapters are made for one command or for a thread's life; nobody has to remember to close them.
            weakref.finalize(self, self._client.close)
        return self._client

    def _credentials(self) -> dict[str, str]:
        address, found = self.address, {"accept": FHIR_JSON}
        if address.token_file is not None:
            found["authorization"] = f"Bearer {secret_of(address.token_file)}"
        elif address.user:
            password = secret_of(address.password_file) if address.password_file else ""
            auth = httpx.BasicAuth(address.user, password)
            request = httpx.Request("GET", "http://localhost")
            found["authorization"] = next(auth.auth_flow(request)).headers["authorization"]
        return found


def _tls(address: Address) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(address.authority) if address.authority else None)
    if address.certificate is not None:
        context.load_cert_chain(str(address.certificate), str(address.key) if address.key else None)
    return context


def secret_of(file: Path) -> str:
    """Read a secret from its file.

    Raises
    ------
    ServiceRefused
        If it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ServiceRefused(
            "A file with a password or token cannot be read. Check its path and its owner.",
            code="clinical.secret_file",
        ) from error


def _wait_of(answer: httpx.Response) -> float | None:
    """Seconds that Retry-After asks for (RFC 9110 section 10.2.3): a number, or a date."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isdigit():
        return min(float(text), LONGEST_WAIT_S)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return min(max(0.0, (moment - clock.now()).total_seconds()), LONGEST_WAIT_S)
