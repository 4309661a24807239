"""The node's shelf of model packages: checked before they stand there, and not run once CENTRAL took them back.

Packages come from CENTRAL's library or as a file; both pass the same checks: form, hashes, signature, a signer this
site named, and the golden example on this machine in a process without network.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from racoon.errors import Refused
from racoon.learning.packages import ModelPackage, PackageRefused, open_package
from racoon.learning.packages.running import check_golden
from racoon.node.compute import _store
from racoon.node.compute.model import ShelvedModel
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.platform.files import write_atomically
from racoon.protocol.library import LibraryEntry


class Shelf:
    """Packages this node may run.

    Parameters
    ----------
    database
        The node's database.
    audit
        The node's audit log.
    folder
        For package files, named by their hash.
    signers
        Public keys whose packages this site runs.
    """

    def __init__(self, database: Database, audit: AuditLog, folder: Path, signers: Collection[str]) -> None:
        self._database = database
        self._audit = audit
        self._folder = folder
        self._signers = frozenset(signers)

    def add(self, data: bytes, source: str, actor: str, actor_role: str) -> ShelvedModel:
        """Check a package file and put it on the shelf; one that stands there already stays as it is.

        Parameters
        ----------
        data
            The package file.
        source
            ``library`` or ``file``.
        actor, actor_role
            Who brings it.

        Raises
        ------
        PackageRefused
            If it breaks a rule, its signer is not named here, or this machine gets other scores.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        waiting = self._folder / "waiting.zip"
        try:
            write_atomically(waiting, data)
            package = open_package(waiting)
            with self._database.connect() as connection:
                known = _store.load(connection, package.hash)
            if known is not None:
                require_not_withdrawn(known)
                return known
            require_named_signer(package, self._signers)
            golden = check_golden(waiting)
            waiting.replace(self.path(package.hash))
        finally:
            waiting.unlink(missing_ok=True)
        model = ShelvedModel(
            digest=package.hash,
            name=package.card.name,
            version=package.card.version,
            signer=package.signer,
            source=source,
            runtime=golden["runtime"],
            added_at=clock.now(),
        )
        with self._database.begin() as connection:
            _store.insert(connection, model)
            self._audit.append(
                connection,
                actor=actor,
                actor_role=actor_role,
                action="model.added",
                target=f"model/{model.digest}",
                details={
                    "name": model.name,
                    "version": model.version,
                    "signer": model.signer,
                    "source": source,
                },
            )
        return model

    def follow(
        self,
        library: Sequence[LibraryEntry],
        fetch: Callable[[LibraryEntry], bytes],
        actor: str,
        actor_role: str,
    ) -> dict[str, Any]:
        """Do what CENTRAL's library says: fetch what is new and take back what it took back.

        A package this site does not take is named with the reason; the others go on.

        Returns
        -------
        dict
            ``added``, ``kept`` and ``withdrawn`` hashes, and ``refused`` with hash, code and reason.
        """
        done: dict[str, Any] = {"added": [], "kept": [], "withdrawn": [], "refused": []}
        standing = {model.digest: model for model in self.models()}
        for entry in library:
            known = standing.get(entry.hash)
            if entry.is_withdrawn:
                if known is not None and known.withdrawn_at is None:
                    self._take_back(known, entry.reason, actor, actor_role)
                    done["withdrawn"].append(entry.hash)
                continue
            if known is not None:
                done["kept"].append(entry.hash)
                continue
            try:
                if entry.signer not in self._signers:
                    raise _unknown_signer(entry.signer)
                self._add_announced(entry, fetch(entry), actor, actor_role)
            except Refused as error:
                row = {"hash": entry.hash, "name": entry.name, "code": error.error_code}
                done["refused"].append({**row, "reason": error.public_message})
                continue
            done["added"].append(entry.hash)
        return done

    def models(self) -> list[ShelvedModel]:
        """Return everything that stands or stood on the shelf."""
        with self._database.connect() as connection:
            return _store.load_all(connection)

    def require_runnable(self, digest: str) -> None:
        """Refuse a package that was taken back; one that never stood here is not the shelf's to refuse.

        Raises
        ------
        PackageRefused
            ``package.withdrawn``.
        """
        with self._database.connect() as connection:
            known = _store.load(connection, digest)
        if known is not None:
            require_not_withdrawn(known)

    def path(self, digest: str) -> Path:
        """Return where a package on the shelf lies."""
        return self._folder / f"{digest}.racoon-model"

    def find(self, wanted: str) -> Path:
        """Return the file of a package named by its hash, the beginning of it, or its name.

        Raises
        ------
        PackageRefused
            ``package.not_here`` if none or several fit; a name means its newest package.
        """
        models = self.models()
        found = [model for model in models if len(wanted) >= 8 and model.digest.startswith(wanted)]
        named = [model for model in models if model.name == wanted and model.withdrawn_at is None]
        chosen = found or named[:1]
        if len(chosen) != 1:
            raise PackageRefused(
                "No model of this name or hash stands on this node's shelf; racoon node models list shows them.",
                code="package.not_here",
            )
        require_not_withdrawn(chosen[0])
        return self.path(chosen[0].digest)

    def _add_announced(self, entry: LibraryEntry, data: bytes, actor: str, actor_role: str) -> None:
        model = self.add(data, "library", actor, actor_role)
        if model.digest != entry.hash:
            raise PackageRefused("CENTRAL sent another package than the one it named.", code="package.hash")

    def _take_back(self, model: ShelvedModel, reason: str, actor: str, actor_role: str) -> None:
        with self._database.begin() as connection:
            _store.withdraw(connection, model.digest, clock.now(), reason)
            self._audit.append(
                connection,
                actor=actor,
                actor_role=actor_role,
                action="model.withdrawn",
                target=f"model/{model.digest}",
                details={"name": model.name, "version": model.version, "reason": reason},
            )


def require_named_signer(package: ModelPackage, signers: Collection[str]) -> None:
    """Refuse a package whose signer this site did not name; without names it runs nobody's models.

    Raises
    ------
    PackageRefused
        ``package.signer``.
    """
    if package.signer not in signers:
        raise _unknown_signer(package.signer)


def require_not_withdrawn(model: ShelvedModel) -> None:
    """Refuse a package that CENTRAL's library took back.

    Raises
    ------
    PackageRefused
        ``package.withdrawn``.
    """
    if model.withdrawn_at is not None:
        raise PackageRefused(
            f"The network's library took this model back: {model.reason}", code="package.withdrawn"
        )


def _unknown_signer(signer: str) -> PackageRefused:
    return PackageRefused(
        "This site does not run models of this signer; the node's administrator decides with "
        "learning.model_signers.",
        code="package.signer",
        details={"signer": signer},
    )
