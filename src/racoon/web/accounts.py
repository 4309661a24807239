"""Pages of accounts, the same at CENTRAL and at a node: one's own (password, second factor) and, for who manages them,
everybody's.

They expect the state that ``install_accounts`` leaves.  New passwords are shown once; what needs two people waits on a
page of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from racoon.domain.identity import Role
from racoon.domain.permission import DECIDING_ROLES, PERMISSIONS
from racoon.errors import Refused
from racoon.platform.auth import (
    AccountGrants,
    AccountStore,
    Changed,
    ExternalAccount,
    User,
    current_user,
    require,
    second_factor,
)
from racoon.platform.database import Database
from racoon.web.pages import render

router = APIRouter(include_in_schema=False)

Self = Annotated[User, Depends(current_user)]
Manager = Annotated[User, Depends(require("account.manage"))]
Confirmer = Annotated[User, Depends(require("account.confirm"))]
Text = Annotated[str, Form(max_length=500)]
Name = Annotated[str, Form(max_length=80, pattern=r"^[a-z0-9][a-z0-9._-]*$")]


class PasswordsDiffer(Refused):
    """The new password was typed in two ways."""

    code = "auth.passwords_differ"
    status = 422


# One's own


@router.get("/account")
def show_own(request: Request, user: Self) -> Response:
    """Show one's own account."""
    return _own(request, user)


@router.post("/account/password")
def change_password(
    request: Request, user: Self, old: Text = "", new: Text = "", again: Text = "", code: Text = ""
) -> Response:
    """Change one's own password; all sessions end."""
    accounts, database = _accounts(request)
    _refuse_external(user)
    try:
        if new != again:
            raise PasswordsDiffer("The new password was typed in two ways.")
        accounts.verify(database, user.name, old, code)
        accounts.set_password(database, user.name, new)
    except Refused as refusal:
        return _own(request, user, problem=refusal.public_message)
    _audit(request, user, "account.password", user.name)
    return RedirectResponse("/login", status_code=303)


@router.post("/account/second-factor")
def set_second_factor(request: Request, user: Self, secret: Text = "", code: Text = "") -> Response:
    """Give one's own account a second factor; its recovery codes are shown once."""
    accounts, database = _accounts(request)
    _refuse_external(user)
    try:
        if user.has_second_factor or not second_factor.is_secret(secret):
            return RedirectResponse("/account", status_code=303)
        codes = accounts.set_second_factor(database, user.name, secret, code)
    except Refused as refusal:
        return _own(request, user, problem=refusal.public_message, secret=secret)
    _audit(request, user, "account.second_factor.set", user.name)
    return _show(request, user, recovery_codes=codes)


@router.post("/account/second-factor/removal")
def remove_second_factor(request: Request, user: Self, password: Text = "", code: Text = "") -> Response:
    """Take one's own second factor away, with password and a code; all sessions end."""
    accounts, database = _accounts(request)
    try:
        accounts.verify(database, user.name, password, code)
    except Refused as refusal:
        return _own(request, user, problem=refusal.public_message)
    accounts.remove_second_factor(database, user.name)
    _audit(request, user, "account.second_factor.remove", user.name)
    return RedirectResponse("/login", status_code=303)


def _refuse_external(user: User) -> None:
    if user.provider:
        raise ExternalAccount("Roles and password of this account come from its identity provider.")


def _own(request: Request, user: User, *, problem: str = "", secret: str = "") -> Response:
    secret = secret if second_factor.is_secret(secret) else second_factor.make_secret()
    address = second_factor.address_of(secret, account=user.name, place=request.app.state.site.name)
    grouped = " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
    return _show(request, user, problem=problem, secret=secret, grouped=grouped, picture=_picture(address))


def _show(request: Request, user: User, **facts: Any) -> Response:
    empty = {"problem": "", "recovery_codes": [], "secret": "", "grouped": "", "picture": ""}
    return render(
        request,
        "account.html",
        status_code=400 if facts.get("problem") else 200,
        own=user,
        own_roles=sorted(role.value for role in user.roles),
        is_required=request.app.state.needs_second_factor,
        **(empty | facts),
    )


def _picture(address: str) -> Markup:
    # Loaded where somebody sets up a second factor, which is seldom.
    import segno  # noqa: PLC0415

    drawn = segno.make(address, error="m").svg_inline(scale=4, border=4, dark="#000", light="#fff")
    return Markup(drawn)  # noqa: S704 - drawn by the library from a secret in base 32 and a quoted name


# Everybody's


@router.get("/accounts")
def show_accounts(request: Request, user: Manager) -> Response:
    """Show all accounts."""
    return _all(request, user)


