"""Reporting checklists, filled in as far as a result and its study can: STROBE for the study, CLAIM where images count.

The items are named in our own words after the published numbering; what only the authors know is left open.
STROBE: von Elm E et al., PLoS Med 2007;4:e296, doi:10.1371/journal.pmed.0040296.
CLAIM: Tejani AS et al., Radiol Artif Intell 2024;6:e240300, doi:10.1148/ryai.240300.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from racoon.central.analysing.flow import counted_rows
from racoon.central.analysing.methods import TESTS

Facts = Mapping[str, Any]
Item = tuple[str, str, str, Callable[[Facts, bool], str]]
"""Number, English name, German name, and what the result knows about it."""


def _application(key: str) -> Callable[[Facts, bool], str]:
    return lambda facts, _german: str(facts["study"].get("application", {}).get(key) or "")


def _design(facts: Facts, german: bool) -> str:
    sites = len(facts["datasets"])
    if german:
        return (
            f"Beobachtungsstudie an {sites} Standorten auf eingefrorenen Datensätzen; Art: {facts['mode']}."
        )
    return f"Observational study at {sites} sites on frozen datasets; mode: {facts['mode']}."


def _setting(facts: Facts, german: bool) -> str:
    codes = ", ".join(sorted(facts["datasets"]))
    return f"{'Standorte' if german else 'Sites'}: {codes}."


def _participants(facts: Facts, german: bool) -> str:
    where = "Kohortendefinition in study.json" if german else "Cohort definition in study.json"
    return f"{where}; {'Datensätze' if german else 'datasets'}: " + ", ".join(
        f"{site} {digest[:12]}" for site, digest in sorted(facts["datasets"].items())
    )


def _variables(facts: Facts, german: bool) -> str:
    names = [f"{item['name']} ({item['unit'] or item['kind']})" for item in facts["plan"]["variables"]]
    return (
        f"{'Mit Herkunft und Ableitung in plan.yaml' if german else 'With source and derivation in plan.yaml'}: "
        + (", ".join(names))
    )


def _sources(facts: Facts, _german: bool) -> str:
    return "; ".join(
        f"{item['name']}: {item['derivation'] or item['source']}" for item in facts["plan"]["variables"]
    )


def _bias(_facts: Facts, german: bool) -> str:
    if german:
        return "Zahlen je Standort stehen neben der gemeinsamen; was zurückgehalten wurde, steht mit Grund dabei."
    return "Each site's number stands beside the common one; what was held back is named with its reason."


def _size(facts: Facts, german: bool) -> str:
    known = [count for count in facts.get("subjects", {}).values() if count is not None]
    return f"{sum(known)} {'Personen in eingefrorenen Datensätzen' if german else 'subjects in frozen datasets'}."


def _methods(_facts: Facts, german: bool) -> str:
    return "Siehe methods-de.md." if german else "See methods-en.md."


def _tests(facts: Facts, german: bool) -> str:
    used = sorted(
        {TESTS[item["test"]][german] for item in facts["plan"]["estimators"] if item.get("test") in TESTS}
    )
    groups = ", ".join(group["name"] for group in facts["plan"]["subgroups"])
    return "; ".join([*used, *([f"{'Untergruppen' if german else 'subgroups'}: {groups}"] if groups else [])])


def _flow(facts: Facts, german: bool) -> str:
    left = ", ".join(sorted(facts["left"])) or "–"
    what = (
        "Flussdiagramm: figures/00-flow-de.svg; ausgeschieden"
        if german
        else "Flow: figures/00-flow-en.svg; left"
    )
    return f"{what}: {left}."


def _outcome(facts: Facts, german: bool) -> str:
    counts = [
        f"{table['title']}: {count}"
        for table in facts["tables"]
        if (count := counted_rows(table)) is not None
    ]
    return f"{'Personen' if german else 'Subjects'} – " + "; ".join(counts) if counts else ""


def _tables(_facts: Facts, german: bool) -> str:
    return "Ordner tables/ und figures/." if german else "Folders tables/ and figures/."


def _software(facts: Facts, _german: bool) -> str:
    return f"{facts['software']}, plan {facts['plan_hash'][:12]}, result {facts['result_hash'][:12]}"


def _nothing(_facts: Facts, _german: bool) -> str:
    return ""


STROBE: tuple[Item, ...] = (
    (
        "1",
        "Title and abstract",
        "Titel und Zusammenfassung",
        lambda facts, _: str(facts["study"].get("title", "")),
    ),
    ("2", "Background", "Hintergrund", _application("background")),
    ("3", "Objectives", "Ziele", _application("hypothesis")),
    ("4", "Study design", "Studiendesign", _design),
    ("5", "Setting", "Rahmen", _setting),
    ("6", "Participants", "Teilnehmende", _participants),
    ("7", "Variables", "Variablen", _variables),
    ("8", "Data sources and measurement", "Datenquellen und Messung", _sources),
    ("9", "Bias", "Verzerrung", _bias),
    ("10", "Study size", "Studiengröße", _size),
    ("11", "Quantitative variables", "Quantitative Variablen", _variables),
    ("12", "Statistical methods", "Statistische Methoden", _methods),
    ("13", "Participants at each stage", "Teilnehmende je Stufe", _flow),
    ("14", "Descriptive data", "Beschreibende Daten", _tables),
    ("15", "Outcome data", "Zielgrößen", _outcome),
    ("16", "Main results", "Hauptergebnisse", _tables),
    ("17", "Other analyses", "Weitere Auswertungen", _tests),
    ("18", "Key results", "Wichtigste Ergebnisse", _nothing),
    ("19", "Limitations", "Einschränkungen", _bias),
    ("20", "Interpretation", "Deutung", _nothing),
    ("21", "Generalisability", "Übertragbarkeit", _nothing),
    ("22", "Funding", "Förderung", _application("funding")),
)

CLAIM: tuple[Item, ...] = (
    ("1–4", "Title, abstract, background, objectives", "Titel, Zusammenfassung, Hintergrund, Ziele",
     _application("hypothesis")),
    ("5–6", "Design and goal", "Design und Zweck", _design),
    ("7", "Data sources", "Datenquellen", _setting),
    ("8", "Eligibility", "Einschlusskriterien", _participants),
    ("9", "Preprocessing", "Vorverarbeitung", _sources),
    ("10", "Selection of data subsets", "Auswahl von Teildaten", _tests),
    ("11", "De-identification", "De-Identifizierung", lambda _, german: (
        "Am Standort nach DICOM PS3.15, vor jeder Auswertung." if german
        else "At the site by DICOM PS3.15, before any analysis.")),
    ("12", "Missing data", "Fehlende Daten", lambda _, german: (
        "Zeilen mit fehlenden Werten zählen je Modell nicht; ihre Zahl steht in den Tabellen." if german
        else "Rows with a missing value don't count in a model; their number stands in the tables.")),
    ("13", "Image acquisition", "Bildakquisition", _nothing),
    ("14–18", "Reference standard", "Referenzstandard", _nothing),
    ("19–21", "Data partitions", "Aufteilung der Daten", _size),
    ("22–25", "Model and software", "Modell und Software", _software),
    ("26–28", "Training", "Training", _nothing),
    ("29–33", "Metrics and statistics", "Maße und Statistik", _methods),
    ("34–36", "Participants and demographics", "Teilnehmende und Merkmale", _flow),
    ("37–39", "Performance and failures", "Leistung und Fehler", _tables),
    ("40–41", "Limitations and implications", "Einschränkungen und Folgen", _nothing),
    ("42–44", "Registration, protocol, funding, availability",
     "Registrierung, Protokoll, Förderung, Verfügbarkeit", _software),
)  # fmt: skip


def checklist(kind: str, result: Mapping[str, Any], language: str) -> str:
    """Fill in a checklist as far as the result goes.

    Parameters
    ----------
    kind
        ``"STROBE"`` or ``"CLAIM"``.
    result
        The kept document; ``study`` in it is the study's definition, empty where it is not known.
    language
        ``"de"`` or ``"en"``.

    Returns
    -------
    str
        Markdown table; an open box where the authors have to write.
    """
    german = language == "de"
    facts = {"mode": "federated", "study": {}, "result_hash": "", **result}
    head = (
        ("Punkt", "Worum es geht", "Aus der Auswertung") if german else ("Item", "About", "From the analysis")
    )
    lines = [f"# {kind}", "", f"| {' | '.join(head)} |", "| --- | --- | --- |"]
    for number, english, other, known in {"STROBE": STROBE, "CLAIM": CLAIM}[kind]:
        said = known(facts, german).replace("|", "/").replace("\n", " ")
        empty = "☐ von den Verfassern" if german else "☐ by the authors"
        lines.append(f"| {number} | {other if german else english} | {said or empty} |")
    return "\n".join(lines) + "\n"
