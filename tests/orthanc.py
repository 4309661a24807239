"""A real Orthanc of its own folder and ports: sender, archive to fetch from, and DICOMweb client."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.waiting import eventually

PLUGINS = Path("/usr/share/orthanc/plugins")
AE_TITLE = "ORTHANC"


@dataclass(frozen=True)
class Orthanc:
    """A running server.

    Parameters
    ----------
    http
        Client of its REST interface, which needs no login here.
    dicom_port, http_port
        On loopback.
    process_id
        To look at its memory.
    """

    http: httpx.Client
    dicom_port: int
    http_port: int
    process_id: int

    def add(self, data: bytes) -> None:
        """Store one instance."""
        self.http.post("/instances", content=data).raise_for_status()

    def identifiers(self, level: str) -> list[str]:
        """Orthanc's own identifiers of all patients, studies, series or instances."""
        found: list[str] = self.http.get(f"/{level}").raise_for_status().json()
        return found


@contextlib.contextmanager
def running_orthanc(
    program: str,
    folder: Path,
    ports: tuple[int, int],
    *,
    modalities: Mapping[str, tuple[str, int]] | None = None,
    servers: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: Any,
) -> Iterator[Orthanc]:
    """Run Orthanc as Debian ships it, with the files of its archive synced, which is its default.

    Parameters
    ----------
    program
        Path of ``Orthanc``.
    folder
        Empty folder for its files.
    ports
        DICOM and HTTP port.
    modalities
        Name to (AE title, port) of peers on loopback.
    servers
        Name to settings of DICOMweb servers; the DICOMweb plugin is loaded where this is given.
    **settings
        Further keys of its configuration.
    """
    dicom_port, http_port = ports
    folder.mkdir(parents=True, exist_ok=True)
    configuration: dict[str, Any] = {
        "Name": "PEER",
        "StorageDirectory": str(folder / "files"),
        "IndexDirectory": str(folder / "files"),
        "DicomAet": AE_TITLE,
        "DicomPort": dicom_port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomModalities": {
            name: {"AET": title, "Host": "127.0.0.1", "Port": port, "AllowMove": True}
            for name, (title, port) in (modalities or {}).items()
        },
        "Plugins": [str(PLUGINS)] if servers is not None else [],
        "DicomWeb": {"Enable": True, "Servers": dict(servers or {})},
        **settings,
    }
    (folder / "files").mkdir(exist_ok=True)
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration, indent=1), encoding="utf-8")
    # Without it Nagle's algorithm costs Orthanc 40 ms per instance, and a comparison would flatter us.
    environment = {**os.environ, "TCP_NODELAY": "1"}
    with (
        (folder / "orthanc.log").open("wb") as log,
        httpx.Client(base_url=f"http://127.0.0.1:{http_port}", timeout=60.0, trust_env=False) as client,
    ):
        process = subprocess.Popen([program, str(file)], stdout=log, stderr=log, env=environment)
        try:
            eventually(lambda: _answers(client), timeout_s=60, what="Orthanc")
            yield Orthanc(client, dicom_port, http_port, process.pid)
        finally:
            process.terminate()
            process.wait(30)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/system").status_code == 200
    except httpx.TransportError:
        return False
