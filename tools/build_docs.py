"""`make docs`: the documentation into ``site/``, strictly, with the generated reference pages.

MkDocs is configured in ``pyproject.toml`` (``[tool.mkdocs]``), as everything else is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

os.environ.setdefault("DISABLE_MKDOCS_2_WARNING", "true")  # a notice of the theme's authors, on every build

import logging

from mkdocs.commands.build import build
from mkdocs.config.base import Config, load_config

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.reference import write_pages  # noqa: E402 - the repository root is no package of the environment

FOREIGN = re.compile(
    r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?(?:https?:)?//(?!localhost)[^"'> ]+"""
)
"""An address of another host that the browser would ask without being told to."""


def configuration(site: Path, pages: Path) -> Config:
    """Turn ``[tool.mkdocs]`` into the file that MkDocs wants, beside the gathered pages."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mkdocs"]
    file = pages.parent / "mkdocs.yml"
    file.write_text(json.dumps({**settings, "docs_dir": str(pages), "site_dir": str(site)}), encoding="utf-8")
    return load_config(str(file))


def gather(pages: Path) -> None:
    """Copy the written pages and add the generated ones."""
    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(ROOT / "docs", pages)
    write_pages(pages / "reference")


def foreign_addresses(site: Path) -> list[str]:
    """Pages that would make a reader's browser ask another host."""
    return [
        f"{page.relative_to(site)}: {hit.group(0)}"
        for page in site.rglob("*.html")
        for hit in FOREIGN.finditer(page.read_text(encoding="utf-8"))
        if 'rel="canonical"' not in hit.group(0)
    ]


def main(target: Path | None = None) -> int:
    """Build everything; any warning is an error."""
    site = target or ROOT / "site"
    pages = ROOT / "build" / "docs" if target is None else target.parent / "pages"
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    print("· writing the reference pages from the product itself", flush=True)
    gather(pages)
    print("· building the site", flush=True)
    build(configuration(site, pages))
    foreign = foreign_addresses(site)
    if foreign:
        print("✗ these pages ask other hosts:\n  " + "\n  ".join(foreign))
        return 1
    print(f"· open {site / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
