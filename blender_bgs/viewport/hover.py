# mypy: disable-error-code="arg-type"
"""Finds the label under the mouse: at once after a click, and in a thread while the mouse moves."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..cloud import appearance, code_tables, point_clouds
from ..cloud.typed import Context, SplatObject
from ..logic.attributes import CODE, ROW
from . import atlas as atlases
from .draw import display, redraw
from .look import Hover
from .probing import Target, heaviest, probe


@dataclass(frozen=True)
class Question:
    """The data that a thread needs to find the Gaussian under the mouse. It holds no data of Blender.

    `mouse` and `size` are in pixels; `mouse` counts from the lower left corner of the region.
    """

    targets: tuple[Target, ...]
    codes: tuple[np.ndarray, ...]
    projection: np.ndarray
    size: tuple[int, int]
    mouse: tuple[float, float]

    def answer(self) -> tuple[int, int] | None:
        """The Gaussian under the mouse as (target number, row), or None if there is none."""
        return heaviest(probe(self.targets, self.projection, self.size, self.mouse), self.codes)


def ask(context: Context, whole: SplatObject, mouse: tuple[float, float]) -> tuple[Question, list[SplatObject]]:
    """The question which Gaussian of `whole` or its visible parts is under the mouse, and the objects it asks about."""
    region, objects = context.region_data, shown_objects(context, whole)
    targets, kept = targets_of(context, objects)
    one = len(objects) == 1  # the numbers of its codes are at hand; only those of several objects must be comparable
    codes = [code_tables.table_of(obj).inverse if one else code_tables.codes_of(obj) for obj in kept]
    projection = np.array(region.window_matrix, np.float64)
    size = (context.region.width, context.region.height)
    return Question(tuple(targets), tuple(codes), projection, size, mouse), kept


def shown_objects(context: Context, whole: SplatObject) -> list[SplatObject]:
    """The whole cloud and its label objects, as far as they are visible in this view and have labels."""
    there = [o for o in (whole, *code_tables.parts_of(whole)) if o.name in context.view_layer.objects]
    return [o for o in there if o.visible_get(viewport=context.space_data) and o.data.attributes.get(CODE)]


def targets_of(context: Context, objects: Sequence[SplatObject]) -> tuple[list[Target], list[SplatObject]]:
    """What to probe of these objects, and the objects of which there is something."""
    to_view = np.array(context.region_data.view_matrix, np.float64)
    targets, kept = [], []
    for obj in objects:
        member = display.atlas.member(obj) if display.atlas is not None else None
        read = (member.arrays, 0) if member is not None else atlases.read_arrays(obj)
        if read is None or len(read[0]) != len(obj.data.points):
            continue
        splat, shown = (obj.bgs.whole or obj).bgs, None
        if splat.level_bits and obj.data.attributes.get(CODE):
            table = code_tables.table_of(obj)
            hidden = appearance.hidden_codes(splat, table)
            shown = ~hidden[table.inverse] if hidden.any() else None
        targets.append(Target(read[0], to_view @ np.array(obj.matrix_world, np.float64), shown))
        kept.append(obj)
    return targets, kept


def row_of_whole(whole: SplatObject, obj: SplatObject, row: int) -> int | None:
    """The point of the whole cloud with the same `bgs_row` as point `row` of a part, or None."""
    if obj == whole:
        return row
    mine, all_rows = point_clouds.get_column(obj.data, ROW), point_clouds.get_column(whole.data, ROW)
    if mine is None or all_rows is None:
        return None
    found = np.flatnonzero(all_rows == mine[row])
    return int(found[0]) if len(found) else None


def row_under_mouse(context: Context, whole: SplatObject, mouse: tuple[float, float]) -> int | None:
    """The Gaussian of `whole` under the mouse, or None. `mouse` is in pixels from the region's lower left corner."""
    question, objects = ask(context, whole, mouse)
    found = question.answer()
    return None if found is None else row_of_whole(whole, objects[found[0]], found[1])


class Follower:
    """Keeps `display.hover` at the label under a moving mouse. It answers one question at a time."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._found: list[Hover | None] = []
        self.mouse: tuple[float, float] = (0.0, 0.0)  # the position of the last question

    def mouse_moved(self, context: Context, whole: SplatObject, mouse: tuple[float, float]) -> bool:
        """Ask about a new mouse position. Returns false if the last question is not answered yet; call again then."""
        self.show_answer()
        if self._thread is not None and self._thread.is_alive():
            return False
        question, objects = ask(context, whole, mouse)
        level, uid = whole.bgs.shown_level, whole.session_uid
        layout, codes = code_tables.bit_layout_of(whole), [code_tables.codes_of(obj) for obj in objects]
        self.mouse = mouse

        def find() -> None:
            found = question.answer()
            here = None if found is None else int(layout.labels(codes[found[0]][[found[1]]], level)[0])
            self._found.append(None if here is None else Hover(uid, level, here))

        self._thread = threading.Thread(target=find, name="bgs-hover", daemon=True)
        self._thread.start()
        return True

    def show_answer(self) -> bool:
        """Show the newest answer. Returns whether the label under the mouse changed."""
        if not self._found:
            return False
        hover = self._found.pop()
        self._found.clear()
        changed = hover != display.hover
        display.hover = hover
        redraw()  # the name tag follows the mouse even if the label is the same
        return changed

    def stop(self) -> None:
        """Stop showing a label under the mouse."""
        self._found.clear()
        display.hover = None
        redraw()
