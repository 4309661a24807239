"""Templates of structured reports and their answers: a written subset of FHIR R4 Questionnaire and SDC.

``template`` reads a Questionnaire and refuses what the subset does not have; ``normalising`` makes foreign ones fit
and reports what it changed; ``answers`` reads and writes the items of a QuestionnaireResponse; ``evaluation`` says
what is asked, what is computed and what is wrong.  The subset: group, display, boolean, integer, decimal, date,
string, text and choice; required, repeats, readOnly, initial, minValue, maxValue, unit, enableWhen with
enableBehavior, a calculated sum, first answers from what is known (``prefill``), edit checks, translations, and two
extensions of our own: the answer of a normal case, and which numbers of a finding an answer may be taken from.
``coded_words`` says when words of a text may have a code.  Not here: storing and signing.
"""

from racoon.domain.questionnaire.answers import (
    Answer,
    Answered,
    BadAnswers,
    agreed_items,
    answer_of_fhir,
    answer_to_fhir,
    answers_by_path,
    items_of,
    items_to_fhir,
    same_answers,
    with_levels,
)
from racoon.domain.questionnaire.checks import Check
from racoon.domain.questionnaire.coded_words import CodedWords, is_denied, stands_in, still_standing
from racoon.domain.questionnaire.evaluation import (
    MESSAGES,
    Evaluation,
    Problem,
    evaluate,
    initial_items,
    normal_items,
)
from racoon.domain.questionnaire.normalising import Normalised, Note, normalised
from racoon.domain.questionnaire.prefill import Known, Prefill
from racoon.domain.questionnaire.template import BadTemplate, Item, Template, template_of, title_of
from racoon.domain.questionnaire.words import Coding, Value, Words, is_date

__all__ = [
    "MESSAGES",
    "Answer",
    "Answered",
    "BadAnswers",
    "BadTemplate",
    "Check",
    "CodedWords",
    "Coding",
    "Evaluation",
    "Item",
    "Known",
    "Normalised",
    "Note",
    "Prefill",
    "Problem",
    "Template",
    "Value",
    "Words",
    "agreed_items",
    "answer_of_fhir",
    "answer_to_fhir",
    "answers_by_path",
    "evaluate",
    "initial_items",
    "is_date",
    "is_denied",
    "items_of",
    "items_to_fhir",
    "normal_items",
    "normalised",
    "same_answers",
    "stands_in",
    "still_standing",
    "template_of",
    "title_of",
    "with_levels",
]
