"""The one thing a runtime gives: a function from images to scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Network = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""Images ``(sample, channel, …)`` → class scores before softmax ``(sample, class, …)``."""
