"""Numba kernels that sum the votes of one view.

Fragments of a few neighbouring pixels are summed first, so that only their sums have to be sorted by Gaussian.
"""

import numpy as np

from bgs_engine.raster.cpu.jit import parallel, prange

NODES_HELD = 16  # nodes that a Gaussian can contribute to in one view; further ones are left out
CHUNK = 64  # pixels that are summed first: the voting pixels of a tile
BANDS = 32  # of chunks, interleaved: every thread gets its share of the crowded parts of a picture
SPREAD = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4)


@parallel
def sum_chunks(start, end, rank, falloff, weight, opacity, alpha_max, node_of_pixel, first, last, ranks, nodes,
               weights, clear):  # fmt: skip
    """Sum the contribution of each Gaussian to each node over every chunk of pixels, in pixels.

    Fills ranks and nodes int32, weights and clear float32, all [as many as there are fragments]. Chunk c has
    first[c]:last[c]; first int64 [chunks] is given, last is filled. `clear` holds the weights times the transmittance
    before the Gaussian. node_of_pixel is int32 [P], -1 = no mask. Entries are in the order in which pixels meet them.
    """
    pixels, chunks = start.size, first.size
    most = 1
    for c in range(chunks):
        total = 0
        for p in range(c * CHUNK, min(pixels, (c + 1) * CHUNK)):
            total += end[p] - start[p]
        most = max(most, total)
    bits = 1
    while (1 << bits) < 2 * most:
        bits += 1
    for band in prange(BANDS):
        table = np.full(1 << bits, -1, np.int64)  # places of entries, by rank and node
        used = np.empty(most, np.int64)
        for c in range(band, chunks, BANDS):
            w = first[c]
            for p in range(c * CHUNK, min(pixels, (c + 1) * CHUNK)):
                node = node_of_pixel[p]
                if node < 0:
                    continue
                for k in range(start[p], end[p]):
                    r = rank[k]
                    key = (np.uint64(r) << np.uint64(32)) | np.uint64(node)
                    slot = np.int64((key * SPREAD) >> np.uint64(64 - bits))
                    place = table[slot]
                    while place >= 0 and (ranks[place] != r or nodes[place] != node):
                        slot = (slot + 1) & ((1 << bits) - 1)
                        place = table[slot]
                    if place < 0:
                        place = w
                        table[slot] = w
                        used[w - first[c]] = slot
                        ranks[w], nodes[w], weights[w], clear[w] = r, node, 0, 0
                        w += 1
                    weights[place] += weight[k]
                    clear[place] += weight[k] * weight[k] / min(alpha_max, opacity[r] * falloff[k])
            last[c] = w
            for k in range(w - first[c]):
                table[used[k]] = -1


@parallel
def join_chunks(offsets, entry, nodes, weights, clear, held, total, total_clear):
    """Sum the entries of `sum_chunks` of each touched Gaussian; entry [K] grouped by Gaussian by offsets [R + 1].

    Fills held int32 [K], total and total_clear float32 [K]: Gaussian j has its nodes at offsets[j], then -1.
    """
    for j in prange(offsets.size - 1):
        first = offsets[j]
        last = first
        for e in range(first, offsets[j + 1]):
            node = nodes[entry[e]]
            k = first
            while k < last and held[k] != node:
                k += 1
            if k == last:
                if last == first + NODES_HELD:
                    continue
                held[k], total[k], total_clear[k] = node, 0, 0
                last += 1
            total[k] += weights[entry[e]]
            total_clear[k] += clear[entry[e]]
        for k in range(last, offsets[j + 1]):
            held[k] = -1
