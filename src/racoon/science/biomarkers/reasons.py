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
    "outside_image": (
        "Der markierte Punkt liegt nicht im Bild.",
        "The marked point does not lie in the image.",
    ),
    "nothing_in_range": (
        "Kein Voxel der Maske liegt im verlangten Bereich.",
        "No voxel of the mask lies in the wanted range.",
    ),
    "modality_unknown": (
        "Die Bildart ist nicht bekannt; der Wert gilt nur für bestimmte Bildarten.",
        "The kind of image is not known; the value holds only for some kinds.",
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
    "sharp_kernel": (
        "Ein scharfer Rekonstruktionskern verschiebt durch sein Rauschen Voxel über die festen Schwellen.",
        "A sharp reconstruction kernel moves voxels across the fixed thresholds by its noise.",
    ),
    "contrast": (
        "Nach Kontrastmittel ist der Wert nicht gültig.",
        "The value is not valid after contrast medium.",
    ),
    "contrast_unknown": (
        "Das Bild sagt nicht, ob Kontrastmittel gegeben wurde; davon hängt die Gültigkeit ab.",
        "The image does not say whether contrast medium was given; validity depends on it.",
    ),
    "no_contrast": (
        "Der Wert gilt nur nach Kontrastmittel.",
        "The value holds only after contrast medium.",
    ),
    "slice_unknown": (
        "Die Schichtdicke steht nicht im Bild; die Regel gilt nur bis zu einer bestimmten Dicke.",
        "The image does not say its slice thickness; the rule holds only up to a certain one.",
    ),
    "slice_too_thick": (
        "Die Schichten sind für diesen Wert zu dick.",
        "The slices are too thick for this value.",
    ),
    "not_gated": (
        "Die Aufnahme ist nicht nachweislich EKG-getriggert; der Wert gilt nur dann.",
        "The scan is not known to be triggered by the heart beat; the value holds only then.",
    ),
    "uptake_unknown": (
        "Der Kopf der Bilder erlaubt keine Umrechnung in SUV; die Werte sind keine SUV.",
        "The header does not allow the conversion to SUV; the values are no SUV.",
    ),
    "other_series": (
        "Das Protokoll misst diese Serie nicht: Sie passt nicht zu seiner Serienregel.",
        "The protocol does not measure this series: it does not fit its rule for series.",
    ),
    "excluded": (
        "Eine Person am Standort hat den Wert nach Prüfung ausgeschlossen.",
        "A person at the site excluded the value after a check.",
    ),
    "structure_missing": (
        "Die Maske einer weiteren nötigen Struktur fehlt oder ist leer.",
        "The mask of a further structure that is needed is missing or empty.",
    ),
    "structure_unknown": (
        "Die Maske sagt nicht, welche Struktur sie zeigt; der Wert ist nur für bestimmte Strukturen definiert.",
        "The mask does not say which structure it shows; the value is defined only for some.",
    ),
    "parameter_missing": (
        "Eine nötige Angabe von außerhalb des Bildes fehlt, etwa Körpergröße oder Kalibrierung.",
        "A fact from outside the image is missing, such as body height or a calibration.",
    ),
    "level_missing": (
        "Die verlangte Höhe liegt nicht im Bild.",
        "The wanted level does not lie in the image.",
    ),
    "no_tube": (
        "Aus der Maske lässt sich keine Mittellinie bestimmen.",
        "No centreline can be found in the mask.",
    ),
}
"""Code to German and English sentence."""

QUALITY: Mapping[str, tuple[str, str]] = {
    "cut_off": (
        "Die Struktur reicht bis zur ersten oder letzten Schicht; ein Teil kann fehlen.",
        "The structure reaches the first or last slice; a part may be missing.",
    ),
    "few_voxels": (
        "Weniger als 100 Voxel: einzelne Voxel entscheiden über den Wert.",
        "Fewer than 100 voxels: single voxels decide the value.",
    ),
    "thick_slices": (
        "Schichten über 3 mm: kleine Strukturen werden gemittelt.",
        "Slices above 3 mm: small structures are averaged.",
    ),
    "sharp_kernel": (
        "Scharfer Rekonstruktionskern: Rauschen verschiebt die Anteile unter festen Schwellen.",
        "Sharp reconstruction kernel: noise shifts the shares below fixed thresholds.",
    ),
    "not_gated": (
        "Ohne EKG-Triggerung: Bewegung verwischt die Werte.",
        "Not triggered by the heart beat: motion blurs the value.",
    ),
    "rim_included": (
        "Die Struktur ist zu klein, um ihren Rand wegzulassen; er ist mitgemessen.",
        "The structure is too small to leave out its rim; the rim is measured too.",
    ),
    "implausible": (
        "Die mittlere Dichte passt nicht zu dieser Struktur; die Maske prüfen.",
        "The mean density does not fit this structure; check the mask.",
    ),
}
"""Code of a warning to German and English sentence."""
