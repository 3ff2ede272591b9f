"""SAM-style encoder and decoder pairs in ONNX format, run by onnxruntime.

Covers SAM and its distilled children (image padded to a square, one embedding) and SAM 2 exports (image stretched to a
square, further feature maps). What differs is read from the models' declared inputs and outputs.
"""

import hashlib
import math
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bgs_engine.errors import CancelledError, EnvironmentLacksError, InputError
from bgs_engine.masks.onnx_graph import batched_decoder, load_graph
from bgs_engine.masks.onnx_split import SplitDecoder, split_decoder
from bgs_engine.masks.prompting import Answers, WholeAnswers

PIXEL_MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255  # ImageNet, as in every SAM release
PIXEL_STD = np.array([0.229, 0.224, 0.225], np.float32) * 255
DEFAULT_INPUT = 1024  # encoder input where the model leaves its size open
PROMPT_INPUTS = ("point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size")
OUT_OF_MEMORY_WORDS = ("alloc", "out of memory")
UPSCALING = 4  # mask pixels per feature cell, in both directions, of every SAM


@dataclass(frozen=True)
class _Encoded:
    features: dict[str, np.ndarray]  # decoder inputs by name
    to_input: tuple[float, float]  # encoder pixels per image pixel, x and y
    used: tuple[int, int]  # columns and rows of the encoder's input that the image covers


