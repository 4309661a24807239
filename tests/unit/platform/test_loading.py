"""Start-up helpers: the collector rests while modules load; a database at its newest revision is left alone."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from racoon.platform.loading import collector_paused


def test_the_collector_rests_and_works_again() -> None:
    assert gc.isenabled()
    try:
        with collector_paused():
            assert not gc.isenabled()
        assert gc.isenabled()
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("role", ["node", "central"])
def test_a_database_at_the_newest_revision_needs_no_alembic(tmp_path: Path, role: str) -> None:
    code = f"""
import sys
from racoon.platform.database import Database
from racoon.platform.revision import bring_up_to_date
bring_up_to_date(Database("sqlite:///{tmp_path}/a.sqlite"), "racoon.{role}.migrations")
print("alembic" in sys.modules, "fastapi" in sys.modules)
"""
    answers = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert answers == ["True False", "False False"]


def test_a_library_is_absent_while_another_loads() -> None:
    script = (
        "import sys\n"
        "from racoon.platform.loading import absent\n"
        "with absent('wave', 'sys'):\n"
        "    try:\n"
        "        import wave\n"
        "    except ImportError:\n"
        "        print('absent')\n"
        "import wave\n"
        "print(wave.__name__, 'sys' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["absent", "wave", "True"]
