"""SAM-style encoder and decoder pairs in ONNX format, run by onnxruntime.

Covers SAM and its distilled children (image padded to a square, one embedding) and SAM 2 exports (image stretched to a
square, further feature maps). What differs is read from the models' declared inputs and outputs.
"""

import hashlib
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bgs_engine.core.errors import CancelledError, EnvironmentLacksError, InputError
from bgs_engine.masks.onnx_graph import batched_decoder, load_graph
from bgs_engine.masks.onnx_parts import DecoderParts, Encoded, Feed, PartAnswers, find_parts, nested, plane
from bgs_engine.masks.prompting import BOTTOM_RIGHT, NO_BOX, ON, Answers, WholeAnswers

PIXEL_MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255  # ImageNet, as in every SAM release
PIXEL_STD = np.array([0.229, 0.224, 0.225], np.float32) * 255
DEFAULT_INPUT = 1024  # encoder input where the model leaves its size open
PROMPT_INPUTS = ("point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size")
OUT_OF_MEMORY_WORDS = ("alloc", "out of memory")


class OnnxSam:
    """An encoder and a decoder session; safe to call from several threads.

    Raises:
        InputError: a file is missing, is no model, or is not a part of a SAM-style model.
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
        options, once = self._options(threads), self._options(threads)
        once.enable_cpu_mem_arena = False  # one call an image: its activations must not stay allocated
        self._encoder = self._session(str(encoder), once, encoder.name)
        self._decoder = self._session(graph, options, decoder.name)
        self._run_options = onnxruntime.RunOptions()
        self._encoding = threading.Lock()  # one at a time: the encoder is what needs most memory
        self._read_interface(encoder.name, decoder.name)
        self._parts = self._find_parts(model, options)
        parts = "".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in (encoder, decoder))
        self.signature = "onnx:" + hashlib.sha256(parts.encode()).hexdigest()

    def _options(self, threads: int) -> Any:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait must not spin: the next image's threads need the processors (docs/lab-book.md has the cost).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        return options

    def _session(self, model: str | bytes, options: Any, name: str) -> Any:
        providers = [p for p in self._runtime.get_available_providers() if p != "TensorrtExecutionProvider"]
        try:
            return self._runtime.InferenceSession(model, options, providers=providers)
        except Exception as error:  # onnxruntime raises types of its own
            raise InputError(
                f"onnxruntime cannot load {name} ({str(error).splitlines()[0][:160]}).",
                "Give two .onnx files: onnx:ENCODER,DECODER.",
            ) from None

    def _read_interface(self, encoder: str, decoder: str) -> None:
        """Find out how the encoder takes its image, and which of its outputs feeds which input of the decoder."""
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

    def encode(self, image: np.ndarray) -> Encoded:
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
        return Encoded(features, (columns / width, rows / height), (columns, rows))

    def packed(self, encoded: Encoded) -> dict[str, np.ndarray] | None:
        """Features as named arrays in half precision, to keep them; None if they have no place in it."""
        with np.errstate(over="ignore"):
            halves = {f"feature_{name}": values.astype(np.float16) for name, values in encoded.features.items()}
        if not all(np.isfinite(values).all() for values in halves.values()):
            return None
        return {**halves, "to_input": np.array(encoded.to_input), "used": np.array(encoded.used, np.int64)}

    def unpacked(self, arrays: dict[str, np.ndarray]) -> Encoded:
        """The features that `packed` packed.

        Raises:
            ValueError: they are not of this model.
        """
        shapes = {i.name: i.shape for i in self._decoder.get_inputs() if i.name in self._features}
        if set(arrays) != {"to_input", "used", *(f"feature_{name}" for name in shapes)}:
            raise ValueError("other arrays")
        features = {name: arrays[f"feature_{name}"] for name in shapes}
        for name, shape in shapes.items():
            found = features[name]
            pairs = zip(shape, found.shape, strict=True)
            if found.dtype != np.float16 or any(isinstance(want, int) and want != has for want, has in pairs):
                raise ValueError(f"{name} has another shape")
        to_input, used = arrays["to_input"], arrays["used"]
        if (
            to_input.shape != (2,)
            or used.shape != (2,)
            or not np.isfinite(to_input).all()
            or (to_input <= 0).any()
            or (used <= 0).any()
        ):
            raise ValueError("sizes that no picture has")
        columns, rows = (min(int(side), self._input_size) for side in used)
        return Encoded(
            {name: values.astype(np.float32) for name, values in features.items()},
            (float(to_input[0]), float(to_input[1])),
            (columns, rows),
        )

    def decode(self, encoded: Encoded, points: np.ndarray) -> Answers:
        """Masks at points [B, 2], (x, y) in image pixels."""
        return self._answers(encoded, self._alone(encoded, points), len(points), nested)

    def decode_together(self, encoded: Encoded, points: np.ndarray, kinds: np.ndarray) -> Answers:
        """The masks of one thing that several points describe; see `PromptableModel`."""
        if kinds[-1] != BOTTOM_RIGHT:
            points, kinds = np.concatenate([points, np.zeros((1, 2))]), np.append(kinds, NO_BOX)
        return self._answers(encoded, self._feed(encoded, points[None], kinds[None]), 1, lambda scores: slice(None))

    def _answers(self, encoded: Encoded, feed: Feed, count: int, used: Callable[[np.ndarray], slice]) -> Answers:
        if self._parts is not None:
            return PartAnswers(self._parts, encoded, feed, self._input_size, count, used)
        logits, scores = self._run(self._decoder, [self._masks, self._scores], feed)
        scores = scores.reshape(count, -1)
        logits = logits.reshape(*scores.shape, *plane(logits.size // scores.size))
        logits, scores = logits[:, used(scores)], scores[:, used(scores)]
        per_input = logits.shape[-1] / self._input_size
        columns, rows = (min(logits.shape[-1], math.ceil(used * per_input)) for used in encoded.used)
        scale_x, scale_y = (factor * per_input for factor in encoded.to_input)
        return WholeAnswers(logits[:, :, :rows, :columns], scores, scale_x, scale_y)

    def _alone(self, encoded: Encoded, points: np.ndarray) -> Feed:
        """The input for one thing at each of points [B, 2]."""
        prompts = np.zeros((len(points), 2, 2), np.float32)
        prompts[:, 0] = points
        return self._feed(encoded, prompts, np.tile([ON, NO_BOX], (len(points), 1)))

    def _feed(self, encoded: Encoded, points: np.ndarray, kinds: np.ndarray) -> Feed:
        """The decoder's input for points [B, P, 2] of kinds [B, P]."""
        feed: Feed = {
            "point_coords": (points * encoded.to_input).astype(np.float32),
            "point_labels": kinds.astype(np.float32),
            **encoded.features,
        }
        for name, value in self._prompts.items():
            if name not in feed:
                feed[name] = np.zeros([d if isinstance(d, int) else 1 for d in value.shape], np.float32)
        return feed

    def _find_parts(self, model: Any, options: Any) -> DecoderParts | None:
        """The decoder in parts, if it has parts and they say what the whole says."""
        shapes = {i.name: i.shape for i in self._decoder.get_inputs()}
        if any(not isinstance(d, int) for name in self._features for d in shapes[name]):
            return None  # no size to try it with
        random = np.random.default_rng(0)
        features = {n: random.standard_normal(shapes[n]).astype(np.float32) for n in self._features}
        trial = Encoded(features, (1.0, 1.0), (self._input_size, self._input_size))
        feed = self._alone(trial, random.uniform(0, self._input_size, (2, 2)))
        masks, scores = self._run(self._decoder, [self._masks, self._scores], feed)

        def session(graph: bytes) -> Any:
            return self._runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

        return find_parts(
            model,
            (self._masks, self._scores),
            session,
            self._run,
            lambda parts: PartAnswers(parts, trial, feed, self._input_size, 2, nested).agrees(
                masks.reshape(2, -1), scores.reshape(2, -1)
            ),
            feed,
        )

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
