"""One small synthetic case, made once."""

from __future__ import annotations

import numpy as np
import pytest

from racoon.demo.anatomy.disease import Mixture
from racoon.demo.anatomy.grid import Grid
from racoon.demo.case import Case, Style, make_case
from racoon.demo.hospitals import get_style

EVERYTHING = Mixture(1, 0.5, -560, 25, 22, True, 1, 1, 1, 1)
"""A patient with every finding."""


@pytest.fixture(scope="session")
def style() -> Style:
    """The first site's style with a patient who has everything."""
    ordinary = get_style(0)
    return Style(ordinary.scanner, ordinary.phases, EVERYTHING)


@pytest.fixture(scope="session")
def grid() -> Grid:
    """A grid of 3 mm pixels and 8 mm slices."""
    return Grid((42, 128, 128), (8.0, 3.0, 3.0), 162.0)


@pytest.fixture(scope="session")
def case(style: Style, grid: Grid) -> Case:
    """A woman of 60 with every finding."""
    return make_case(np.random.default_rng(11), style, grid, is_female=True, age=60)
