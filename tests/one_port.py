"""A CENTRAL with real listeners, enrolled sites, and each site's way to the training engine through them."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from racoon.central.app import _listeners
from racoon.central.orchestration.model import JobOrder
from racoon.central.relay.engine_door import EngineDoor
from racoon.node.link.engine_line import EngineLine
from racoon.node.link.identity import Identity, enrol
from racoon.platform import clock
from racoon.platform.http.serving import serve_in_thread
from tests.simulated_network import Network


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class OnePort:
    """CENTRAL as sites see it: one port.

    Parameters
    ----------
    folder
        For CENTRAL and the sites' identities.
    engine_port
        Known to CENTRAL alone.
    """

    def __init__(self, folder: Path, engine_port: int) -> None:
        self.engine_port = engine_port
        self.port, people = free_port(), free_port()
        (folder / "hub").mkdir(parents=True)
        more = f"[people]\nport = {people}\n[nodes]\nport = {self.port}\n[engine]\nport = {engine_port}\n"
        self.network = Network(folder / "hub", more=more)
        self.folder = folder
        self.identities: dict[str, Identity] = {}

    @property
    def door(self) -> EngineDoor:
        """The product's door."""
        door = self.network.central.engine_door
        assert door is not None
        return door

    @contextmanager
    def serving(self, sites: Sequence[str]) -> Iterator[None]:
        """Serve both listeners, with these sites enrolled."""
        with serve_in_thread(_listeners(self.network.central)):
            for site in sites:
                if site not in self.identities:
                    folder = self.folder / site / "identity"
                    self.identities[site] = enrol(folder, site, self.network.invite(site))
            yield
        self.network.close()

    def start_run(self, run_id: str, sites: Sequence[str]) -> None:
        """Offer the jobs of a federated training."""
        central = self.network.central
        with central.database.begin() as connection:
            central.runs.start(
                connection,
                run_id=run_id,
                study_id="STUDY-1",
                study_hash="0" * 64,
                kind="train.federated",
                orders=[JobOrder(site=site, parameters={}) for site in sites],
                deadline=clock.now() + timedelta(hours=1),
                quorum=len(sites),
                created_by="pi",
                role="pi",
            )

    def cancel_run(self, run_id: str) -> None:
        """End a run."""
        central = self.network.central
        with central.database.begin() as connection:
            central.runs.cancel(connection, run_id, "pi", "pi", "over")

    @contextmanager
    def line(self, site: str) -> Iterator[EngineLine]:
        """A site's way to the engine."""
        line = EngineLine(self.identities[site])
        try:
            yield line
        finally:
            line.close()
