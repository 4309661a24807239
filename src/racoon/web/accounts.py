"""Pages of accounts, the same at CENTRAL and at a node: one's own (password, second factor) and, for who manages them,
everybody's.

They expect the state that ``install_accounts`` leaves.  New passwords are made here and shown once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from racoon.domain.identity import Role
from racoon.domain.permission import PERMISSIONS
from racoon.errors import Refused
from racoon.platform.auth import AccountStore, User, current_user, require, second_factor
from racoon.web.pages import render

router = APIRouter(include_in_schema=False)

Self = Annotated[User, Depends(current_user)]
Manager = Annotated[User, Depends(require("account.manage"))]
Text = Annotated[str, Form(max_length=500)]
Name = Annotated[str, Form(max_length=80, pattern=r"^[a-z0-9][a-z0-9._-]*$")]

PASSWORD_BYTES = 12


class OwnAccount(Refused):
    """Who manages accounts does not change the own one: the last one would lock everybody out."""

    code = "auth.own_account"


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
    """Create an account with a password that is shown once."""
    accounts, database = _accounts(request)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    try:
        site = request.app.state.site.code if accounts.role == "node" else None
        accounts.create(database, name, password, roles or [], site)
    except Refused as refusal:
        return _all(request, user, problem=refusal.public_message)
    _audit(request, user, "account.create", name, roles=sorted(role.value for role in roles or []))
    return _all(request, user, made_for=name, password=password)


@router.post("/accounts/{name}/roles")
def change_roles(
    request: Request, user: Manager, name: str, roles: Annotated[list[Role] | None, Form()] = None
) -> Response:
    """Replace the roles of an account; its open sessions have them at once."""
    wanted = roles or []

    def change(accounts: AccountStore, database: Any) -> None:
        accounts.set_roles(database, name, wanted)

    return _change(request, user, name, "account.roles", change, roles=sorted(role.value for role in wanted))


@router.post("/accounts/{name}/state")
def change_state(
    request: Request, user: Manager, name: str, enable: Annotated[bool, Form()] = False
) -> Response:
    """Disable an account, which ends its sessions, or enable it."""

    def change(accounts: AccountStore, database: Any) -> None:
        (accounts.enable if enable else accounts.disable)(database, name)

    return _change(request, user, name, "account.enable" if enable else "account.disable", change)


@router.post("/accounts/{name}/password")
def reset_password(request: Request, user: Manager, name: str) -> Response:
    """Make a new password, shown once, and take the second factor away: for who lost either."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)

    def change(accounts: AccountStore, database: Any) -> None:
        accounts.set_password(database, name, password)
        accounts.remove_second_factor(database, name)

    return _change(request, user, name, "account.reset", change, password=password)


def _change(
    request: Request,
    user: User,
    name: str,
    action: str,
    change: Callable[[AccountStore, Any], None],
    *,
    password: str = "",
    **details: Any,
) -> Response:
    try:
        if name == user.name:
            raise OwnAccount("Another person has to change your account; your password you change yourself.")
        change(*_accounts(request))
    except Refused as refusal:
        return _all(request, user, problem=refusal.public_message)
    _audit(request, user, action, name, **details)
    if password:
        return _all(request, user, made_for=name, password=password)
    return RedirectResponse("/accounts", status_code=303)


def _all(
    request: Request, user: User, *, problem: str = "", made_for: str = "", password: str = ""
) -> Response:
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
        own_name=user.name,
        problem=problem,
        made_for=made_for,
        password=password,
    )


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
