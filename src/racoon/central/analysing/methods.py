"""The methods text of a plan, in English and German, as one would begin to write it for a paper.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from racoon.central.analysing.estimator_methods import (
    describes,
    estimator_text,
    model_text,
    references_of,
)

FAMILIES = {
    "gaussian": ("linear", "lineares"),
    "binomial": ("logistic", "logistisches"),
    "poisson": ("Poisson", "Poisson-"),
    "negative-binomial": ("negative binomial", "negativ-binomiales"),
}

TESTS = {
    "t": ("Student's t test", "Students t-Test"),
    "welch": ("Welch's t test", "Welchs t-Test"),
    "mann-whitney": ("the Mann–Whitney test on fixed bins", "dem Mann-Whitney-Test über festen Klassen"),
    "chi-square": ("the chi-square test", "dem Chi-Quadrat-Test"),
    "fisher": ("Fisher's exact test", "Fishers exaktem Test"),
    "mcnemar": ("McNemar's test of the pairs", "McNemars Test der Paare"),
    "paired-t": ("the paired t test", "dem t-Test für Paare"),
}

PAIRED = ("mcnemar", "paired-t")
"""Tests of two variables of the same subjects."""


def methods_text(result: Mapping[str, Any], language: str) -> str:
    """Write the methods of a result.

    Parameters
    ----------
    result
        The kept document.
    language
        ``"de"`` or ``"en"``.
    """
    german = language == "de"
    plan = result["plan"]
    lines = [_frame_de(result) if german else _frame_en(result)]
    lines += [_german(item) if german else _english(item) for item in plan["estimators"]]
    if plan["subgroups"]:
        groups = "; ".join(f"{group['name']} ({group['condition']})" for group in plan["subgroups"])
        lines.append(f"Untergruppen: {groups}." if german else f"Subgroups: {groups}.")
    if result["left"]:
        left = ", ".join(sorted(result["left"]))
        lines.append(
            f"Vor dem Ende schieden aus: {left}." if german else f"Sites that left before the end: {left}."
        )
    cited = sorted(
        {reference for key, reference in REFERENCES.items() if key in _used(plan)}
        | set(references_of(plan["estimators"]))
    )
    title = "Literatur" if german else "References"
    return "\n\n".join([*lines, f"{title}:\n" + "\n".join(f"- {item}" for item in cited)]) + "\n"


def _frame_en(result: Mapping[str, Any]) -> str:
    return (
        f"The analysis “{result['plan']['name']}” (plan {result['plan_hash'][:12]}) was computed across "
        f"{len(result['datasets'])} sites with {result['software']}. No row left a site: each site reduced its "
        "frozen dataset to exact sums, its release gate withheld what concerned too few subjects, and the sums were "
        "added in an order-free way, so that the estimates equal those of the pooled rows of the sites that count."
    )


def _frame_de(result: Mapping[str, Any]) -> str:
    return (
        f"Die Auswertung „{result['plan']['name']}“ (Plan {result['plan_hash'][:12]}) wurde über "
        f"{len(result['datasets'])} Standorte mit {result['software']} gerechnet. Keine Zeile verließ einen Standort: "
        "Jeder fasste seinen eingefrorenen Datensatz zu exakten Summen zusammen, seine Freigabestelle hielt zurück, "
        "was zu wenige Personen betraf, und die Summen wurden unabhängig von der Reihenfolge addiert; die Schätzungen "
        "sind daher die der zusammengelegten Zeilen der Standorte, die zählen."
    )


def _english(item: Mapping[str, Any]) -> str:
    kind, title = item["estimator"], item["title"]
    if describes(kind):
        return estimator_text(item, german=False)
    if kind == "description":
        by = f" by {item['by']}, with standardised differences" if item["by"] else ""
        return f"{title}: {', '.join(item['variables'])} were described{by}."
    if kind == "comparison":
        if item["test"] in PAIRED:
            return (
                f"{title}: {item['variable']} and {item['by']} were compared with {TESTS[item['test']][0]}."
            )
        return f"{title}: {item['variable']} was compared between levels of {item['by']} with {TESTS[item['test']][0]}."
    if kind == "model":
        variance = " with robust (sandwich) standard errors" if item["variance"] == "robust" else ""
        ridge = f" and a ridge penalty of {item['ridge']:g}" if item["ridge"] else ""
        return (
            f"{title}: a {FAMILIES[item['family']][0]} model of {item['outcome']} on {', '.join(item['terms'])} was "
            f"fitted by federated Fisher scoring{variance}{ridge}{model_text(item, german=False)}."
        )
    if kind == "survival":
        by = f" by {item['by']}, compared with the log-rank test" if item["by"] else ""
        return (
            f"{title}: survival ({item['time']}, {item['event']}) was estimated by Kaplan and Meier's method on a "
            f"published time grid{by}."
        )
    where = "on a published time grid" if item["edges"] else "stratified by site"
    return (
        f"{title}: a Cox model of {item['time']} and {item['event']} on {', '.join(item['terms'])} was fitted {where} "
        f"({item['ties'].capitalize()}'s way with ties){_errors(item, german=False)}."
    )


def _errors(item: Mapping[str, Any], *, german: bool) -> str:
    """Name the standard errors of a Cox model, where they are not the model's own."""
    if item.get("variance", "model") == "model":
        return ""
    text = " mit robusten Standardfehlern (Sandwich)" if german else " with robust (sandwich) standard errors"
    if not item.get("cluster"):
        return text
    return text + (f" in Clustern nach {item['cluster']}" if german else f" clustered by {item['cluster']}")


