"""Candidates of an image: everything that a SAM-style model sees in it, with a weak filter.

The model is asked on a regular grid over the whole image and again in four overlapping crops, where it sees small
things better. Candidates overlap. Which of them are real is decided later, where the views are compared; one picture
cannot tell. Of nearly equal candidates one stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from bgs_engine.core.errors import MemoryExhaustedError
from bgs_engine.masks.bits import MaskStack, iou
from bgs_engine.masks.nesting import REFERENCE_PIXELS
from bgs_engine.masks.prompting import Answers, Check, PromptableModel, upsampling

WHOLE_GRID, CROP_GRID = 16, 8  # points a side
CROP_SHARE = 0.55  # of the image's sides: crops overlap a little
STABILITY_OFFSET = 1.0  # logits; a mask is stable when moving its threshold this far hardly changes it
SPECK_AREA = 50  # pixels at 640x480; smaller islands and holes of a mask are noise
SAME_IOU = 0.85  # two candidates that agree more than this are one
CUT_PIXELS = 6  # pixels on the border of a crop that lies inside the image: a mask with more goes on beyond it


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """How a promptable model is asked about an image."""

    thoroughness: float = 1.0  # 2 asks at twice as many points
    crops: bool = True  # ask again in the four crops
    batch: int = 4  # prompts a call; more save no time on a processor, and each call is a chance to cancel
    min_iou: float = 0.55  # the model's own estimate
    min_stability: float = 0.6

    def grid(self, usual: int) -> int:
        """Points a side, at least one."""
        return max(1, round(usual * self.thoroughness**0.5))


@dataclass(frozen=True)
class Window:
    """A part of an image, in pixels, and the number of points a side that are asked in it."""

    left: int
    top: int
    width: int
    height: int
    grid: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def points(self, where: np.ndarray | None) -> np.ndarray:
        """The points of the grid, float [n, 2], (x, y) in the window; only those inside `where`, bool [H, W]."""
        centres = (np.arange(self.grid) + 0.5) / self.grid
        found = np.stack(np.meshgrid(centres * self.width, centres * self.height), -1).reshape(-1, 2)
        if where is not None:
            columns, rows = found.astype(np.int64).T
            found = found[where[self.slices][rows, columns]]
        return found

    def cuts(self, mask: np.ndarray, width: int, height: int) -> bool:
        """Whether a mask of the window, bool [h, w], is cut by a border of the window inside the image."""
        sides = [
            (self.left > 0, mask[:, 0]),
            (self.top > 0, mask[0]),
            (self.left + self.width < width, mask[:, -1]),
            (self.top + self.height < height, mask[-1]),
        ]
        return any(inner and np.count_nonzero(side) > CUT_PIXELS for inner, side in sides)


def windows(width: int, height: int, config: PromptConfig) -> list[Window]:
    """The whole image and, if they are asked, its four crops."""
    grid = config.grid(CROP_GRID)
    across, down = max(1, round(width * CROP_SHARE)), max(1, round(height * CROP_SHARE))
    crops = [Window(x, y, across, down, grid) for y in (0, height - down) for x in (0, width - across)]
    return [Window(0, 0, width, height, config.grid(WHOLE_GRID)), *(crops if config.crops else [])]


@dataclass
class _Kept:
    """The masks found so far in one window, at the resolution of the model's masks."""

    sketches: np.ndarray  # bool [room, pixels of a sketch]
    logits: list[np.ndarray] = field(default_factory=list)  # float16 [h, w]
    scores: list[float] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)  # in pixels of the sketch

    def place(self, sketch: np.ndarray, score: float) -> int | None:
        """The place of a mask, bool [h', w'], or None: a kept one is the same and no worse."""
        flat = sketch.ravel()
        area = float(np.count_nonzero(flat))
        number = len(self.scores)
        if number:
            # Counting beats a matrix product here: the threads of the product's library would fight the model's.
            shared = np.count_nonzero(self.sketches[:number] & flat, axis=1)
            overlap = shared / np.maximum(np.array(self.areas) + area - shared, 1)
            same = int(overlap.argmax())
            if overlap[same] > SAME_IOU:
                if score <= self.scores[same]:
                    return None
                number = same
        if number == len(self.sketches):
            self.sketches = np.concatenate([self.sketches, np.zeros_like(self.sketches)])
        if number == len(self.scores):
            self.logits.append(np.zeros((0, 0), np.float16))
            self.scores.append(score)
            self.areas.append(area)
        self.sketches[number], self.scores[number], self.areas[number] = flat, score, area
        return number


