"""A session: one scene, its views and a mask model, ready to answer prompts.

A prompt is answered in four steps.
1. The model is asked at the newest place in views that show it from different sides; it answers with masks of several
   sizes.
2. Masks of different views that are of one thing make a group. The best supported groups are lifted to Gaussians.
3. The masks show one side. If there is a run, its labels complete each thing, and the labels at the place are things
   too. Without a run each thing is shown to the model again in views that cover it, as points and a box.
4. The flat surface at the place is a thing too. Things are ordered by how well the masks confirm them.
A further place changes what was suggested before: a + place adds its thing, a - place takes its thing away.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bgs_engine.clicks.flat_surface import SolidGaussians, flat_surface
from bgs_engine.clicks.masks_of_place import groups_of
from bgs_engine.clicks.order import confirmed, is_structure
from bgs_engine.clicks.prompt import Answer, Prompt, Suggestion
from bgs_engine.clicks.run_labels import RunLabels
from bgs_engine.clicks.seen_scene import SeenScene
from bgs_engine.clicks.things import Thing, ask_at, completed, in_large_pieces, lifted, refined, thing_of_set
from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.masks.prompting import Check, PromptableModel
from bgs_engine.raster.scene import RasterScene

FIRST_VIEWS = 6  # in which the model is asked at a place
LEAST_VIEWS = 3  # for which an ask waits, if fewer are ready that show the place
MORE_VIEWS = 5  # in which it is asked about a thing
GROUPS = 3  # that become things
MOST_SUGGESTIONS = 6
ALIKE = 0.85  # intersection over union: more alike suggestions are one
LABEL_BONUS = 0.05  # added to how well masks confirm a label of the run: training saw more views than a click does
COARSEST_BONUS = 0.05  # and to that of the coarsest level: whole things are meant more often than parts
STRUCTURE_BONUS = 1.0  # and to that of a wall or a floor, so that it comes first
HOLDS = 0.5  # of what makes up a place: a thing with more holds the place
NOTHING = ("There is nothing of a size that can be suggested at this place.", "Click another place on the thing.")


class ClickSession:
    """Answers prompts about one scene. It is used by one thread at a time."""

    def __init__(
        self,
        scene: RasterScene,
        offset: np.ndarray,
        cameras: Sequence[Camera],
        encoded: Callable[[int], Any],
        model: PromptableModel,
        labels: np.ndarray | None,
        ready: Callable[[int], bool] = lambda number: True,
    ) -> None:
        """Nothing is computed yet.

        Args:
            scene: the splat.
            offset: float64 [3], what was subtracted from the positions of the PLY file.
            cameras: the views, in the scene's coordinates.
            encoded: the model's features of a view's picture, by its number. It may take a second.
            model: the mask model.
            labels: int32 [L, N], the label of each Gaussian at each level, in the scene's order; None: no run.
            ready: whether a view's features are there already, so that `encoded` takes no second.
        """
        self.seen = SeenScene(scene, cameras)
        self._offset = offset
        self._encoded = encoded
        self._model = model
        self._ready = ready
        self._labels = None if labels is None else RunLabels(labels)
        self._solid = SolidGaussians(scene)

    def work_ahead(self) -> bool:
        """Make ready what the first prompt needs of one more view; False: all is ready."""
        return self.seen.work_ahead()

    def answer(self, prompt: Prompt, check: Check) -> Answer:
        """Suggestions for a prompt.

        Raises:
            InputError: there is nothing to suggest.
            CancelledError: raised by `check`.
        """
        marks = _Marks(*(self._in_scene_order(rows) for rows in (prompt.marked, prompt.excluded, prompt.among)))
        found, before = self._found(prompt, marks, check)
        suggestions = [(thing, gaussians) for thing in found if (gaussians := marks.applied(thing.inside)).any()]
        if not suggestions:
            raise InputError(*NOTHING)
        chosen = (_distinct(suggestions, before) or suggestions[:1])[:MOST_SUGGESTIONS]
        likeliest = chosen[0][1]
        chosen.sort(key=lambda pair: int(pair[1].sum()))
        number = next(k for k, pair in enumerate(chosen) if pair[1] is likeliest)
        return Answer(tuple(self._suggestion(thing, gaussians) for thing, gaussians in chosen), number)

    def _found(self, prompt: Prompt, marks: "_Marks", check: Check) -> tuple[list[Thing], np.ndarray | None]:
        """(Things for a prompt, the most likely first; the suggestion bool [N] that they correct, or None)."""
        places = np.asarray(prompt.places, np.float64).reshape(-1, 3) - self._offset
        inside = np.asarray(prompt.inside, bool)
        before = self._in_scene_order(prompt.so_far)
        if before is not None and not before.any():
            before = None
        if len(places):
            first = len(places) if before is not None else 1  # if nobody has seen a suggestion, all places are new
            found: list[Thing] = []
            for count in range(first, len(places) + 1):
                before = found[0].inside if found else before
                found = self._at_newest(places[:count], inside[:count], before, check)
            return found, before
        if marks.marked is not None and marks.marked.any():
            return self._of_marked(marks.marked if before is None else marks.marked | before, check), before
        if marks.excluded is not None and before is not None:
            return [thing_of_set(before)], before
        raise InputError("The prompt points at nothing.", "Click the thing.")

    def _suggestion(self, thing: Thing, gaussians: np.ndarray) -> Suggestion:
        """A thing as a suggestion in the order of the file; gaussians: bool [N]."""
        scene = self.seen.scene
        confidence = np.where(gaussians, np.maximum(thing.share, 0.5), 1 - thing.share)
        return Suggestion(scene.to_file_order(gaussians), scene.to_file_order(confidence), thing.views)

    def _in_scene_order(self, rows: np.ndarray | None) -> np.ndarray | None:
        return None if rows is None else self.seen.scene.from_file_order(np.asarray(rows, bool))

    def _at_newest(
        self, places: np.ndarray, inside: np.ndarray, before: np.ndarray | None, check: Check
    ) -> list[Thing]:
        """Things for the newest of places [P, 3] of kinds [P], the most likely first."""
        newest, adds = places[-1], bool(inside[-1])
        others = places[:-1][inside[:-1] != adds]  # what the newest place's thing must not hold
        things = self._things_at(newest, others, check)
        if before is None:
            return things if adds else []
        if adds:
            changed = [_joined(thing, before) for thing in things]
        else:
            changed = [_without(before, thing) for thing in things]
        if changed:
            changed.append(completed(self.seen, self._refined(changed[0], places, inside, check)))
        return changed

    def _things_at(self, place: np.ndarray, others: np.ndarray, check: Check) -> list[Thing]:
        """The things that hold a place and none of the places `others` [P, 3], the best supported first."""
        seen = self.seen
        views = self._views_at(place, check)
        masks = ask_at(seen, self._model, self._encoded, views, check)
        at = seen.at(place, views)
        at_others = [seen.at(other, seen.showing(other, FIRST_VIEWS, check)) for other in others]

        def fits(thing: Thing) -> bool:
            held = thing.inside
            return float(at[held].sum()) > HOLDS and all(float(far[held].sum()) <= HOLDS for far in at_others)

        found: list[Thing] = []
        for group in groups_of(seen, place, masks):
            check()
            thing = lifted(seen, group.masks, [1.0] * len(group.masks), group.support)
            if fits(thing) and not any(_alike(thing.inside, other.inside) > ALIKE for other in found):
                found.append(thing)
            if len(found) == GROUPS:
                break
        things = [whole for thing in found if fits(whole := self._whole(thing, place, fits, check))]
        bonus = [0.0] * len(things)
        for level, label in enumerate(() if self._labels is None else self._labels.at(at)):
            if fits(label):
                things.append(label)
                bonus.append(LABEL_BONUS + (COARSEST_BONUS if level == 0 else 0.0))
        surface = self._surface(place)
        if surface is not None and fits(surface):
            things.append(surface)
            bonus.append(STRUCTURE_BONUS if is_structure(seen, surface.inside) else 0.0)
        support = [a + b for a, b in zip(confirmed(seen, place, things, found), bonus, strict=True)]
        ordered = [replace(thing, support=value) for thing, value in zip(things, support, strict=True)]
        return sorted(ordered, key=lambda thing: -thing.support)

    def _views_at(self, place: np.ndarray, check: Check) -> list[tuple[int, np.ndarray]]:
        """Views that show a place, as `SeenScene.showing`: those that are ready, and others if these are too few."""
        ready = self._ready_views()
        found = self.seen.showing(place, FIRST_VIEWS, check, ready)
        if len(found) < LEAST_VIEWS and len(ready) < len(self.seen):
            known = {number for number, _ in found}
            more = [one for one in self.seen.showing(place, LEAST_VIEWS, check) if one[0] not in known]
            found += more[: LEAST_VIEWS - len(found)]
        return found

    def _ready_views(self) -> list[int]:
        return [number for number in range(len(self.seen)) if self._ready(number)]

    def _refined(self, thing: Thing, places: np.ndarray, inside: np.ndarray, check: Check) -> Thing:
        """What the model says of a thing in further views; see `refined`."""
        among = self._ready_views() or range(len(self.seen))
        return refined(self.seen, self._model, self._encoded, thing, places, inside, MORE_VIEWS, among, check)

    def _whole(self, thing: Thing, place: np.ndarray, fits: Callable[[Thing], bool], check: Check) -> Thing:
        """A thing that a few views show from one side, with its other sides."""
        seen = self.seen
        if self._labels is not None:
            return self._labels.snapped(thing, seen.scene.opacities * seen.most)
        better = self._refined(thing, place[None], np.ones(1, bool), check)
        whole = completed(seen, better if fits(better) else thing)
        large = in_large_pieces(seen, whole)
        return large if fits(large) else whole

    def _surface(self, place: np.ndarray) -> Thing | None:
        """The flat surface at a place."""
        rows = flat_surface(self._solid, place)
        if rows is None:
            return None
        share = np.zeros(len(self.seen.scene), np.float32)
        share[rows] = 1
        return Thing(share, np.ones(len(share), bool), 0, 0.0)

    def _of_marked(self, marked: np.ndarray, check: Check) -> list[Thing]:
        """What was marked as it is, and what the model makes of it."""
        own = thing_of_set(marked)
        none = np.zeros((0, 3))
        return [own, completed(self.seen, self._refined(own, none, np.zeros(0, bool), check))]


@dataclass(frozen=True)
class _Marks:
    """The Gaussians of a prompt, each bool [N] in the scene's order, or None. See `Prompt`."""

    marked: np.ndarray | None
    excluded: np.ndarray | None
    among: np.ndarray | None

    def applied(self, gaussians: np.ndarray) -> np.ndarray:
        """A set, bool [N], with what is marked, without what is excluded, of what may be suggested."""
        if self.marked is not None:
            gaussians = gaussians | self.marked
        if self.excluded is not None:
            gaussians = gaussians & ~self.excluded
        return gaussians if self.among is None else gaussians & self.among


def _joined(thing: Thing, before: np.ndarray) -> Thing:
    return Thing(np.where(before, np.float32(1), thing.share), thing.known | before, thing.views, thing.support)


def _without(before: np.ndarray, thing: Thing) -> Thing:
    share = np.where(thing.inside, 0, before).astype(np.float32)
    return Thing(share, np.ones(len(share), bool), thing.views, thing.support)


def _alike(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two sets, bool [N]."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def _distinct(found: list[tuple[Thing, np.ndarray]], before: np.ndarray | None) -> list[tuple[Thing, np.ndarray]]:
    """The sets that change what was suggested before, without those that change it nearly as an earlier one does.

    Beside a large suggestion all sets that add something small would be alike; what they change is not.
    """
    out: list[tuple[Thing, np.ndarray]] = []
    changes: list[np.ndarray] = []
    for pair in found:
        change = pair[1] if before is None else pair[1] ^ before
        if change.any() and all(_alike(change, other) <= ALIKE for other in changes):
            out.append(pair)
            changes.append(change)
    return out
