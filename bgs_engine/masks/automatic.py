"""Automatic mask generation: prompt a SAM-style model all over an image and keep what is good and new.

The plain way asks at every point of a dense grid. Most of those answers repeat: a point on a mug gives the mug again.
The adaptive way asks on a coarse grid first and goes on to finer ones only where that may tell something new: where
no mask is yet, or where the smallest mask is large against the grid and prompts nearby still brought news.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from bgs_engine.errors import MemoryExhaustedError
from bgs_engine.masks.bits import MaskStack
from bgs_engine.masks.nesting import REFERENCE_PIXELS
from bgs_engine.masks.prompting import Check, Decoded, PromptableModel, upsampling

COARSE_STRIDE = 4  # the first adaptive pass asks at every fourth point in both directions
STABILITY_OFFSET = 1.0  # logits; a mask is stable when moving its threshold this far hardly changes it
SPECK_AREA = 50  # pixels at 640x480; smaller islands and holes of a mask are noise
FRESH_IOU = 0.9  # an answer that overlaps a kept one more than this is the same mask


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """How an image is asked."""

    points_per_side: int = 32  # of the finest grid
    batch: int = 8  # prompts a call; the decoder's time a prompt hardly falls beyond this, its memory grows
    min_iou: float = 0.86  # the model's own estimate
    min_stability: float = 0.90
    adaptive: bool = True  # skip points whose answer is known
    explained_cells: float = 2.0  # a mask smaller than this many grid cells a side explains the points on it


@dataclass
class _Kept:
    """What was found so far in one image; everything at the resolution of the model's logits."""

    flat: np.ndarray  # float32 [room, h * w] of 0 and 1, for overlaps by matrix product
    logits: list[np.ndarray] = field(default_factory=list)  # float16 [h, w]
    scores: list[float] = field(default_factory=list)
    areas: list[int] = field(default_factory=list)

    def add(self, logits: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Take masks [n, h, w]; which of them were new, bool [n]. A repeat replaces the kept one if it is better."""
        fresh = np.zeros(len(logits), bool)
        for n, (logit, score) in enumerate(zip(logits, scores.tolist(), strict=True)):
            flat = (logit > 0).ravel().astype(np.float32)
            area = int(flat.sum())
            count = len(self.scores)
            shared = self.flat[:count] @ flat
            overlap = shared / np.maximum(np.array(self.areas, np.float32) + area - shared, 1)
            same = int(overlap.argmax()) if count else 0
            if count and overlap[same] > FRESH_IOU:
                if score > self.scores[same]:
                    self._set(same, logit, flat, score, area)
                continue
            if count == len(self.flat):
                self.flat = np.concatenate([self.flat, np.zeros_like(self.flat)])
            self.logits.append(logit)
            self.scores.append(score)
            self.areas.append(area)
            self._set(count, logit, flat, score, area)
            fresh[n] = True
        return fresh

    def _set(self, k: int, logit: np.ndarray, flat: np.ndarray, score: float, area: int) -> None:
        self.flat[k] = flat
        self.logits[k], self.scores[k], self.areas[k] = logit.astype(np.float16), score, area


class AutomaticMasks:
    """A `MaskProposer` on top of any promptable model."""

    def __init__(self, model: PromptableModel, config: PromptConfig | None = None) -> None:
        self.model = model
        self.config = config or PromptConfig()
        self._batch = self.config.batch

    def key(self, stem: str) -> str:
        """The model and how it is asked; the same for every view."""
        return f"{self.model.signature} {self.config}"

    def propose(self, image: np.ndarray, stem: str, check: Check) -> MaskStack:
        """Scored masks of an image, uint8 [H, W, 3]; the score is predicted IoU times stability.

        Raises:
            MemoryExhaustedError: even a single prompt does not fit.
        """
        check()
        try:
            encoded = self.model.encode(image)
        except MemoryError:
            raise _exhausted(stem) from None
        search = _Search(image.shape[0], image.shape[1], self.config)
        for points in search.batches(lambda: self._batch):
            check()
            search.take(points, self._decode(encoded, points, stem, check))
        return search.masks(check)

    def _decode(self, encoded: object, points: np.ndarray, stem: str, check: Check) -> list[Decoded]:
        """The answers, in as many calls as memory makes necessary; the smaller batch is kept for later calls."""
        answers: list[Decoded] = []
        done = 0
        while done < len(points):
            check()
            part = points[done : done + self._batch]
            try:
                answers.append(self.model.decode(encoded, part))
            except MemoryError:
                if len(part) == 1:
                    raise _exhausted(stem) from None
                self._batch = max(1, len(part) // 2)
                continue
            done += len(part)
        return answers

    def stop(self) -> None:
        """End a running call as soon as possible."""
        self.model.stop()


def _exhausted(stem: str) -> MemoryExhaustedError:
    return MemoryExhaustedError(
        f"Memory ran out while making the masks of {stem}.",
        "Close other programs, use fewer workers (--workers 1) or a smaller mask model.",
    )


class _Search:
    """Which points of one image are still worth asking, and what was found."""

    def __init__(self, height: int, width: int, config: PromptConfig) -> None:
        self.height, self.width, self.config = height, width, config
        n = config.points_per_side
        self.cell = np.array([width / n, height / n])
        self.asked = np.zeros((n, n), bool)
        self.fruitful = np.zeros((n, n), bool)  # the point gave a mask that was new then
        self.explained = np.full((n, n), np.inf)  # image pixels of the smallest kept mask over the point
        self.kept: _Kept | None = None
        self.scale = (1.0, 1.0)

    def batches(self, size: Callable[[], int]) -> Iterator[np.ndarray]:
        """Points [b, 2] to ask next, until nothing is left to ask; `take` must see each answer before the next."""
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
        """Points of a pass, bool [n, n]: of its grid, not asked, and uncovered or near a prompt that brought news."""
        grid = np.zeros_like(self.asked)
        grid[stride // 2 :: stride, stride // 2 :: stride] = True
        grid &= ~self.asked
        if self.asked.any():
            grid &= np.isinf(self.explained) | ndimage.maximum_filter(self.fruitful, size=4 * stride + 1)
        return grid

    def _explaining_area(self, stride: int) -> float:
        return float((self.config.explained_cells * stride) ** 2 * self.cell.prod())

    def take(self, points: np.ndarray, answers: list[Decoded]) -> None:
        """Keep what is good and new of the answers to `points`."""
        columns, rows = (points / self.cell).astype(np.int64).T
        start = 0
        for answer in answers:
            count = len(answer.logits)
            at = (rows[start : start + count], columns[start : start + count])
            start += count
            self.scale = (answer.scale_x, answer.scale_y)
            prompt, logits, scores = self._good(answer)
            if self.kept is None:
                self.kept = _Kept(np.zeros((64, answer.logits[0, 0].size), np.float32))
            fresh = self.kept.add(logits, scores)
            self.fruitful[at[0][prompt[fresh]], at[1][prompt[fresh]]] = True
            for logit in logits[fresh]:
                self._explain(logit > 0)

    def _good(self, answer: Decoded) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The prompt [n], logits [n, h, w] and score [n] of every answer above the thresholds."""
        prompt, choice = np.nonzero(answer.scores >= self.config.min_iou)
        logits = answer.logits[prompt, choice]
        inner = np.count_nonzero(logits > STABILITY_OFFSET, axis=(1, 2))
        outer = np.count_nonzero(logits > -STABILITY_OFFSET, axis=(1, 2))
        stability = inner / np.maximum(outer, 1)
        good = stability >= self.config.min_stability
        scores = np.minimum(answer.scores[prompt, choice], 1) * stability
        return prompt[good], logits[good], scores[good]

    def _explain(self, mask: np.ndarray) -> None:
        n = self.config.points_per_side
        centres = np.arange(n) + 0.5
        columns = (centres * self.cell[0] * self.scale[0]).astype(np.int64).clip(0, mask.shape[1] - 1)
        rows = (centres * self.cell[1] * self.scale[1]).astype(np.int64).clip(0, mask.shape[0] - 1)
        area = np.count_nonzero(mask) / (self.scale[0] * self.scale[1])
        covered = mask[np.ix_(rows, columns)]
        self.explained[covered] = np.minimum(self.explained[covered], area)

    def masks(self, check: Check) -> MaskStack:
        """Everything kept, at the image's resolution and without specks and pinholes."""
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
    """The mask [H, W] without islands, and with holes filled, of fewer than `area` pixels."""
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