@router.post("/accounts")
def create_account(
    request: Request, user: Manager, name: Name, roles: Annotated[list[Role] | None, Form()] = None
) -> Response:
    """Create an account with a password that is shown once; roles that decide wait for a second person."""
    site = request.app.state.site.code if _accounts(request)[0].role == "node" else None

    def change(grants: AccountGrants, database: Database, client: str | None) -> Changed:
        return grants.create(database, name, roles or [], site=site, by=user, client=client)

    return _change(request, user, change)


@router.post("/accounts/{name}/roles")
def change_roles(
    request: Request, user: Manager, name: str, roles: Annotated[list[Role] | None, Form()] = None
) -> Response:
    """Replace the roles of an account; open sessions have at once what needs no second person."""

    def change(grants: AccountGrants, database: Database, client: str | None) -> Changed:
        return grants.change_roles(database, name, roles or [], by=user, client=client)

    return _change(request, user, change)


@router.post("/accounts/{name}/state")
def change_state(
    request: Request, user: Manager, name: str, enable: Annotated[bool, Form()] = False
) -> Response:
    """Disable an account, which ends its sessions, or enable it."""

    def change(grants: AccountGrants, database: Database, client: str | None) -> Changed:
        return grants.set_enabled(database, name, enabled=enable, by=user, client=client)

    return _change(request, user, change)


@router.post("/accounts/{name}/password")
def reset_password(request: Request, user: Manager, name: str) -> Response:
    """Make a new password, shown once, and take the second factor away: for who lost either."""

    def change(grants: AccountGrants, database: Database, client: str | None) -> Changed:
        return grants.reset(database, name, by=user, client=client)

    return _change(request, user, change)


def _change(
    request: Request, user: User, change: Callable[[AccountGrants, Database, str | None], Changed]
) -> Response:
    try:
        changed = change(_grants(request), request.app.state.database, _client(request))
    except Refused as refusal:
        return _all(request, user, problem=refusal.public_message)
    if changed.password or changed.waits:
        return _all(request, user, changed=changed)
    return RedirectResponse("/accounts", status_code=303)


def _all(request: Request, user: User, *, problem: str = "", changed: Changed | None = None) -> Response:
    accounts, database = _accounts(request)
    # A role that may do here only what everybody may is none of this participant's.
    allowed = [roles for roles in PERMISSIONS[accounts.role].values() if len(roles) < len(Role)]
    useful = frozenset().union(*allowed)
    return render(
        request,
        "accounts.html",
        status_code=400 if problem else 200,
        accounts=accounts.accounts(database),
        roles=[role.value for role in Role if role in useful],
        deciding=DECIDING_ROLES[accounts.role],
        waiting={grant.account for grant in _grants(request).waiting(database)},
        own_name=user.name,
        problem=problem,
        changed=changed,
    )


# What waits for a second person


@router.get("/confirmations")
def show_waiting(request: Request, user: Confirmer) -> Response:
    """Show what waits for a second person."""
    return _waiting(request, user)


@router.post("/confirmations/{grant_id}")
def confirm_grant(request: Request, user: Confirmer, grant_id: str) -> Response:
    """Let a grant take effect; the second half of a new password is shown once."""
    try:
        changed = _grants(request).confirm(
            request.app.state.database, grant_id, by=user, client=_client(request)
        )
    except Refused as refusal:
        return _waiting(request, user, problem=refusal.public_message)
    return _waiting(request, user, changed=changed)


@router.post("/confirmations/{grant_id}/refusal")
def refuse_grant(request: Request, user: Confirmer, grant_id: str) -> Response:
    """Refuse a grant, or take one's own back."""
    try:
        _grants(request).refuse(request.app.state.database, grant_id, by=user, client=_client(request))
    except Refused as refusal:
        return _waiting(request, user, problem=refusal.public_message)
    return RedirectResponse("/confirmations", status_code=303)


def _waiting(request: Request, user: User, *, problem: str = "", changed: Changed | None = None) -> Response:
    return render(
        request,
        "accounts_waiting.html",
        status_code=400 if problem else 200,
        waiting=_grants(request).waiting(request.app.state.database),
        own_name=user.name,
        problem=problem,
        changed=changed,
    )


def _grants(request: Request) -> AccountGrants:
    state = request.app.state
    return AccountGrants(state.accounts.role, state.audit)


def _client(request: Request) -> str | None:
    return request.client.host if request.client else None


def _accounts(request: Request) -> tuple[AccountStore, Any]:
    return request.app.state.accounts, request.app.state.database


def _audit(request: Request, user: User, action: str, name: str, **details: Any) -> None:
    state = request.app.state
    with state.database.begin() as connection:
        state.audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action=action,
            target=f"account/{name}",
            client=request.client.host if request.client else None,
            details=details,
        )
