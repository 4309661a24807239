"""Why a value is missing or not valid, in words; the code is stable and stored with the value."""

from __future__ import annotations

from collections.abc import Mapping

REASONS: Mapping[str, tuple[str, str]] = {
    "empty_mask": ("Die Maske ist leer.", "The mask is empty."),
    "mask_missing": (
        "Für diese Struktur gibt es keine Maske.",
        "There is no mask of this structure.",
    ),
    "reference_missing": (
        "Die Maske der Bezugsstruktur fehlt oder ist leer.",
        "The mask of the reference structure is missing or empty.",
    ),
    "not_finite": (
        "Das Bild enthält in der Maske Werte, die keine Zahlen sind.",
        "The image holds values inside the mask that are not numbers.",
    ),
    "nothing_in_range": (
        "Kein Voxel der Maske liegt im verlangten Bereich.",
        "No voxel of the mask lies in the wanted range.",
    ),
    "wrong_modality": (
        "Für diese Bildart ist der Wert nicht definiert.",
        "The value is not defined for this kind of image.",
    ),
    "kvp_unknown": (
        "Die Röhrenspannung steht nicht im Bild; die Schwellen gelten nur bei bekannter Spannung.",
        "The image does not say its tube voltage; the thresholds hold only for a known one.",
    ),
    "kvp_outside": (
        "Die Schwellen gelten nicht für diese Röhrenspannung.",
        "The thresholds do not hold for this tube voltage.",
    ),
    "contrast": (
        "Nach Kontrastmittel ist der Wert nicht gültig.",
        "The value is not valid after contrast medium.",
    ),
}
"""Code to German and English sentence."""
