"""Set up a clone: a virtual environment with pinned packages and, for the tests, a few Debian packages.

Runs with nothing but Python >= 3.11 and pip, says what it does while it does it, and does nothing twice.

    python3 tools/set_up.py run      what `make demo` needs: the product and the extras `learning`, `parquet` and `pdf`
    python3 tools/set_up.py test     the same, every other extra, the workshop's tools, Debian packages
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
CONSTRAINTS = ROOT / "constraints.txt"

EXTRAS = {
    "run": "learning,parquet,pdf",
    "test": "learning,radiomics,ocr,parquet,columns,pdf,postgres,s3,oidc",
}

DEBIAN = {
    # Debian package: a path pattern that shows it is there
    "dcmtk": "/usr/bin/storescu",
    "postgresql": "/usr/lib/postgresql/*/bin/initdb",
    "chromium": "/usr/bin/chromium",
    "tesseract-ocr": "/usr/bin/tesseract",
    "orthanc": "/usr/sbin/Orthanc",
    "orthanc-dicomweb": "/usr/share/orthanc/plugins/libOrthancDicomWeb.so",
    "dcm2niix": "/usr/bin/dcm2niix",
}
"""What the tests run against: foreign DICOM tools and archives, PostgreSQL, a real browser, a reader of text."""


def say(text: str) -> None:
    """Print one line of progress at once, on stderr: stdout belongs to the command that follows."""
    print(f"· {text}", file=sys.stderr, flush=True)


def run(*command: str | Path) -> None:
    """Run a command and stop with a clear sentence when it fails."""
    words = [str(word) for word in command]
    result = subprocess.run(words, cwd=ROOT, check=False)
    if result.returncode != 0:
        sys.exit(f"✗ `{' '.join(words)}` ended with code {result.returncode}; read its message above")


def make_environment() -> None:
    """Create ``.venv``, also where Debian has left out ensurepip and allows no installation outside it."""
    if PYTHON.exists():
        return
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what an older Python meets first
        sys.exit(f"✗ Python 3.11 or newer is needed; this is {sys.version.split()[0]}")
    say(f"making a virtual environment in .venv with Python {sys.version.split()[0]}")
    with_pip = subprocess.run(
        [sys.executable, "-m", "venv", VENV], capture_output=True, text=True, check=False
    )
    if with_pip.returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    say("this Python has no ensurepip (Debian: python3-venv); the system's pip fills .venv instead")
    without_pip = subprocess.run([sys.executable, "-m", "venv", "--without-pip", VENV], check=False)
    if without_pip.returncode == 0:
        run(sys.executable, "-m", "pip", "--python", PYTHON, "install", "--quiet", "pip")
        return
    shutil.rmtree(VENV, ignore_errors=True)
    bootstrap = ROOT / "build" / "bootstrap"
    say("the module venv is missing too; fetching virtualenv into build/bootstrap")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--target", bootstrap, "virtualenv")
    environment = dict(os.environ, PYTHONPATH=str(bootstrap))
    made = subprocess.run([sys.executable, "-m", "virtualenv", "-q", VENV], env=environment, check=False)
    if made.returncode != 0:
        sys.exit("✗ no virtual environment could be made; install python3-venv or virtualenv and try again")


def install_packages(purpose: str) -> None:
    """Install the pinned Python packages, once for each state of the pins."""
    pins = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        pins.update((ROOT / name).read_bytes())
    fingerprint = pins.hexdigest()
    stamp = VENV / f".installed-{purpose}"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == fingerprint:
        return
    say(f"installing pinned packages for `{purpose}` (the first time takes some minutes: torch is large)")
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    run(*pip, "-qq", "--constraint", CONSTRAINTS, "pip", "hatchling")
    wanted: list[str | Path] = ["--editable", f".[{EXTRAS[purpose]}]"]
    if purpose == "test":
        wanted += ["--group", "dev"]
    run(*pip, "-qq", "--constraint", CONSTRAINTS, "--build-constraint", CONSTRAINTS, *wanted)
    stamp.write_text(fingerprint, encoding="utf-8")


def missing_debian_packages() -> list[str]:
    """Names of the Debian packages whose programs are not on this machine."""
    return [name for name, pattern in DEBIAN.items() if not any(Path("/").glob(pattern.lstrip("/")))]


def install_debian_packages() -> None:
    """Install missing Debian packages as root or through sudo, or say which ones to install."""
    missing = missing_debian_packages()
    if not missing:
        return
    apt, sudo = shutil.which("apt-get"), shutil.which("sudo")
    is_root = os.geteuid() == 0
    if apt is None or not (is_root or sudo):
        say(f"not on this machine: {', '.join(missing)}; the tests that need them will be skipped and say so")
        say(f"to run them too: apt-get install {' '.join(missing)}")
        return
    prefix = [] if is_root else ["sudo"]
    say(f"installing from Debian for the tests: {', '.join(missing)}")
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install = [*prefix, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    if subprocess.run(install, env=environment, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        subprocess.run([*prefix, "apt-get", "update", "-qq"], env=environment, check=False)
        done = subprocess.run(install, env=environment, stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            say("apt-get could not install them; the tests that need them will be skipped and say so")


def main() -> None:
    """Make everything that the purpose on the command line needs."""
    purpose = sys.argv[1] if len(sys.argv) > 1 else "run"
    if purpose not in EXTRAS:
        sys.exit(f"✗ unknown purpose {purpose!r}: use one of {', '.join(EXTRAS)}")
    started = time.monotonic()
    make_environment()
    install_packages(purpose)
    if purpose == "test":
        install_debian_packages()
    if time.monotonic() - started > 1:
        say(f"ready after {time.monotonic() - started:.0f} s ({sysconfig.get_platform()})")


if __name__ == "__main__":
    main()
