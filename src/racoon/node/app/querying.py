"""The process ``query``: the archive for DICOM tools without DICOMweb."""

from __future__ import annotations

from racoon.node.app.rooms import open_access, open_archive
from racoon.node.archive.dimse.provider import serve
from racoon.node.archive.read_audit import ImageReadAudit
from racoon.node.settings import NodeSettings
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.auth.accounts import AccountStore
from racoon.platform.database import Database


def run_query(settings: NodeSettings) -> None:
    """Answer until SIGTERM."""
    database = Database(settings.database)
    audit = AuditLog("node", settings.release.policy().version)
    accounts = AccountStore("node")

    def find_user(name: str) -> User | None:
        # Asked for each request: a disabled account is out at once.
        return next(
            (
                item.user
                for item in accounts.accounts(database)
                if item.user.name == name and not item.is_disabled
            ),
            None,
        )

    access = open_access(settings, database, audit) if settings.archive.readers == "granted" else None
    try:
        serve(
            settings.query,
            open_archive(settings, database),
            access,
            find_user,
            ImageReadAudit(database, audit),
        )
    finally:
        database.dispose()
