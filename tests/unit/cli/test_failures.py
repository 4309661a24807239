"""From an error to one line and an exit code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.cli import failures
from racoon.cli.failures import describe
from racoon.errors import Defect, RacoonError, Refused, Unavailable
from racoon.platform.settings import ConfigurationError


class Occupied(ConfigurationError):
    code = "example.occupied"


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (Refused("no"), 2),
        (Unavailable("later"), 75),
        (Defect("wrong"), 65),
        (RacoonError("other"), 65),
        (ConfigurationError("node.toml, line 3: unknown key"), 78),
        (Occupied("the port is taken"), 78),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 69),
        (ModuleNotFoundError("No module named 'authlib.jose'", name="authlib.jose"), 69),
        (ModuleNotFoundError("No module named 'gone'", name="gone"), 70),
        (ValueError("surprise"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_code_says_what_to_do(error: BaseException, exit_code: int) -> None:
    assert describe(error).exit_code == exit_code


def test_exit_codes_all_have_a_meaning() -> None:
    codes = {value for name, value in vars(failures).items() if name.isupper() and isinstance(value, int)}
    assert codes == set(failures.MEANING)


@given(details=st.dictionaries(st.text(min_size=1), st.text(min_size=3)), message=st.text(min_size=1))
def test_private_details_never_reach_the_user(details: dict[str, str], message: str) -> None:
    failure = describe(Defect(message, details=details))
    assert failure.message == message
    assert failure.as_json() == {
        "error": {"code": "defect", "kind": "defect", "message": message, "exit_code": 65}
    }


def test_missing_extra_says_how_to_install_it() -> None:
    failure = describe(ModuleNotFoundError("No module named 'nvflare'", name="nvflare"))
    assert "pip install 'racoon[learning]'" in failure.message
