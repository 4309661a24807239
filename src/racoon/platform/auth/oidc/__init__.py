"""Sign in through identity providers of hospitals and networks (OpenID Connect Core 1.0, code flow with PKCE).

Beside the embedded accounts, never instead of them: a provider that is away locks nobody else out. Who may do what is
decided here by a written mapping from claims to roles; without a mapped role nobody gets an account. Needs the extra
``oidc`` as soon as one provider is configured.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from racoon.platform.settings import ConfigurationError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from racoon.platform.auth.oidc.settings import ProviderSettings

__all__ = ["install_providers"]


def install_providers(
    app: FastAPI, providers: Sequence[ProviderSettings], *, base_url: str, site: str | None = None
) -> None:
    """Let people sign in through identity providers; without one nothing is loaded.

    Parameters
    ----------
    app
        The role's application; its accounts are installed.
    providers
        As configured.
    base_url
        As people reach this server; providers send them back there, so it never comes from a request.
    site
        Site of the accounts at a node.

    Raises
    ------
    ConfigurationError
        The extra is missing, or two providers have one name.
    """
    if not providers:
        return
    if len({provider.name for provider in providers}) < len(providers):
        raise ConfigurationError("oidc: two identity providers have the same name; give each its own.")
    try:
        # By name: it needs the extra, and a server without providers loads none of it.
        routes = importlib.import_module("racoon.platform.auth.oidc.routes")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "oidc: identity providers need an extra; install it with: pip install 'racoon[oidc]'"
        ) from error
    routes.install(app, providers, base_url=base_url, site=site)
