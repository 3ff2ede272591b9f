"""Finds crumbs of a splat, proposes them as the selection, and gives accepted ones a label of their own."""

from dataclasses import dataclass

import numpy as np
from bgs_engine.core.errors import UsageError
from bgs_engine.cutouts.accept import accept, crumbs_label
from bgs_engine.cutouts.crumbs import Crumbs, find_crumbs

from ..cloud import appearance, code_tables, label_selection, locks, pivot, point_clouds, selection, shapes, shown
from ..cloud.gaussians import gaussians_of
from ..cloud.label_selection import need_selected_labels
from ..cloud.typed import SplatObject, SplatScene
from ..logic import attributes as at
from ..parts import label_objects
from . import editing


@dataclass
class _Proposal:
    """What was found at a level, for the slider and for Accept. It counts as long as codes and places are the same."""

    level: int
    codes: np.ndarray
    positions: np.ndarray
    crumbs: Crumbs
    strength: float = 0.0

    def fits(self, obj: SplatObject) -> bool:
        return np.array_equal(self.codes, code_tables.codes_of(obj)) and np.array_equal(
            self.positions, pivot.need_positions(obj)
        )


_proposals: dict[int, _Proposal] = {}  # by the session_uid of the object


def forget() -> None:
    """Forget all proposals."""
    _proposals.clear()


def has_proposal(obj: SplatObject) -> bool:
    """Whether crumbs were proposed in this session."""
    return obj.session_uid in _proposals


def propose(obj: SplatObject, strength: float, only_selected: bool) -> np.ndarray:
    """Select the visible crumbs of the shown level at a strength in 0..1, and nothing else.

    Args:
        obj: the splat.
        strength: how much is proposed, in 0..1.
        only_selected: whether only Gaussians of selected labels are.

    Returns:
        The kind of each proposed Gaussian, else 0, uint8 [N]; see `bgs_engine.cutouts.crumbs`.

    Raises:
        UsageError: no label is selected, but should be.
        InputError: an attribute is missing, or the shapes do not fit the positions.
    """
    table = code_tables.table_of(obj)
    rows = ~appearance.hidden_codes(obj.bgs, table)[table.inverse]
    if only_selected:
        rows &= editing.rows_of(obj, need_selected_labels(obj))
    shapes.make_true(obj)
    proposal = _proposals.get(obj.session_uid)
    if proposal is None or proposal.level != obj.bgs.shown_level or not proposal.fits(obj):
        proposal = _proposals[obj.session_uid] = _found(obj)
    proposal.strength = strength
    kinds = np.where(rows, proposal.crumbs.at(strength), np.uint8(0))
    label_selection.select(obj, kinds > 0)
    obj.bgs.picked_row = -1
    return kinds


def accept_selected(scene: SplatScene, obj: SplatObject) -> tuple[np.ndarray, str]:
    """Give the proposed crumbs that are selected the label Crumbs, and strays the label round them.

    The label is hidden if it is new and other labels are hidden.

    Returns:
        The kind of each accepted Gaussian, else 0, uint8 [N], and a note for the user.

    Raises:
        UsageError: none is selected, the splat changed since, no label of level 1 is free, or a locked label would get
            strays, or the label Crumbs is locked. Those of locked labels are left out.
    """
    again = "Press Find Crumbs."
    proposal = _proposals.get(obj.session_uid)
    if proposal is None or not proposal.fits(obj):
        raise UsageError("The splat has changed since crumbs were searched.", again)
    kinds = np.where(selection.selected(obj), proposal.crumbs.at(proposal.strength), np.uint8(0))
    if not kinds.any():
        raise UsageError("None of the proposed crumbs is selected.", again)
    free, left_out = locks.without_locked(obj, kinds > 0)
    kinds = np.where(free, kinds, np.uint8(0))
    layout = code_tables.bit_layout_of(obj)
    found = accept(proposal.codes, layout, kinds, proposal.crumbs.hosts, _names(obj))
    in_label = np.full(len(kinds), found.label is not None) & (layout.labels(found.codes, 1) == (found.label or 0))
    level = obj.get(label_objects.LEVEL)
    made: set[int] = set(np.unique(layout.labels(found.codes, level)[in_label]).tolist()) if level else set()
    some_hidden = any(row.hidden for row in obj.bgs.labels)
    note = editing.change(scene, obj, found.codes, made, found.names)
    if some_hidden:  # who isolates labels wants to see them clean
        shown.set_hidden(obj, [key for key in found.names if key[0] == 1])
    label_selection.select(obj, in_label)
    return kinds, left_out + note


def _found(obj: SplatObject) -> _Proposal:
    """Search the shown level. Crumbs that were accepted before count for nothing."""
    level, layout = obj.bgs.shown_level, code_tables.bit_layout_of(obj)
    codes, positions = code_tables.codes_of(obj), pivot.need_positions(obj)
    label = crumbs_label(codes, layout, _names(obj))
    apart = None if label is None else layout.labels(codes, 1) == label
    confidence = point_clouds.get_column(obj.data, at.CONFIDENCE)
    return _Proposal(
        level, codes, positions, find_crumbs(gaussians_of(obj), layout.labels(codes, level), confidence, apart)
    )


def _names(obj: SplatObject) -> dict[tuple[int, int], str]:
    """The names of all labels."""
    return {(row.level, row.label): row.name for row in obj.bgs.labels}
