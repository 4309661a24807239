"""Primary and complementary suppression of a row of cells whose total is known."""

from __future__ import annotations

from collections.abc import Sequence


def suppress_cells(counts: Sequence[int], subjects: Sequence[int], minimum: int) -> list[bool]:
    """Choose the cells of a histogram that must be held back.

    Parameters
    ----------
    counts
        Values per cell, in the order of the bins.
    subjects
        Distinct subjects per cell, same length.
    minimum
        Smallest number of subjects in a released, non-empty cell.

    Returns
    -------
    list of bool
        True where the cell is held back.

    Notes
    -----
    1. Primary: every non-empty cell with fewer than ``minimum`` subjects.
    2. Complementary: an attacker knows the total and subtracts.  So the limit rises, cell size by cell size,
       until at least one cell that is not small is held back and all of them together hold at least twice the
       minimum.  All cells of one size go together: a choice among equals would tell which one was small.
    3. Empty cells beside held-back ones are held back too: otherwise the row would show in which bin the
       single subject lies, and the outermost one would be the minimum or maximum.
    """
    hidden = [0 < number < minimum for number in subjects]
    if any(hidden):
        for limit in sorted({number for number in subjects if number >= minimum}):
            if not _too_little_hidden(counts, subjects, hidden, minimum):
                break
            hidden = [0 < number <= limit for number in subjects]
        if _too_little_hidden(counts, subjects, hidden, minimum):
            return [True] * len(hidden)
        _close_gaps(subjects, hidden)
    return hidden


def _too_little_hidden(
    counts: Sequence[int], subjects: Sequence[int], hidden: Sequence[bool], minimum: int
) -> bool:
    chosen = [index for index, hide in enumerate(hidden) if hide]
    together = min(sum(counts[index] for index in chosen), sum(subjects[index] for index in chosen))
    return together < 2 * minimum or all(subjects[index] < minimum for index in chosen)


def _close_gaps(subjects: Sequence[int], hidden: list[bool]) -> None:
    """Hide every empty cell that can be reached from a hidden one over empty or hidden cells."""
    for order in (range(len(hidden)), range(len(hidden) - 1, -1, -1)):
        reached = False
        for index in order:
            reached = hidden[index] or (reached and subjects[index] == 0)
            hidden[index] = reached
