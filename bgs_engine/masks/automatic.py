"""Automatic mask generation: prompt a SAM-style model all over an image and keep the good and new masks.

The plain way asks at every point of a dense grid. Most of its answers repeat a mask: every point on a mug gives the
mug. The adaptive way asks on a coarse grid first. It asks on finer grids only at points without a mask, and at points
whose smallest mask is large against the grid if prompts nearby still brought new masks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from bgs_engine.core.errors import MemoryExhaustedError
from bgs_engine.masks.bits import MaskStack
from bgs_engine.masks.nesting import REFERENCE_PIXELS
from bgs_engine.masks.prompting import Answers, Check, PromptableModel, upsampling

COARSE_STRIDE = 4  # the first adaptive pass asks at every fourth point in both directions
STABILITY_OFFSET = 1.0  # logits; a mask is stable when moving its threshold this far hardly changes it
SPECK_AREA = 50  # pixels at 640x480; smaller islands and holes of a mask are noise
FRESH_IOU = 0.9  # an answer that overlaps a kept one more than this is the same mask
EXPLAINED_CELLS = 3.0  # docs/lab-book.md has the cost and the finds of other values
CLEARLY_BETTER = 0.02  # score; a repeat replaces the kept mask from this gain on


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """How a promptable model is asked about an image."""

    points_per_side: int = 32  # of the finest grid
    batch: int = 4  # prompts a call; more save no time on a processor, and each call is a chance to cancel
    min_iou: float = 0.86  # the model's own estimate
    min_stability: float = 0.90
    adaptive: bool = True  # skip points whose answer is known
    explained_cells: float = (
        EXPLAINED_CELLS  # a mask smaller than this many grid cells a side explains the points on it
    )


@dataclass
class _Kept:
    """The masks found so far in one image, at the resolution of the model's masks."""

    sketches: np.ndarray  # bool [room, pixels of a sketch]
    logits: list[np.ndarray] = field(default_factory=list)  # float16 [h, w]
    scores: list[float] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)  # in pixels of the sketch

    def place(self, sketch: np.ndarray, score: float) -> tuple[int, bool]:
        """(number, keep) of a mask, bool [h', w']: its place and whether to keep it. Repeats must be clearly better."""
        flat = sketch.ravel()
        area = float(np.count_nonzero(flat))
        count = len(self.scores)
        number, fresh = count, True
        if count:
            # Counting beats a matrix product here: the threads of the product's library would fight the model's.
            shared = np.count_nonzero(self.sketches[:count] & flat, axis=1)
            overlap = shared / np.maximum(np.array(self.areas) + area - shared, 1)
            same = int(overlap.argmax())
            if overlap[same] > FRESH_IOU:
                if score < self.scores[same] + CLEARLY_BETTER:
                    return same, False
                number, fresh = same, False
        if number == len(self.sketches):
            self.sketches = np.concatenate([self.sketches, np.zeros_like(self.sketches)])
        if fresh:
            self.logits.append(np.zeros((0, 0), np.float16))
            self.scores.append(score)
            self.areas.append(area)
        self.sketches[number], self.scores[number], self.areas[number] = flat, score, area
        return number, True


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
        """Scored masks of an image, uint8 [H, W, 3]. The score is the predicted IoU times the stability.

        Only points inside `where`, bool [H, W], are asked.

        Raises:
            MemoryExhaustedError: even a single prompt does not fit.
        """
        check()
        try:
            encoded = self.model.encode(image)
        except MemoryError:
            raise _exhausted(stem) from None
        search = _Search(image.shape[0], image.shape[1], self.config)
        if where is not None:
            search.leave_out(~where)
        for points in search.batches(lambda: self._batch):
            check()
            for part, answers in self._ask(encoded, points, stem, check):
                search.take(part, answers)
        return search.masks(check)

    def _ask(
        self, encoded: object, points: np.ndarray, stem: str, check: Check
    ) -> Iterator[tuple[np.ndarray, Answers]]:
        """Points with answers, in as many calls as memory makes necessary. Later calls keep a smaller batch."""
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
            yield part, answers

    def stop(self) -> None:
        """End a running call as soon as possible."""
        self.model.stop()


def _exhausted(stem: str) -> MemoryExhaustedError:
    return MemoryExhaustedError(
        f"Memory ran out while making the masks of {stem}.",
        "Close other programs, use fewer workers (--workers 1) or a smaller mask model.",
    )


