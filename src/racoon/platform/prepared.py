"""Statements that every request asks: put together, compiled and typed once, then handed to the driver as they are.

For SQLite, which answers a look-up in 20 µs, the toolkit's own work around a statement (looking its compiled form
up, contexts, cursors, results) costs ten times the answer.  What a server far away is asked goes the ordinary way.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from racoon.platform.database import translated_errors

_Convert = Callable[[Any], Any] | None


@dataclass(frozen=True)
class _Compiled:
    """What the driver is given.

    Parameters
    ----------
    text
        SQL with places for parameters.
    parameters
        Name and conversion of each place, in order.
    constants
        Parameters whose value stands in the statement.
    row
        Makes a row of named fields from the values of one.
    converted
        Places of a row whose values the driver does not give as their type says.
    """

    text: str
    parameters: tuple[tuple[str, _Convert], ...]
    constants: Mapping[str, Any]
    row: Callable[[Sequence[Any]], Any]
    converted: tuple[tuple[int, Callable[[Any], Any]], ...]


class PreparedSelect:
    """A statement with named parameters that only reads.

    Parameters
    ----------
    statement
        Its parameters are ``sa.bindparam`` of a known type; lists that grow into the text
        (``expanding=True``) go the ordinary way.
    """

    def __init__(self, statement: sa.Select[Any]) -> None:
        self.statement = statement
        self._compiled: _Compiled | None = None
        self._is_ordinary = False

    def rows(self, connection: sa.Connection, values: Mapping[str, Any]) -> list[Any]:
        """Return all rows, their columns by name and by place, within the connection's transaction.

        Parameters
        ----------
        connection
            Of either dialect.
        values
            By name of the parameter.

        Raises
        ------
        DatabaseUnavailable
            The file is locked or cannot be read.
        KeyError
            A parameter has no value.
        """
        if self._is_ordinary or connection.dialect.name != "sqlite":
            return list(connection.execute(self.statement, dict(values)).all())
        compiled = self._compiled
        if compiled is None:
            compiled = self._compile(connection.dialect)
            if compiled is None:
                self._is_ordinary = True
                return self.rows(connection, values)
            self._compiled = compiled
        known = {**compiled.constants, **values}
        places = [
            known[name] if convert is None else convert(known[name]) for name, convert in compiled.parameters
        ]
        return [compiled.row(found) for found in _ask(connection, compiled, places)]

    def scalars(self, connection: sa.Connection, values: Mapping[str, Any]) -> list[Any]:
        """Return the first column of all rows."""
        return [row[0] for row in self.rows(connection, values)]

    def _compile(self, dialect: sa.Dialect) -> _Compiled | None:
        compiled = self.statement.compile(dialect=dialect)
        if compiled.post_compile_params or compiled.literal_execute_params or compiled.positiontup is None:
            return None
        columns = list(self.statement.selected_columns)
        names = [str(column.key) for column in columns]
        # The checker wants to see the names; they are the statement's.
        row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]  # noqa: PYI024
        reading = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        asked = [(name, compiled.binds[name]) for name in compiled.positiontup]
        return _Compiled(
            compiled.string,
            tuple((name, bind.type.dialect_impl(dialect).bind_processor(dialect)) for name, bind in asked),
            {name: bind.effective_value for name, bind in asked if not bind.required},
            row._make,  # noqa: SLF001 -- public, in spite of its name
            tuple((place, convert) for place, convert in enumerate(reading) if convert is not None),
        )


def _ask(connection: sa.Connection, compiled: _Compiled, places: Sequence[Any]) -> list[Sequence[Any]]:
    if not connection.in_transaction():
        connection.begin()
    dialect = connection.dialect
    with translated_errors():
        cursor = connection.connection.cursor()
        try:
            cursor.execute(compiled.text, places)
            found = list(cursor.fetchall())
        except dialect.loaded_dbapi.Error as error:
            # Parameters may be pseudonyms or worse: they are in no exception.
            raise sa.exc.DBAPIError.instance(
                compiled.text, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, dialect=dialect
            ) from error
        finally:
            cursor.close()
    if compiled.converted:
        for number, row in enumerate(found):
            values = list(row)
            for place, convert in compiled.converted:
                values[place] = convert(values[place])
            found[number] = values
    return found
