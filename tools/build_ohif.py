"""Make the optional wheel with the OHIF viewer and install it beside RACOON: `make ohif`.

It holds OHIF's published build as it is in the package registry (``@ohif/app``, MIT), less what a node never serves:
a model for the browser, the viewer for microscopy, source maps and the service worker, which asks other hosts.  The
build expects to live at ``/``; the places that say so are changed to ``/ohif/``, and nothing else.  Version and
checksum of the archive are pinned here; nothing is built from source.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import IO

from build_viewer import ROOT, NotPossible, find_node, run, say

VERSION = "3.13.2"
SHA512 = "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="

SOURCE = ROOT / "tools" / "ohif"
WORK = ROOT / "build" / "ohif"
WHEEL = ROOT / "dist" / f"racoon_ohif-{VERSION}-py3-none-any.whl"

PLACE = "/ohif/"

MOVED = {
    ".js": ((re.compile(r'(__webpack_require__\.p = )"/";'), rf'\1"{PLACE}";'),),
    ".css": ((re.compile(r"url\(/(?!/)"), f"url({PLACE}"),),
    ".html": (
        (re.compile(r'(href|src|content)="/(?!/)'), rf'\1="{PLACE}'),
        (re.compile(r'PUBLIC_URL="/"'), f'PUBLIC_URL="{PLACE}"'),
        (re.compile(r'<script[^>]*init-service-worker[^>]*></script>|<link rel="manifest"[^>]*>'), ""),
    ),
}
"""By suffix: where the build says at which address it lives, and the service worker that is not brought along."""

LEFT_OUT = ("ort/", "dicom-microscopy-viewer/", "sw.js", "assets/apple-touch-", "manifest.json")

LIMIT_S = 400.0


def fetch() -> Path:
    """Fetch the pinned archive from the package registry and check it."""
    file = WORK / f"ohif-app-{VERSION}.tgz"
    if not file.is_file():
        say(f"fetching OHIF {VERSION} (50 MB, once)")
        npm, folder = find_node()
        environment = dict(os.environ, PATH=os.pathsep.join([folder, os.environ.get("PATH", "")]))
        run([*npm, "pack", "--ignore-scripts", f"@ohif/app@{VERSION}"], WORK, LIMIT_S, environment)
    found = base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()
    if found != SHA512:
        file.unlink()
        raise NotPossible(f"the archive of OHIF {VERSION} is not the one this project was tested with")
    return file


def unpack(file: Path, target: Path) -> None:
    """Take out of the archive what a node serves."""
    shutil.rmtree(target, ignore_errors=True)
    with tarfile.open(file) as archive:
        for member in archive:
            name = member.name.removeprefix("package/")
            if name == "LICENSE":
                shutil.copyfileobj(_content(archive, member), (target.parent / "LICENSE").open("wb"))
            inside = name.removeprefix("dist/")
            if (
                not member.isfile()
                or inside == name
                or inside.startswith(LEFT_OUT)
                or inside.endswith(".map")
            ):
                continue
            place = (target / inside).resolve()
            if not place.is_relative_to(target.resolve()):
                raise NotPossible(f"the archive names a file outside of itself: {name}")
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as out:
                shutil.copyfileobj(_content(archive, member), out)


def move(target: Path) -> None:
    """Change the address at which the build expects to live."""
    changed = dict.fromkeys(MOVED, 0)
    for file in target.iterdir():
        if file.suffix in MOVED:
            text = before = file.read_text(encoding="utf-8")
            for pattern, ours in MOVED[file.suffix]:
                text = pattern.sub(ours, text)
            if text != before:
                file.write_text(text, encoding="utf-8")
                changed[file.suffix] += 1
    if not all(changed.values()):
        raise NotPossible(f"OHIF {VERSION} says in another way where it lives: {changed}")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(member)
    if stream is None:
        raise NotPossible(f"the archive holds no content for {member.name}")
    return stream


def main() -> int:
    """Make the wheel where it is missing, and install it."""
    try:
        if not WHEEL.is_file():
            package = WORK / "racoon_ohif"
            package.mkdir(parents=True, exist_ok=True)
            unpack(fetch(), package / "dist")
            move(package / "dist")
            shutil.move(package / "LICENSE", WORK / "LICENSE")
            (package / "__init__.py").write_text('"""OHIF\'s published build, as files."""\n', "utf-8")
            shutil.copyfile(SOURCE / "pyproject.toml", WORK / "pyproject.toml")
            build = [
                sys.executable,
                "-m",
                "build",
                "--wheel",
                "--no-isolation",
                "--outdir",
                str(WHEEL.parent),
                ".",
            ]
            run(build, WORK, LIMIT_S, dict(os.environ))
        install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(WHEEL)]
        run(install, ROOT, LIMIT_S, dict(os.environ))
    except (NotPossible, subprocess.SubprocessError) as error:
        say(f"✗ OHIF IS NOT INSTALLED: {error}")
        return 1
    say(
        f"OHIF {VERSION} is installed ({WHEEL.stat().st_size / 1e6:.0f} MB wheel); restart the node to serve it"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
