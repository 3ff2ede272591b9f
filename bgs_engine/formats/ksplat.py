"""The format `.ksplat` of mkkellogg's GaussianSplats3D, read.

A header of 4,096 bytes, a header of 1,024 bytes for each section, and the sections. At level 0 all numbers are
float32. At level 1 scales, rotations and harmonics are float16, and positions are 16-bit steps from the centre of the
bucket of the Gaussian; a section has full buckets first, then partly filled ones with their sizes in front. At level 2
harmonics are bytes between two limits. Colour and opacity are bytes. Degree 0 to 2.

Format: https://github.com/mkkellogg/GaussianSplats3D (src/loaders/SplatBuffer.js)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import open_buffered
from bgs_engine.formats.format import Format
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.splat import BLOCK, harmonics_of_bytes, logarithms, logits_of_bytes
from bgs_engine.io.ply import SplatPly

VERSION = (0, 1)
HEADER_BYTES, SECTION_HEADER_BYTES = 4096, 1024
BUCKET_BYTES = 12  # three float32 of its centre
COEFFICIENTS = (0, 9, 24)  # values above the constant ones, of degree 0, 1 and 2
SCALE_RANGE = 32767  # steps from the centre of a bucket to its side, if a section does not say
SH_LIMIT = 1.5  # coefficients of level 2 lie within it if the header does not say
_HEADER = np.dtype({
    "names": ["major", "minor", "sections", "count", "level", "low", "high"],
    "formats": ["u1", "u1", "<u4", "<u4", "<u2", "<f4", "<f4"],
    "offsets": [0, 1, 4, 16, 20, 36, 40], "itemsize": HEADER_BYTES,
})  # fmt: skip
_SECTION = np.dtype({
    "names": ["count", "room", "bucket_size", "buckets", "side", "bucket_bytes", "range", "full", "partial", "degree"],
    "formats": ["<u4", "<u4", "<u4", "<u4", "<f4", "<u2", "<u4", "<u4", "<u4", "<u2"],
    "offsets": [0, 4, 8, 12, 16, 20, 24, 32, 36, 40], "itemsize": SECTION_HEADER_BYTES,
})  # fmt: skip
_AGAIN = "Copy or export the file again."


@dataclass(frozen=True)
class _Section:
    """A section of `count` Gaussians whose data begins at byte `start` of the file; `centers` [B, 3], `sizes` [P]."""

    facts: np.void
    start: int
    row: np.dtype

    @property
    def count(self) -> int:
        return int(self.facts["count"])

    @property
    def data_start(self) -> int:
        return (
            self.start + 4 * int(self.facts["partial"]) + int(self.facts["bucket_bytes"]) * int(self.facts["buckets"])
        )

    @property
    def stop(self) -> int:
        return self.data_start + self.row.itemsize * int(self.facts["room"])


def read_ksplat(path: Path) -> RawSplat:
    """The splat of a `.ksplat` file.

    Raises:
        InputError: the file is damaged or of another version.
    """
    path = Path(path)
    with open_buffered(path, "Check the path and its permissions.") as stream:
        try:
            return _read(path, stream)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the disk.") from None
        except MemoryError:
            raise InputError(f"{path.name} does not fit into memory.", "Close other programs.") from None


def _read(path: Path, stream: BinaryIO) -> RawSplat:
    size = stream.seek(0, 2)
    stream.seek(0)
    if size < HEADER_BYTES:
        raise InputError(f"{path.name} is cut short: a .ksplat file has {HEADER_BYTES:,} bytes at least.", _AGAIN)
    header = np.frombuffer(stream.read(HEADER_BYTES), _HEADER)[0]
    version = int(header["major"]), int(header["minor"])
    if version != VERSION:
        raise InputError(
            f"{path.name} is of version {version[0]}.{version[1]} of .ksplat, or no .ksplat file. Version 0.1 can be "
            "read.",
            "Make it again with GaussianSplats3D.",
        )
    level = int(header["level"])
    if level > 2:
        raise InputError(f"{path.name} has compression level {level}; 0, 1 and 2 can be read.", _AGAIN)
    sections = _sections(path.name, stream, size, header, level)
    count = sum(section.count for section in sections)
    if count == 0:
        raise InputError(f"{path.name} holds no Gaussians.", "Check the export settings.")
    if count != header["count"]:
        raise InputError(f"{path.name} promises {header['count']:,} Gaussians, but its sections {count:,}.", _AGAIN)
    rest = COEFFICIENTS[max(int(section.facts["degree"]) for section in sections)] // 3
    places = np.empty(count, np.dtype([(axis, "<f4") for axis in "xyz"]))
    splat = RawSplat(
        places.view(np.float32).reshape(-1, 3), np.empty((count, 3), np.float32), np.empty((count, 4), np.float32),
        np.empty(count, np.float32), np.zeros((count, 1 + rest, 3), np.float32),
    )  # fmt: skip
    limits = float(header["low"]) or -SH_LIMIT, float(header["high"]) or SH_LIMIT
    first = 0
    for section in sections:
        _fill(splat, first, section, path.name, stream, level, limits)
        first += section.count
    placed = SplatPly.of_rows(path, places)  # it knows where a splat far from the origin lies
    return RawSplat(placed.positions(), splat.scales, splat.quats, splat.opacities, splat.sh, placed.offset)


def _sections(name: str, stream: BinaryIO, size: int, header: np.void, level: int) -> list[_Section]:
    """The sections that have Gaussians. All of each lies in the file."""
    start = HEADER_BYTES + SECTION_HEADER_BYTES * int(header["sections"])
    short = InputError(f"{name} is cut short.", _AGAIN)
    if start > size:
        raise short
    found = []
    for facts in np.frombuffer(stream.read(start - HEADER_BYTES), _SECTION):
        degree = int(facts["degree"])
        if degree >= len(COEFFICIENTS):
            raise InputError(f"{name} has harmonics of degree {degree}; 0 to 2 can be read.", _AGAIN)
        if facts["count"] > facts["room"] or (facts["buckets"] and facts["bucket_bytes"] < BUCKET_BYTES):
            raise InputError(f"{name} is damaged: a section does not fit its Gaussians.", _AGAIN)
        section = _Section(facts, start, _row(level, degree))
        start = section.stop
        if start > size:
            raise short
        if section.count:
            found.append(section)
    return found


def _row(level: int, degree: int) -> np.dtype:
    """The type of a Gaussian's row."""
    place, real, coefficient = (("<f4", "<f4", "<f4"), ("<u2", "<f2", "<f2"), ("<u2", "<f2", "u1"))[level]
    return np.dtype([("place", place, 3), ("scale", real, 3), ("quat", real, 4), ("color", "u1", 4),
                     ("sh", coefficient, COEFFICIENTS[degree])])  # fmt: skip


