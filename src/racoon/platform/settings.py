"""Settings from a TOML file, the environment and flags, in that order of rising precedence.

Wrong configuration stops the program at boot with the file, the line, the key, the nearest valid key and the
fix.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from racoon.errors import Defect

CONFIGURATION_EXIT_CODE = 78
"""``EX_CONFIG`` of sysexits.h: a supervisor must not restart a process that ends with it."""

_SECRET = re.compile(r"password|secret|token|private|url", re.IGNORECASE)

SettingsT = TypeVar("SettingsT", bound=BaseSettings)


class ConfigurationError(Defect):
    """The configuration is wrong; the message says where and how to mend it."""

    code = "configuration"


def load_settings(
    cls: type[SettingsT],
    path: Path | None,
    env_prefix: str = "RACOON_",
    *,
    flags: Mapping[str, Any] | None = None,
) -> SettingsT:
    """Read settings: TOML file < environment < flags.

    Parameters
    ----------
    cls
        Settings class; unknown keys are refused whatever its own configuration says.
    path
        TOML file, ``None`` for none.
    env_prefix
        Prefix of environment variables, for example ``RACOON_NODE_``; ``__`` separates nested keys.
    flags
        Values from the command line; ``None`` values count as not given.

    Raises
    ------
    ConfigurationError
        With one line per problem.
    """
    from_file = _read_toml(path)
    given = {key: value for key, value in (flags or {}).items() if value is not None}

    class Configured(cls):  # type: ignore[misc, valid-type]  # a class made of an argument
        model_config = SettingsConfigDict(
            extra="forbid",
            env_prefix=env_prefix,
            env_nested_delimiter="__",
            frozen=True,
            env_ignore_empty=True,
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- pydantic's signature
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- pydantic's signature
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=from_file))

    Configured.__name__, Configured.__qualname__ = cls.__name__, cls.__qualname__
    problems = list(_unknown_environment(cls, env_prefix))
    problems += [_explain_unknown(cls, keys, path) for keys in _unknown_keys(cls, from_file, [])]
    try:
        settings = Configured(**given)
    except ValidationError as error:
        problems += [
            _explain(item, path, env_prefix, given)
            for item in error.errors()
            if item["type"] != "extra_forbidden" or str(item["loc"][0]) in given
        ]
    except Exception as error:  # pydantic-settings wraps an unreadable environment value
        raise ConfigurationError(
            f"A setting in the environment cannot be read: {error}. Correct or unset that variable.",
        ) from error
    if problems:
        raise ConfigurationError("\n".join(problems), details={"file": str(path or "")})
    return cast(SettingsT, settings)


def _read_toml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path}: this configuration file does not exist. Give the right path or write the file."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}. Correct that line.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path}: this file cannot be read ({type(error).__name__}). Check its permissions and encoding."
        ) from error


def _unknown_keys(cls: type[BaseModel], document: Mapping[str, Any], keys: list[str]) -> Iterator[list[str]]:
    """Find the keys of a file that no field has: nested models ignore them unless they are told otherwise."""
    for key, value in document.items():
        if key not in cls.model_fields:
            yield [*keys, key]
            continue
        nested = _nested_model(cls.model_fields[key])
        for item in value if isinstance(value, list) else [value]:
            if nested is not None and isinstance(item, dict):
                yield from _unknown_keys(nested, item, [*keys, key])


def _explain_unknown(cls: type[BaseModel], keys: list[str], path: Path | None) -> str:
    names = _names_at(cls, keys[:-1])
    nearest = difflib.get_close_matches(keys[-1], names, n=1, cutoff=0.5)
    prefix = "".join(f"{part}." for part in keys[:-1])
    hint = f"Did you mean '{prefix}{nearest[0]}'?" if nearest else f"Valid: {', '.join(sorted(names))}."
    line = _line_of(path, keys)
    where = f"{path}" + (f", line {line}" if line else "")
    return f"{where}: unknown key '{'.'.join(keys)}'. {hint} Rename or remove it."


def _explain(
    item: Mapping[str, Any],
    path: Path | None,
    env_prefix: str,
    flags: Mapping[str, Any],
) -> str:
    keys = [str(part) for part in item["loc"]]
    key = ".".join(keys)
    variable = env_prefix + "__".join(keys).upper()
    if keys and keys[0] in flags:
        where = f"command line --{keys[0].replace('_', '-')}"
    elif any(name.upper() == variable for name in os.environ):
        where = f"environment variable {variable}"
    else:
        line = _line_of(path, keys)
        where = "settings" if path is None else f"{path}" + (f", line {line}" if line else "")
    if item["type"] == "missing":
        return f"{where}: the key '{key}' is missing. Add it to the file or set {variable}."
    value = item.get("input")
    shown = "" if _SECRET.search(key) or isinstance(value, (dict, list)) else f" (is {value!r})"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{where}: key '{key}'{shown}: {message}. Correct the value."


def _unknown_environment(cls: type[BaseModel], env_prefix: str) -> Iterator[str]:
    if env_prefix in ("", "RACOON_"):
        # The bare prefix is shared with other roles and tools, so an unknown name there is no mistake.
        return
    names = {f"{env_prefix}{name}".upper() for name in cls.model_fields}
    for variable in sorted(os.environ):
        if variable.upper().startswith(env_prefix.upper()) and variable.upper().split("__")[0] not in names:
            nearest = difflib.get_close_matches(variable.upper(), names, n=1, cutoff=0.5)
            hint = f"Did you mean {nearest[0]}?" if nearest else "Unset it."
            yield f"environment variable {variable}: unknown setting. {hint}"


def _names_at(cls: type[BaseModel], keys: list[str]) -> list[str]:
    model: type[BaseModel] | None = cls
    for key in keys:
        model = _nested_model(model.model_fields[key]) if model and key in model.model_fields else None
    return list(model.model_fields) if model else []


def _nested_model(field: FieldInfo) -> type[BaseModel] | None:
    candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _line_of(path: Path | None, keys: list[str]) -> int | None:
    if path is None or not keys:
        return None
    table = ".".join(keys[:-1])
    section = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            section = header.group(1)
            if section == ".".join(keys):
                return number
        elif re.match(rf"\s*[\"']?{re.escape(keys[-1])}[\"']?\s*=", line) and section == table:
            return number
    return None
