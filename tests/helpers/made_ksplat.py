"""Makes `.ksplat` files apart from our reader: several sections, full and partly filled buckets, all levels."""

import struct

import numpy as np

from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.io.gaussians import SH_C0, sigmoid

COEFFICIENTS = (0, 3, 8)  # above the constant one, of each degree


def ksplat_bytes(
    splat: RawSplat, level: int, sections: list[tuple[int, int]], bucket: int = 4, side: float = 2.0,
    limits: tuple[float, float] = (0.0, 0.0),
) -> tuple[bytes, np.ndarray]:  # fmt: skip
    """A file, and the order of its Gaussians. sections: (rows, degree) of each; bucket: Gaussians; side: of a block."""
    parts, headers, order, first = [], [], [], 0
    for count, degree in sections:
        rows = np.arange(first, first + count)
        first += count
        cells = np.floor(splat.means[rows] / side).astype(int)
        blocks: dict[tuple[int, ...], list[int]] = {}
        full: list[tuple[tuple[int, ...], list[int]]] = []
        for row, cell in zip(rows.tolist(), map(tuple, cells.tolist()), strict=True):
            blocks.setdefault(cell, []).append(row)
            if len(blocks[cell]) == bucket:
                full.append((cell, blocks.pop(cell)))
        buckets = [*full, *blocks.items()] if level else [((0, 0, 0), rows.tolist())]
        data = b""
        for cell, members in buckets:
            center = (np.array(cell) + 0.5) * side
            data += b"".join(_row(splat, row, level, degree, center, side, limits) for row in members)
            order += members
        head = struct.pack(f"<{len(blocks)}I", *map(len, blocks.values())) if level else b""
        if level:
            head += b"".join(struct.pack("<3f", *((np.array(cell) + 0.5) * side)) for cell, _ in buckets)
        facts = (bucket, len(buckets), side, 12, 32767) if level else (0, 0, 0.0, 0, 0)
        tail = (len(full), len(blocks)) if level else (0, 0)
        packed = struct.pack("<IIIIfHxxIIIIH", count, count, *facts, len(head + data), *tail, degree)
        headers.append(packed.ljust(1024, b"\0"))
        parts.append(head + data)
    about = struct.pack("<BBxxIIIIHxxfffff", 0, 1, len(sections), len(sections), first, first, level, 0, 0, 0, *limits)
    return about.ljust(4096, b"\0") + b"".join(headers) + b"".join(parts), np.array(order)


def _row(
    splat: RawSplat, row: int, level: int, degree: int, center: np.ndarray, side: float, limits: tuple[float, float]
) -> bytes:
    real = "<f2" if level else "<f4"
    place = splat.means[row].astype("<f4").tobytes()
    if level:
        place = (np.round((splat.means[row] - center) * 32767 / (side / 2)) + 32767).astype("<u2").tobytes()
    color = [*(splat.sh[row, 0] * SH_C0 + 0.5), float(sigmoid(splat.opacities[row : row + 1])[0])]
    higher = [splat.sh[row, 1:4], splat.sh[row, 4:9]][:degree]
    values = np.concatenate([np.empty(0), *(band.T.ravel() for band in higher)])  # of a band red, green, blue
    if level == 2:
        low, high = limits
        coefficients = np.round((values - low) / ((high - low) or 1) * 255).clip(0, 255).astype("u1").tobytes()
    else:
        coefficients = values.astype(real).tobytes()
    shape = np.exp(splat.scales[row]).astype(real).tobytes() + splat.quats[row].astype(real).tobytes()
    return place + shape + (np.array(color) * 255 + 0.5).clip(0, 255).astype("u1").tobytes() + coefficients
