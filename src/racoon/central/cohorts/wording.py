"""A cohort in one sentence, German or English, so that a reader sees what a definition really says.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from racoon.central.cohorts.filling import compare_of
from racoon.central.cohorts.offers import POLICIES, SYSTEMS
from racoon.domain.clinical_criterion import ICD, ClinicalCriterion
from racoon.domain.cohort import (
    AgeCriterion,
    CohortDefinition,
    ConsentCriterion,
    Criterion,
    GenderCriterion,
    ImagingCriterion,
    MeasuredValue,
    ReportAnswer,
)
from racoon.domain.matching import MatchingRule
from racoon.web.translation import translations
from racoon.web.words import unit_text, words_of


def sentence_of(definition: CohortDefinition, language: str) -> str:
    """Say a cohort in words.

    Parameters
    ----------
    definition
        The cohort.
    language
        ``"de"`` or ``"en"``.
    """
    sayer = _Sayer(language)
    translate = sayer.translate
    included = sayer.nested(definition.inclusion, translate("or"), translate("and"))
    if definition.controls is not None and definition.matching is not None:
        compared = sentence_of(definition.controls, language)
        said = sayer.matching(definition.matching)
        return f"{sentence_of(definition.cases, language)} {said} {compared}"
    if not definition.exclusion:
        return translate("Subjects with %(included)s.") % {"included": included}
    excluded = sayer.nested(definition.exclusion, translate("and"), translate("or"))
    sentence = translate("Subjects with %(included)s, except those with %(excluded)s.")
    return sentence % {"included": included, "excluded": excluded}


def group_of(group: Sequence[Criterion], side: str, language: str) -> str:
    """Say one step of a flow: of an ``include`` group one criterion has to hold, of an ``exclude`` group all."""
    sayer = _Sayer(language)
    joint = sayer.translate("or") if side == "include" else sayer.translate("and")
    return f" {joint} ".join(sayer.criterion(item) for item in group)


class _Sayer:
    def __init__(self, language: str) -> None:
        self.translate: Callable[[str], str] = translations(language).gettext
        self._say = words_of(language)
        self._is_german = language == "de"

    def nested(self, groups: Sequence[Sequence[Criterion]], inner: str, outer: str) -> str:
        said = [[self.criterion(item) for item in group] for group in groups]
        return f" {outer} ".join(
            f"({f' {inner} '.join(group)})" if len(group) > 1 and len(said) > 1 else f" {inner} ".join(group)
            for group in said
        )

    def matching(self, rule: MatchingRule) -> str:
        translate = self.translate
        alike = [self._say(f"matching.{word}") for word in rule.exact]
        units = {
            "ageYears": translate("years of age"),
            "sliceThicknessMm": translate("mm of slice thickness"),
        }
        alike += [
            translate("up to %(value)s %(what)s") % {"value": self._number(width), "what": units[name]}
            for name, width in sorted(rule.calipers.items())
        ]
        sentence = translate(
            "Compared with up to %(ratio)s controls each (alike in: %(alike)s; seed %(seed)s):"
        )
        return sentence % {"ratio": rule.ratio, "alike": ", ".join(alike), "seed": rule.seed}

    def criterion(self, criterion: Criterion) -> str:
        if isinstance(criterion, ImagingCriterion):
            return self._imaging(criterion)
        if isinstance(criterion, AgeCriterion):
            limit = self._limit(criterion.comparator) % {"value": self._number(criterion.years)}
            return self.translate("an age at the examination of %(limit)s years") % {"limit": limit}
        if isinstance(criterion, GenderCriterion):
            return self.translate("the sex %(names)s") % {
                "names": self._either([self.translate(name) for name in criterion.genders])
            }
        if isinstance(criterion, ConsentCriterion):
            names = {code: self._say(f"policy.{name}") for name, code in POLICIES.items()}
            policies = [names.get(code, code) for code in sorted(criterion.policies)]
            return self.translate("a consent in force to %(policies)s") % {"policies": self._either(policies)}
        return self._clinical(criterion)

    def _imaging(self, criterion: ImagingCriterion) -> str:
        translate, parts = self.translate, []
        if criterion.modality is not None:
            parts.append(translate("modality %(code)s") % {"code": criterion.modality})
        if criterion.body_part is not None:
            parts.append(translate("body part %(code)s") % {"code": criterion.body_part})
        if criterion.max_slice_thickness_mm is not None:
            thickness = self._number(criterion.max_slice_thickness_mm)
            parts.append(translate("slices of at most %(value)s mm") % {"value": thickness})
        if criterion.label is not None:
            parts.append(translate("a mask of %(code)s") % {"code": criterion.label})
        if criterion.has_mask is not None:
            parts.append(translate("with a mask") if criterion.has_mask else translate("without any mask"))
        if criterion.measured is not None:
            measured = criterion.measured
            name = measured.biomarker + (f" ({measured.label})" if measured.label else "")
            limit = self._limits(measured)
            parts.append(translate("a measured %(name)s of %(limit)s") % {"name": name, "limit": limit})
        said = {
            "inPacs": translate("known to the clinic's system"),
            "deidentified": translate("de-identified in the archive"),
            "annotated": translate("with a finding or a signed report"),
        }
        parts += [words for word, words in said.items() if word in criterion.available]
        if criterion.answered is not None:
            parts.append(self._answered(criterion.answered))
        if criterion.near is not None:
            near = criterion.near
            sentence = translate(
                "with %(fact)s between %(before)s days before and %(after)s days after the examination"
            )
            parts.append(
                sentence
                % {
                    "fact": self._clinical(near.fact),
                    "before": near.days_before,
                    "after": near.days_after,
                }
            )
        series = translate("an image series (%(parts)s)") % {"parts": ", ".join(parts)}
        if (criterion.min_studies or 1) > 1:
            series = translate("%(series)s in at least %(number)s examinations") % {
                "series": series,
                "number": criterion.min_studies,
            }
        return series

    def _answered(self, wanted: ReportAnswer) -> str:
        translate = self.translate
        plain = {"true": translate("yes"), "false": translate("no")}
        answers = [f"{code} ({system})" if system else plain[code] for system, code in sorted(wanted.answers)]
        sentence = translate("the answer %(answers)s to %(question)s in a signed report")
        if wanted.template:
            sentence = translate("the answer %(answers)s to %(question)s in a signed report (%(template)s)")
        return sentence % {
            "answers": self._either(answers),
            "question": wanted.question,
            "template": wanted.template,
        }

    def _clinical(self, fact: ClinicalCriterion) -> str:
        translate = self.translate
        # Each kind is a sentence of its own: German articles follow the noun.
        sentence = {
            "condition": translate("the diagnosis %(codes)s"),
            "observation": translate("the laboratory value %(codes)s"),
            "procedure": translate("the procedure %(codes)s"),
            "medication": translate("the medication %(codes)s"),
        }[fact.kind]
        said = sentence % {"codes": self._codes(fact)}
        if limit := self._limits(fact):
            said = translate("%(what)s of %(limit)s") % {"what": said, "limit": limit}
        if fact.after is not None:
            said += " " + translate("from %(day)s on") % {"day": self._day(fact.after.isoformat())}
        if fact.before is not None:
            said += " " + translate("until %(day)s") % {"day": self._day(fact.before.isoformat())}
        return said

    def _limits(self, fact: ClinicalCriterion | MeasuredValue) -> str:
        compare = compare_of(fact)
        if not compare:
            return ""
        if compare == "range":
            limit = self.translate("%(value)s to %(value_to)s") % {
                "value": self._number(fact.minimum),
                "value_to": self._number(fact.maximum),
            }
        else:
            value = fact.minimum if fact.minimum is not None else fact.maximum
            limit = self._limit(compare) % {"value": self._number(value)}
        return f"{limit} {unit_text(fact.unit)}".strip()

    def _codes(self, fact: ClinicalCriterion) -> str:
        by_system: dict[str, list[str]] = {}
        for system, code in fact.codes:
            by_system.setdefault(system, []).append(code)
        said = []
        for system, codes in by_system.items():
            name = SYSTEMS.get(system, system)
            if system == ICD:
                name = self.translate("%(system)s with subdivisions") % {"system": name}
            said.append(f"{self._either(codes)} ({name})")
        return self._either(said)

    def _limit(self, comparator: str) -> str:
        translate = self.translate
        return {
            "eq": translate("exactly %(value)s"),
            "gt": translate("more than %(value)s"),
            "ge": translate("at least %(value)s"),
            "lt": translate("less than %(value)s"),
            "le": translate("at most %(value)s"),
        }[comparator]

    def _either(self, parts: Sequence[str]) -> str:
        head, last = ", ".join(parts[:-1]), parts[-1]
        return f"{head} {self.translate('or')} {last}" if head else last

    def _number(self, value: float | None) -> str:
        text = f"{value:.10g}"
        return text.replace(".", ",") if self._is_german else text

    def _day(self, text: str) -> str:
        return ".".join(reversed(text.split("-"))) if self._is_german else text
