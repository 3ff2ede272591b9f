"""The directions of a file's axes against those of a 3DGS PLY, which points x right, y down and z forward (RDF).

A file whose axes differ by signs alone, such as RUB (right, up, back; OpenGL, three.js, glTF), needs no arithmetic but
signs. Signs are exact, so nothing is lost.
"""

import numpy as np

# The axes in which each harmonic above the constant one is odd, in the order of the 3DGS renderer, degree 1 to 4.
_ODD_IN = (
    "y", "z", "x",
    "xy", "yz", "", "xz", "",
    "y", "xyz", "y", "z", "x", "z", "x",
    "xy", "yz", "xy", "yz", "", "xz", "", "xz", "",
)  # fmt: skip
RUB_TO_PLY = (1.0, -1.0, -1.0)  # half a turn about x, which is its own inverse
LUF_TO_PLY = (-1.0, -1.0, 1.0)  # glTF; half a turn about z, which is its own inverse


def quat_signs(signs: tuple[float, float, float]) -> np.ndarray:
    """The signs of (w, x, y, z), float32 [4], where the axes have these signs. Mirrored axes are right too."""
    x, y, z = signs
    return np.array([1, y * z, z * x, x * y], np.float32)


def sh_signs(signs: tuple[float, float, float], coefficients: int) -> np.ndarray:
    """The signs of the K = `coefficients` harmonics, float32 [K], where the axes have these signs."""
    of = dict(zip("xyz", signs, strict=True))
    return np.array([1, *(np.prod([of[axis] for axis in odd]) for odd in _ODD_IN[: coefficients - 1])], np.float32)
