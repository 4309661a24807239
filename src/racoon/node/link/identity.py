"""The node's own keys and what it knows of CENTRAL: files under ``identity/`` in the data directory."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from racoon import __version__
from racoon.errors import Refused
from racoon.node.link.model import CentralUnreachable
from racoon.platform import certificates
from racoon.platform.files import write_atomically
from racoon.protocol.exchange import (
    Certificate,
    EnrolmentAnswer,
    EnrolmentRequest,
    JoinCode,
    is_proven,
    prove,
)

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 20.0


class EnrolmentRefused(Refused):
    """CENTRAL did not let this node join, or the answer is not CENTRAL's."""

    code: ClassVar[str] = "link.enrolment_refused"


class NotEnrolled(Refused):
    """This node has not joined a network yet."""

    code: ClassVar[str] = "link.not_enrolled"


@dataclass(frozen=True)
class Identity:
    """Keys of an enrolled node and the address and key of its CENTRAL."""

    folder: Path
    site: str
    nodes_url: str
    network: str
    signing_key: Ed25519PrivateKey
    central_key: Ed25519PublicKey

    @property
    def tls(self) -> certificates.TlsFiles:
        """Certificate, key and the network's authority."""
        return certificates.TlsFiles(
            self.folder / "node.pem", self.folder / "node.key", self.folder / "authority.pem"
        )

    @property
    def expires_at(self) -> datetime:
        """When the node's certificate expires."""
        return certificates.not_after(self.folder / "node.pem")

    @property
    def renews_at(self) -> datetime:
        """When the node asks for its next certificate."""
        return certificates.renews_at(self.folder / "node.pem")

    def ssl_context(self) -> ssl.SSLContext:
        """Build the client side of the mutual TLS: trust this network's authority only."""
        context = ssl.create_default_context(cafile=str(self.tls.authority))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.tls.certificate, self.tls.key)
        return context


def is_enrolled(folder: Path) -> bool:
    """Tell whether a node has joined a network."""
    return (folder / "network.json").exists()


def load_identity(folder: Path, site: str) -> Identity:
    """Load the identity of an enrolled node.

    Raises
    ------
    NotEnrolled
        When the node has no identity, or the identity is another site's.
    """
    if not is_enrolled(folder):
        raise NotEnrolled("This node has not joined a network yet. Run: racoon node enrol --join-code CODE")
    network = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    if network["site"] != site:
        raise NotEnrolled(
            f"The identity here belongs to site {network['site']}, the configuration says {site}. "
            "Correct the key 'site', or enrol into a fresh data directory."
        )
    return Identity(
        folder=folder,
        site=site,
        nodes_url=network["nodes_url"],
        network=network["network"],
        signing_key=certificates.load_or_create_signing_key(folder / "signing.key"),
        central_key=Ed25519PublicKey.from_public_bytes(
            certificates.decode_text(network["central_signing_key"])
        ),
    )


def enrol(folder: Path, site: str, join_code: str) -> Identity:
    """Join a network: make keys here, send a signing request, keep the certificate.

    Parameters
    ----------
    folder
        Identity folder; keys are created in it with mode 0600 and never leave it.
    site
        This node's site code; must be the one the join code is for.
    join_code
        Text from CENTRAL's operator; works once.

    Raises
    ------
    EnrolmentRefused, CentralUnreachable, JoinCodeRefused
    """
    import httpx  # noqa: PLC0415 - only the worker and the enrolment speak to CENTRAL

    code = JoinCode.from_text(join_code)
    if code.site != site:
        raise EnrolmentRefused(
            f"The join code is for site {code.site}, this node is {site}. Ask CENTRAL for this site's own code."
        )
    request = _request(folder, site, code.secret)
    try:
        with httpx.Client(timeout=TIMEOUT_S) as client:
            response = client.post(f"{code.url}/api/enrolment", json=request)
    except httpx.HTTPError as error:
        raise CentralUnreachable(
            f"CENTRAL at {code.url} does not answer. Check the address, the proxy (HTTPS_PROXY) and the firewall: "
            "this node needs outgoing HTTPS to that host."
        ) from error
    if response.status_code != httpx.codes.OK:
        raise EnrolmentRefused(f"CENTRAL refused the enrolment: {_detail(response)}")
    answer = EnrolmentAnswer.model_validate(response.json())
    fields = answer.model_dump(mode="json", exclude={"proof"})
    if not is_proven(code.secret, "answer", fields, answer.proof):
        raise EnrolmentRefused(
            "The answer was not made by the CENTRAL that issued the join code; something in between altered it."
        )
    _keep(folder, answer.certificate_pem, answer.authority_pem)
    network = {
        "site": site,
        "nodes_url": answer.nodes_url,
        "network": answer.network,
        "central_signing_key": answer.central_signing_key,
    }
    write_atomically(folder / "network.json", json.dumps(network, indent=1).encode())
    return load_identity(folder, site)


def renew(identity: Identity, client: httpx.Client) -> datetime:
    """Renew the node's certificate over the mutual TLS it still has; returns the new expiry."""
    key = certificates.load_or_create_key(identity.folder / "node.key")
    body = {"request_pem": certificates.make_request(key, identity.site).decode("ascii")}
    response = client.post(f"{identity.nodes_url}/node/v1/certificate", json=body)
    response.raise_for_status()
    answer = Certificate.model_validate(response.json())
    _keep(identity.folder, answer.certificate_pem, answer.authority_pem)
    return answer.expires_at


def _request(folder: Path, site: str, secret: bytes) -> dict[str, str]:
    key = certificates.load_or_create_key(folder / "node.key")
    signing_key = certificates.load_or_create_signing_key(folder / "signing.key")
    fields = {
        "site": site,
        "request_pem": certificates.make_request(key, site).decode("ascii"),
        "signing_key": certificates.public_key_text(signing_key),
        "version": __version__,
    }
    request = EnrolmentRequest(**fields, proof=prove(secret, "request", fields))
    return dict(request.model_dump(mode="json"))


def _keep(folder: Path, certificate_pem: str, authority_pem: str) -> None:
    write_atomically(folder / "authority.pem", authority_pem.encode("ascii"))
    write_atomically(folder / "node.pem", certificate_pem.encode("ascii"))


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json().get("detail", response.status_code))
    except ValueError:
        return f"HTTP status {response.status_code}"
