"""The tree of commands and the one place where a command's error becomes an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from racoon import __version__
from racoon.cli import (
    agreement,
    analyse,
    audit,
    central,
    comorbidome,
    compare,
    consent,
    demo,
    dicom,
    doctor,
    failures,
    fhir,
    harmonise,
    import_table,
    infer,
    linkage,
    measure,
    model,
    neighbour,
    node,
    punch,
    radiomics,
    train,
    trust,
    version,
)
from racoon.cli.output import print_failure

EPILOGUE = (
    "`--debug` after any command shows where an error came from. Research use only: not a medical device."
)


def build_app() -> App:
    """Put the commands together; nothing heavy is imported here."""
    app = App(
        name="racoon",
        help="Multicentre, image-based studies: a node in each hospital, one CENTRAL for the network.",
        help_epilogue=EPILOGUE,
        help_format="plaintext",
        version=__version__,
        default_parameter=Parameter(negative=""),
    )
    app.command(demo.app)
    app.command(node.app)
    app.command(central.app)
    app.command(dicom.app)
    app.command(fhir.app)
    app.command(consent.app)
    app.command(trust.app)
    app.command(linkage.app)
    app.command(neighbour.app)
    app.command(measure.measure)
    app.command(radiomics.radiomics)
    app.command(compare.compare)
    app.command(agreement.agreement)
    app.command(harmonise.harmonise)
    app.command(punch.punch)
    app.command(comorbidome.comorbidome)
    app.command(import_table.import_table)
    app.command(train.train)
    app.command(model.app)
    app.command(infer.infer)
    app.command(infer.evaluate)
    app.command(audit.app)
    app.command(analyse.analyse)
    app.command(doctor.doctor)
    app.command(version.version)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv
        Words after ``racoon``; the process's own when omitted.

    Returns
    -------
    int
        An exit code from ``racoon.cli.failures``.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    is_debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        answer = build_app()(words, exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        return failures.USAGE
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else failures.FAILED
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the outermost edge: every error becomes a line
        if is_debug:
            traceback.print_exc()
        failure = failures.describe(error)
        print_failure(failure, as_json="--json" in words)
        return failure.exit_code
    return answer if isinstance(answer, int) else failures.OK
