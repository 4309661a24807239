"""Lists of texts as one parameter of a statement, however long they are, in both dialects.

A list that grows into the text makes a new statement for each length, and has a limit.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class _Texts(FunctionElement[str]):
    name = "texts"
    inherit_cache = True


@compiles(_Texts)
def _texts_of_sqlite(element: _Texts, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_Texts, "postgresql")
def _texts_of_postgresql(element: _Texts, compiler: SQLCompiler, **options: Any) -> str:
    return f"jsonb_array_elements_text(CAST({compiler.process(element.clauses, **options)} AS JSONB))"


def _each(parameter: sa.BindParameter[str]) -> sa.ColumnElement[str]:
    texts = _Texts(parameter).table_valued(sa.column("value", sa.Text))
    found: sa.ColumnElement[str] = texts.c.value
    return found


def each_text(parameter: str) -> sa.ColumnElement[str]:
    """Return a column of the texts in a parameter that is given later.

    Parameters
    ----------
    parameter
        Its name; the value is a JSON array of strings.
    """
    return _each(sa.bindparam(parameter, type_=sa.Text))


def among(column: sa.Column[str], values: Collection[str]) -> sa.ColumnElement[bool]:
    """Return the condition that a text column has one of these values."""
    wanted = sa.bindparam(None, json.dumps(sorted(values)), type_=sa.Text)
    return column.in_(sa.select(_each(wanted)))
