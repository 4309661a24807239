"""Profiles: the shipped ones, a study's own from a file, and what a site takes away from any of them.

A profile is data.  A file names every key; a site's rules can only be arguments of ``Profile.tighten``.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword

from racoon.node.deid.model import Profile, UnknownProfile
from racoon.node.deid.rules import profile_tables

_SETS = ("options", "also_remove", "safe_private", "refused_sop_classes")
_PLAIN = ("title", "date_shift_limit_days", "birth_date", "faces")
_SITE = {
    "without": "without",
    "also_remove": "also_remove",
    "without_private": "without_private",
    "refused_sop_classes": "refused_sop_classes",
}
_SITE_FLAGS = ("refuse_faces", "no_birth_date")


@cache
def profiles() -> Mapping[str, Profile]:
    """Profiles shipped with the product, by name."""
    return {name: profile_from(name, entry) for name, entry in profile_tables().items()}


def profile_from(name: str, entry: Mapping[str, Any]) -> Profile:
    """Make a profile of a table; a key nobody knows is an error, not a silent loss.

    Raises
    ------
    UnknownProfile
        With the key that is wrong.
    """
    unknown = entry.keys() - {*_SETS, *_PLAIN}
    if unknown:
        raise UnknownProfile(f"The profile {name} has unknown keys: {', '.join(sorted(unknown))}.")
    _check_choices(name, entry)
    _check_keywords(name, entry.get("also_remove", ()))
    values: dict[str, Any] = {key: frozenset(entry[key]) for key in _SETS if key in entry}
    values |= {key: entry[key] for key in _PLAIN if key in entry}
    return Profile(name=name, **values)


def _check_choices(name: str, entry: Mapping[str, Any]) -> None:
    limit = entry.get("date_shift_limit_days", 14)
    if entry.get("birth_date", "remove") not in ("remove", "year"):
        raise UnknownProfile(f"The profile {name}: birth_date is 'remove' or 'year'.")
    if entry.get("faces", "keep") not in ("keep", "refuse"):
        raise UnknownProfile(f"The profile {name}: faces is 'keep' or 'refuse'.")
    if not isinstance(limit, int) or not 1 <= limit <= 180:
        raise UnknownProfile(f"The profile {name}: date_shift_limit_days is a number from 1 to 180.")
    for private in entry.get("safe_private", ()):
        if len(private.split("|")) != 3:
            raise UnknownProfile(f"The profile {name}: safe_private entries read CREATOR|gggg|ee.")


def _check_keywords(name: str, keywords: Any) -> None:
    unknown = [keyword for keyword in keywords if tag_for_keyword(keyword) is None]
    if unknown:
        raise UnknownProfile(f"{name} names unknown elements: {', '.join(sorted(unknown))}.")


def profile_named(name: str) -> Profile:
    """Find a shipped profile, or read one from a file (``.toml`` or ``.json``).

    Raises
    ------
    UnknownProfile
        With the names there are.
    """
    if name in profiles():
        return profiles()[name]
    path = Path(name)
    if path.suffix in (".toml", ".json") and path.is_file():
        return profile_from(path.stem, _read(path))
    raise UnknownProfile(f"There is no profile {name}. Choose one of: {', '.join(profiles())}.")


def tightened(profile: Profile, site: Mapping[str, Any]) -> Profile:
    """Apply a site's rules to a study's profile.

    Parameters
    ----------
    profile
        What the study chose.
    site
        ``without``, ``also_remove``, ``without_private``, ``refused_sop_classes`` (lists), ``refuse_faces``,
        ``no_birth_date`` (flags); empty changes nothing.

    Raises
    ------
    UnknownProfile
        With the key that is wrong.
    """
    given = {key: value for key, value in site.items() if value}
    unknown = given.keys() - {*_SITE, *_SITE_FLAGS}
    if unknown:
        raise UnknownProfile(f"A site can only tighten: {', '.join(sorted(unknown))} is not a way to do so.")
    if not given:
        return profile
    _check_keywords("The site", given.get("also_remove", ()))
    arguments: dict[str, Any] = {argument: frozenset(given.get(key, ())) for key, argument in _SITE.items()}
    arguments |= {flag: bool(given.get(flag)) for flag in _SITE_FLAGS}
    return profile.tighten(**arguments)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise UnknownProfile(f"The profile file {path.name} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise UnknownProfile(f"The profile file {path.name} is not a table.")
    return content
