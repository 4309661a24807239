"""Person names of de-identified objects: a pseudonym stands in for the whole name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pseudonyms_as_names() -> Iterator[None]:
    """Let highdicom write objects of somebody whose name is a pseudonym.

    It warns of names with a single component, which are rarely meant (PS3.5 section 6.2.1.2); a pseudonym is meant so.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The string .* is unlikely to represent the intended person name")
        yield
