"""Few values in place of many: a codebook of 256 numbers, and a palette of up to 65,536 rows of harmonics.

Both are k-means (Lloyd, "Least squares quantization in PCM", 1982). A codebook starts where numbers are dense, by the
rule of Panter and Dite (1951): its entries lie as the cube root of the density. Rows are halved across their
principal direction first, until a group needs few entries: all rows against all entries would take minutes.
"""

import numpy as np

CODES = 256
MOST_ENTRIES = 1 << 16
_BINS = 1 << 16  # of the histogram in whose bins numbers count as equal
_SMOOTH = 1 << 7  # bins that count as one for the density; few numbers lie in each bin
_ROUNDS = 200  # of a codebook; it hardly changes then
_MOST_AT_ONCE = 256  # entries of a group
_ROUNDS_OF_ROWS = 3
_BLOCK = 1 << 22  # distances that are compared at once
_SAMPLE = 4096  # rows of which a principal direction is found


def codebook(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The codebook of numbers of any shape, float32 [256] in ascending order, and the code of each, uint8."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    width = (high - low) / (_BINS - 1)
    if not width > np.finfo(np.float32).tiny:
        return np.full(CODES, low, np.float32), np.zeros(values.shape, np.uint8)
    bins = np.empty(values.shape, np.uint16)
    np.rint((values - np.float32(low)) * np.float32(1 / width), out=bins, casting="unsafe")
    counts = np.bincount(bins.ravel(), minlength=_BINS).astype(np.float64)
    places = np.arange(_BINS)
    dense = np.cumsum(np.repeat(np.cbrt(counts.reshape(-1, _SMOOTH).sum(1)), _SMOOTH))
    entries = np.interp((np.arange(CODES) + 0.5) / CODES * dense[-1], dense, places)
    many, total = (np.concatenate([[0], np.cumsum(weights)]) for weights in (counts, counts * places))
    for _ in range(_ROUNDS):
        edges = np.concatenate([[0], np.ceil((entries[1:] + entries[:-1]) / 2), [_BINS]]).astype(np.int64)
        share = many[edges[1:]] - many[edges[:-1]]
        means = (total[edges[1:]] - total[edges[:-1]]) / np.maximum(share, 1)
        entries = np.where(share > 0, means, entries)
    edges = np.ceil((entries[1:] + entries[:-1]) / 2)
    code_of = np.searchsorted(edges, places, side="right").astype(np.uint8)
    return (low + entries * width).astype(np.float32), code_of[bins]


def entries_for(count: int) -> int:
    """How many entries a palette for so many rows has: the largest power of two that is not more."""
    return min(MOST_ENTRIES, 1 << max(count.bit_length() - 1, 0))


def palette(rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` typical rows, float32 [count, D], and the number of the one in place of each row, int [N].

    rows: float32 [N, D] with N >= count. The same rows give the same palette.
    """
    entries, labels, first = [], np.empty(len(rows), np.int64), 0
    waiting = [(np.arange(len(rows)), count)]
    while waiting:
        members, share = waiting.pop()
        own = rows if len(members) == len(rows) else rows[members]  # the whole splat is not copied
        if share > _MOST_AT_ONCE:
            half = len(members) // 2
            order = np.argpartition(own @ _direction(own), half)
            waiting += [(members[order[half:]], share - share // 2), (members[order[:half]], share // 2)]
            continue
        found, labels[members] = _divide(own, share)
        labels[members] += first
        entries.append(found)
        first += share
    return np.concatenate(entries), labels


def _direction(rows: np.ndarray) -> np.ndarray:
    """The direction in which rows differ most, float32 [D], found on a sample of them."""
    sample = rows[:: max(1, len(rows) // _SAMPLE)].astype(np.float64)
    _, vectors = np.linalg.eigh(np.cov(sample, rowvar=False))
    return vectors[:, -1].astype(np.float32)


def _divide(rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` entries for the rows of one group, and the number of the nearest for each row."""
    if count >= len(rows):
        return rows, np.arange(len(rows))
    entries = rows[np.random.default_rng(0).permutation(len(rows))[:count]].copy()
    for _ in range(_ROUNDS_OF_ROWS):
        entries = _means(rows, _nearest(rows, entries), entries)
    return entries, _nearest(rows, entries)


def _nearest(rows: np.ndarray, entries: np.ndarray) -> np.ndarray:
    """The number of the nearest entry of each row."""
    lengths = np.square(entries).sum(1) / 2
    out = np.empty(len(rows), np.int64)
    block = max(1, _BLOCK // len(entries))
    for start in range(0, len(rows), block):
        scores = rows[start : start + block] @ entries.T
        scores -= lengths
        scores.argmax(1, out=out[start : start + block])
    return out


def _means(rows: np.ndarray, nearest: np.ndarray, entries: np.ndarray) -> np.ndarray:
    """The mean of the rows of each entry. An entry without rows stays."""
    order = np.argsort(nearest, kind="stable")
    used, starts = np.unique(nearest[order], return_index=True)
    out = entries.copy()
    out[used] = np.add.reduceat(rows[order], starts, axis=0) / np.diff(starts, append=len(order))[:, None]
    return out
