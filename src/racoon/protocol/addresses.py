"""Addresses of nodes for people: what a node says of itself, checked on both sides because CENTRAL links to it."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints

_WHOLE = re.compile(r"[A-Za-z0-9\-._~:/\[\]%]+")


def check_people_url(address: str) -> str:
    """Check the address under which people reach a node.

    Parameters
    ----------
    address
        ``https://…``, or ``http://…`` to this machine only; a path in front of the pages is allowed.

    Returns
    -------
    str
        The address without a slash at its end.

    Raises
    ------
    ValueError
        In a sentence that names what to change.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError("people_url is no address") from error
    if not host or not _WHOLE.fullmatch(address) or parts.username is not None:
        raise ValueError(
            "people_url is an address such as https://racoon.hospital.example, without user or query"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(host)):
        raise ValueError("people_url begins with https://, or with http:// where it names this machine only")
    return address.rstrip("/")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


PeopleUrl = Annotated[str, StringConstraints(max_length=200), AfterValidator(check_people_url)]
"""Address of a node's pages, as its people type it."""