def _german(item: Mapping[str, Any]) -> str:
    kind, title = item["estimator"], item["title"]
    if describes(kind):
        return estimator_text(item, german=True)
    if kind == "description":
        by = f" nach {item['by']} mit standardisierten Differenzen" if item["by"] else ""
        return f"{title}: {', '.join(item['variables'])} wurden{by} beschrieben."
    if kind == "comparison":
        if item["test"] in PAIRED:
            return f"{title}: {item['variable']} und {item['by']} wurden mit {TESTS[item['test']][1]} verglichen."
        return (
            f"{title}: {item['variable']} wurde zwischen den Stufen von {item['by']} mit {TESTS[item['test']][1]} "
            "verglichen."
        )
    if kind == "model":
        variance = " mit robusten Standardfehlern (Sandwich)" if item["variance"] == "robust" else ""
        ridge = f" und einer Ridge-Strafe von {item['ridge']:g}" if item["ridge"] else ""
        return (
            f"{title}: Ein {FAMILIES[item['family']][1]} Modell von {item['outcome']} auf {', '.join(item['terms'])} "
            f"wurde durch föderiertes Fisher-Scoring{variance}{ridge}{model_text(item, german=True)} angepasst."
        )
    if kind == "survival":
        by = f" nach {item['by']}, verglichen mit dem Log-Rank-Test" if item["by"] else ""
        return (
            f"{title}: Das Überleben ({item['time']}, {item['event']}) wurde nach Kaplan und Meier auf einem "
            f"veröffentlichten Zeitraster geschätzt{by}."
        )
    where = "auf einem veröffentlichten Zeitraster" if item["edges"] else "nach Standorten geschichtet"
    return (
        f"{title}: Ein Cox-Modell von {item['time']} und {item['event']} auf {', '.join(item['terms'])} wurde {where} "
        f"angepasst (Bindungen nach {item['ties'].capitalize()}){_errors(item, german=True)}."
    )


REFERENCES = {
    "description": "Austin PC. Stat Med 2009;28:3083. doi:10.1002/sim.3697",
    "model": "McCullagh P, Nelder JA. Generalized Linear Models. 2nd ed. 1989. doi:10.1007/978-1-4899-3242-6",
    "robust": "White H. Econometrica 1980;48:817. doi:10.2307/1912934",
    "survival": "Kaplan EL, Meier P. J Am Stat Assoc 1958;53:457. doi:10.1080/01621459.1958.10501452",
    "cox": "Cox DR. J R Stat Soc B 1972;34:187. doi:10.1111/j.2517-6161.1972.tb00899.x",
    "robust-cox": "Lin DY, Wei LJ. J Am Stat Assoc 1989;84:1074. doi:10.1080/01621459.1989.10478874",
    "efron": "Efron B. J Am Stat Assoc 1977;72:557. doi:10.1080/01621459.1977.10480613",
    "meta": "DerSimonian R, Laird N. Control Clin Trials 1986;7:177. doi:10.1016/0197-2456(86)90046-2",
}
"""What a plan's estimators rest on."""


def _used(plan: Mapping[str, Any]) -> set[str]:
    kinds = {item["estimator"] for item in plan["estimators"]}
    used = set(kinds)
    for item in plan["estimators"]:
        if item["estimator"] == "cox" and item.get("variance", "model") != "model":
            used.add("robust-cox")
        elif item.get("variance") == "robust":
            used.add("robust")
    used |= {"efron" for item in plan["estimators"] if item.get("ties") == "efron"}
    return used | ({"meta"} if kinds & {"model", "cox"} else set())
