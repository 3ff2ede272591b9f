"""The values of all Gaussians as a published page keeps them: rounded to bytes, gzipped, as text in scripts.

A page that is opened from a folder may not fetch files. So the data are scripts that hand over base64.
"""

import base64
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bgs_engine.io.gaussians import Gaussians

PART_BYTES = 1 << 24  # of a column before packing: a browser holds one part as text at a time
GZIP_LEVEL = 4  # 6 takes three times as long for a page that is a fiftieth smaller
BYTE = 255
QUAT_STEPS = 127  # bytes with a sign
SMALLEST_SCALE = 20.0  # below the largest logarithm of a scale: what is smaller is invisible anyway
COLOR_RANGE = (0.1, 99.9)  # percentiles: a few values far out would make the steps of all others coarse
REST_STEPS = 15  # to each side of 0, so 5 bits a coefficient, as in SPZ; finer steps double the size
MOST_SH_DEGREE = 3  # the renderer draws no more


@dataclass(frozen=True)
class Column:
    """One kind of value of all Gaussians.

    values: little-endian numbers [N, width]. value = low + number * step. planes: the file has all first bytes, then
    all second bytes, and so on; it packs better.
    """

    name: str
    values: np.ndarray
    low: float = 0.0
    step: float = 1.0
    planes: bool = False

    def facts(self) -> dict[str, Any]:
        """What the page needs to read the column."""
        return {
            "name": self.name,
            "width": self.values.shape[1],
            "bytes": self.values.dtype.itemsize,
            "planes": self.planes,
            "parts": len(range(0, self.values.nbytes, PART_BYTES)),
            "low": self.low,
            "step": self.step,
        }

    def scripts(self) -> Iterator[str]:
        """The text of each script that hands over a part."""
        data = np.ascontiguousarray(self.values).view(np.uint8).reshape(-1)
        if self.planes:
            data = np.ascontiguousarray(data.reshape(-1, self.values.dtype.itemsize).T).reshape(-1)
        for number, start in enumerate(range(0, len(data), PART_BYTES)):
            packed = gzip.compress(data[start : start + PART_BYTES].tobytes(), GZIP_LEVEL, mtime=0)
            yield f'pagePart("{self.name}", {number}, "{base64.b64encode(packed).decode("ascii")}");\n'


def columns_of(gaussians: Gaussians, codes: np.ndarray, sh_degree: int) -> list[Column]:
    """All columns; codes int32 [N]. sh_degree: the highest degree that is kept, 0 to 3.

    Positions, relative to the offset of the splat, and codes are exact.
    """
    assert gaussians.sh is not None
    columns = [
        Column("means", gaussians.means.astype("<f4", copy=False), planes=True),
        Column("codes", codes.view(np.uint32).astype("<u4", copy=False)[:, None]),
        _scales(gaussians.scales),
        Column("quats", _quats(gaussians.quats)),
        Column("opacities", (gaussians.opacities * BYTE).round().astype(np.uint8)[:, None]),
        _colors(gaussians.sh[:, 0]),
    ]
    rest = gaussians.sh[:, 1 : (min(sh_degree, MOST_SH_DEGREE) + 1) ** 2]
    return [*columns, _rest(rest)] if rest.shape[1] and rest.any() else columns


def _scales(scales: np.ndarray) -> Column:
    with np.errstate(divide="ignore"):  # a scale of 0
        logs = np.log(scales)
    high = float(logs.max())
    low = max(float(logs.min()), high - SMALLEST_SCALE)
    return _bytes("scales", logs, low, high)


def _quats(quats: np.ndarray) -> np.ndarray:
    """(w, x, y, z), int8 [N, 4]."""
    return (quats * QUAT_STEPS).round().astype(np.int8)


def _colors(constant: np.ndarray) -> Column:
    """The constant coefficients of the harmonics [N, 3]."""
    low, high = np.percentile(constant, COLOR_RANGE)
    return _bytes("colors", constant, float(low), float(high))


def _bytes(name: str, values: np.ndarray, low: float, high: float) -> Column:
    step = (high - low) / BYTE or 1.0
    return Column(name, ((values.clip(low, high) - low) / step).round().astype(np.uint8), low, step)


def _rest(rest: np.ndarray) -> Column:
    """The higher coefficients [N, K, 3] in the order of a PLY: all of red, then green, then blue."""
    step = float(np.percentile(np.abs(rest), COLOR_RANGE[1])) / REST_STEPS or 1.0
    numbers = (rest / step).round().clip(-REST_STEPS, REST_STEPS).astype(np.int8)
    return Column("rest", np.ascontiguousarray(numbers.transpose(0, 2, 1)).reshape(len(rest), -1), 0.0, step)
