"""Forms with files that name patients: read into memory, never written beside the node's own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from racoon.errors import Refused

LARGEST_BYTES = 64 << 20
"""Of a form with its files; what is larger is taken on the command line."""


class UnreadableForm(Refused):
    """The browser sent no form that this page has."""

    code: ClassVar[str] = "clinical.unreadable_form"
    status: ClassVar[int] = 400


class _InMemory(MultiPartParser):
    spool_max_size = LARGEST_BYTES + 1


@dataclass(frozen=True)
class Uploaded:
    """A form.

    Parameters
    ----------
    fields
        Name to text.
    files
        Name to content; empty where none was chosen.
    """

    fields: Mapping[str, str]
    files: Mapping[str, bytes]


async def read_form(request: Request) -> Uploaded:
    """Read a form.

    Raises
    ------
    UnreadableForm
    """
    try:
        form = await _InMemory(
            request.headers, request.stream(), max_files=2, max_fields=800, max_part_size=1 << 20
        ).parse()
    except (MultiPartException, KeyError, AssertionError) as error:
        raise UnreadableForm("This form cannot be read. Open the page again.") from error
    fields, files = dict[str, str](), dict[str, bytes]()
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files[name] = await value.read()
            await value.close()
        else:
            fields[name] = value
    return Uploaded(fields, files)
