"""Start-up: the command answers at once, and the base runs without the extras."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from racoon.cli.failures import EXTRA_OF
from racoon.platform.diagnosis.installation import EXTRAS

BUDGET_S = 0.300
"""A command that answers later than this feels broken."""

HEAVY = {"numpy", "pydicom", "sqlalchemy", "fastapi", "httpx", "torch", "pydantic"}

BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_answers_within_its_budget() -> None:
    """Best of ten, in the process's own seconds: the waiting for other tests' processes is not its fault."""

    def measure() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-m", "racoon", "--help"], capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0
        return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)

    best = min(measure() for _ in range(10))
    print(f"racoon --help: best of ten {best * 1000:.0f} ms")
    assert best <= BUDGET_S


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, racoon.cli.app as a; a.main(['--help']);"
        f"print('HEAVY', sorted({HEAVY!r} & set(sys.modules)))"
    )
    assert run_python(code).stdout.splitlines()[-1] == "HEAVY []"


NODE = ["racoon.node.app.serving", "racoon.node.app.pages", "racoon.node.app.background"]
"""What a node's processes load: the supervisor, http and the worker."""


@pytest.mark.parametrize("module", [*NODE, "racoon.central.app", "racoon.demo.scenario"])
def test_base_runs_without_extras(module: str) -> None:
    optional = set(EXTRA_OF) - {"psycopg"}  # the job engine brings its own, whatever the database
    done = run_python(BLOCK.format(blocked=optional) + f"import {module}; print('imported')")
    assert done.stdout.strip() == "imported", done.stderr


@pytest.mark.parametrize("module", [*NODE, "racoon.central.app"])
def test_idle_roles_do_not_load_torch(module: str) -> None:
    done = run_python(f"import sys, {module}; print('torch' in sys.modules, 'nvflare' in sys.modules)")
    assert done.stdout.strip() == "False False", done.stderr


def test_making_an_account_loads_neither_images_nor_pages() -> None:
    code = (
        "import sys, racoon.node.app.administration;"
        "print('HEAVY', sorted({'numpy', 'pydicom', 'fastapi', 'alembic', 'dbos', 'httpx'} & set(sys.modules)))"
    )
    assert run_python(code).stdout.strip() == "HEAVY []"


def test_doctor_and_command_line_agree_on_the_extras() -> None:
    assert {name: extra for extra, names in EXTRAS.items() for name in names} == EXTRA_OF