class AutomaticMasks:
    """A `MaskProposer` that asks any promptable model."""

    crops = True

    def __init__(self, model: PromptableModel, config: PromptConfig | None = None) -> None:
        self.model = model
        self.config = config or PromptConfig()
        self._batch = self.config.batch

    def key(self, stem: str) -> str:
        """The model and how it is asked. Every view has the same key."""
        return f"{self.model.signature} {self.config}"

    def propose(self, image: np.ndarray, stem: str, check: Check, where: np.ndarray | None = None) -> MaskStack:
        """Scored candidates of an image, uint8 [H, W, 3]. The score is the predicted IoU times the stability.

        Only points inside `where`, bool [H, W], are asked.

        Raises:
            MemoryExhaustedError: even a single prompt does not fit.
        """
        height, width = image.shape[:2]
        found = [
            self._in_window(image, window, stem, check, where)
            for window in windows(width, height, self.config)
            if len(window.points(where))
        ]
        stack = MaskStack.joined(height, width, found)
        return stack.take(_distinct(stack))

    def _in_window(
        self, image: np.ndarray, window: Window, stem: str, check: Check, where: np.ndarray | None
    ) -> MaskStack:
        """The candidates of one window, in the image."""
        check()
        try:
            encoded = self.model.encode(np.ascontiguousarray(image[window.slices]))
        except MemoryError:
            raise _exhausted(stem) from None
        kept: _Kept | None = None
        scale = (1.0, 1.0)
        for answers in self._ask(encoded, window.points(where), stem, check):
            scale = answers.scale_x, answers.scale_y
            kept = self._take(kept, answers)
        if kept is None or not kept.scores:
            return MaskStack.empty(*image.shape[:2])
        return _whole_masks(kept, scale, window, image.shape[1], image.shape[0], check)

    def _ask(self, encoded: object, points: np.ndarray, stem: str, check: Check) -> Iterator[Answers]:
        """Answers, in as many calls as memory makes necessary. Later calls keep a smaller batch."""
        done = 0
        while done < len(points):
            check()
            part = points[done : done + self._batch]
            try:
                answers = self.model.decode(encoded, part)
            except MemoryError:
                if len(part) == 1:
                    raise _exhausted(stem) from None
                self._batch = max(1, len(part) // 2)
                continue
            done += len(part)
            yield answers

    def _take(self, kept: _Kept | None, answers: Answers) -> _Kept | None:
        """Keep the new masks of the answers."""
        promising = np.nonzero((answers.scores >= self.config.min_iou).any(1))[0]
        if not len(promising):
            return kept
        sketches = answers.sketch(promising)
        kept = kept or _Kept(np.zeros((64, sketches[0, 0].size), bool))
        wanted: dict[int, tuple[int, int]] = {}  # number among the kept → prompt, choice
        for row, choice, score in self._good(answers.scores[promising], sketches):
            number = kept.place(sketches[row, choice] > 0, score)
            if number is not None:
                wanted[number] = int(promising[row]), choice
        if wanted:
            prompts, choices = np.array(list(wanted.values())).T
            for number, logit in zip(wanted, answers.logits(prompts, choices), strict=True):
                kept.logits[number] = logit.astype(np.float16)
        return kept

    def _good(self, scores: np.ndarray, sketches: np.ndarray) -> list[tuple[int, int, float]]:
        """(row, choice, score) of every answer above the thresholds; scores [n, M], sketches [n, M, h', w']."""
        inner = np.count_nonzero(sketches > STABILITY_OFFSET, axis=(2, 3))
        outer = np.count_nonzero(sketches > -STABILITY_OFFSET, axis=(2, 3))
        stability = inner / np.maximum(outer, 1)
        good = (scores >= self.config.min_iou) & (stability >= self.config.min_stability)
        total = np.minimum(scores, 1) * stability
        return [(int(r), int(c), float(total[r, c])) for r, c in zip(*np.nonzero(good), strict=True)]

    def stop(self) -> None:
        """End a running call as soon as possible."""
        self.model.stop()


def _exhausted(stem: str) -> MemoryExhaustedError:
    return MemoryExhaustedError(
        f"Memory ran out while making the masks of {stem}.",
        "Close other programs, use fewer workers (--workers 1) or a smaller mask model.",
    )


def _whole_masks(
    kept: _Kept, scale: tuple[float, float], window: Window, width: int, height: int, check: Check
) -> MaskStack:
    """The kept masks at the image's resolution, without specks, pinholes and masks that the window cuts."""
    source = kept.logits[0].shape
    tall = upsampling(window.height, scale[1], source[0])
    wide = upsampling(window.width, scale[0], source[1]).T
    speck = max(1, round(SPECK_AREA * height * width / REFERENCE_PIXELS))
    used: list[float] = []

    def finished() -> Iterator[np.ndarray]:
        for logit, score in zip(kept.logits, kept.scores, strict=True):
            check()
            mask = tall @ logit.astype(np.float32) @ wide > 0
            if window.cuts(mask, width, height):
                continue
            used.append(score)
            yield without_specks(mask, speck)

    stack = MaskStack.pack(window.height, window.width, finished(), None)
    stack = MaskStack(stack.height, stack.width, stack.bits, np.array(used, np.float32))
    return stack.placed(height, width, window.top, window.left)


def _distinct(stack: MaskStack) -> np.ndarray:
    """Rows of the candidates that no better one repeats, best first, int [n]."""
    order = np.argsort(-stack.scores, kind="stable")
    same = iou(stack.take(order).intersections()) > SAME_IOU
    keep = np.ones(len(order), bool)
    for k in range(len(order)):
        if keep[k]:
            keep[k + 1 :] &= ~same[k, k + 1 :]
    return order[keep]


def without_specks(mask: np.ndarray, area: int) -> np.ndarray:
    """The mask [H, W] without its islands and holes of fewer than `area` pixels."""
    if not mask.any():
        return mask
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    cleaned = mask.copy()
    for inside in (False, True):  # holes first: an island of noise may sit in one
        parts, count = ndimage.label(cleaned[box] == inside)
        small = np.bincount(parts.ravel(), minlength=count + 1) < area
        small[0] = False
        if not inside:  # what touches the box's edge is outside, not a hole
            edge = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
            small[np.unique(edge)] = False
        cleaned[box][small[parts]] = inside is False
    return cleaned
