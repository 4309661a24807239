"""What is held back can't be worked out from what is shown, even when rules and total are known."""

import itertools
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.node.release.suppression import suppress_cells

rows = st.lists(st.integers(0, 25), min_size=1, max_size=15)


@given(rows, st.integers(2, 10))
def test_no_shown_cell_is_small(cells, minimum):
    hidden = suppress_cells(cells, cells, minimum)
    assert all(hide or cell == 0 or cell >= minimum for cell, hide in zip(cells, hidden, strict=True))


@given(rows, st.integers(2, 10))
def test_subtraction_from_the_total_leaves_at_least_twice_the_minimum(cells, minimum):
    hidden = suppress_cells(cells, cells, minimum)
    left = sum(cells) - sum(cell for cell, hide in zip(cells, hidden, strict=True) if not hide)
    if not any(hidden):
        assert left == 0
    elif not all(hidden):
        assert left >= 2 * minimum
        assert sum(hide and cell > 0 for cell, hide in zip(cells, hidden, strict=True)) >= 2


@given(rows, st.integers(2, 10))
def test_nothing_is_held_back_without_need(cells, minimum):
    needed = any(0 < cell < minimum for cell in cells)
    assert any(suppress_cells(cells, cells, minimum)) == needed


@given(rows, st.integers(2, 10))
def test_no_empty_cell_betrays_where_a_hidden_one_ends(cells, minimum):
    hidden = suppress_cells(cells, cells, minimum)
    for first, second in itertools.pairwise(range(len(cells))):
        if hidden[first] != hidden[second]:
            shown = second if hidden[first] else first
            assert cells[shown] >= minimum


@pytest.mark.parametrize(("minimum", "width", "largest"), [(2, 4, 7), (3, 3, 12), (3, 4, 7), (5, 3, 16)])
def test_an_attacker_who_knows_rule_and_total_finds_no_hidden_cell(minimum, width, largest):
    # Every row with the same picture and total is possible to the attacker: each hidden cell must stay open.
    possible = defaultdict(set)
    for cells in itertools.product(range(largest + 1), repeat=width):
        hidden = suppress_cells(cells, cells, minimum)
        if any(hidden):
            picture = tuple(None if hide else cell for cell, hide in zip(cells, hidden, strict=True))
            possible[(picture, sum(cells))].add(cells)
    checked = 0
    for (picture, total), candidates in possible.items():
        shown = sum(cell for cell in picture if cell is not None)
        if all(cell is None for cell in picture) or total - shown > largest:
            continue  # nothing shown, or candidates beyond the enumeration exist
        for index, cell in enumerate(picture):
            if cell is None:
                values = {row[index] for row in candidates}
                # Neither its value nor that it is small is certain.
                assert len(values) >= 2, (picture, total)
                assert max(values) >= minimum, (picture, total)
                checked += 1
    assert checked


def test_two_series_of_one_subject_do_not_make_a_cell_safe():
    counts, subjects = [6, 20, 30, 0], [1, 20, 30, 0]
    assert suppress_cells(counts, subjects, 5)[0]
