"""The task of Segment. It reads the engine's result in a thread and applies it in small steps as one undo step."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import bpy
from bgs_engine.core.mended_labels import MendedLabels

from ..cloud import edit_mode
from ..cloud.point_clouds import is_splat
from ..cloud.typed import Context, SplatObject
from . import segmenting
from .delivered import delivered_identity
from .keeping import in_words
from .progress import Progress
from .runner import undo_step


class SegmentTask:
    """Reads the run folder `run` and applies it to `obj`. See `runner.Task`."""

    title = "Segment"

    def __init__(
        self, obj: SplatObject, run: Path, given: segmenting.EngineInput, mended: MendedLabels | None = None
    ) -> None:
        self.splat_uid: int | None = obj.session_uid
        self._name, self._run = obj.name, run
        self._snapshot = segmenting.snapshot_of(obj, given.in_order, given.mark, mended)
        self._answer: segmenting.Answer | None = None

    def prepare(self, state: Progress) -> None:
        """Read the run that the engine has named, and no other."""
        self._answer = segmenting.read_answer(self._run, self._snapshot, delivered_identity(state, self._run))

    def apply(self) -> Iterator[None]:
        """Give the cloud its codes, labels and colours."""
        assert self._answer is not None
        target = self._find()
        if target is None:
            return
        with edit_mode.left(cast(Context, bpy.context)):  # its undo step would hold the points only
            pass
        for _, step in segmenting.steps_of(target, self._answer):
            step()
            yield
            if self._find() != target:  # an undo replaced the object, so the result has to be applied from the start
                yield from self.apply()
                return
        undo_step("Segment")

    def summary(self) -> str:
        """The number of labels at each level, and what could not be read."""
        target = self._find()
        if target is None:  # the user opened another file or deleted the splat
            return f"Done. {self._name} does not exist any more: import the run folder {self._run}"
        levels = range(1, target.bgs.levels + 1)
        counts = [sum(row.level == level for row in target.bgs.labels) for level in levels]
        done = f"Done: {', '.join(map(str, counts))} labels at levels 1 to {len(counts)}"
        if self._answer and self._answer.kept:
            done += f". {in_words(self._answer.kept)} kept. The run folder gets all labels with Save to Run Folder"
        return ". ".join([done, *(self._answer.notes if self._answer else ())])

    def close(self) -> None:
        """Nothing to remove."""

    def _find(self) -> SplatObject | None:
        return next((o for o in bpy.data.objects if o.session_uid == self.splat_uid and is_splat(o)), None)
