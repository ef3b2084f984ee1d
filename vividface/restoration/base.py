"""The interface of a function that restores frames."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Maps frames (F, H, W, 3), uint8 or uint16, RGB, to restored frames of the same shape and type.
Restorer = Callable[[np.ndarray], np.ndarray]
