"""A check as a page that a data protection officer reads: German, English, or both; plain Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydicom.datadict import keyword_for_tag

from racoon.node.deid.check import Category, Check

Language = Literal["de", "en"]

_FINDINGS: Mapping[Category, tuple[str, str]] = {
    Category.KNOWN_IDENTIFIER: (
        "One of the known identifiers stands in the file. Do not pass these files on; tell the node's team.",
        "Eines der bekannten Merkmale steht in der Datei. Geben Sie diese Dateien nicht weiter; melden Sie es.",
    ),
    Category.NOT_DEIDENTIFIED: (
        "The object does not say that it is de-identified. It was put here by something else than the node.",
        "Das Objekt sagt nicht, dass es de-identifiziert ist. Es stammt nicht aus der De-Identifizierung des Knotens.",
    ),
    Category.PERSON: (
        "A name or a number of a patient that is no pseudonym.",
        "Ein Name oder eine Nummer einer Person, die kein Pseudonym ist.",
    ),
    Category.FREE_TEXT: (
        "A text or code with words that nobody has reviewed.",
        "Ein Text oder Code mit Wörtern, die nicht auf der geprüften Liste stehen.",
    ),
    Category.SHOULD_BE_EMPTY: (
        "An element has a value although the profile removes it.",
        "Ein Element hat einen Wert, obwohl das Profil ihn entfernt.",
    ),
    Category.OUTSIDE_LIST: (
        "An element that this kind of object may not carry.",
        "Ein Element, das diese Art von Objekt nicht tragen darf.",
    ),
    Category.PRIVATE: (
        "A maker's private element that is not on the profile's list.",
        "Ein herstellereigenes Element, das nicht auf der Liste des Profils steht.",
    ),
    Category.FOREIGN_UID: (
        "A UID that was not replaced; it leads back to the original.",
        "Eine UID, die nicht ersetzt wurde; sie führt zum Original zurück.",
    ),
    Category.HEAD_OF_FILE: (
        "The first bytes of the file carry more than they must.",
        "Die ersten Bytes der Datei tragen mehr, als sie müssen.",
    ),
    Category.PIXELS: (
        "Text may be written into the picture itself. A person should look at these files.",
        "In das Bild selbst könnte Text geschrieben sein. Ein Mensch sollte diese Dateien ansehen.",
    ),
    Category.NO_RULES: (
        "There are no rules for this kind of object, so nothing can be said about it.",
        "Für diese Art von Objekt gibt es keine Regeln; es lässt sich nichts darüber sagen.",
    ),
    Category.UNREADABLE: (
        "The file is not a readable DICOM object.",
        "Die Datei ist kein lesbares DICOM-Objekt.",
    ),
}

OPTION_WORDS: Mapping[str, tuple[str, str]] = {
    "modified_dates": (
        "Dates are moved by one secret number of days per subject; intervals stay.",
        "Datumsangaben sind je Person um eine geheime Zahl von Tagen verschoben; Abstände bleiben.",
    ),
    "clean_descriptors": (
        "Descriptions keep reviewed words only.",
        "Beschreibungen behalten nur geprüfte Wörter.",
    ),
    "clean_structured_content": (
        "Reports are cleaned item by item; free text only for reviewed concepts.",
        "Befundobjekte sind Eintrag für Eintrag bereinigt; Freitext bleibt nur bei geprüften Begriffen.",
    ),
    "clean_graphics": (
        "Drawn annotations keep their shapes; their text is cleaned.",
        "Gezeichnete Anmerkungen behalten ihre Form; ihr Text ist bereinigt.",
    ),
    "clean_pixel_data": (
        "Regions in which a machine is known to write text are blanked.",
        "Bildbereiche, in die ein Gerät bekanntermaßen Text schreibt, sind geschwärzt.",
    ),
    "patient_characteristics": (
        "Age (at most 90), sex, height and weight stay.",
        "Alter (höchstens 90), Geschlecht, Größe und Gewicht bleiben.",
    ),
    "device_identity": (
        "Machines can be told apart by serial number and station name.",
        "Geräte sind an Seriennummer und Stationsname unterscheidbar.",
    ),
}

_TEXT: Mapping[str, tuple[str, str]] = {
    "title": ("Check of de-identified DICOM objects", "Prüfung de-identifizierter DICOM-Objekte"),
    "clean": (
        "**Result: nothing found.** No object carries anything that the profile does not allow.",
        "**Ergebnis: nichts gefunden.** Kein Objekt trägt etwas, das das Profil nicht erlaubt.",
    ),
    "dirty": (
        "**Result: {count} findings.** Do not pass the folder on before they are settled.",
        "**Ergebnis: {count} Beanstandungen.** Geben Sie den Ordner nicht weiter, bevor sie geklärt sind.",
    ),
    "what": ("What was checked", "Was geprüft wurde"),
    "folder": ("Folder", "Ordner"),
    "files": ("Files", "Dateien"),
    "objects": ("DICOM objects", "DICOM-Objekte"),
    "subjects": ("Subjects (pseudonyms)", "Personen (Pseudonyme)"),
    "profile": ("Profile", "Profil"),
    "rules": (
        "Rules (DICOM PS3.15 edition, engine, fingerprint)",
        "Regeln (Ausgabe DICOM PS3.15, Programm, Prüfsumme)",
    ),
    "known": ("Known identifiers searched for", "Gesuchte bekannte Merkmale"),
    "kinds": ("Kinds of objects", "Arten von Objekten"),
    "keeps": ("What this profile keeps on purpose", "Was dieses Profil absichtlich behält"),
    "keeps_nothing": ("Nothing beyond what an image needs.", "Nichts über das hinaus, was ein Bild braucht."),
    "removed": (
        (
            "Always removed: names, numbers, addresses, institution and staff, comments, private elements (except the"
            " profile's list), overlays, curves, the file's preamble. UIDs and pseudonyms are keyed: without the node's"
            " key nobody can compute them back."
        ),
        (
            "Immer entfernt: Namen, Nummern, Adressen, Einrichtung und Personal, Kommentare, herstellereigene Elemente"
            " (außer der Liste des Profils), Overlays, Kurven, die Präambel der Datei. UIDs und Pseudonyme hängen an"
            " einem Schlüssel: ohne den Schlüssel des Knotens kann sie niemand zurückrechnen."
        ),
    ),
    "findings": ("Findings", "Beanstandungen"),
    "times": ("times", "Mal"),
    "example": ("for example", "zum Beispiel"),
    "limits": ("What this check cannot see", "Was diese Prüfung nicht sehen kann"),
    "limit_text": (
        (
            "It does not read text inside pictures (the engine's rules stop pictures that are known to carry some), it"
            " cannot tell a moved date from a true one, and a face can be reconstructed from head images unless the"
            " profile refuses them."
        ),
        (
            "Sie liest keinen Text in Bildern (die Regeln halten Bilder auf, die ihn bekanntermaßen tragen), sie kann"
            " ein verschobenes Datum nicht von einem echten unterscheiden, und aus Kopfaufnahmen lässt sich ein Gesicht"
            " nachbilden, wenn das Profil sie nicht ausschließt."
        ),
    ),
}


def as_text(check: Check, language: Language | Literal["both"] = "both") -> str:
    """Write the report.

    Parameters
    ----------
    check
        What was found.
    language
        ``de``, ``en``, or both, German first.
    """
    languages: tuple[Language, ...] = ("de", "en") if language == "both" else (language,)
    return "\n\n---\n\n".join(_page(check, 1 if one == "de" else 0) for one in languages) + "\n"


def _page(check: Check, which: int) -> str:
    def say(key: str) -> str:
        return _TEXT[key][which]

    count = sum(counter.total() for counter in check.findings.values())
    lines = [f"# {say('title')}", ""]
    lines += [
        say("clean") if check.is_clean else say("dirty").format(count=count),
        "",
        f"## {say('what')}",
        "",
    ]
    facts: list[tuple[str, object]] = [
        (say("folder"), check.folder),
        (say("files"), check.files),
        (say("objects"), check.objects),
        (say("subjects"), len(check.subjects)),
        (say("profile"), check.profile.name),
        (say("rules"), check.rule_set),
        (say("known"), check.known_count),
        (say("kinds"), ", ".join(f"{name} ({number})" for name, number in sorted(check.by_class.items()))),
    ]
    lines += [f"- {name}: {value}" for name, value in facts]
    lines += ["", f"## {say('keeps')}", ""]
    options = sorted(check.profile.options)
    lines += [f"- {OPTION_WORDS[name][which]}" for name in options] or [say("keeps_nothing")]
    lines += ["", say("removed")]
    if not check.is_clean:
        lines += ["", f"## {say('findings')}", ""]
        for category in (category for category in Category if category in check.findings):
            lines += _finding(check, category, which)
    return "\n".join([*lines, "", f"## {say('limits')}", "", say("limit_text")])


def _finding(check: Check, category: Category, which: int) -> list[str]:
    counter = check.findings[category]
    places = ", ".join(f"{_place(name)} {number}" for name, number in counter.most_common(10))
    files = "; ".join(check.examples[category])
    example, times = _TEXT["example"][which], _TEXT["times"][which]
    return [
        f"- {_FINDINGS[category][which]}",
        f"  {counter.total()} {times}: {places}",
        f"  {example}: {files}",
    ]


def _place(name: str) -> str:
    """Add an element's keyword to its number."""
    if not name.startswith("("):
        return name
    keyword = keyword_for_tag(int(name[1:5] + name[6:10], 16))
    return f"{name} {keyword}" if keyword else name
