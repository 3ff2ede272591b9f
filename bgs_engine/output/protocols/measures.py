"""How two masks are compared. All masks are bool [H, W]."""

import numpy as np
from scipy import ndimage

BORDER_SHARE = 0.02  # of the picture's diagonal: the width of a boundary in boundary IoU (Cheng et al. 2021)


def iou(found: np.ndarray, true: np.ndarray) -> float:
    """Intersection over union; 1 if both are empty."""
    union = np.count_nonzero(found | true)
    return np.count_nonzero(found & true) / union if union else 1.0


def accuracy(found: np.ndarray, true: np.ndarray) -> float:
    """The share of pixels in which both agree."""
    return np.count_nonzero(found == true) / true.size


def boundary_iou(found: np.ndarray, true: np.ndarray) -> float:
    """IoU of the boundaries: the pixels of each mask that lie near its own outline, or near the picture's edge."""
    return iou(_boundary(found), _boundary(true))


def _boundary(mask: np.ndarray) -> np.ndarray:
    width = max(1, round(BORDER_SHARE * float(np.hypot(*mask.shape))))
    square = np.ones((3, 3), bool)
    return mask & ~ndimage.binary_erosion(mask, square, iterations=width)
