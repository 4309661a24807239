"""Sentences of a methods text for the estimators beyond descriptions, models and curves, in two languages.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXTS: Mapping[str, tuple[str, str]] = {
    "correlation": (
        "Pearson correlations of {variables} with intervals by Fisher's transformation.",
        "Pearson-Korrelationen von {variables} mit Intervallen nach Fishers Transformation.",
    ),
    "agreement": (
        "agreement of {variables} ({measure}) was measured.",
        "Die Übereinstimmung von {variables} ({measure}) wurde bestimmt.",
    ),
    "incidence": (
        (
            "the cumulative incidence of each kind of {cause} over {time} was estimated by Aalen and "
            "Johansen's method on a published time grid."
        ),
        (
            "Die kumulative Inzidenz jeder Art von {cause} über {time} wurde nach Aalen und Johansen "
            "auf einem veröffentlichten Zeitraster geschätzt."
        ),
    ),
    "mixed": (
        (
            "a model of {outcome} ({family}) on {terms} with a random intercept per site was fitted by "
            "{likelihood}."
        ),
        (
            "Ein Modell von {outcome} ({family}) auf {terms} mit zufälligem Achsenabschnitt je Standort"
            " wurde mit {likelihood} angepasst."
        ),
    ),
    "prediction": (
        (
            "how {score} tells and matches {outcome} was measured by ROC curve (interval by DeLong's "
            "variance), calibration, Brier score and decision curve, from counts between the "
            "published risks {edges}."
        ),
        (
            "Wie {score} {outcome} trennt und trifft, wurde mit ROC-Kurve (Intervall mit DeLongs "
            "Varianz), Kalibrierung, Brier-Wert und Entscheidungskurve bestimmt, aus Anzahlen "
            "zwischen den veröffentlichten Risiken {edges}."
        ),
    ),
    "iptw": (
        (
            "the effect of {treatment} on {outcome} ({estimand}) was estimated with inverse weights "
            "from a logistic propensity model on {terms}, trimmed to {trim}, with robust standard "
            "errors."
        ),
        (
            "Die Wirkung von {treatment} auf {outcome} ({estimand}) wurde mit inversen Gewichten aus "
            "einem logistischen Propensity-Modell auf {terms} geschätzt, begrenzt auf {trim}, mit "
            "robusten Standardfehlern."
        ),
    ),
    "matching": (
        (
            "the effect of {treatment} on {outcome} among the treated was estimated from pairs made "
            "within each site on the logit of a propensity on {terms} (caliper {caliper})."
        ),
        (
            "Die Wirkung von {treatment} auf {outcome} bei den Behandelten wurde aus Paaren "
            "geschätzt, die an jedem Standort nach dem Logit einer Propensity auf {terms} gebildet "
            "wurden (Caliper {caliper})."
        ),
    ),
    "meta": (
        (
            "each site's own estimate of {term} in “{of}” was pooled ({method}), with heterogeneity, "
            "prediction interval and leave-one-out estimates."
        ),
        (
            "Die eigenen Schätzungen der Standorte für {term} in „{of}“ wurden zusammengefasst "
            "({method}), mit Heterogenität, Vorhersageintervall und Schätzungen ohne je einen "
            "Standort."
        ),
    ),
    "multiplicity": (
        "the p values of {of} were corrected for their number ({method}).",
        "Die p-Werte von {of} wurden für ihre Anzahl korrigiert ({method}).",
    ),
    "time-series": (
        (
            "subjects per {period} were analysed as an interrupted time series by segmented "
            "regression with first-order autocorrelated errors (restricted likelihood), interrupted "
            "at period {interruption}."
        ),
        (
            "Personen je {period} wurden als unterbrochene Zeitreihe mit segmentierter Regression und"
            " autokorrelierten Fehlern erster Ordnung (restringierte Likelihood) ausgewertet, "
            "Unterbrechung in Periode {interruption}."
        ),
    ),
    "harmonisation": (
        (
            "{features} were harmonised between sites by ComBat (parametric empirical Bayes), keeping"
            " what {covariates} explains."
        ),
        (
            "{features} wurden zwischen den Standorten mit ComBat harmonisiert (parametrisches "
            "empirisches Bayes); was {covariates} erklärt, blieb erhalten."
        ),
    ),
    "comorbidome": (
        (
            "z-scores of {biomarkers} against the reference subjects ({reference}), prevalences, "
            "pairs with {conditions}, and a biological-age gap corrected for its trend with {age} "
            "were computed."
        ),
        (
            "z-Werte von {biomarkers} gegen die Referenzpersonen ({reference}), Häufigkeiten, Paare "
            "mit {conditions} und ein um den Alterstrend ({age}) bereinigter Abstand des biologischen"
            " Alters wurden berechnet."
        ),
    ),
}

REFERENCES: Mapping[str, str] = {
    "agreement": "Shrout PE, Fleiss JL. Psychol Bull 1979;86:420. doi:10.1037/0033-2909.86.2.420",
    "incidence": "Aalen OO, Johansen S. Scand J Stat 1978;5:141. https://www.jstor.org/stable/4615704",
    "mixed": "Laird NM, Ware JH. Biometrics 1982;38:963. doi:10.2307/2529876",
    "prediction": "Vickers AJ, Elkin EB. Med Decis Making 2006;26:565. doi:10.1177/0272989X06295361",
    "propensity": "Austin PC. Multivariate Behav Res 2011;46:399. doi:10.1080/00273171.2011.568786",
    "reml": "Hartung J, Knapp G. Stat Med 2001;20:3875. doi:10.1002/sim.1009",
    "multiplicity": "Holm S. Scand J Stat 1979;6:65. https://www.jstor.org/stable/4615733",
    "time-series": "Wagner AK, et al. J Clin Pharm Ther 2002;27:299. doi:10.1046/j.1365-2710.2002.00430.x",
    "harmonisation": "Johnson WE, Li C, Rabinovic A. Biostatistics 2007;8:118. doi:10.1093/biostatistics/kxj037",
    "lasso": "Friedman J, Hastie T, Tibshirani R. J Stat Softw 2010;33(1). doi:10.18637/jss.v033.i01",
    "imputations": "van Buuren S. Stat Methods Med Res 2007;16:219. doi:10.1177/0962280206074463",
}
"""What these estimators, and later parts of models, rest on."""


def describes(kind: str) -> bool:
    """Tell whether the sentences here are about a kind of estimator."""
    return kind in _TEXTS or kind == "propensity"


def estimator_text(item: Mapping[str, Any], *, german: bool) -> str:
    """Say in a sentence what an estimator did.

    Parameters
    ----------
    item
        JSON form of the plan's estimator.
    german
        Language.
    """
    key = item["method"] if item["estimator"] == "propensity" else item["estimator"]
    words = {name: _word(value, german=german) for name, value in item.items()}
    sentence = _TEXTS[key][german].format(**words)
    if item.get("suffix"):
        made = ", ".join(f"{name}{item['suffix']}" for name in item["features"])
        sentence += f" Spätere Auswertungen nutzen {made}." if german else f" Later estimators use {made}."
    return f"{item['title']}: {sentence}"


def model_text(item: Mapping[str, Any], *, german: bool) -> str:
    """Say what later parts of a model add; empty where it has none."""
    parts = []
    if item.get("lasso"):
        parts.append(f"Lasso-Strafe {item['lasso']:g}" if german else f"lasso penalty {item['lasso']:g}")
    if item.get("cluster"):
        text = f"geclusterte Standardfehler nach {item['cluster']}"
        parts.append(text if german else f"standard errors clustered by {item['cluster']}")
    if item.get("offset"):
        parts.append(f"Offset {item['offset']}" if german else f"offset {item['offset']}")
    if item.get("imputations"):
        number, seed = item["imputations"], item.get("seed", 1)
        parts.append(
            f"fehlende Werte {number}-fach an den Standorten imputiert (Startwert {seed}), kombiniert nach Rubin"
            if german
            else f"missing values imputed {number} times at the sites (seed {seed}), combined by Rubin's rules"
        )
    return f" ({'; '.join(parts)})" if parts else ""


def _word(value: Any, *, german: bool) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_word(part, german=german) for part in value) or ("nichts" if german else "nothing")
    return f"{value:g}" if isinstance(value, float) else str(value)


def references_of(items: list[Mapping[str, Any]]) -> list[str]:
    """Name the references of some estimators."""
    used = {item["estimator"] for item in items}
    used |= {"reml" for item in items if item["estimator"] == "meta" and item.get("hartung_knapp")}
    used |= {part for item in items for part in ("lasso", "imputations") if item.get(part)}
    return [reference for key, reference in REFERENCES.items() if key in used]
