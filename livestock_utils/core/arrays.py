"""Names for the arrays that annotations speak of, by the type of their numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pixels = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]
Float32s = NDArray[np.float32]
Floats = NDArray[np.float64]
