"""Sentences of the estimators beyond models and curves that carry numbers or names, as the catalogue knows them."""

from __future__ import annotations

import re

ESTIMATOR_PATTERNS = tuple(
    (re.compile(pattern), known)
    for pattern, known in (
        (
            r"Lasso: (?P<kept>\d+) of (?P<total>\d+) columns kept; penalised estimates have no standard errors\.",
            "Lasso: %(kept)s of %(total)s columns kept; penalised estimates have no standard errors.",
        ),
        (r"Dispersion \(alpha\): (?P<value>[^ ]+)\.", "Dispersion (alpha): %(value)s."),
        (
            r"(?P<number>\d+) imputations at the sites, seed (?P<seed>\d+), combined by Rubin's rules\.",
            "%(number)s imputations at the sites, seed %(seed)s, combined by Rubin's rules.",
        ),
        (
            r"τ² (?P<tau>[^ ]+), I² (?P<share>\d+) %, Q (?P<q>[^ ]+), p (?P<p>[^ ]+)\.",
            "τ² %(tau)s, I² %(share)s per cent, Q %(q)s, p %(p)s.",
        ),
        (r"Egger's test of the funnel: p (?P<p>[^ ]+)\.", "Egger's test of the funnel: p %(p)s."),
        (
            r"(?P<number>\d+) p values corrected by the method (?P<method>[^ ]+)\.",
            "%(number)s p values corrected by the method %(method)s.",
        ),
        (
            (
                r"(?P<name>.+): spread of the site means (?P<before>[^ ]+) before and (?P<after>[^ ]+) after "
                r"harmonisation\."
            ),
            "%(name)s: spread of the site means %(before)s before and %(after)s after harmonisation.",
        ),
        (
            r"Harmonised values, for later estimators: (?P<names>.+)\.",
            "Harmonised values, for later estimators: %(names)s.",
        ),
        (
            r"(?P<number>\d+) parts stand on too few sites and are left out\.",
            "%(number)s parts stand on too few sites and are left out.",
        ),
        (
            (
                r"(?P<name>.+): median (?P<m>[^ ]+) ± (?P<me>[^ ]+), quartiles (?P<q>[^ ]+) ± (?P<qe>[^ ]+) and "
                r"(?P<t>[^ ]+) ± (?P<te>[^ ]+); the bins cost these errors\."
            ),
            "%(name)s: median %(m)s ± %(me)s, quartiles %(q)s ± %(qe)s and %(t)s ± %(te)s; the bins cost these errors.",
        ),
        (r"Reclassification not computed: (?P<reason>.*)", "Reclassification not computed: %(reason)s"),
    )
)
"""Pattern of the sentence, and what the catalogue knows it as."""
