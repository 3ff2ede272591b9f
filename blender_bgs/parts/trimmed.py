"""Writes trimmed shapes to label objects and takes them back. The whole cloud keeps the original Gaussians.

A trimmed Gaussian is marked by `bgs_trimmed`. `bgs_trimmed_to` says where trimming put it, so that one that the user
moved later is not taken for it: such a Gaussian belongs to the user and stays as it is. The object keeps the strength.
`gone` remembers the Gaussians of which nothing stayed. Save, Undo, Duplicate, Join and Separate keep what counts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cloud import appearance, code_tables, geometry_nodes, pivot, point_clouds, shapes
from ..cloud.typed import SplatObject
from ..logic import attributes as at
from ..logic.following import followed
from . import gone, places
from .applied import applied_to

STRENGTH = "bgs_clean"  # custom property of a label object
MARKS = (at.TRIMMED, at.TRIMMED_TO, at.GONE)
Piece = dict[str, at.Column]  # the attributes of one object by name
_PLACES = (at.POSITION, at.WHOLE_POSITION, at.SHAPED_AT)  # written by `pivot.place` and `shapes.keep`
_SHAPE = (at.POSITION, at.SCALE, at.ROTATION, at.RAW_SCALE, at.RAW_ROTATION, at.RAW_OPACITY)


@dataclass(frozen=True)
class Trims:
    """Trimmed shapes of Gaussians that have the rows `rows`, int [M], ascending. They are in the whole cloud's space.

    gone: int [G]; rows of the Gaussians of which nothing stays. They are not among `rows`. all_rows: int [N],
    ascending; the rows that the object had before it was cleaned, or None if that does not matter.
    """

    strength: float
    rows: np.ndarray
    means: np.ndarray
    quats: np.ndarray
    scales: np.ndarray
    opacities: np.ndarray
    gone: np.ndarray
    all_rows: np.ndarray | None = None


class Originals:
    """The attributes of a whole cloud. Each is read once, however many label objects need it."""

    def __init__(self, whole: SplatObject) -> None:
        self.whole = whole
        self.gone = gone.Shares(whole)  # as it was before anything is changed
        self._read: dict[str, at.Column | None] = {}

    def get(self, name: str) -> at.Column | None:
        """An attribute, with positions in the splat space. None if it is missing."""
        if name not in self._read:
            attribute, values = self.whole.data.attributes.get(name), pivot.getter_of(self.whole)(name)
            self._read[name] = None
            if attribute is not None and values is not None:
                self._read[name] = at.Column(name, attribute.data_type, values)
        return self._read[name]

    def need(self, name: str) -> np.ndarray:
        """The values of an attribute.

        Raises:
            InputError: it is missing.
        """
        found = self.get(name)
        return point_clouds.need_column(self.whole.data, name) if found is None else found.values

    def find(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(The points that have these rows, whether there is one), [K] each."""
        own = self.need(at.ROW)
        found = np.searchsorted(own, rows).clip(0, max(len(own) - 1, 0))
        return found, own[found] == rows

    def taken(self, points: np.ndarray, applied: np.ndarray | None, names: tuple[str, ...]) -> Piece:
        """Attributes of some points, as Apply would have changed them."""
        columns = [column for name in dict.fromkeys((*names, at.BASE)) if (column := self.get(name)) is not None]
        return _moved({c.name: at.Column(c.name, c.data_type, c.values[points]) for c in columns}, applied)


def strength_of(part: SplatObject) -> float:
    """The strength at which a label object was cleaned, or 0."""
    kept: Any = part.get(STRENGTH)
    return 0.0 if kept is None else float(kept)


def is_cleaned(part: SplatObject) -> bool:
    """Whether an object has what cleaning left, also if it was joined or separated since."""
    return bool(strength_of(part)) or any(part.data.attributes.get(name) is not None for name in MARKS)


def is_trimmed(obj: SplatObject) -> bool:
    """Whether cleaning changed Gaussians of an object or took some away."""
    mark, whole = point_clouds.get_column(obj.data, at.TRIMMED), obj.bgs.whole
    return whole is not None and ((mark is not None and bool(mark.any())) or gone.has_record(obj))


def cleaned_parts(whole: SplatObject) -> list[SplatObject]:
    """The label objects that are cleaned now."""
    return [part for part in code_tables.parts_of(whole) if strength_of(part)]


