"""Finds elements by the paths of the rule tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from racoon.standards.fhir.rules.model import contains

Node = tuple[str, Any]
"""Where, and what stands there."""


def children(parent: Node, step: str, pattern: Any = None) -> list[Node]:
    """Return the occurrences of one element in a parent.

    Parameters
    ----------
    parent
        Where to look.
    step
        Name of the element; ``value[x]`` finds every type of the choice.
    pattern
        Only occurrences that contain it: a slice.
    """
    place, value = parent
    if not isinstance(value, dict):
        return []
    found: list[Node] = []
    for name in _names(value, step):
        content = value[name]
        if isinstance(content, list):
            found += [(f"{place}.{name}[{index}]", item) for index, item in enumerate(content)]
        else:
            found.append((f"{place}.{name}", content))
    return [node for node in found if pattern is None or contains(node[1], pattern)]


def _names(value: Mapping[str, Any], step: str) -> Iterator[str]:
    if not step.endswith("[x]"):
        if step in value:
            yield step
        return
    stem = step[:-3]
    yield from (name for name in value if name.startswith(stem) and name[len(stem) : len(stem) + 1].isupper())


def resolve(root: Node, path: str, slices: Mapping[str, Any]) -> list[Node]:
    """Return every occurrence of a path below a root."""
    nodes = [root]
    walked = ""
    for step in path.split(".") if path else []:
        walked = f"{walked}.{step}" if walked else step
        name = step.partition(":")[0]
        pattern = slices[slice_key(walked)] if ":" in step else None
        nodes = [child for node in nodes for child in children(node, name, pattern)]
    return nodes


def slice_key(walked: str) -> str:
    """Slices are named by their path without the names of outer slices."""
    head, _, last = walked.rpartition(".")
    plain = ".".join(step.partition(":")[0] for step in head.split(".")) if head else ""
    return f"{plain}.{last}" if plain else last
