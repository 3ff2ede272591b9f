"""A small splat format of the tests. Its writer turns the order of the rows, as real ones sort them."""

import io
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from bgs_engine.formats.format import Format
from bgs_engine.formats.raw_splat import RawSplat

ARRAYS = ("means", "scales", "quats", "opacities", "sh")


def write_made(path: Path, splat: RawSplat, head: bytes = b"MADE") -> np.ndarray:
    """Write the rows backwards. Returns their order."""
    order = np.arange(len(splat))[::-1]
    turned = splat.take(order)
    with path.open("wb") as stream:
        stream.write(head)
        np.savez(stream, **{name: getattr(turned, name) for name in ARRAYS})
    return order


def read_made(path: Path) -> RawSplat:
    """What `write_made` wrote."""
    with np.load(io.BytesIO(path.read_bytes()[4:])) as stored:
        return RawSplat(**{name: stored[name] for name in ARRAYS})


MADE = Format("Made", (".made",), (b"MADE",), read_made, write_made, loses="It keeps no names of weekdays.")
LACKING = Format(
    "Lacking",
    (".lacking",),
    (b"LACK",),
    read_made,
    partial(write_made, head=b"LACK"),
    ("no_such_package_at_all",),
    loses="It lacks much.",
)
WITH_PACKAGE = replace(LACKING, needs=())  # as the engine has it
BLIND = Format("Blind", (".blind",), (b"BLND",), None, write_made)
