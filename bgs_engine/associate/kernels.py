"""Numba kernels of the association."""

import numpy as np

from bgs_engine.raster.cpu.jit import parallel, prange, serial

PARTS = 32  # of the rows of a matrix, for the threads


@parallel
def entries_of_rows(view_start, rows, edges, count):
    """Add to count int [N] how many entries each row has.

    rows int32 [E]: ascending within each view; the entries of view v are view_start[v]:view_start[v + 1]. edges int
    [B + 1]: the stretches of rows that threads share out.
    """
    for b in prange(edges.size - 1):
        for v in range(view_start.size - 1):
            e = view_start[v] + np.searchsorted(rows[view_start[v] : view_start[v + 1]], edges[b])
            while e < view_start[v + 1] and rows[e] < edges[b + 1]:
                count[rows[e]] += 1
                e += 1


@parallel
def join_views(view_start, first_node, rows, nodes, pixels, through, edges, free, indices, data, clear):
    """Fill a CSR matrix with the entries of all views: views in their order, and the nodes of a view ascending.

    view_start, rows and edges are those of `entries_of_rows`. first_node int [V]: the first column of each view;
    nodes int32 [E], counted from it; pixels float32 [E] and through uint8 [E]: the values. free int [N]: the first
    place of each row, which moves on. Fills indices int [E], data float32 [E] and clear uint8 [E].
    """
    for b in prange(edges.size - 1):
        for v in range(view_start.size - 1):
            e = view_start[v] + np.searchsorted(rows[view_start[v] : view_start[v + 1]], edges[b])
            while e < view_start[v + 1] and rows[e] < edges[b + 1]:
                i = rows[e]
                begin = free[i]
                while e < view_start[v + 1] and rows[e] == i:
                    column = first_node[v] + nodes[e]
                    k = free[i]
                    while k > begin and indices[k - 1] > column:
                        indices[k], data[k], clear[k] = indices[k - 1], data[k - 1], clear[k - 1]
                        k -= 1
                    indices[k], data[k], clear[k] = column, pixels[e], through[e]
                    free[i] += 1
                    e += 1


@serial
def best_per_row(indptr, columns, values, allowed_parent, parent_of_column, best):
    """Fill best int32 [N] with the heaviest column of every row of a CSR matrix, -1 = none.

    Only columns whose parent is allowed_parent[row] count; every column where that is -1.
    """
    for i in range(indptr.size - 1):
        top, arg = np.float32(0), -1
        for k in range(indptr[i], indptr[i + 1]):
            c = columns[k]
            inside = allowed_parent[i] < 0 or parent_of_column[c] == allowed_parent[i]
            if inside and (values[k] > top or arg < 0):
                top, arg = values[k], c
        best[i] = arg


