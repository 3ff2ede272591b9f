"""The statistics and the graph of the labels of the shown level, computed once and kept until something changes."""

import threading
from dataclasses import dataclass, field
from functools import cached_property

import bpy
import numpy as np
from bgs_engine.core.errors import BgsError, UsageError
from bgs_engine.graph.label_graph import LabelGraph, label_graph
from bgs_engine.io.gaussians import SH_C0

from ..cloud import code_tables, pivot, point_clouds, shapes
from ..cloud.typed import SplatObject
from ..logic import attributes as at
from ..logic.label_statistics import LabelStatistics, statistics
from ..logic.label_tree import CodeTable

NO_CONFIDENCE = "These labels have no confidence, because they do not come from a run folder"
_State = tuple[object, ...]


@dataclass(frozen=True)
class LabelFacts:
    """The labels of one level and what is known of them.

    ids: uint32 [L], ascending. of: int32 [N], the place in `ids` of each Gaussian's label. positions: float32 [N, 3],
    in the world, where one sees the Gaussians. `up` is the upward axis of the world in the splat space, [3].
    """

    table: CodeTable
    ids: np.ndarray
    of: np.ndarray
    positions: np.ndarray
    base: np.ndarray
    scales: np.ndarray
    confidence: np.ndarray | None
    means: np.ndarray = field(repr=False)
    up: np.ndarray = field(repr=False)

    @cached_property
    def statistics(self) -> LabelStatistics:
        """The statistics of the labels, lengths in units of the world."""
        colors = self.base[:, :3] * np.float32(SH_C0) + np.float32(0.5)
        return statistics(self.of, len(self.ids), self.positions, self.base[:, 3], colors, self.confidence)

    @cached_property
    def graph(self) -> LabelGraph:
        """Who touches whom, who stands on whom and who lies inside whom, in the splat as it was captured."""
        return label_graph(self.means, self.scales, self.base[:, 3], self.of, len(self.ids), self.up)

    def compute(self) -> None:
        """Compute what is computed on demand. It only reads arrays of its own, so a thread may do it."""
        _ = self.statistics, self.graph

    def need_confidences(self) -> np.ndarray:
        """The mean confidence of each label, float64 [L].

        Raises:
            UsageError: the splat has none.
        """
        found = self.statistics.confidences
        if found is None:
            raise UsageError(f"{NO_CONFIDENCE}.", "Select by something else.")
        return found

    def chosen(self, labels: list[int]) -> np.ndarray:
        """Which labels are among some numbers, bool [L]."""
        return np.isin(self.ids, np.array(labels, np.uint32))


AHEAD_SECONDS = 0.3  # after the panel was drawn; a redraw must not wait
_kept: dict[int, tuple[_State, LabelFacts]] = {}  # by session_uid; one for each cloud
_ahead: tuple[object, ...] = ()  # cloud, table and level of the facts that were asked for ahead


def forget() -> None:
    """Empty the cache."""
    global _ahead
    _kept.clear()
    _ahead = ()


def ask_ahead(obj: SplatObject) -> None:
    """Let a thread compute the facts soon, so that the first button that needs them need not wait for them.

    Calls for the same labels cost nothing, so a panel may call it whenever it is drawn.
    """
    global _ahead
    wanted = (obj.session_uid, id(code_tables.known_table(obj)), obj.bgs.shown_level)
    if wanted != _ahead and obj.mode == "OBJECT":  # while points are dragged, their shapes must not be made to follow
        _ahead = wanted
        bpy.app.timers.register(lambda: _start_ahead(*wanted), first_interval=AHEAD_SECONDS)


def _start_ahead(*wanted: object) -> None:
    obj = next((o for o in bpy.data.objects if o.session_uid == wanted[0]), None)
    if wanted == _ahead and obj is not None and point_clouds.is_splat(obj) and obj.mode == "OBJECT":
        try:
            facts = facts_of(obj)
        except BgsError:
            return  # whoever presses a button is told why
        threading.Thread(target=facts.compute, daemon=True).start()


def facts_of(obj: SplatObject) -> LabelFacts:
    """The facts about the labels of the shown level of a whole cloud.

    Raises:
        UsageError: the cloud has no labels.
        InputError: it has lost an attribute.
    """
    shapes.make_true(obj)
    table, level = code_tables.table_of(obj), obj.bgs.shown_level
    means, scales, base = (point_clouds.need_column(obj.data, name) for name in (at.POSITION, at.SCALE, at.BASE))
    confidence = point_clouds.get_column(obj.data, at.CONFIDENCE)
    moved = _moved_labels(obj)
    world = point_clouds.world_of(obj)
    sums = tuple(float(values.sum(dtype=np.float64)) for values in (means, scales, base))
    state: _State = (id(table), level, sums, confidence is None, world.tobytes(),
                     tuple((*key, matrix.tobytes()) for key, matrix in moved))  # fmt: skip
    kept = _kept.get(obj.session_uid)
    if kept is not None and kept[0] == state and kept[1].table is table:
        return kept[1]
    ids, of_code = np.unique(table.labels(level), return_inverse=True)
    of = of_code.reshape(-1).astype(np.int32)[table.inverse]
    positions = _transformed(means, world)
    for (part_level, label), matrix in moved:
        rows = table.rows(part_level, label)
        positions[rows] = _transformed(means[rows], matrix)
    up = np.linalg.inv(world[:3, :3]) @ np.array([0.0, 0.0, 1.0])
    found = LabelFacts(table, ids, of, positions, base, scales, confidence, means, up / np.linalg.norm(up))
    _kept[obj.session_uid] = state, found
    return found


def _transformed(means: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Positions, float32 [N, 3], after a matrix [4, 4]."""
    matrix = matrix.astype(np.float32)
    return np.asarray(means @ matrix[:3, :3].T + matrix[:3, 3])


def _moved_labels(obj: SplatObject) -> list[tuple[tuple[int, int], np.ndarray]]:
    """The label and the matrix [4, 4] from the splat space to the world of each label object that was moved.

    Of duplicates, one counts.
    """
    home, found = pivot.splat_world_of(obj), {}
    for part in code_tables.parts_of(obj):
        if pivot.change_of(part, home) is not None:
            found[part.bgs.part_level, part.bgs.part_key & 0xFFFFFFFF] = pivot.splat_world_of(part)
    return sorted(found.items(), key=lambda pair: pair[0])
