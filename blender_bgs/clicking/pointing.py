"""What a person has pointed at so far, and what the engine suggests for it. Nothing of it is in the file."""

from dataclasses import dataclass, field, replace

import numpy as np
from bgs_engine.clicks.prompt import Answer, Prompt, Suggestion
from bgs_engine.core.cameras import Camera

from ..cloud import point_clouds
from ..cloud.typed import SplatObject
from ..logic.attributes import ROW
from ..logic.clicks import size_name, with_all
from .engine_scene import EngineScene

LEAST_TINT = 0.55  # above one half, because what is drawn with less counts as outside


@dataclass(frozen=True)
class Step:
    """A click or an area: + on the thing (inside), or - beside it.

    place: float64 [3] in the coordinates of the file, or None for an area. marked: bool [N], or None for a click.
    seen_on, seen_at: the session_uid of the clicked object, and the place in its space.
    so_far: bool [N], the suggestion that was shown then, or None.
    """

    inside: bool
    place: np.ndarray | None = None
    marked: np.ndarray | None = None
    seen_on: int = 0
    seen_at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    so_far: np.ndarray | None = None


@dataclass
class Pointing:
    """Steps, the newest answer, and the size that is shown.

    numbers: `bgs_row` of the points when it began. rows: their rows in the engine's file. among: bool [N], the rows
    that were shown at the last step, or None for all. asked: the number of the newest ask. answered: that of the ask
    that `answer` answers. with_tool: it began with the tool in the toolbar, so it ends with the choice of another one.
    """

    whole_uid: int
    scene: EngineScene
    numbers: np.ndarray
    rows: np.ndarray
    with_tool: bool = False
    steps: list[Step] = field(default_factory=list)
    among: np.ndarray | None = None
    camera: Camera | None = None
    asked: int = 0
    answered: int = 0
    answer: Answer | None = None
    size: int = 0
    problem: str = ""

    @classmethod
    def at(cls, whole: SplatObject, scene: EngineScene, with_tool: bool) -> "Pointing":
        """Nothing is pointed at yet.

        Raises:
            UsageError: the splat has other Gaussians than the file.
        """
        rows = scene.rows_of(whole)
        numbers = point_clouds.need_column(whole.data, ROW)
        return cls(whole.session_uid, scene, numbers, rows, with_tool)

    def prompt(self) -> Prompt | None:
        """What to ask; None if nothing is on the thing."""
        if not any(step.inside for step in self.steps):
            return None
        newest = self.steps[-1]
        places = [step for step in self.steps if step.place is not None]
        areas = [step for step in self.steps if step.marked is not None]
        if newest.so_far is not None:  # it holds what the earlier areas did
            areas = [newest] if newest.marked is not None else []
            places = [] if newest.place is None else places
        return Prompt(
            places=np.array([step.place for step in places], np.float64).reshape(-1, 3),
            inside=np.array([step.inside for step in places], bool),
            marked=with_all([step.marked for step in areas if step.inside and step.marked is not None]),
            excluded=with_all([step.marked for step in areas if not step.inside and step.marked is not None]),
            among=self.among,
            so_far=newest.so_far,
            camera=self.camera,
        )

    def add(self, step: Step) -> None:
        """Point at one more place or area, which corrects what is shown.

        What is shown while an ask runs lacks the newest step, so then all steps are asked about anew.
        """
        seen = self.suggestion if self.answered == self.asked else None
        self.steps.append(step if seen is None else replace(step, so_far=seen.gaussians))

    def take(self, answer: Answer) -> None:
        """Show an answer at its most likely size. The engine knows which size was corrected."""
        if self.answer is not answer:
            self.answer, self.size, self.problem = answer, answer.likeliest, ""
            self.answered = self.asked

    def change_size(self, by: int) -> bool:
        """Show a larger or a smaller suggestion. Returns whether there is one."""
        count = len(self.answer.suggestions) if self.answer else 0
        if not 0 <= self.size + by < count:
            return False
        self.size += by
        return True

    @property
    def suggestion(self) -> Suggestion | None:
        """The suggestion that is shown, or None."""
        return self.answer.suggestions[self.size] if self.answer else None

    def points(self) -> np.ndarray | None:
        """The points of the whole cloud in the suggestion that is shown, bool [P], or None. Hidden ones never are."""
        suggestion = self.suggestion
        if suggestion is None:
            return None
        members = suggestion.gaussians if self.among is None else suggestion.gaussians & self.among
        return members[self.rows]

    def strengths(self) -> np.ndarray | None:
        """How strongly to tint each point of the whole cloud, float32 [P]: 0 outside the suggestion; or None.

        Inside it is from `LEAST_TINT` where the engine is unsure to 1 where it is sure.
        """
        suggestion, points = self.suggestion, self.points()
        if suggestion is None or points is None:
            return None
        sure = np.nan_to_num(np.clip(suggestion.confidence[self.rows], 0, 1))
        return np.where(points, LEAST_TINT + (1 - LEAST_TINT) * sure, 0).astype(np.float32)

    def words(self) -> str:
        """The suggestion that is shown, in words; "" if there is none."""
        suggestion, points = self.suggestion, self.points()
        if self.answer is None or suggestion is None or points is None:
            return ""
        name, count = size_name(self.size, len(self.answer.suggestions)), f"{int(points.sum()):,} Gaussians"
        agree = f"{suggestion.views} view{'s agree' if suggestion.views != 1 else ' agrees'}"
        if not suggestion.views:
            agree = "from the labels"
        return f"{name[:1].upper()}{name[1:]}: {count}, {agree}" if name else f"{count}, {agree}"

    def fits(self, whole: SplatObject) -> bool:
        """Whether the splat still has the points at which this began."""
        now = point_clouds.get_column(whole.data, ROW)
        return now is not None and np.array_equal(now, self.numbers)
