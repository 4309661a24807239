"""``racoon consent …``: what a site relies on, who withdrew, who was told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cyclopts import App

from racoon.cli import failures
from racoon.cli.output import JsonFlag, print_facts, print_json, print_table

app = App(name="consent", help="Record what a site may rely on, and withdrawals.")

Kind = Literal["hospital_law", "health_data_use", "ethics_waiver", "contract", "synthetic"]


@app.command
def basis(  # noqa: PLR0913 -- each is a flag that an operator may give
    *,
    config: Path,
    study: str,
    kind: Kind,
    document: str,
    scope: str,
    approved_by: str,
    acquired_from: str = "",
    acquired_until: str = "",
    valid_from: str = "",
    valid_until: str = "",
    json: JsonFlag = False,
) -> None:
    """Record a legal basis of this site; recording the same one again changes nothing.

    Parameters
    ----------
    config
        TOML file of this node.
    study
        Id of the study, or site:archive for keeping and looking at images at this site.
    kind
        What it is, other than consent.
    document
        Law and clause, file number or vote.
    scope
        Which data, in words.
    approved_by
        Who at the site signed it.
    acquired_from
        First day of acquisition it covers, such as 2020-01-31; open when omitted.
    acquired_until
        Last day of acquisition it covers; open when omitted.
    valid_from
        First day on which it may be relied on; open when omitted.
    valid_until
        Last day on which it may be relied on; open when omitted.
    json
        Print one JSON document.
    """
    from racoon.node.app.legal import record_basis

    facts = record_basis(
        config,
        {
            "study_id": study,
            "kind": kind,
            "document": document,
            "scope": scope,
            "approved_by": approved_by,
            "acquired_from": acquired_from,
            "acquired_until": acquired_until,
            "valid_from": valid_from,
            "valid_until": valid_until,
        },
    )
    if json:
        print_json(facts)
    else:
        print_facts("Recorded.", facts)


@app.command
def bases(*, config: Path, json: JsonFlag = False) -> None:
    """List the legal bases of this site, newest first.

    Parameters
    ----------
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.legal import list_bases

    found = list_bases(config)
    if json:
        print_json({"bases": found})
    elif found:
        shown = ("basis_id", "study_id", "kind", "document", "approved_by", "ended_at")
        print_table("Legal bases", [{name: row[name] or "" for name in shown} for row in found])
    else:
        print_facts("This site recorded no legal basis: without consents nothing is read.", {})


@app.command
def end(basis_id: str, /, *, config: Path, json: JsonFlag = False) -> None:
    """Take a legal basis back; what rests on it stops at once.

    Parameters
    ----------
    basis_id
        Which one, as the list shows it.
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.legal import end_basis

    facts = end_basis(config, basis_id)
    if json:
        print_json(facts)
    else:
        print_facts("Ended.", facts)


@app.command
def withdraw(
    pseudonym: str, /, *, config: Path, reason: str, study: str = "", json: JsonFlag = False
) -> None:
    """End the use of a subject's data at this node, at once; whoever has copies is told.

    Parameters
    ----------
    pseudonym
        Of this node's archive.
    config
        TOML file of this node.
    reason
        In words without names.
    study
        The one study that is left; everything when omitted.
    json
        Print one JSON document.
    """
    from racoon.node.app.legal import withdraw as withdraw_subject

    facts = withdraw_subject(config, pseudonym, study, reason)
    if json:
        print_json(facts)
    else:
        print_facts("Blocked. The node's worker erases the images and tells the recipients.", facts)


@app.command
def show(pseudonym: str = "", /, *, config: Path, json: JsonFlag = False) -> int:
    """Show what is known of a subject; or all withdrawals, with proofs and who confirmed them.

    Parameters
    ----------
    pseudonym
        Of this node's archive; all withdrawals when omitted.
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.legal import show as show_known

    facts = show_known(config, pseudonym)
    if json:
        print_json(facts)
    elif pseudonym:
        print_facts("Permission", {name: value for name, value in facts.items() if name != "documents"})
        if facts["documents"]:
            print_table("Documents", facts["documents"])
    else:
        kept = ("withdrawal_id", "scope", "state", "recorded_at")
        rows = [{name: row[name] for name in kept} for row in facts["withdrawals"]]
        if not rows:
            print_facts("Nobody withdrew.", {})
            return failures.OK
        print_table("Withdrawals", rows)
        told = ("tombstone_id", "recipient", "study_id", "attempts", "acknowledged_at")
        if facts["tombstones"]:
            print_table(
                "Tombstones", [{name: row[name] or "" for name in told} for row in facts["tombstones"]]
            )
    return failures.OK
