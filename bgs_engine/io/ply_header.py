"""The header of a splat PLY: read, and checked before memory is asked for.

Format: http://paulbourke.net/dataformats/ply/
"""

from dataclasses import dataclass

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.io import ply_kinds
from bgs_engine.io.ply_completed import added_names

MAX_HEADER_BYTES = 1 << 20
MAX_PROPERTIES = 4096  # of one element; a splat has 62, and a block of rows is held in memory

_DTYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "<i2", "int16": "<i2", "ushort": "<u2", "uint16": "<u2",
    "int": "<i4", "int32": "<i4", "uint": "<u4", "uint32": "<u4",
    "float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8",
}  # fmt: skip
SPLAT_PROPERTIES = (
    "x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
    "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
)  # fmt: skip
REST_COUNTS = (0, 9, 24, 45, 72)  # f_rest properties at spherical-harmonics degree 0, 1, 2, 3, 4


@dataclass(frozen=True)
class Element:
    """An element of a PLY: `count` rows with these properties."""

    name: str
    count: int
    properties: tuple[tuple[str, str], ...]  # (name, dtype); dtype "list" for list properties


@dataclass(frozen=True)
class Header:
    """A header of `bytes` bytes. `format` is as the file writes it."""

    format: str
    elements: tuple[Element, ...]
    bytes: int
    comments: tuple[str, ...]


def parse_header(head: bytes, name: str) -> Header:
    """The header of the file `name`, whose first bytes are `head`.

    Raises:
        InputError: no PLY, or a damaged header.
    """
    if not head.startswith((b"ply\n", b"ply\r\n")):
        raise ply_kinds.no_ply(name, head)
    end = head.find(b"end_header")
    newline = head.find(b"\n", end)
    if end < 0 or newline < 0:
        raise InputError(f"{name} has a PLY header without an end.", "Copy or export the file again.")
    damaged = InputError(f"{name} has a damaged PLY header.", "Copy or export the file again.")
    form, comments, elements = "", [], []
    properties: list[tuple[str, str]] = []
    for line in head[:end].decode("latin-1").splitlines()[1:]:
        words = line.split()
        match words:
            case ["format", form, _]:
                pass
            case ["comment" | "obj_info", *_]:
                comments.append(line)
            case ["element", element, count] if count.isdecimal() and len(count) < 16:
                properties = []
                elements.append((element, int(count), properties))
            case ["property", "list", _, _, prop] if elements:
                properties.append((prop, "list"))
            case ["property", kind, prop] if elements and kind in _DTYPES:
                properties.append((prop, _DTYPES[kind]))
            case []:
                pass
            case _:
                raise damaged
    if form not in ("ascii", "binary_little_endian", "binary_big_endian"):
        raise damaged
    made = tuple(Element(n, count, tuple(props)) for n, count, props in elements)
    if any(len({p for p, _ in e.properties}) != len(e.properties) or len(e.properties) > MAX_PROPERTIES for e in made):
        raise damaged
    return Header(form, made, newline + 1, tuple(comments))


def checked_vertex(header: Header, name: str) -> Element:
    """The element of the Gaussians.

    Raises:
        InputError: the file `name` is no splat that can be read.
    """
    vertex = next((e for e in header.elements if e.name == "vertex"), None)
    if vertex is None:
        raise InputError(f"{name} has no vertices: it is no splat.", "Export it from your trainer as 3DGS PLY.")
    have = {prop for prop, dtype in vertex.properties if dtype != "list"}
    missing = [prop for prop in SPLAT_PROPERTIES if prop not in {*have, *added_names(have)}]
    if missing:
        is_mesh = any(e.name == "face" and e.count for e in header.elements)
        raise ply_kinds.no_splat(name, have, missing[0], is_mesh)
    whole = [prop for prop, dtype in vertex.properties if prop in SPLAT_PROPERTIES and dtype[-2] not in "f"]
    if whole:
        raise ply_kinds.whole_numbers(name, whole[0])
    rest = [prop for prop, _ in vertex.properties if prop.startswith("f_rest_")]
    if len(rest) not in REST_COUNTS or {f"f_rest_{i}" for i in range(len(rest))} != set(rest):
        raise ply_kinds.wrong_harmonics(name, len(rest))
    if vertex.count == 0:
        raise InputError(f"{name} holds no Gaussians.", "Check the export settings of your trainer.")
    return vertex


def check_odd_size(header: Header, vertex: Element, size: int, name: str) -> None:
    """Compare what the header promises with the file's size: plyfile asks for memory before it reads a row."""
    text = header.format == "ascii"
    needed = 0
    for element in header.elements:
        # In text a value is at least a digit and a blank; of a list at least its length is there.
        widths = [2 if text else 1 if kind == "list" else np.dtype(kind).itemsize for _, kind in element.properties]
        needed += element.count * max(1, sum(widths))
    if needed > size - header.bytes + text:  # the last line may lack its end
        raise InputError(
            f"{name} is cut short: its header promises {vertex.count:,} Gaussians, more than fit into its "
            f"{size:,} bytes.",
            "Copy or export the file again.",
        )
