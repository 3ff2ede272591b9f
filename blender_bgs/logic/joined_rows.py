"""One row type for splats of different PLY layouts, so that they fit into one file."""

from collections.abc import Sequence

import numpy as np
from bgs_engine.core.codes import CODE_BYTE_NAMES, CODE_INT_NAME


def joined_dtype(dtypes: Sequence[np.dtype], codes: bool = True) -> np.dtype:
    """The type of the first splat, with everything that only others have.

    It has the f_rest properties of the highest degree among the splats, where the first has its own, or after its
    colour. Other properties follow at the end. A property of different types gets the type that holds both.

    Args:
        dtypes: structured types of rows.
        codes: keep the properties that hold codes.
    """
    kinds: dict[str, np.dtype] = {}
    for dtype in dtypes:
        for name in dtype.names or ():
            kinds[name] = _wider(kinds[name], dtype[name]) if name in kinds else dtype[name]
    rest = sorted((name for name in kinds if _is_rest(name)), key=lambda name: int(name.removeprefix("f_rest_")))
    order: list[str] = []
    first = dtypes[0].names or ()
    after = next((name for name in first if _is_rest(name)), None)
    for name in first:
        if name == after:
            order += rest
        if not _is_rest(name):
            order.append(name)
        if after is None and name == "f_dc_2":
            order += rest
    order += [name for name in kinds if name not in order]
    dropped = () if codes else (*CODE_BYTE_NAMES, CODE_INT_NAME)
    return np.dtype([(name, kinds[name].str) for name in order if name not in dropped])


def _wider(a: np.dtype, b: np.dtype) -> np.dtype:
    """The smallest type of a PLY that holds the values of both. PLY has no integers of 64 bits."""
    both = np.promote_types(a, b)
    return both if both.itemsize < 8 else np.dtype("<f8")


def _is_rest(name: str) -> bool:
    return name.startswith("f_rest_")
