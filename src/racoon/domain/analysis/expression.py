"""A small typed language for derived variables: it can compute with the row at hand and do nothing else.

No loops, no names but the plan's variables, no functions but the listed ones; length, depth and size are bounded, so
every expression ends, and what it may refer to is known before a site runs it.

::

    or      ::= and ("or" and)*            truth
    and     ::= not ("and" not)*           truth
    not     ::= "not" not | compare        truth
    compare ::= sum (("<" | "<=" | ">" | ">=" | "=" | "!=") sum)?  |  sum "in" "[" literal, … "]"
    sum     ::= product (("+" | "-") product)*
    product ::= factor (("*" | "/") factor)*
    factor  ::= "-" factor | atom ("^" factor)?
    atom    ::= number | 'text' | name | function "(" or, … ")" | "(" or ")"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from racoon.errors import Defect

Kind = Literal["number", "truth", "category"]

LONGEST = 2000
"""Characters; the longest derivation of the network's papers has about 300."""

DEEPEST = 40
"""Nesting; beyond it nobody reads an expression, and the parser's own stack stays small."""

MOST_WORDS = 300
"""Signs, names and numbers; a chain of that many operators is still shallow enough to walk."""

FUNCTIONS: Mapping[str, tuple[tuple[Kind, ...], Kind]] = {
    "abs": (("number",), "number"),
    "sqrt": (("number",), "number"),
    "log": (("number",), "number"),
    "exp": (("number",), "number"),
    "floor": (("number",), "number"),
    "min": (("number", "number"), "number"),
    "max": (("number", "number"), "number"),
    "if": (("truth", "number", "number"), "number"),
}
"""Functions with the kinds of their arguments and of their value; ``missing(x)`` takes any kind."""


class ExpressionDefect(Defect):
    """A derivation that is not understood or does not fit its variables."""

    code: ClassVar[str] = "analysis.expression"


@dataclass(frozen=True)
class Number:
    """A literal number."""

    value: float


@dataclass(frozen=True)
class Text:
    """A literal level of a categorical variable."""

    value: str


@dataclass(frozen=True)
class Name:
    """A variable of the plan."""

    name: str


@dataclass(frozen=True)
class Call:
    """An operator or function with its arguments; ``operator`` is its sign or name."""

    operator: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Among:
    """Whether a variable has one of some levels or values."""

    argument: Node
    choices: tuple[Number | Text, ...]


Node = Number | Text | Name | Call | Among

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)|'(?P<text>[^']*)'"
    r"|(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<sign><=|>=|!=|[-+*/^<>=(),\[\]]))"
)

_WORDS = {"and", "or", "not", "in"}
_COMPARISONS = {"<", "<=", ">", ">=", "=", "!="}


@dataclass(frozen=True)
class Expression:
    """A parsed derivation.

    Parameters
    ----------
    text
        As written.
    root
        Its tree.
    """

    text: str
    root: Node

    @property
    def names(self) -> frozenset[str]:
        """Variables it refers to."""
        return frozenset(_names(self.root))

    def kind(self, kinds: Mapping[str, Kind], levels: Mapping[str, tuple[str, ...]] | None = None) -> Kind:
        """Check that every operator gets what it can work with.

        Parameters
        ----------
        kinds
            Kind of each variable.
        levels
            Levels of the categorical ones.

        Returns
        -------
        str
            Kind of the value.

        Raises
        ------
        ExpressionDefect
            Names the place.
        """
        return _kind(self.root, kinds, levels or {}, self.text)


def parse_expression(text: str) -> Expression:
    """Read a derivation.

    Parameters
    ----------
    text
        As in the grammar above.

    Raises
    ------
    ExpressionDefect
        Says what was expected and where.
    """
    if len(text) > LONGEST:
        raise ExpressionDefect(
            f"An expression may have {LONGEST} characters; split it into several variables."
        )
    return Expression(text, _Parser(text).parse())


