"""The invented country's hospitals: their codes, cities, scanners and patients' diseases.

The three styles differ on purpose in what a network learns from them: one sees mostly faint ground glass, one
mostly dense consolidation beside effusions, one small foci on a noisy scanner.  A model of one site meets
the others' kind for the first time in the hold-out hospital, which has all three.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from racoon.demo.anatomy.chest import ARTERIAL, UNENHANCED, VENOUS
from racoon.demo.anatomy.disease import Mixture
from racoon.demo.anatomy.scanner import Scanner
from racoon.demo.case import Style
from racoon.demo.series import Equipment

POOL = "POOL"
HOLDOUT = "HOLDOUT"


@dataclass(frozen=True)
class Hospital:
    """One institution of the demonstration.

    Parameters
    ----------
    code
        Site code.
    name, city
        Invented hospital in a German city.
    """

    code: str
    name: str
    city: str

    def get_equipment(self, scanner: Scanner) -> Equipment:
        """Name the hospital's scanner as its headers do."""
        number = sum(ord(letter) * (place + 7) for place, letter in enumerate(self.code))
        return Equipment(
            manufacturer=scanner.manufacturer,
            model=scanner.model,
            station=f"CT-{self.code[:6]}-1",
            serial_number=f"{number * 7919 % 900000 + 100000}",
            software=f"v{number % 7 + 2}.{number % 10}",
        )


_PLACES = (
    ("ALPHA", "Klinikum am Leinebogen", "Göttingen"),
    ("BRAVO", "Universitätsmedizin Förde", "Kiel"),
    ("CHARLIE", "Krankenhaus Sankt Ägidius", "Köln"),
    ("DELTA", "Klinikum Isartor", "München"),
    ("ECHO", "Charlottenhospital", "Berlin"),
    ("FOXTROT", "Klinikum Elbufer", "Hamburg"),
    ("GOLF", "Neckarklinik", "Tübingen"),
    ("HOTEL", "Klinikum Schloßberg", "Freiburg"),
    ("INDIA", "Mainklinikum", "Würzburg"),
    ("JULIETT", "Saaleklinikum", "Jena"),
    ("KILO", "Klinikum Münsterplatz", "Ulm"),
    ("LIMA", "Domklinikum", "Mainz"),
    ("MIKE", "Klinikum Völkerwiese", "Leipzig"),
    ("NOVEMBER", "Elbtalklinik", "Dresden"),
    ("OSCAR", "Klinikum Lönsweg", "Hannover"),
    ("PAPA", "Klinikum Königstor", "Nürnberg"),
    ("QUEBEC", "Universitätsklinik Aasee", "Münster"),
    ("ROMEO", "Klinikum Römerstein", "Regensburg"),
    ("SIERRA", "Klinikum Kaiserpfalz", "Aachen"),
    ("TANGO", "Hansehospital", "Rostock"),
    ("UNIFORM", "Boddenklinik", "Greifswald"),
    ("VICTOR", "Klinikum Lahnhöhe", "Marburg"),
    ("WHISKEY", "Klinikum Schwanenteich", "Gießen"),
    ("XRAY", "Klinikum Rheinaue", "Düsseldorf"),
    ("YANKEE", "Ruhrklinikum", "Essen"),
    ("ZULU", "Klinikum Saartal", "Homburg"),
    ("AHORN", "Klinikum Bördeland", "Magdeburg"),
    ("BIRKE", "Hallesches Klinikum Moritzburg", "Halle"),
    ("CEDER", "Klinikum Siebengebirge", "Bonn"),
    ("DOUGLASIE", "Klinikum Philosophenweg", "Heidelberg"),
    ("EICHE", "Quadratehospital", "Mannheim"),
    ("FICHTE", "Klinikum Fuggerau", "Augsburg"),
    ("GINKGO", "Holstentorklinik", "Lübeck"),
    ("HASEL", "Klinikum Dobben", "Bremen"),
    ("ILEX", "Klinikum Huntetal", "Oldenburg"),
    ("JASMIN", "Klinikum Römerberg", "Frankfurt am Main"),
    ("KIEFER", "Klinikum Brandenburger Heide", "Cottbus"),
    ("LINDE", "Klinikum Hardtwald", "Karlsruhe"),
)

HOSPITALS: tuple[Hospital, ...] = tuple(Hospital(*place) for place in _PLACES)
POOL_HOSPITAL = Hospital(POOL, "Koordinierungsstelle Bildpool", "Kassel")
HOLDOUT_HOSPITAL = Hospital(HOLDOUT, "Klinikum Wartburgblick", "Eisenach")

_FAINT = Style(
    Scanner("Nordlicht Medizintechnik", "Aurora 64", "Br40", 1.0, 0.35, 0.25, 14, 0.9, 1.0, 0, 6.0, False),
    ((UNENHANCED, 0.8), (VENOUS, 0.2)),
    Mixture(0.97, 0.93, -600, 20, 19, True, 0.08, 0.35, 0.5, 0.15),
)
_DENSE = Style(
    Scanner("Kranich Imaging", "CT Helix 128", "STANDARD", 0.8, 0.30, 0.55, 18, 0.6, 1.03, 12, 6.0, True),
    ((VENOUS, 0.8), (ARTERIAL, 0.2)),
    Mixture(0.97, 0.07, -500, 35, 20, False, 0.55, 0.30, 0.5, 0.10),
)
_NOISY = Style(
    Scanner("Fuchsbau Systems", "Spirale 16", "FC08", 1.35, 0.55, 0.15, 34, 1.1, 0.97, -14, 7.0, False),
    ((UNENHANCED, 0.5), (ARTERIAL, 0.5)),
    Mixture(0.95, 0.5, -480, 5, 13, True, 0.25, 0.55, 0.7, 0.55),
)
_STYLES = (_FAINT, _DENSE, _NOISY)


def get_style(index: int) -> Style:
    """Style of the site with this index: one of three, turned a little for every site after the third."""
    style = _STYLES[index % 3]
    if index < 3:
        return style
    rng = np.random.default_rng([7, index])
    scanner = replace(
        style.scanner,
        psf_mm=style.scanner.psf_mm * float(rng.uniform(0.85, 1.15)),
        noise_hu=style.scanner.noise_hu * float(rng.uniform(0.75, 1.2)),
        offset_hu=style.scanner.offset_hu + float(rng.uniform(-8, 8)),
        model=f"{style.scanner.model} {'ABCDEFGH'[index % 8]}",
    )
    share = float(np.clip(style.mixture.ground_glass + rng.uniform(-0.15, 0.15), 0.02, 0.98))
    return replace(style, scanner=scanner, mixture=replace(style.mixture, ground_glass=share))
