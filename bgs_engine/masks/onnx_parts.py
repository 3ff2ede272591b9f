"""Runs a SAM decoder in parts: scores of all prompts, sketches of the promising ones, masks of the new ones."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.masks.onnx_attention import cheaper_attention
from bgs_engine.masks.onnx_split import SplitDecoder, split_decoder

UPSCALING = 4  # mask pixels per feature cell, in both directions, of every SAM
Feed = dict[str, np.ndarray]


@dataclass(frozen=True)
class Encoded:
    """An image in the form that the decoder takes."""

    features: dict[str, np.ndarray]  # decoder inputs by name
    to_input: tuple[float, float]  # encoder pixels per image pixel, x and y
    used: tuple[int, int]  # columns and rows of the encoder's input that the image covers


@dataclass(frozen=True)
class DecoderParts:
    """Sessions of the parts of a decoder and the names of their tensors; `run` is (session, outputs, feed) → values."""

    names: SplitDecoder
    transformer: Any
    upscaling: Any
    sketching: Any
    run: Any


def find_parts(
    model: Any,
    heads: tuple[str, str],
    session: Callable[[bytes], Any],
    run: Callable[[Any, list[str], Feed], list[np.ndarray]],
    agrees: Callable[[DecoderParts], bool],
    feed: Feed,
) -> DecoderParts | None:
    """The cheapest division of a decoder that gives the same results as the whole; None if there is none.

    Args:
        model: the decoder, prepared by `onnx_graph.batched_decoder`; heads: its mask and score outputs.
        session: makes a session of a serialised graph; run: runs one.
        agrees: compares parts with the whole decoder on a trial.
        feed: the trial's input, two prompts.
    """
    split = split_decoder(model, *heads)
    if split is None:
        return None

    def shapes_of(graph_model: Any, names: Sequence[str]) -> list[tuple[int, ...]]:
        import onnx

        probe = copy.deepcopy(graph_model)
        wanted = list(dict.fromkeys(names))
        present = {output.name for output in probe.graph.output}
        for name in wanted:
            if name not in present:
                probe.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        values = dict(zip(wanted, run(session(probe.SerializeToString()), wanted, feed), strict=True))
        return [values[name].shape for name in names]

    def regrouped() -> SplitDecoder | None:
        import onnx

        cheaper = cheaper_attention(onnx.load_from_string(split.transformer), shapes_of)
        return None if cheaper is None else replace(split, transformer=cheaper.SerializeToString())

    for candidate in (regrouped, lambda: split):
        # Whatever a foreign graph makes of this, the undivided decoder is always there.
        try:
            names = candidate()
            if names is None:
                continue
            transformer, upscaling, sketching = names.transformer, names.upscaling, names.sketching
            parts = DecoderParts(names, session(transformer), session(upscaling), session(sketching), run)
            if agrees(parts):
                return parts
        except Exception:
            continue
    return None


class PartAnswers:
    """Answers of a decoder in parts: scores at once, sketches and masks when asked. Same attributes as `Answers`."""

    def __init__(
        self,
        parts: DecoderParts,
        encoded: Encoded,
        feed: Feed,
        input_size: int,
        count: int,
        used: Callable[[np.ndarray], slice],
    ) -> None:
        names = parts.names
        cells, self._vectors, scores = parts.run(parts.transformer, [names.features, names.vectors, names.scores], feed)
        self._parts = parts
        self._all_scores = scores.reshape(count, -1)
        self._first = used(self._all_scores).start or 0
        self.scores = self._all_scores[:, self._first :]
        side, _ = plane(cells.shape[2])
        cells = cells.reshape(count, -1, side, side)
        per_cell = side / input_size
        columns, rows = (min(side, math.ceil(used * per_cell)) for used in encoded.used)
        self._cells = cells[:, :, :rows, :columns]  # cells of the padding need no mask
        self._shape = (rows, columns)
        self.scale_x, self.scale_y = (factor * per_cell * UPSCALING for factor in encoded.to_input)

    def sketch(self, prompts: np.ndarray) -> np.ndarray:
        """Every second pair of rows and columns of all masks."""
        return self._upscale(self._parts.sketching, prompts, self._vectors[prompts, self._first :], UPSCALING // 2)

    def in_sketch(self, rows: np.ndarray) -> np.ndarray:
        """The nearest rows of a sketch; it has the first two of every four."""
        cell, within = np.divmod(rows, UPSCALING)
        return cell * (UPSCALING // 2) + np.minimum(within, UPSCALING // 2 - 1)

    def logits(self, prompts: np.ndarray, choices: np.ndarray) -> np.ndarray:
        """One mask of each prompt."""
        vectors = self._vectors[prompts, self._first + choices][:, None]
        return self._upscale(self._parts.upscaling, prompts, vectors, UPSCALING)[:, 0]

    def _upscale(self, session: Any, prompts: np.ndarray, vectors: np.ndarray, factor: int) -> np.ndarray:
        rows, columns = self._shape
        names = self._parts.names
        feed = {names.cells: np.ascontiguousarray(self._cells[prompts]), names.vectors: vectors}
        masks = self._parts.run(session, [names.masks], feed)[0]
        return np.asarray(masks).reshape(len(prompts), vectors.shape[1], rows * factor, columns * factor)

    def agrees(self, masks: np.ndarray, scores: np.ndarray) -> bool:
        """Whether this is what the undivided decoder said: masks [B, M * h * w], scores [B, M]."""
        count, choices = self.scores.shape
        everything = np.repeat(np.arange(count), choices)
        mine = self.logits(everything, np.tile(np.arange(choices), count)).reshape(count, choices, -1)
        theirs = masks.reshape(count, choices + self._first, -1)[:, self._first :]
        side = UPSCALING * self._shape[1]
        kept = (np.arange(side) // 2 % 2) == 0
        sampled = theirs.reshape(count, choices, side, side)[:, :, kept][:, :, :, kept]
        near = partial(np.allclose, rtol=1e-3, atol=1e-3 * float(np.abs(theirs).max()))  # float32, other order of sums
        return (
            near(mine, theirs)
            and near(self.sketch(np.arange(count)), sampled)
            and near(self._all_scores, scores.reshape(count, -1))
        )


def nested(scores: np.ndarray) -> slice:
    """Which masks of one point to use: of SAM's four the first answers several points, the others whole to part."""
    return slice(1, None) if scores.shape[1] == 4 else slice(None)


def plane(pixels: int) -> tuple[int, int]:
    """Side lengths of a square mask of that many pixels."""
    side = round(pixels**0.5)
    if side * side != pixels:
        raise InputError("The decoder's masks are not square.", "Export it with low_res_masks as an output.")
    return side, side
