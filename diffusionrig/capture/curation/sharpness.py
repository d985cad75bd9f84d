"""How much detail a face shows, whatever the size of the photograph around it."""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 256
"""Side of the aligned square that is judged. A face with fewer pixels is enlarged to it, and so counts as blurred as it is."""


def sharpness(aligned: np.ndarray) -> float:
    """Of an aligned face (SIDE, SIDE, 3) uint8: detail of one to two pixels over detail of four to eight, within its inner half.

    Sharp photographs have 0.3 to 0.45; a blur of 1.7 pixels (standard deviation) brings that to about 0.25, one of 4 to 0.16.
    """
    quarter = SIDE // 4
    grey = cv2.cvtColor(aligned, cv2.COLOR_RGB2GRAY).astype(np.float32)
    # Blurred before the cut: its edge must not count as detail.
    levels = [cv2.GaussianBlur(grey, (0, 0), sigma)[quarter:-quarter, quarter:-quarter] for sigma in (1, 2, 4, 8)]
    fine, coarse = np.abs(levels[0] - levels[1]).mean(), np.abs(levels[2] - levels[3]).mean()
    return float(fine / max(coarse, 1e-6))
