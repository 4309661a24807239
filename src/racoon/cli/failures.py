"""From an error to one red line and an exit code; never a traceback unless ``--debug`` asks for it.

The codes follow ``sysexits.h`` where it has one, so that a supervisor (systemd, cron, make) can act on them.
"""

from __future__ import annotations

from dataclasses import dataclass

from racoon.errors import Defect, RacoonError, Refused, Unavailable

OK = 0
FAILED = 1
REFUSED = 2
USAGE = 64
DEFECT = 65
MISSING_EXTRA = 69
UNEXPECTED = 70
UNAVAILABLE = 75
CONFIGURATION = 78
INTERRUPTED = 130

MEANING = {
    OK: "done",
    FAILED: "the command ran and its answer is no (`racoon doctor` with a red line, `racoon audit verify`)",
    REFUSED: "a rule said no; trying again changes nothing until a person decides otherwise",
    USAGE: "the command line is wrong",
    DEFECT: "data or program is wrong; a person has to look",
    MISSING_EXTRA: "the command needs an extra that is not installed",
    UNEXPECTED: "an error nobody foresaw; run again with --debug",
    UNAVAILABLE: "something needed is not there now; try again later",
    CONFIGURATION: "the configuration file is wrong; do not restart before it is mended",
    INTERRUPTED: "stopped from the keyboard",
}
"""What each exit code of ``racoon`` means; the reference page is made from this table."""

EXTRA_OF = {
    "torch": "learning",
    "monai": "learning",
    "nvflare": "learning",
    "safetensors": "learning",
    "SimpleITK": "radiomics",
    "pywt": "radiomics",
    "pytesseract": "ocr",
    "pyarrow": "parquet",
    "psycopg": "postgres",
    "obstore": "s3",
    "authlib": "oidc",
}
"""Which extra brings which optional module."""


@dataclass(frozen=True)
class Failure:
    """What the user sees of an error."""

    code: str
    kind: str
    message: str
    exit_code: int

    def as_json(self) -> dict[str, object]:
        """The same for machines."""
        return {
            "error": {
                "code": self.code,
                "kind": self.kind,
                "message": self.message,
                "exit_code": self.exit_code,
            }
        }


def describe(error: BaseException) -> Failure:
    """Turn an error into one sentence that says what to do, and an exit code.

    Parameters
    ----------
    error
        Anything a command let through.
    """
    match error:
        case RacoonError() if _is_configuration(error):
            return Failure(error.error_code, error.kind, error.public_message, CONFIGURATION)
        case Refused():
            return Failure(error.error_code, error.kind, error.public_message, REFUSED)
        case Unavailable():
            return Failure(error.error_code, error.kind, error.public_message, UNAVAILABLE)
        case RacoonError():
            return Failure(error.error_code, error.kind, error.public_message, DEFECT)
        case ModuleNotFoundError() if extra := EXTRA_OF.get((error.name or "").split(".")[0]):
            message = (
                f"This command needs the extra `{extra}` ({error.name} is not installed). "
                f"Install it with: pip install 'racoon[{extra}]'"
            )
            return Failure("extra.missing", Unavailable.kind, message, MISSING_EXTRA)
        case KeyboardInterrupt():
            return Failure("interrupted", "stopped", "Stopped from the keyboard.", INTERRUPTED)
        case _:
            message = f"{type(error).__name__}: {error}. Run the same command with --debug to see where."
            return Failure("unexpected", Defect.kind, message, UNEXPECTED)


def _is_configuration(error: RacoonError) -> bool:
    # Imported here: settings bring pydantic, which `racoon --help` must not wait for.
    from racoon.platform.settings import ConfigurationError

    return isinstance(error, ConfigurationError)
