"""A session: one scene, its views and a mask model, ready to answer prompts.

A prompt is answered in four steps.
1. The model is asked at the newest place in views that show it from different sides; it answers with masks of several
   sizes.
2. Masks of different views that are of one thing make a group. The best supported groups are lifted to Gaussians.
3. Each thing is shown to the model again in views that cover it, as points and a box. So the far sides are seen too.
4. A new place changes what was suggested before: a + place adds its thing, a - place takes its thing away.
If there is a run, its labels at the place are suggested as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bgs_engine.clicks.masks_of_place import groups_of
from bgs_engine.clicks.prompt import Answer, Prompt, Suggestion
from bgs_engine.clicks.seen_scene import SeenScene
from bgs_engine.clicks.things import Thing, ask_at, completed, in_large_pieces, lifted, refined, thing_of_set
from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.masks.prompting import Check, PromptableModel
from bgs_engine.raster.scene import RasterScene

FIRST_VIEWS = 6  # in which the model is asked at a place
MORE_VIEWS = 5  # in which it is asked about a thing
GROUPS = 3  # that become things
MOST_SUGGESTIONS = 6
ALIKE = 0.85  # intersection over union: more alike suggestions are one
LABEL_SUPPORT = 0.6  # of a label of the run, beside the support of groups
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
    ) -> None:
        """Nothing is computed yet.

        Args:
            scene: the splat.
            offset: float64 [3], what was subtracted from the positions of the PLY file.
            cameras: the views, in the scene's coordinates.
            encoded: the model's features of a view's picture, by its number. It may take a second.
            model: the mask model.
            labels: int32 [L, N], the label of each Gaussian at each level, in the scene's order; None: no run.
        """
        self.seen = SeenScene(scene, cameras)
        self._offset = offset
        self._encoded = encoded
        self._model = model
        # Labels have up to 32 bits; here they are numbered from 0.
        self._labels = [] if labels is None else [np.unique(row, return_inverse=True)[1] for row in labels]

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
            again = refined(self.seen, self._model, self._encoded, changed[0], places, inside, MORE_VIEWS, check)
            changed.append(completed(self.seen, again))
        return changed

    def _things_at(self, place: np.ndarray, others: np.ndarray, check: Check) -> list[Thing]:
        """The things that hold a place and none of the places `others` [P, 3], the best supported first."""
        seen = self.seen
        views = seen.showing(place, FIRST_VIEWS, check)
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
        kinds = np.ones(1, bool)
        things = []
        for thing in found:
            better = refined(seen, self._model, self._encoded, thing, place[None], kinds, MORE_VIEWS, check)
            better = Thing(better.share, better.known, better.views, better.support * thing.support)
            whole = completed(seen, better if fits(better) else thing)
            large = in_large_pieces(seen, whole)
            things.append(large if fits(large) else whole)
        for labels in self._labels:
            label = int(np.bincount(labels, weights=at).argmax())
            own = Thing((labels == label).astype(np.float32), np.ones(len(labels), bool), 0, LABEL_SUPPORT)
            if fits(own):
                things.append(own)
        return sorted(things, key=lambda thing: -thing.support)

    def _of_marked(self, marked: np.ndarray, check: Check) -> list[Thing]:
        """What was marked as it is, and what the model makes of it."""
        own = thing_of_set(marked)
        none = np.zeros((0, 3))
        again = refined(self.seen, self._model, self._encoded, own, none, np.zeros(0, bool), MORE_VIEWS, check)
        return [own, completed(self.seen, again)]


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