def _fill(
    splat: RawSplat, first: int, section: _Section, name: str, stream: BinaryIO, level: int,
    limits: tuple[float, float],
) -> None:  # fmt: skip
    """Read a section into the rows of `splat` from `first` on."""
    centers = _centers(section, name, stream) if level else None
    steps = int(section.facts["range"]) or SCALE_RANGE
    step = np.float64(section.facts["side"]) / 2 / steps
    rest = section.row["sh"].shape[0] // 3
    stream.seek(section.data_start)
    for start in range(0, section.count, BLOCK):
        count = min(BLOCK, section.count - start)
        rows = np.frombuffer(stream.read(count * section.row.itemsize), section.row)
        here = slice(first + start, first + start + count)
        with np.errstate(invalid="ignore", over="ignore"):
            place = rows["place"].astype(np.float64)
            splat.means[here] = place if centers is None else (place - steps) * step + centers[start : start + count]
            splat.scales[here] = logarithms(rows["scale"].astype(np.float32))
            splat.quats[here] = rows["quat"]
            splat.opacities[here] = logits_of_bytes()[rows["color"][:, 3]]
            splat.sh[here, 0] = harmonics_of_bytes()[rows["color"][:, :3]]
            if rest:
                values = rows["sh"].astype(np.float64)
                if level == 2:
                    values = limits[0] + values / 255 * (limits[1] - limits[0])
                for band, stop in ((0, 3), (3, 8)):  # a band has all of red, then green, then blue
                    if stop <= rest:
                        part = values[:, 3 * band : 3 * stop].reshape(count, 3, stop - band)
                        splat.sh[here, 1 + band : 1 + stop] = part.transpose(0, 2, 1)


def _centers(section: _Section, name: str, stream: BinaryIO) -> np.ndarray:
    """The centre of the bucket of each Gaussian, float32 [N, 3]."""
    facts = section.facts
    stream.seek(section.start)
    sizes = np.frombuffer(stream.read(4 * int(facts["partial"])), "<u4").astype(np.int64)
    data = stream.read(int(facts["bucket_bytes"]) * int(facts["buckets"]))
    buckets = np.frombuffer(data, np.uint8).reshape(int(facts["buckets"]), -1)
    centers = np.ascontiguousarray(buckets[:, :BUCKET_BYTES]).view("<f4")
    full = min(int(facts["full"]), section.count)
    whole = np.full(full, min(int(facts["bucket_size"]), section.count), np.int64)
    lengths = np.concatenate([whole, sizes])
    ends = np.cumsum(np.minimum(lengths, section.count))
    of_row = np.searchsorted(ends, np.arange(section.count), side="right")
    if of_row.max() >= len(centers) or of_row.max() >= len(lengths):
        raise InputError(f"{name} is damaged: a section has fewer buckets than its Gaussians need.", _AGAIN)
    return centers[of_row]


FORMAT = Format(name="ksplat (GaussianSplats3D)", suffixes=(".ksplat",), read=read_ksplat)
