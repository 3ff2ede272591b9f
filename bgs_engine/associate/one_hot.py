"""Sparse matrices of ones: which rows belong to which column."""

import numpy as np
import scipy.sparse as sp


def ones_at(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sp.csr_matrix:
    """CSR float32 of `shape` with a one at each place (rows [K], columns [K], int); no place may come twice."""
    return sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape)


def one_hot(column_of_row: np.ndarray, columns: int | None = None) -> sp.csr_matrix:
    """CSR float32 [N, columns]: row i has a one in column `column_of_row[i]`, and nothing where that is negative.

    Multiplying CSR [M, N] by it sums the columns of each group.

    Args:
        column_of_row: int [N].
        columns: their number; by default the largest of `column_of_row`, plus one.
    """
    rows = np.flatnonzero(column_of_row >= 0)
    if columns is None:
        columns = int(column_of_row.max(initial=-1)) + 1
    return ones_at(rows, column_of_row[rows], (len(column_of_row), columns))


def members_by_group(group_of_row: np.ndarray, groups: int) -> sp.csr_matrix:
    """CSR float32 [groups, N], the transpose of `one_hot`: each group's members."""
    members = np.flatnonzero(group_of_row >= 0)
    return ones_at(group_of_row[members], members, (groups, len(group_of_row)))
