"""A cohort in one sentence, German or English, so that a reader sees what a definition really says.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from racoon.central.cohorts.writing import SYSTEMS, compare_of
from racoon.domain.clinical_criterion import ICD, ClinicalCriterion
from racoon.domain.cohort import (
    AgeCriterion,
    CohortDefinition,
    Criterion,
    GenderCriterion,
    ImagingCriterion,
)
from racoon.web.translation import translations
from racoon.web.words import unit_text


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
    if not definition.exclusion:
        return translate("Subjects with %(included)s.") % {"included": included}
    excluded = sayer.nested(definition.exclusion, translate("and"), translate("or"))
    sentence = translate("Subjects with %(included)s, except those with %(excluded)s.")
    return sentence % {"included": included, "excluded": excluded}


class _Sayer:
    def __init__(self, language: str) -> None:
        self.translate: Callable[[str], str] = translations(language).gettext
        self._is_german = language == "de"

    def nested(self, groups: Sequence[Sequence[Criterion]], inner: str, outer: str) -> str:
        said = [[self.criterion(item) for item in group] for group in groups]
        return f" {outer} ".join(
            f"({f' {inner} '.join(group)})" if len(group) > 1 and len(said) > 1 else f" {inner} ".join(group)
            for group in said
        )

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
        compare = compare_of(fact)
        if compare == "range":
            limit = translate("%(value)s to %(value_to)s") % {
                "value": self._number(fact.minimum),
                "value_to": self._number(fact.maximum),
            }
        elif compare:
            value = fact.minimum if fact.minimum is not None else fact.maximum
            limit = self._limit(compare) % {"value": self._number(value)}
        if compare:
            limit = f"{limit} {unit_text(fact.unit)}".strip()
            said = translate("%(what)s of %(limit)s") % {"what": said, "limit": limit}
        if fact.after is not None:
            said += " " + translate("from %(day)s on") % {"day": self._day(fact.after.isoformat())}
        if fact.before is not None:
            said += " " + translate("until %(day)s") % {"day": self._day(fact.before.isoformat())}
        return said

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