class OnnxSam:
    """An encoder and a decoder session; safe to call from several threads.

    Raises:
        InputError: a file that is missing, no model, or not a SAM-style part.
        EnvironmentLacksError: onnxruntime is missing.
    """

    def __init__(self, encoder: Path, decoder: Path, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise EnvironmentLacksError(
                "ONNX models need the package onnxruntime.", "Run: pip install onnx onnxruntime"
            ) from None
        self._runtime = onnxruntime
        load_graph(encoder)  # for its plain error
        model = load_graph(decoder)
        graph, self._masks, self._scores = batched_decoder(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        once = onnxruntime.SessionOptions()  # one call an image: its activations must not stay allocated
        once.intra_op_num_threads = threads
        once.log_severity_level = 3
        once.enable_cpu_mem_arena = False
        self._encoder = self._session(str(encoder), once, encoder.name)
        self._decoder = self._session(graph, options, decoder.name)
        self._run_options = onnxruntime.RunOptions()
        self._encoding = threading.Lock()  # one at a time: the encoder is what needs most memory
        self._read_layout(encoder.name, decoder.name)
        self._split = self._try_split(split_decoder(model, self._masks, self._scores), options)
        parts = "".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in (encoder, decoder))
        self.signature = "onnx:" + hashlib.sha256(parts.encode()).hexdigest()

    def _session(self, model: str | bytes, options: Any, name: str) -> Any:
        providers = [p for p in self._runtime.get_available_providers() if p != "TensorrtExecutionProvider"]
        try:
            return self._runtime.InferenceSession(model, options, providers=providers)
        except Exception as error:  # onnxruntime raises types of its own
            raise InputError(
                f"onnxruntime cannot load {name} ({str(error).splitlines()[0][:160]}).",
                "Give two .onnx files: onnx:ENCODER,DECODER.",
            ) from None

    def _read_layout(self, encoder: str, decoder: str) -> None:
        """Which way the encoder wants its image, and which of its outputs feeds which input of the decoder."""
        inputs = self._encoder.get_inputs()
        shape = [d if isinstance(d, int) and d > 0 else None for d in inputs[0].shape]
        if len(inputs) != 1 or len(shape) not in (3, 4) or (len(shape) == 4 and shape[1] not in (3, None)):
            raise InputError(
                f"{encoder} is not a SAM encoder: it takes {[(i.name, i.shape) for i in inputs]}.",
                "The encoder must take one image, [1, 3, H, W] or [H, W, 3].",
            )
        self._image_input = inputs[0].name
        self._planar = len(shape) == 4  # normalised [1, 3, S, S]; else plain [H, W, 3] in 0..255
        self._input_size = (shape[2] if self._planar else None) or DEFAULT_INPUT
        features = [i.name for i in self._decoder.get_inputs() if i.name not in PROMPT_INPUTS]
        self._prompts = {i.name: i for i in self._decoder.get_inputs() if i.name in PROMPT_INPUTS}
        outputs = [o.name for o in self._encoder.get_outputs()]
        if not {"point_coords", "point_labels"} <= set(self._prompts) or not features:
            raise InputError(
                f"{decoder} is not a SAM decoder: it takes {[i.name for i in self._decoder.get_inputs()]}.",
                "The decoder must take image features, point_coords and point_labels.",
            )
        if len(features) == 1 and len(outputs) == 1:
            self._features = {features[0]: outputs[0]}
        elif set(features) <= set(outputs):
            self._features = {name: name for name in features}
        else:
            raise InputError(
                f"{decoder} wants {', '.join(features)} but {encoder} gives {', '.join(outputs)}.",
                "Give an encoder and a decoder of the same model.",
            )
        self._stretched = len(self._features) > 1  # SAM 2 exports squeeze the image to a square

    def encode(self, image: np.ndarray) -> _Encoded:
        """Features of an image, uint8 [H, W, 3]."""
        height, width = image.shape[:2]
        size = self._input_size
        fit = size / max(height, width)
        columns, rows = (size, size) if self._stretched else (max(1, round(width * fit)), max(1, round(height * fit)))
        resized = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR), np.float32)
        if self._planar:
            padded = np.zeros((size, size, 3), np.float32)
            padded[:rows, :columns] = (resized - PIXEL_MEAN) / PIXEL_STD
            resized = np.ascontiguousarray(padded.transpose(2, 0, 1)[None])
        names = list(self._features.values())
        with self._encoding:
            values = self._run(self._encoder, names, {self._image_input: resized})
        features = dict(zip(self._features, values, strict=True))
        return _Encoded(features, (columns / width, rows / height), (columns, rows))

    def decode(self, encoded: _Encoded, points: np.ndarray) -> Answers:
        """Masks at points [B, 2], (x, y) in image pixels."""
        feed = self._prompt(encoded, points)
        if self._split is not None:
            return _SplitAnswers(self._split, encoded, feed, self._input_size, len(points))
        logits, scores = self._run(self._decoder, [self._masks, self._scores], feed)
        scores = scores.reshape(len(points), -1)
        logits = logits.reshape(*scores.shape, *_plane(logits.size // scores.size))
        logits, scores = logits[:, _nested(scores)], scores[:, _nested(scores)]
        per_input = logits.shape[-1] / self._input_size
        columns, rows = (min(logits.shape[-1], math.ceil(used * per_input)) for used in encoded.used)
        scale_x, scale_y = (factor * per_input for factor in encoded.to_input)
        return WholeAnswers(logits[:, :, :rows, :columns], scores, scale_x, scale_y)

    def _prompt(self, encoded: _Encoded, points: np.ndarray) -> dict[str, np.ndarray]:
        prompt = np.zeros((len(points), 2, 2), np.float32)  # the second point, labelled -1, is SAM's "no box"
        prompt[:, 0] = points * encoded.to_input
        labels = np.tile(np.array([1, -1], np.float32), (len(points), 1))
        feed: dict[str, np.ndarray] = {"point_coords": prompt, "point_labels": labels, **encoded.features}
        for name, value in self._prompts.items():
            if name not in feed:
                feed[name] = np.zeros([d if isinstance(d, int) else 1 for d in value.shape], np.float32)
        return feed

    def _try_split(self, split: SplitDecoder | None, options: Any) -> "_SplitSessions | None":
        """Sessions of the parts, if there are parts and they give what the whole gives."""
        if split is None:
            return None
        try:
            parts = _SplitSessions(
                split,
                self._runtime.InferenceSession(split.transformer, options, providers=["CPUExecutionProvider"]),
                self._runtime.InferenceSession(split.upscaling, options, providers=["CPUExecutionProvider"]),
                self._runtime.InferenceSession(split.sketching, options, providers=["CPUExecutionProvider"]),
                self._run,
            )
            shapes = {i.name: i.shape for i in self._decoder.get_inputs()}
            if any(not isinstance(d, int) for name in self._features for d in shapes[name]):
                return None
            random = np.random.default_rng(0)
            features = {n: random.standard_normal(shapes[n]).astype(np.float32) for n in self._features}
            trial = _Encoded(features, (1.0, 1.0), (self._input_size, self._input_size))
            points = random.uniform(0, self._input_size, (2, 2))
            whole = self._run(self._decoder, [self._masks, self._scores], self._prompt(trial, points))
            answers = _SplitAnswers(parts, trial, self._prompt(trial, points), self._input_size, 2)
            same = answers.agrees(whole[0].reshape(2, -1), whole[1].reshape(2, -1))
        except (InputError, MemoryError, ValueError, self._runtime.capi.onnxruntime_pybind11_state.OrtException):
            return None
        return parts if same else None

    def stop(self) -> None:
        """Make running sessions return at once."""
        self._run_options.terminate = True

    def _run(self, session: Any, outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        try:
            result: list[np.ndarray] = session.run(outputs, feed, self._run_options)
        except Exception as error:  # onnxruntime raises types of its own
            text = str(error)
            if self._run_options.terminate:
                raise CancelledError from None
            if isinstance(error, MemoryError) or any(word in text.lower() for word in OUT_OF_MEMORY_WORDS):
                raise MemoryError(text) from None
            raise InputError(
                f"The ONNX model failed ({text.splitlines()[0][:200]}).",
                "Check that encoder and decoder belong together.",
            ) from None
        return result


@dataclass(frozen=True)
class _SplitSessions:
    names: SplitDecoder
    transformer: Any
    upscaling: Any
    sketching: Any
    run: Any


class _SplitAnswers:
    """Answers of a decoder in parts: scores at once, sketches and masks when asked. Same attributes as `Answers`."""

    def __init__(
        self, parts: _SplitSessions, encoded: _Encoded, feed: dict[str, np.ndarray], input_size: int, count: int
    ) -> None:
        names = parts.names
        cells, self._vectors, scores = parts.run(parts.transformer, [names.features, names.vectors, names.scores], feed)
        self._parts = parts
        self._all_scores = scores.reshape(count, -1)
        self._first = _nested(self._all_scores).start or 0
        self.scores = self._all_scores[:, self._first :]
        side, _ = _plane(cells.shape[2])
        cells = cells.reshape(count, -1, side, side)
        per_cell = side / input_size
        columns, rows = (min(side, math.ceil(used * per_cell)) for used in encoded.used)
        self._cells = cells[:, :, :rows, :columns]  # cells of the padding need no mask
        self._shape = (rows, columns)
        self.scale_x, self.scale_y = (factor * per_cell * UPSCALING for factor in encoded.to_input)

    def sketch(self, prompts: np.ndarray) -> np.ndarray:
        """Every second pair of rows and columns of all masks."""
        return self._upscale(self._parts.sketching, prompts, self._vectors[prompts, self._first :], UPSCALING // 2)

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


def _nested(scores: np.ndarray) -> slice:
    """Which masks of a prompt to use: of SAM's four the first answers several points, the others whole to part."""
    return slice(1, None) if scores.shape[1] == 4 else slice(None)


def _plane(pixels: int) -> tuple[int, int]:
    """Side lengths of a square mask of that many pixels."""
    side = round(pixels**0.5)
    if side * side != pixels:
        raise InputError("The decoder's masks are not square.", "Export it with low_res_masks as an output.")
    return side, side