class _Parser:
    """Recursive descent over a list of tokens."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str, int]] = []
        place = 0
        while place < len(text.rstrip()):
            found = _TOKEN.match(text, place)
            if found is None:
                raise ExpressionDefect(f"{text!r}: character {place + 1} is not understood.")
            group = str(found.lastgroup)
            self._tokens.append((group, found[group], found.start(group) + 1))
            place = found.end()
            if len(self._tokens) > MOST_WORDS:
                raise ExpressionDefect(
                    f"An expression may have {MOST_WORDS} words; split it into several variables."
                )
        self._next = 0
        self._depth = 0

    def parse(self) -> Node:
        node = self._either()
        if self._next < len(self._tokens):
            raise self._wrong("the end")
        return node

    def _wrong(self, expected: str) -> ExpressionDefect:
        if self._next < len(self._tokens):
            _, value, place = self._tokens[self._next]
            return ExpressionDefect(f"{self._text!r}: at character {place}, {value!r}: expected {expected}.")
        return ExpressionDefect(f"{self._text!r} ends too early: expected {expected}.")

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next][:2] if self._next < len(self._tokens) else ("end", "")

    def _takes(self, *words: str) -> str | None:
        group, value = self._peek()
        if group in {"sign", "name"} and value in words:
            self._next += 1
            return value
        return None

    def _must(self, word: str) -> None:
        if self._takes(word) is None:
            raise self._wrong(f"{word!r}")

    def _either(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionDefect(
                f"An expression may be nested {DEEPEST} deep; split it into several variables."
            )
        node = self._both()
        while self._takes("or"):
            node = Call("or", (node, self._both()))
        self._depth -= 1
        return node

    def _both(self) -> Node:
        node = self._negated()
        while self._takes("and"):
            node = Call("and", (node, self._negated()))
        return node

    def _negated(self) -> Node:
        turns = 0
        while self._takes("not"):
            turns += 1
        node = self._comparison()
        return Call("not", (node,)) if turns % 2 else node

    def _comparison(self) -> Node:
        node = self._sum()
        if sign := self._takes(*_COMPARISONS):
            return Call(sign, (node, self._sum()))
        if self._takes("in"):
            self._must("[")
            choices = [self._literal()]
            while self._takes(","):
                choices.append(self._literal())
            self._must("]")
            return Among(node, tuple(choices))
        return node

    def _literal(self) -> Number | Text:
        sign = -1.0 if self._takes("-") else 1.0
        group, value = self._peek()
        if group == "number":
            self._next += 1
            return Number(sign * float(value))
        if group == "text" and sign > 0:
            self._next += 1
            return Text(value)
        raise self._wrong("a number or a 'level'")

    def _sum(self) -> Node:
        node = self._product()
        while sign := self._takes("+", "-"):
            node = Call(sign, (node, self._product()))
        return node

    def _product(self) -> Node:
        node = self._factor()
        while sign := self._takes("*", "/"):
            node = Call(sign, (node, self._factor()))
        return node

    def _factor(self) -> Node:
        turns = 0
        while self._takes("-"):
            turns += 1
        node = self._atom()
        if self._takes("^"):
            self._depth += 1
            if self._depth > DEEPEST:
                raise ExpressionDefect(f"An expression may be nested {DEEPEST} deep.")
            node = Call("^", (node, self._factor()))
            self._depth -= 1
        return Call("negative", (node,)) if turns % 2 else node

    def _atom(self) -> Node:
        if self._takes("("):
            node = self._either()
            self._must(")")
            return node
        group, value = self._peek()
        if group in {"number", "text"}:
            return self._literal()
        if group != "name" or value in _WORDS:
            raise self._wrong("a value")
        self._next += 1
        if self._takes("("):
            arguments = [self._either()]
            while self._takes(","):
                arguments.append(self._either())
            self._must(")")
            if value != "missing" and value not in FUNCTIONS:
                known = ", ".join([*FUNCTIONS, "missing"])
                raise ExpressionDefect(f"There is no function {value!r}; there are {known}.")
            return Call(value, tuple(arguments))
        return Name(value)


def _names(node: Node) -> set[str]:
    if isinstance(node, Name):
        return {node.name}
    if isinstance(node, Call):
        return {name for argument in node.arguments for name in _names(argument)}
    return _names(node.argument) if isinstance(node, Among) else set()


def _kind(node: Node, kinds: Mapping[str, Kind], levels: Mapping[str, tuple[str, ...]], text: str) -> Kind:
    def kind_of(part: Node) -> Kind:
        return _kind(part, kinds, levels, text)

    if isinstance(node, Number):
        return "number"
    if isinstance(node, Text):
        return "category"
    if isinstance(node, Name):
        if node.name not in kinds:
            raise ExpressionDefect(f"{text!r}: the plan has no variable {node.name!r} before this one.")
        return kinds[node.name]
    if isinstance(node, Among):
        expected = kind_of(node.argument)
        if any(kind_of(choice) != expected for choice in node.choices):
            raise ExpressionDefect(f"{text!r}: the choices must be of the kind {expected}.")
        _check_levels(node.argument, node.choices, levels, text)
        return "truth"
    given = tuple(kind_of(argument) for argument in node.arguments)
    if node.operator in {"=", "!="}:
        if given[0] != given[1]:
            raise ExpressionDefect(f"{text!r}: {given[0]} and {given[1]} can't be compared.")
        _check_levels(node.arguments[0], node.arguments[1:], levels, text)
        _check_levels(node.arguments[1], node.arguments[:1], levels, text)
        return "truth"
    wanted, value = _signature(node.operator, len(given))
    if node.operator == "missing":
        wanted = given if len(given) == 1 else ("number",)
    if given != wanted:
        raise ExpressionDefect(
            f"{text!r}: {node.operator!r} takes ({', '.join(wanted)}), not ({', '.join(given)})."
        )
    return value


def _signature(operator: str, count: int) -> tuple[tuple[Kind, ...], Kind]:
    if operator in FUNCTIONS:
        return FUNCTIONS[operator]
    truth: Kind = "truth"
    number: Kind = "number"
    if operator in {"and", "or", "not"}:
        return (truth,) * count, truth
    if operator in _COMPARISONS:
        return (number, number), truth
    return (number,) * count, truth if operator == "missing" else number


def _check_levels(
    variable: Node, choices: tuple[Node, ...], levels: Mapping[str, tuple[str, ...]], text: str
) -> None:
    texts = [choice.value for choice in choices if isinstance(choice, Text)]
    if not texts:
        return
    if not isinstance(variable, Name) or variable.name not in levels:
        raise ExpressionDefect(f"{text!r}: a 'level' can only be compared with a categorical variable.")
    for value in texts:
        if value not in levels[variable.name]:
            known = ", ".join(levels[variable.name])
            raise ExpressionDefect(f"{text!r}: {variable.name} has no level {value!r}; it has {known}.")
