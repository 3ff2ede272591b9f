"""Which row of the engine's file each point is."""

import numpy as np


def engine_rows(rows: np.ndarray, in_order: bool) -> np.ndarray:
    """The row of each point in the file that the engine reads, int [N], from its `bgs_row`, int [N].

    `in_order`: the file was written from the points, sorted by `bgs_row`. Otherwise it has the rows of the source file.
    """
    if not in_order:
        return rows
    rank = np.empty(len(rows), np.int64)
    rank[np.argsort(rows, kind="stable")] = np.arange(len(rows))
    return rank