def in_splat_space(obj: SplatObject) -> Piece:
    """All attributes of an object, with positions in the splat space. Those that tell how it was trimmed are left out.

    Raises:
        InputError: the cloud has lost its positions.
    """
    out = {c.name: c for c in point_clouds.columns(obj.data) if c.name not in MARKS}
    out[at.POSITION] = at.Column(at.POSITION, "FLOAT_VECTOR", pivot.need_positions(obj))
    return out


def untrimmed(part: SplatObject, originals: Originals) -> Piece:
    """The attributes of a label object as if it had never been cleaned, with positions in the splat space.

    Trimmed Gaussians have the shapes of the whole cloud, bit for bit unless a transform was applied to the object.
    Those that cleaning took away are back. What the user moved, edited or deleted stays so.

    Raises:
        InputError: a cloud has lost its positions or its rows.
    """
    piece = in_splat_space(part)
    if not is_cleaned(part):
        return piece
    maps = _maps(part, piece, originals)
    backs = []
    for number, (points, matrix) in maps.items():
        points = points[np.isin(points, _still_trimmed(part, piece, matrix))]
        found, there = originals.find(piece[at.ROW].values[points])
        _set_shapes(piece, points[there], originals.taken(found[there], matrix, _SHAPE))
        lost, is_there = originals.find(originals.gone.rows_of(part, number))
        backs.append(originals.taken(lost[is_there], matrix, tuple(piece)))
    back = {n: at.Column(n, c.data_type, np.concatenate([one[n].values for one in backs])) for n, c in backs[0].items()}
    lost = back[at.ROW].values
    if not len(lost):
        return piece
    order = np.argsort(np.concatenate([piece[at.ROW].values, back[at.ROW].values]), kind="stable")
    for name, column in piece.items():
        more = back.get(name)
        values = np.zeros((len(lost), *column.values.shape[1:]), column.values.dtype)
        if more is not None and more.data_type == column.data_type:
            values = more.values
        piece[name] = at.Column(name, column.data_type, np.concatenate([column.values, values])[order])
    return piece


def put(part: SplatObject, originals: Originals, piece: Piece, trims: Trims) -> tuple[int, int]:
    """Give a label object the Gaussians of `piece`, trimmed. Returns how many were trimmed, and how many taken away.

    Gaussians that are not where the whole cloud has them, because the user moved them, are left alone.
    """
    applied, rows = applied_to(part, originals.whole), piece[at.ROW].values
    found_at, there = originals.find(rows)
    own = there & places.same(originals.need(at.POSITION)[found_at], piece[at.POSITION].values, applied)
    place = np.searchsorted(trims.rows, rows).clip(0, max(len(trims.rows) - 1, 0))
    points = np.flatnonzero(own & np.isin(rows, trims.rows))
    place = place[points]
    new = {
        at.POSITION: at.Column(at.POSITION, "FLOAT_VECTOR", trims.means[place].astype(np.float32)),
        at.SCALE: at.Column(at.SCALE, "FLOAT_VECTOR", trims.scales[place].astype(np.float32)),
        at.ROTATION: at.Column(at.ROTATION, "QUATERNION", trims.quats[place].astype(np.float32)),
    }
    base = piece[at.BASE].values[points].copy()
    base[:, 3] = trims.opacities[place]
    trimmed_to = np.zeros((len(rows), 3), np.float32)
    trimmed_to[points] = new[at.POSITION].values
    _set_shapes(piece, points, {**_moved(new, applied), at.BASE: at.Column(at.BASE, "FLOAT_COLOR", base)})
    mark = np.zeros(len(rows), bool)
    mark[points] = True
    lost = own & np.isin(rows, trims.gone)
    lost[np.flatnonzero(lost)[:1]] &= not lost.all()  # an object without points could not be given anything back
    columns = [at.Column(at.TRIMMED, "BOOLEAN", mark), at.Column(at.TRIMMED_TO, "FLOAT_VECTOR", trimmed_to)]
    if trims.strength:
        number = gone.note(originals.whole, rows[lost], rows)
        columns.append(at.Column(at.GONE, "INT", np.full(len(rows), number, np.int32)))
    found = {**piece, **{column.name: column for column in columns if trims.strength}}
    _write(part, {name: at.Column(name, c.data_type, c.values[~lost]) for name, c in found.items()})
    clear(part)
    if trims.strength:
        part[STRENGTH] = trims.strength
    originals.gone.settle(part)
    return len(points), int(lost.sum())


