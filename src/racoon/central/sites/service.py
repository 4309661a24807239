"""What one may ask about sites: invite, enrol, renew, suspend, and who a certificate belongs to."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from cryptography import x509
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from racoon.central.sites import _store
from racoon.central.sites.model import (
    RESERVED_CODES,
    EnrolmentRefused,
    OpenJoinCode,
    Site,
    SiteDefect,
    SiteRefused,
    SiteState,
    UnknownSite,
    check_join_code,
    request_hash,
)
from racoon.domain.identity import is_site_code
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.certificates import (
    BadRequestForCertificate,
    CertificateAuthority,
    decode_text,
    fingerprint,
    not_after,
)
from racoon.protocol.exchange import (
    Certificate,
    EnrolmentAnswer,
    EnrolmentRequest,
    JoinCode,
    is_proven,
    prove,
)


@dataclass(frozen=True)
class Network:
    """What every enrolment answer tells a node about this CENTRAL."""

    name: str
    people_url: str
    nodes_url: str
    signing_key_text: str


class Sites:
    """The registry of sites.

    Parameters
    ----------
    audit
        CENTRAL's audit log.
    authority
        Loads the network's certificate authority; called when a certificate is issued.
    seal
        Symmetric key, kept outside the database, that join secrets are sealed with.
    network
        What nodes are told.
    join_code_lifetime, certificate_days
        See the settings of the same names.
    """

    def __init__(
        self,
        audit: AuditLog,
        authority: Callable[[], CertificateAuthority],
        seal: Fernet,
        network: Network,
        *,
        join_code_lifetime: timedelta = timedelta(hours=72),
        certificate_days: float = 90.0,
    ) -> None:
        self._audit = audit
        self._authority = authority
        self._seal = seal
        self._network = network
        self._join_code_lifetime = join_code_lifetime
        self._certificate_days = certificate_days

    # ------------------------------------------------------------------------------------------------
    # registry

    def sites(self, connection: sa.Connection) -> list[Site]:
        """Return all sites, by code."""
        return _store.load_all(connection)

    def enrolled(self, connection: sa.Connection) -> list[str]:
        """Return the codes of all enrolled sites, sorted."""
        return [site.code for site in _store.load_all(connection) if site.state is SiteState.ENROLLED]

    def site(self, connection: sa.Connection, code: str) -> Site:
        """Return one site.

        Raises
        ------
        UnknownSite
        """
        found = _store.load(connection, code)
        if found is None:
            raise UnknownSite("There is no site with this code.")
        return found

    def add(self, connection: sa.Connection, code: str, name: str, city: str, actor: str, role: str) -> Site:
        """Invite a site.

        Raises
        ------
        SiteDefect
            When the code is malformed, reserved or taken.
        """
        if not is_site_code(code) or code in RESERVED_CODES:
            raise SiteDefect("A site code has 2 to 16 characters: a capital letter, then A–Z, 0–9 or _.")
        if _store.load(connection, code) is not None:
            raise SiteDefect("A site with this code exists.", code="site.exists")
        _store.insert(connection, code, name.strip() or code, city.strip(), clock.now())
        self._write(connection, actor, role, "site.add", code)
        return self.site(connection, code)

    def issue_join_code(self, connection: sa.Connection, code: str, actor: str, role: str) -> JoinCode:
        """Make a site's one-time join code; an older one is void.

        Raises
        ------
        SiteDefect
            For an unknown site.
        """
        site = self.site(connection, code)
        if site.state is SiteState.SUSPENDED:
            raise SiteDefect("The site is suspended; resume it first.", code="site.suspended")
        secret, now = secrets.token_bytes(32), clock.now()
        sealed = self._seal.encrypt(secret).decode("ascii")
        _store.replace_join_code(connection, code, sealed, now, now + self._join_code_lifetime)
        self._write(connection, actor, role, "site.join_code", code)
        return JoinCode(self._network.people_url, code, secret)

    def suspend(self, connection: sa.Connection, code: str, actor: str, role: str, reason: str) -> Site:
        """Shut a site out: every certificate and join code of it is void from now on."""
        self.site(connection, code)
        _store.update(connection, code, state=SiteState.SUSPENDED)
        _store.revoke_certificates(connection, code, clock.now())
        _store.remove_join_code(connection, code)
        self._write(connection, actor, role, "site.suspend", code, reason=reason[:200])
        return self.site(connection, code)

    def resume(self, connection: sa.Connection, code: str, actor: str, role: str) -> Site:
        """Let a suspended site join again, with a new join code."""
        if self.site(connection, code).state is not SiteState.SUSPENDED:
            raise SiteDefect("The site is not suspended.", code="site.not_suspended")
        _store.update(connection, code, state=SiteState.INVITED)
        self._write(connection, actor, role, "site.resume", code)
        return self.site(connection, code)

    def record_version(self, connection: sa.Connection, code: str, version: str) -> None:
        """Keep the program version a node reported."""
        _store.update(connection, code, version=version)

    # ------------------------------------------------------------------------------------------------
    # enrolment

    def enrol(self, connection: sa.Connection, request: EnrolmentRequest) -> EnrolmentAnswer:
        """Let a site join: check its proof, sign its certificate, register its signing key, prove ourselves.

        Raises
        ------
        EnrolmentRefused
            For a wrong, used or expired join code, a wrong proof, or a request for another name.
        """
        now = clock.now()
        code = check_join_code(self._open_join_code(connection, request.site), request, now)
        fields = request.model_dump(mode="json", exclude={"proof"})
        if not is_proven(code.secret, "request", fields, request.proof):
            raise EnrolmentRefused(
                "The request is not proven with this site's join code. Copy the whole code and try again.",
                code="enrolment.proof",
            )
        _check_common_name(request.request_pem, request.site)
        _check_signing_key(request.signing_key)
        certificate = self._issue(connection, request.site, request.request_pem, now)
        _store.burn_join_code(connection, request.site, request_hash(request))
        _store.update(
            connection,
            request.site,
            state=SiteState.ENROLLED,
            signing_key=request.signing_key,
            version=request.version,
            enrolled_at=now,
        )
        self._write(
            connection,
            request.site,
            "node",
            "site.enrol",
            request.site,
            fingerprint=fingerprint(certificate.certificate_pem),
        )
        answer = EnrolmentAnswer(
            **certificate.model_dump(),
            nodes_url=self._network.nodes_url,
            central_signing_key=self._network.signing_key_text,
            network=self._network.name,
            proof="",
        )
        fields = answer.model_dump(mode="json", exclude={"proof"})
        return answer.model_copy(update={"proof": prove(code.secret, "answer", fields)})

    def record_refused_enrolment(self, connection: sa.Connection, code: str, reason: str) -> None:
        """Write into the audit that an enrolment was refused; a transaction of its own."""
        target = code if is_site_code(code) else "unknown"
        self._audit.append(
            connection,
            actor=target,
            actor_role="node",
            action="site.enrol",
            target=f"site/{target}",
            outcome="refused",
            details={"code": reason},
        )

    def renew(self, connection: sa.Connection, code: str, request_pem: str) -> Certificate:
        """Issue the next certificate of an enrolled site; the present one stays valid until it expires."""
        _check_common_name(request_pem, code)
        certificate = self._issue(connection, code, request_pem, clock.now())
        self._write(
            connection,
            code,
            "node",
            "site.renew",
            code,
            fingerprint=fingerprint(certificate.certificate_pem),
        )
        return certificate

    def authenticate(self, connection: sa.Connection, certificate_der: bytes | None) -> Site:
        """Return the enrolled site a peer certificate is bound to.

        Raises
        ------
        SiteRefused
            For a missing, foreign or revoked certificate, or a suspended site.
        """
        found = (
            _store.load_by_fingerprint(connection, fingerprint(certificate_der)) if certificate_der else None
        )
        if found is None or found.state is not SiteState.ENROLLED:
            raise SiteRefused("This certificate does not belong to an enrolled site. Enrol the node again.")
        return found

    # ------------------------------------------------------------------------------------------------ inner

    def _open_join_code(self, connection: sa.Connection, code: str) -> OpenJoinCode | None:
        row = _store.load_join_code(connection, code)
        if row is None:
            return None
        try:
            secret = self._seal.decrypt(row.sealed_secret.encode("ascii"))
        except InvalidToken:
            return None
        return OpenJoinCode(secret, row.expires_at, row.request_hash)

    def _issue(self, connection: sa.Connection, code: str, request_pem: str, now: datetime) -> Certificate:
        authority = self._authority()
        pem = authority.sign_request(request_pem, code, self._certificate_days)
        expires_at = not_after(pem)
        _store.add_certificate(connection, code, fingerprint(pem), now, expires_at)
        return Certificate(
            certificate_pem=pem.decode("ascii"),
            authority_pem=authority.certificate_pem.decode("ascii"),
            expires_at=expires_at,
        )

    def _write(
        self, connection: sa.Connection, actor: str, role: str, action: str, code: str, **details: str
    ) -> None:
        self._audit.append(
            connection, actor=actor, actor_role=role, action=action, target=f"site/{code}", details=details
        )


def _check_common_name(request_pem: str, code: str) -> None:
    try:
        request = x509.load_pem_x509_csr(request_pem.encode("ascii", "replace"))
    except ValueError as error:
        raise BadRequestForCertificate("The certificate request cannot be read.") from error
    names = [str(name.value) for name in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [code]:
        raise EnrolmentRefused("The certificate request names another site.", code="enrolment.common_name")


def _check_signing_key(text: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(decode_text(text))
    except ValueError as error:
        raise EnrolmentRefused(
            "The signing key is not an Ed25519 public key.", code="enrolment.signing_key"
        ) from error
