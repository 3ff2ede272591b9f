"""Cleans label objects: what reaches out of them into the air is trimmed, see `bgs_engine.cutouts.trimming`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bgs_engine.core.errors import UsageError
from bgs_engine.cutouts.around import Around, look_around
from bgs_engine.cutouts.trimming import trim
from bgs_engine.io.gaussians import Gaussians

from ..cloud import code_tables, point_clouds, shapes
from ..cloud.gaussians import gaussians_of
from ..cloud.typed import SplatObject
from ..interface.operator_base import counted
from ..logic import attributes as at
from . import gone, label_objects, trimmed


@dataclass(frozen=True)
class Cleaned:
    """How many Gaussians of how many objects were trimmed, and how many were taken away as a whole."""

    objects: int
    trimmed: int
    gone: int


@dataclass(frozen=True)
class _Looked:
    """What is around the Gaussians of a whole cloud. It takes long to find and does not depend on the strength."""

    uid: int
    gaussians: Gaussians
    labels: np.ndarray
    around: list[Around]

    def fits(self, uid: int, gaussians: Gaussians, labels: np.ndarray) -> bool:
        mine, now = self.gaussians, gaussians
        pairs = (
            (mine.means, now.means),
            (mine.quats, now.quats),
            (mine.scales, now.scales),
            (mine.opacities, now.opacities),
            (self.labels, labels),
        )
        return self.uid == uid and all(np.array_equal(a, b) for a, b in pairs)


_looked: list[_Looked] = []  # of the last splat, so that the slider follows quickly


def forget() -> None:
    """Forget what was found around Gaussians."""
    _looked.clear()


def clean(whole: SplatObject, parts: Sequence[SplatObject], strength: float) -> Cleaned:
    """Trim label objects. It starts from the Gaussians of the whole cloud, also if they were cleaned before.

    All is computed before anything is changed.

    Args:
        whole: the whole cloud. It is not changed.
        parts: label objects of it.
        strength: 0 to 1; 0 gives the objects back what cleaning changed.

    Raises:
        UsageError: an object is linked from another file or shares its points with another one.
        InputError: the shapes of an object cannot follow an edit of its points, or it has lost an attribute.
    """
    for part in parts:
        _refuse(part)
        shapes.make_true(part)
        for name in (at.ROW, at.BASE, at.SCALE, at.ROTATION):
            point_clouds.need_column(part.data, name)
    trims = _trims(whole, strength)
    originals = trimmed.Originals(whole)
    pieces = [trimmed.untrimmed(part, originals) for part in parts]
    counts = [trimmed.put(part, originals, piece, trims) for part, piece in zip(parts, pieces, strict=True)]
    gone.tidy(whole)
    some = [count for count in counts if any(count)]
    return Cleaned(len(some), sum(count[0] for count in some), sum(count[1] for count in some))


def cleaned_now(whole: SplatObject) -> set[int]:
    """The session uids of the label objects that are cleaned."""
    return {part.session_uid for part in trimmed.cleaned_parts(whole)}


def lost_note(whole: SplatObject, before: set[int]) -> str:
    """Says how many objects were cleaned before (session uids) and are not any more, or ""."""
    there = {part.session_uid for part in code_tables.parts_of(whole)}
    lost = len((before & there) - cleaned_now(whole))
    return f"; {counted(lost, 'object')} to clean again: press Clean Objects" if lost else ""


def _refuse(part: SplatObject) -> None:
    if part.library is not None or part.data.library is not None:
        raise UsageError(f"{part.name} is linked from another file.", "Make it local first.")
    point_clouds.need_own_cloud(part)


def _trims(whole: SplatObject, strength: float) -> trimmed.Trims:
    gaussians = gaussians_of(whole)
    level = min(whole[label_objects.LEVEL], whole.bgs.levels)
    labels = code_tables.bit_layout_of(whole).labels(code_tables.codes_of(whole), level)
    rows = point_clouds.need_column(whole.data, at.ROW)
    around: list[Around] = []
    if strength:
        if not _looked or not _looked[0].fits(whole.session_uid, gaussians, labels):
            found = list(look_around(gaussians, labels))
            _looked[:] = [_Looked(whole.session_uid, gaussians, labels, found)]
        around = _looked[0].around
    with np.errstate(invalid="ignore"):
        found_trims = trim(gaussians, labels, strength, around)
    stays, keep = found_trims.stays, ~found_trims.gone
    own = rows[found_trims.rows]
    return trimmed.Trims(
        strength, own[keep], stays.means[keep], stays.quats[keep], stays.scales[keep], stays.opacities[keep], own[~keep]
    )