@parallel
def group_sizes(indptr, columns, group, sizes):
    """Count in how many rows of a CSR matrix each group of columns has an entry: sizes int64 [PARTS, groups], summed.

    group: int [columns], the group of each column.
    """
    rows = indptr.size - 1
    for part in prange(sizes.shape[0]):
        size = sizes[part]
        last_row = np.full(size.size, -1, np.int64)
        for i in range(part * rows // PARTS, (part + 1) * rows // PARTS):
            for k in range(indptr[i], indptr[i + 1]):
                g = group[columns[k]]
                if last_row[g] != i:
                    last_row[g] = i
                    size[g] += 1


@parallel
def columns_in_groups(indptr, columns, group, groups, length):
    """Fill length [N]: the groups that have an entry in each row of a CSR matrix; group int [columns], -1 = none."""
    rows = indptr.size - 1
    for part in prange(PARTS):
        last_row = np.full(groups, -1, np.int64)
        for i in range(part * rows // PARTS, (part + 1) * rows // PARTS):
            count = 0
            for k in range(indptr[i], indptr[i + 1]):
                g = group[columns[k]]
                if g >= 0 and last_row[g] != i:
                    last_row[g] = i
                    count += 1
            length[i] = count


@parallel
def sum_groups(indptr, columns, values, group, groups, where, out_columns, out_values):
    """Sum the columns of a CSR matrix by their groups. where [N + 1] says where the rows of the result begin.

    The first group of a row comes last: this is the order of SciPy's product, on which ties depend.
    """
    rows = indptr.size - 1
    for part in prange(PARTS):
        place = np.full(groups, -1, np.int64)
        for i in range(part * rows // PARTS, (part + 1) * rows // PARTS):
            following = where[i + 1] - 1
            for k in range(indptr[i], indptr[i + 1]):
                g = group[columns[k]]
                if g < 0:
                    continue
                if place[g] < where[i]:  # of an earlier row
                    place[g] = following
                    out_columns[following], out_values[following] = g, 0
                    following -= 1
                out_values[place[g]] += values[k]


@serial
def sum_rows(indptr, columns, values, group, table):
    """Add the rows of a CSR matrix [N, K] to the row group[i] of table float32 [groups, K]; -1 = none."""
    for i in range(indptr.size - 1):
        g = group[i]
        if g >= 0:
            for k in range(indptr[i], indptr[i + 1]):
                table[g, columns[k]] += values[k]


@serial
def heaviest_masks(
    rows, indptr, nodes, weights, through, mask_of_node, view_of_mask, views, faint, least, where, masks
):
    """Find the heaviest mask of a Gaussian in each view that shows it clearly.

    Fills masks int32 [at least as many as there are], those of the first Gaussian of rows int [G] first, and where
    int64 [G + 1], the place at which the masks of each begin. The votes are CSR float32 [N, nodes]. `through` uint8,
    beside each entry, is the mean transmittance before the Gaussian. mask_of_node is int32 [nodes], -1 = none;
    view_of_mask int32 [masks]. A view is left out where the Gaussian has less than `faint` of its weight in its best
    view, or is seen through a transmittance below `least`.
    """
    weight, clear = np.zeros(view_of_mask.size, np.float32), np.zeros(view_of_mask.size, np.float32)
    met = np.empty(view_of_mask.size, np.int32)
    best = np.full(views, -1, np.int32)
    seen = np.empty(views, np.int32)
    count = 0
    for r in range(rows.size):
        i, where[r] = rows[r], count
        masks_met, views_met = 0, 0
        for k in range(indptr[i], indptr[i + 1]):
            mask = mask_of_node[nodes[k]]
            if mask < 0:
                continue
            if weight[mask] == 0:
                met[masks_met] = mask
                masks_met += 1
            weight[mask] += weights[k]
            clear[mask] += weights[k] * (through[k] / np.float32(255))
        top = np.float32(0)
        for k in range(masks_met):
            mask = met[k]
            view = view_of_mask[mask]
            if best[view] < 0:
                seen[views_met] = view
                views_met += 1
                best[view] = mask
            elif weight[mask] > weight[best[view]]:
                best[view] = mask
            top = max(top, weight[mask])
        for k in range(views_met):
            mask = best[seen[k]]
            if weight[mask] >= faint * top and clear[mask] >= least * weight[mask]:
                masks[count] = mask
                count += 1
            best[seen[k]] = -1
        for k in range(masks_met):
            weight[met[k]] = clear[met[k]] = 0
    where[-1] = count


@parallel
def spread_round(
    indptr, columns, values, near, likeness, above, parent_of_column, strength, held, share, held_next, share_next
):  # fmt: skip
    """One round of Jacobi's iteration of `associate.spread`: held int32 [N, H] and share float32 [N, H] → the next.

    Votes as CSR; near int32 [N, K] with likeness > 0, float32 [N, K]. Only columns whose parent is above[i] count, and
    neighbours with the same above. Results are sorted, largest share first, -1 and 0 where there are fewer than H.
    """
    most = held.shape[1]
    for i in prange(near.shape[0]):
        own = indptr[i + 1] - indptr[i]
        segment = np.empty(own + near.shape[1] * most, np.int32)
        weight = np.empty(own + near.shape[1] * most, np.float32)
        count, total, friends = 0, np.float32(0), np.float32(0)
        for k in range(indptr[i], indptr[i + 1]):
            if above[i] < 0 or parent_of_column[columns[k]] == above[i]:
                segment[count], weight[count] = columns[k], values[k]
                total += values[k]
                count += 1
        for k in range(near.shape[1]):
            if above[near[i, k]] == above[i]:
                friends += likeness[i, k]
        for k in range(near.shape[1]):
            j = near[i, k]
            if above[j] != above[i]:
                continue
            voice = strength * likeness[i, k] / friends
            for h in range(most):
                s = held[j, h]
                if s < 0:
                    break
                place = 0
                while place < count and segment[place] != s:
                    place += 1
                if place == count:
                    segment[place], weight[place] = s, 0
                    count += 1
                weight[place] += voice * share[j, h]
        for h in range(most):
            top = -1
            for k in range(count):
                if weight[k] > 0 and (top < 0 or weight[k] > weight[top]):
                    top = k
            if top < 0:
                held_next[i, h], share_next[i, h] = -1, 0
            else:
                held_next[i, h], share_next[i, h] = segment[top], weight[top] / (total + strength)
                weight[top] = 0
