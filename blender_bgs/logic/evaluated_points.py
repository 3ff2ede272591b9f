"""Points that modifiers made of Gaussians: whether they are Gaussians still, and what has to follow.

Attributes travel with their points through geometry nodes. Nodes may drop attributes, store them with another type, add
points that have none, and write rotations themselves.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from bgs_engine.core.errors import InputError
from bgs_engine.core.harmonics import turned_each
from bgs_engine.core.quaternions import quaternion_matrices
from bgs_engine.io.gaussians import logit

from . import attributes as at
from .transforms import CHUNK

Piece = dict[str, at.Column]  # the attributes of one cloud by name
NEEDED = (at.POSITION, at.SCALE, at.ROTATION, at.BASE)  # without these, points are no Gaussians
OWN = (at.ROW, at.SOURCE, at.SHAPED_AT, at.CODE)  # without these, one cannot tell which Gaussians they are
SAME_ROTATION = 1e-6  # of unit quaternions; nodes that pass a rotation on give back every bit
HINT = "Let its nodes keep this attribute, or switch the modifier off in the viewport."


def check(piece: Mapping[str, at.Column], kinds: Mapping[str, str], who: str) -> None:
    """Refuse points that have lost what makes them Gaussians.

    Args:
        piece: the attributes of the points.
        kinds: the data type of each attribute that the Gaussians had before.
        who: what did it, the beginning of a sentence: "The modifier Bend of robot".

    Raises:
        InputError: an attribute is missing or has another type.
    """
    for name in (*NEEDED, *OWN):
        if name in kinds and name not in piece:
            raise InputError(f"{who} removes the attribute {name}, which Gaussians need.", HINT)
    for name, column in piece.items():
        ours = name in (*NEEDED, *OWN) or name.startswith(("radiance:", "bgs_raw_"))
        if ours and kinds.get(name, column.data_type) != column.data_type:
            wanted = f"{kinds[name]} instead of {column.data_type}"
            raise InputError(f"{who} stores the attribute {name} with another type.", f"Let its nodes store {wanted}.")


def joined(pieces: Sequence[Mapping[str, at.Column]]) -> Piece:
    """The attributes of several pieces together. A piece that lacks an attribute has zeros, as in Blender's Join."""
    if len(pieces) == 1:
        return dict(pieces[0])
    kinds = {name: column for piece in reversed(pieces) for name, column in piece.items()}
    out: Piece = {}
    for name, kind in kinds.items():
        found = []
        for piece in pieces:
            column = piece.get(name)
            if column is None or column.data_type != kind.data_type:
                count = len(piece[at.POSITION].values)
                found.append(np.zeros((count, *kind.values.shape[1:]), kind.values.dtype))
            else:
                found.append(column.values)
        out[name] = at.Column(name, kind.data_type, np.concatenate(found))
    return out


def adopt_new(piece: Piece, source: int, who: str) -> None:
    """Make points that the nodes added Gaussians of the import `source`. `piece` is changed.

    Such points have no number of an import. They are Gaussians if the nodes stored their attributes.

    Raises:
        InputError: some of them are no Gaussians.
    """
    new = piece[at.SOURCE].values == 0
    if not new.any():
        return
    scale, rotation, base = (piece[name].values[new] for name in (at.SCALE, at.ROTATION, at.BASE))
    good = np.isfinite(scale).all(1) & (scale > 0).all(1) & np.isfinite(base).all(1) & (base[:, 3] > 0)
    length = np.einsum("ij,ij->i", rotation, rotation)
    good &= np.isfinite(length) & (length > 0)
    if not good.all():
        raise InputError(
            f"{who} adds {int((~good).sum()):,} points that are no Gaussians: they have no scale, rotation or opacity.",
            "Delete these points in its nodes, let the nodes store the attributes, or switch the modifier off in the "
            "viewport.",
        )
    rows = piece[at.ROW].values
    first = int(rows[~new].max(initial=-1)) + 1
    values = {
        at.RAW_SCALE: np.log(scale), at.RAW_ROTATION: rotation, at.RAW_OPACITY: logit(base[:, 3]),
        at.SHAPED_AT: piece[at.POSITION].values[new], at.SOURCE: source, at.ROW: np.arange(first, first + new.sum()),
    }  # fmt: skip
    for name, some in values.items():
        if name in piece:
            _put(piece, name, new, some)


def follow_rotations(piece: Piece, before: Mapping[str, np.ndarray]) -> None:
    """Let the colours follow rotations that the nodes wrote. `piece` is changed.

    The nodes have then also said how a Gaussian that they moved is turned, so its shape is declared true where it is.

    Args:
        piece: the attributes of the points.
        before: `bgs_row`, `rotation` and the harmonics of the Gaussians before the modifiers, [N] or [N, width].
    """
    order = np.argsort(before[at.ROW], kind="stable")
    known = before[at.ROW][order]
    rows, rotation = piece[at.ROW].values, piece[at.ROTATION].values
    place = np.searchsorted(known, rows).clip(0, max(len(known) - 1, 0))
    there = known[place] == rows if len(known) else np.zeros(len(rows), bool)
    old = before[at.ROTATION][order[place]] if len(known) else rotation
    written = np.flatnonzero(there & (np.abs(rotation - old).max(1) > SAME_ROTATION))
    if not len(written):
        return
    _put(piece, at.SHAPED_AT, written, piece[at.POSITION].values[written])
    names = [name for k in range(64) if (name := at.harmonic(k)) in piece and name in before]
    source = order[place[written]]
    if not names or any((piece[n].values[written] != before[n][source]).any() for n in names):
        return  # no harmonics, or the nodes wrote them too
    values = [piece[name].values.copy() for name in names]
    for start in range(0, len(written), CHUNK):
        some = written[start : start + CHUNK]
        turn = quaternion_matrices(_unit(rotation[some])) @ quaternion_matrices(_unit(old[some])).transpose(0, 2, 1)
        table = turned_each(np.stack([one[some] for one in values], 1), turn)
        for k, one in enumerate(values):
            one[some] = table[:, k]
    for name, one in zip(names, values, strict=True):
        piece[name] = at.Column(name, piece[name].data_type, one)


def _unit(quats: np.ndarray) -> np.ndarray:
    return at.activate_rotation(quats).astype(np.float64)


def _put(piece: Piece, name: str, rows: np.ndarray, values: np.ndarray | int) -> None:
    column = piece[name]
    new = column.values.copy()
    new[rows] = values
    piece[name] = at.Column(name, column.data_type, new)