def take(part: SplatObject, originals: Originals) -> Trims | None:
    """How a label object is trimmed, for `put_again` when it has new points. The object forgets it.

    None if it is not trimmed, or if Apply changed its points.
    """
    found = None
    if strength_of(part) and applied_to(part, originals.whole) is None and part.data.attributes.get(at.ROW) is not None:
        piece = in_splat_space(part)
        points = _still_trimmed(part, piece, None)
        points = points[np.argsort(piece[at.ROW].values[points], kind="stable")]
        rows, means, quats, scales, base = (
            piece[name].values[points] for name in (at.ROW, at.POSITION, at.ROTATION, at.SCALE, at.BASE)
        )
        lost = originals.gone.rows_of(part)
        all_rows = np.sort(np.concatenate([piece[at.ROW].values, lost]))
        found = Trims(strength_of(part), rows, means, quats, scales, base[:, 3], lost, all_rows)
    clear(part)
    return found


def put_again(part: SplatObject, originals: Originals, trims: Trims | None) -> None:
    """Trim a label object that has new points, if they are the Gaussians that were trimmed.

    Others are left as they are: the neighbours of the same label decide what is trimmed, and these have changed.
    """
    rows = point_clouds.get_column(part.data, at.ROW)
    if trims is None or trims.all_rows is None or rows is None:
        return
    if np.array_equal(np.sort(rows), trims.all_rows):
        put(part, originals, in_splat_space(part), trims)


def clear(part: SplatObject) -> None:
    """Forget that an object was cleaned. Its points are not changed."""
    if part.get(STRENGTH) is not None:
        del part[STRENGTH]


def _still_trimmed(part: SplatObject, piece: Piece, applied: np.ndarray | None) -> np.ndarray:
    """The points that are where trimming put them, int [K]."""
    mark, to = (point_clouds.get_column(part.data, name) for name in (at.TRIMMED, at.TRIMMED_TO))
    if mark is None or to is None:
        return np.zeros(0, np.int64)
    return np.flatnonzero(mark & places.same(to, piece[at.POSITION].values, applied))


def _maps(part: SplatObject, piece: Piece, originals: Originals) -> dict[int, tuple[np.ndarray, np.ndarray | None]]:
    """The points that were cleaned together, int [K], and the map [4, 4] that moved them, by the number of `gone`."""
    applied, rows = applied_to(part, originals.whole), point_clouds.need_column(part.data, at.ROW)
    number, mark, to = (point_clouds.get_column(part.data, name) for name in (at.GONE, at.TRIMMED, at.TRIMMED_TO))
    if number is None or mark is None or to is None or not len(rows):
        return {0: (np.arange(len(rows)), applied)}
    found, there = originals.find(rows)
    before = np.where(mark[:, None], to, originals.need(at.POSITION)[found])
    out = {}
    for one in np.unique(number).tolist():
        points = np.flatnonzero(number == one)
        known = points[there[points]] if one else points[:0]
        out[one] = points, places.moved_by(before[known], piece[at.POSITION].values[known], applied)
    return out


def _moved(piece: Piece, applied: np.ndarray | None) -> Piece:
    if applied is None:
        return piece
    changed = followed(lambda name: piece[name].values if name in piece else None, applied)
    return {**piece, **{column.name: column for column in changed}}


def _set_shapes(piece: Piece, points: np.ndarray, new: Piece) -> None:
    """Write new shapes and opacities to some points. `new` has the rows of these points. Colours stay."""
    for name in (*_SHAPE, at.BASE):
        if name in piece and name in new:
            values = piece[name].values.copy()
            if name == at.BASE:
                values[points, 3] = new[name].values[:, 3]
            else:
                values[points] = new[name].values
            piece[name] = at.Column(name, piece[name].data_type, values)


def _write(part: SplatObject, piece: Piece) -> None:
    """Give an object the attributes of a piece. Its cloud is replaced if the number of points differs."""
    positions = piece[at.POSITION].values
    before = [point_clouds.need_column(part.data, at.ROW), pivot.need_positions(part)]
    before.append(point_clouds.need_column(part.data, at.POSITION))
    if len(positions) != len(part.data.points):
        cloud = point_clouds.new_cloud(part.data.name, len(positions))
        for material in part.data.materials:
            cloud.materials.append(material)
        point_clouds.replace_cloud(part, cloud)
    for name in MARKS:
        left = part.data.attributes.get(name)
        if left is not None and name not in piece:
            part.data.attributes.remove(left)
    for column in piece.values():
        if column.name not in _PLACES:
            point_clouds.set_column(part.data, column)
    pivot.place(part, positions)
    places.keep_places(part, positions, *before)
    shapes.keep(part)
    part.bgs.checked_points = len(positions)
    geometry_nodes.fit_frame(part)
    appearance.refresh_radii(part)