class _Search:
    """The points of one image that are still worth asking, and the masks found."""

    def __init__(self, height: int, width: int, config: PromptConfig) -> None:
        self.height, self.width, self.config = height, width, config
        n = config.points_per_side
        self.cell = np.array([width / n, height / n])
        self.asked = np.zeros((n, n), bool)
        self.fruitful = np.zeros((n, n), bool)  # the point gave a mask that was new then
        self.explained = np.full((n, n), np.inf)  # image pixels of the smallest kept mask over the point
        self.kept: _Kept | None = None
        self.scale = (1.0, 1.0)

    def leave_out(self, nowhere: np.ndarray) -> None:
        """Never ask at points on these pixels, bool [H, W]."""
        n = self.config.points_per_side
        rows = ((np.arange(n) + 0.5) * self.cell[1]).astype(np.int64).clip(0, self.height - 1)
        columns = ((np.arange(n) + 0.5) * self.cell[0]).astype(np.int64).clip(0, self.width - 1)
        self.asked |= nowhere[np.ix_(rows, columns)]

    def batches(self, size: Callable[[], int]) -> Iterator[np.ndarray]:
        """Points [b, 2] to ask next, until none is left. `take` must see each answer before the next batch."""
        for stride in self._strides():
            rows, columns = np.nonzero(self._candidates(stride))
            order = _scattered(len(rows)) if self.config.adaptive else np.arange(len(rows))
            rows, columns = rows[order], columns[order]  # far apart first: early answers spare later questions
            while len(rows):
                if self.config.adaptive:
                    unexplained = self.explained[rows, columns] > self._explaining_area(stride)
                    rows, columns = rows[unexplained], columns[unexplained]
                batch = max(1, size())
                now, rows, columns = (rows[:batch], columns[:batch]), rows[batch:], columns[batch:]
                if len(now[0]):
                    self.asked[now] = True
                    yield (np.stack([now[1], now[0]], 1) + 0.5) * self.cell

    def _strides(self) -> list[int]:
        strides = [1]
        while self.config.adaptive and strides[0] < min(COARSE_STRIDE, self.config.points_per_side):
            strides.insert(0, strides[0] * 2)
        return strides

    def _candidates(self, stride: int) -> np.ndarray:
        """Points of a pass, bool [n, n]: on its grid, not asked, without a mask or near a prompt that brought one."""
        grid = np.zeros_like(self.asked)
        grid[stride // 2 :: stride, stride // 2 :: stride] = True
        grid &= ~self.asked
        if stride < self._strides()[0]:
            grid &= np.isinf(self.explained) | ndimage.maximum_filter(self.fruitful, size=4 * stride + 1)
        return grid

    def _explaining_area(self, stride: int) -> float:
        return float((self.config.explained_cells * stride) ** 2 * self.cell.prod())

    def take(self, points: np.ndarray, answers: Answers) -> None:
        """Keep the good and new masks of the answers to `points` [B, 2]."""
        columns, rows = (points / self.cell).astype(np.int64).T
        self.scale = (answers.scale_x, answers.scale_y)
        promising = np.nonzero((answers.scores >= self.config.min_iou).any(1))[0]
        if not len(promising):
            return
        sketches = answers.sketch(promising)
        if self.kept is None:
            self.kept = _Kept(np.zeros((64, sketches[0, 0].size), bool))
        wanted: list[tuple[int, int, int]] = []  # number among the kept, prompt, choice
        for row, choice, score in self._good(answers.scores[promising], sketches):
            before = len(self.kept.scores)
            number, keep = self.kept.place(sketches[row, choice] > 0, score)
            if keep:
                wanted = [w for w in wanted if w[0] != number] + [(number, int(promising[row]), choice)]
            if number == before:
                self.fruitful[rows[promising[row]], columns[promising[row]]] = True
        if wanted:
            numbers, prompts, choices = np.array(wanted).T
            for number, logit in zip(numbers.tolist(), answers.logits(prompts, choices), strict=True):
                self.kept.logits[number] = logit.astype(np.float16)
                self._explain(logit > 0)

    def _good(self, scores: np.ndarray, sketches: np.ndarray) -> list[tuple[int, int, float]]:
        """(row, choice, score) of every answer above the thresholds; scores [n, M], sketches [n, M, h', w']."""
        inner = np.count_nonzero(sketches > STABILITY_OFFSET, axis=(2, 3))
        outer = np.count_nonzero(sketches > -STABILITY_OFFSET, axis=(2, 3))
        stability = inner / np.maximum(outer, 1)
        good = (scores >= self.config.min_iou) & (stability >= self.config.min_stability)
        total = np.minimum(scores, 1) * stability
        return [(int(r), int(c), float(total[r, c])) for r, c in zip(*np.nonzero(good), strict=True)]

    def _explain(self, mask: np.ndarray) -> None:
        n = self.config.points_per_side
        centres = np.arange(n) + 0.5
        columns = (centres * self.cell[0] * self.scale[0]).astype(np.int64).clip(0, mask.shape[1] - 1)
        rows = (centres * self.cell[1] * self.scale[1]).astype(np.int64).clip(0, mask.shape[0] - 1)
        area = np.count_nonzero(mask) / (self.scale[0] * self.scale[1])
        covered = mask[np.ix_(rows, columns)]
        self.explained[covered] = np.minimum(self.explained[covered], area)

    def masks(self, check: Check) -> MaskStack:
        """The kept masks at the image's resolution, without specks and pinholes."""
        if self.kept is None or not self.kept.scores:
            return MaskStack.empty(self.height, self.width)
        source = self.kept.logits[0].shape
        tall = upsampling(self.height, self.scale[1], source[0])
        wide = upsampling(self.width, self.scale[0], source[1]).T
        speck = max(1, round(SPECK_AREA * self.height * self.width / REFERENCE_PIXELS))

        def finished() -> Iterator[np.ndarray]:
            for logit in self.kept.logits if self.kept else ():
                check()
                yield without_specks(tall @ logit.astype(np.float32) @ wide > 0, speck)

        scores = np.array(self.kept.scores, np.float32)
        return MaskStack.pack(self.height, self.width, finished(), scores)


def _scattered(count: int) -> np.ndarray:
    """A permutation that visits every region early: steps of the golden ratio, made distinct by sorting."""
    return np.argsort((np.arange(count) * 0.6180339887498949) % 1, kind="stable")


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
