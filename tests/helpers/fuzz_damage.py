"""Damages small valid files at random: the mutations of the fuzz test."""

import random
import re
import struct

EXTREMES = ("0", "-1", "1e30", "nan", "inf", "-inf", "2147483648", "9223372036854775808", "18446744073709551615",
            "1e400", "0.5", "65536", "1" * 400, "")  # fmt: skip
TOKENS = (
    b"\0", b"\n", b"\r\n", b" ", b"null", b"{", b"}", b"[", b"]", b'"', b",", b":", b"../", b"\xff\xfe",
    b"\xef\xbb\xbf", b"\xf0\x9f\x92\xa9", b"end_header\n", b"element vertex 3\n", b"property float x\n",
    b"property list uchar int q\n", b"#", b"true", b"A" * 5000, b"[" * 3000, b"%s%n",
    b"(1000000,1000000,1000000)", b"'descr': '|O'",
)  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_PACKED = (
    *(struct.pack("<i", n) for n in (0, -1, 1, 65536, 2**31 - 1, -(2**31))),
    *(struct.pack("<Q", n) for n in (0, 1, 2**31, 2**32, 2**63, 2**64 - 1)),
    *(struct.pack("<d", n) for n in (0.0, -1.0, 1e30, float("nan"), float("inf"))),
    *(struct.pack(">I", n) for n in (0, 1, 2**16, 2**31 - 1, 2**32 - 1)),
    *(struct.pack("<f", n) for n in (1e30, float("nan"), -1.0)),
)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes after one to three mutations."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(_MUTATIONS)(data, rng)
    return data


def _place(data: bytes, rng: random.Random) -> int:
    """A place in the data; half of them near the beginning, where headers are."""
    return rng.randrange(min(len(data), 200) + 1) if rng.random() < 0.5 else rng.randrange(len(data) + 1)


def _flip(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if out:
            out[min(_place(data, rng), len(out) - 1)] ^= 1 << rng.randrange(8)
    return bytes(out)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.choice(TOKENS) + data[at:]


def _remove(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 4, 8, 30)) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    at, size = _place(data, rng), rng.choice((1, 8, 40, 200))
    return data[: at + size] + data[at:]


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    at, new = _place(data, rng), rng.choice(_PACKED)
    return data[:at] + new + data[at + len(new) :]


def _number(data: bytes, rng: random.Random) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return _overwrite(data, rng)
    chosen = rng.choice(found)
    return data[: chosen.start()] + rng.choice(EXTREMES).encode() + data[chosen.end() :]


def _line(data: bytes, rng: random.Random) -> bytes:
    """Remove, repeat or move a line."""
    lines = data.split(b"\n")
    k = rng.randrange(min(len(lines), 40))
    taken = lines.pop(k)
    for _ in range(rng.choice((0, 1, 2))):
        lines.insert(rng.randrange(len(lines) + 1), taken)
    return b"\n".join(lines)


def _encoded(data: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"\xef\xbb\xbf" + data, data.decode("latin-1").encode("utf-16"), data.replace(b"\n", b"\r\n")))


_MUTATIONS = (_flip, _cut, _insert, _remove, _repeat, _overwrite, _overwrite, _number, _number, _line, _encoded)
