"""The node's process tree: ``http`` (pages and API for people), ``worker`` (intake, jobs, the outgoing line) and
``dicom`` (the listener), and where the site opened them ``query`` (the archive for DICOM tools) and ``hl7`` (messages
of hospital systems).

What all of them need is imported before the fork, so that they share its memory; what one alone needs is imported
in that one, so that the three start side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI

from racoon.platform.loading import absent, collector_paused

with absent("requests", "tqdm"):
    import pydicom  # noqa: F401 - before the rooms, which all need it

from racoon.node.app import rooms  # noqa: F401 - shared by http and worker: loaded once, before the fork
from racoon.node.app.administration import prepare
from racoon.node.intake.service import run_listener
from racoon.node.link import identity as node_identity
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.certificates import TlsFiles
from racoon.platform.http import Listener
from racoon.platform.logs import configure_logging
from racoon.platform.settings import ConfigurationError
from racoon.platform.supervise import Supervisor


def serve(config: Path, only: str | None = None) -> int:
    """Run the node until it is stopped.

    Parameters
    ----------
    config
        The node's TOML file.
    only
        ``"http"``, ``"worker"``, ``"dicom"``, ``"hl7"`` or ``"query"`` to run one part; all by default.

    Returns
    -------
    int
        Exit code of the process tree.

    Raises
    ------
    ConfigurationError, NotEnrolled
    """
    settings = load_node_settings(config)
    node_identity.load_identity(settings.identity_folder, settings.site)
    prepare(settings)
    people = people_listener(settings)
    if only in (None, "http"):
        people.bind()
    children: dict[str, Callable[[], None]] = {
        "http": lambda: _run_http(settings, people),
        "worker": lambda: _run_worker(settings),
        "dicom": lambda: run_listener(settings),
    }
    if settings.query.port:
        children["query"] = lambda: _run_query(settings)
    if settings.hl7.port:
        children["hl7"] = lambda: _run_hl7(settings)
    if only is not None:
        if only not in children:
            raise ConfigurationError(
                f"{only}.port is 0, so there is nothing to run; set it to the port to open."
            )
        children = {only: children[only]}
    run_directory = settings.data_directory / ("run" if only is None else f"run-{only}")
    logs = settings.data_directory / "logs"
    return Supervisor(
        "node",
        children,
        run_directory,
        prepare=lambda name: configure_logging(name, logs / f"{name}.log", settings.log_level),
    ).run()


def people_listener(settings: NodeSettings) -> Listener:
    """Make the listener for browsers; bound before the fork it keeps its port while the http process restarts."""
    http = settings.http
    tls = TlsFiles(http.certificate, http.key) if http.certificate and http.key else None
    return Listener(FastAPI(), http.host, http.port, tls, name="people")


def _run_http(settings: NodeSettings, people: Listener) -> None:
    with collector_paused():
        from racoon.node.app.pages import run_http  # noqa: PLC0415 - this process alone shows pages
    run_http(settings, people)


def _run_worker(settings: NodeSettings) -> None:
    with collector_paused():
        from racoon.node.app.background import run_worker  # noqa: PLC0415 - this process alone runs jobs
    run_worker(settings)


def _run_query(settings: NodeSettings) -> None:
    from racoon.node.app.querying import run_query  # noqa: PLC0415 - this process alone answers DICOM tools

    run_query(settings)


def _run_hl7(settings: NodeSettings) -> None:
    from racoon.node.app.messages import run_hl7  # noqa: PLC0415 - this process alone takes HL7 messages

    run_hl7(settings)
