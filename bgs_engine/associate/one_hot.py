"""Sparse matrices of ones: which rows belong to which column; sums over the columns or rows of each group."""

import numpy as np
import scipy.sparse as sp

from bgs_engine.associate.kernels import columns_in_groups, sum_groups, sum_rows


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


def columns_summed(matrix: sp.csr_matrix, group: np.ndarray, groups: int | None = None) -> sp.csr_matrix:
    """CSR float32 [N, groups]: `matrix @ one_hot(group, groups)` of CSR float32 [N, K], on all threads.

    Args:
        matrix: CSR float32 [N, K].
        group: int [K], -1 = none.
        groups: their number; by default the largest of `group`, plus one.
    """
    groups = int(group.max(initial=-1)) + 1 if groups is None else groups
    length = np.zeros(matrix.shape[0] + 1, np.int64)
    columns_in_groups(matrix.indptr, matrix.indices, group, groups, length[1:])
    where = np.cumsum(length)
    columns, values = np.empty(where[-1], np.int32), np.empty(where[-1], np.float32)
    sum_groups(matrix.indptr, matrix.indices, matrix.data, group, groups, where, columns, values)
    return sp.csr_matrix((values, columns, where), (matrix.shape[0], groups))


def rows_summed(matrix: sp.csr_matrix, group: np.ndarray, groups: int) -> np.ndarray:
    """Float32 [groups, K]: the sum of the rows of each group of CSR float32 [N, K]; group int [N], -1 = none."""
    table = np.zeros((groups, matrix.shape[1]), np.float32)
    sum_rows(matrix.indptr, matrix.indices, matrix.data, group, table)
    return table


def columns_scaled(matrix: sp.csr_matrix, weight: np.ndarray) -> sp.csr_matrix:
    """CSR float32 [N, K] with each column times its weight, float32 [K]."""
    return sp.csr_matrix((matrix.data * weight[matrix.indices], matrix.indices, matrix.indptr), matrix.shape)
