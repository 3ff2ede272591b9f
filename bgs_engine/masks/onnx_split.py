"""Cut a SAM decoder into its transformer and its upscaling, and make both cheaper, without changing a result.

Published decoders waste three kinds of work when they are asked a thousand times about one image:
- They repeat the image features for every prompt before the first layer, although that layer's projections of them
  are the same for all. Without the repetition, broadcasting computes them once.
- They upscale the masks of prompts whose predicted quality is too low to be kept.
- They upscale whole masks that then turn out to repeat a known one. The upscaling (transposed convolutions of kernel
  2 and stride 2) treats every feature cell by itself, so a quarter of the samples of a mask, its *sketch*, costs a
  quarter.
A split decoder is compared with the plain decoder before use (onnx_model.py). A graph of another shape runs the plain
way.
"""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

REPEATING = {"Tile", "Expand"}
RESHAPING = {"Unsqueeze", "Reshape", "Squeeze", "Identity"}


@dataclass(frozen=True)
class SplitDecoder:
    """Serialised graphs and tensor names.

    `transformer`: prompts → features [B, C, h * w], mask vectors [B, M, c], scores [B, M].
    `upscaling`: cells [n, C, h, w] and vectors [n, m, c] → masks [n, m, 16 h w]; `sketching` → [n, m, 4 h w].
    """

    transformer: bytes
    upscaling: bytes
    sketching: bytes
    features: str
    vectors: str
    scores: str
    cells: str
    masks: str


def split_decoder(model: Any, mask_head: str, score_head: str) -> SplitDecoder | None:
    """Cut a decoder prepared by `onnx_graph.batched_decoder`; None where it has another form.

    Args:
        model: the prepared ONNX model; stays as it is.
        mask_head, score_head: names of its two outputs.
    """
    graph = model.graph
    producers = {output: node for node in graph.node for output in node.output}
    product = producers.get(mask_head)
    if product is None or product.op_type != "MatMul":
        return None
    vectors, upscaled = product.input
    stages = [n for n in _before(producers, [upscaled], set()) if n.op_type == "ConvTranspose"]
    if not stages or not all(_is_doubling(node) for node in stages):
        return None
    order = {id(node): k for k, node in enumerate(graph.node)}
    first = min(stages, key=lambda node: order[id(node)])
    cells = first.input[0]
    reshape = producers.get(cells)
    if reshape is None or reshape.op_type != "Reshape":
        return None
    features = reshape.input[0]
    tail = _part(model, [mask_head], {cells: 4, vectors: 3})
    if tail is None:
        return None
    sketch = _one_quadrant(tail, first.input[1])
    whole = copy.deepcopy(model)
    _share_image_features(whole.graph)
    head = _part(whole, [features, vectors, score_head], {})
    if sketch is None or head is None:
        return None
    return SplitDecoder(
        head.SerializeToString(),
        tail.SerializeToString(),
        sketch.SerializeToString(),
        features,
        vectors,
        score_head,
        cells,
        mask_head,
    )


def _is_doubling(node: Any) -> bool:
    """A transposed convolution that turns every cell into 2x2 cells of its own."""
    wanted = {"kernel_shape": [2, 2], "strides": [2, 2]}
    given = {a.name: list(a.ints) for a in node.attribute if a.ints}
    plain = all(not any(given.get(name, [])) for name in ("pads", "output_padding"))
    return plain and all(given.get(name) == value for name, value in wanted.items())


def _before(producers: dict[str, Any], tensors: list[str], stop: set[str]) -> list[Any]:
    """All nodes that `tensors` depend on, not looking beyond the tensors of `stop`."""
    found: dict[int, Any] = {}
    waiting = list(tensors)
    while waiting:
        tensor = waiting.pop()
        node = producers.get(tensor)
        if tensor not in stop and node is not None and id(node) not in found:
            found[id(node)] = node
            waiting.extend(node.input)
    return list(found.values())


def _part(model: Any, outputs: list[str], new_inputs: dict[str, int]) -> Any | None:
    """The part of a model between new inputs (name → rank) and outputs; None if it needs old inputs besides."""
    import onnx

    part = copy.deepcopy(model)
    graph = part.graph
    producers = {output: node for node in graph.node for output in node.output}
    needed = {id(node) for node in _before(producers, outputs, set(new_inputs))}
    nodes = [node for node in graph.node if id(node) in needed]
    used = {name for node in nodes for name in node.input}
    constants = [c for c in graph.initializer if c.name in used]
    inputs = [v for v in graph.input if v.name in used and v.name not in {c.name for c in constants}]
    if new_inputs and inputs:
        return None  # SAM 2: the upscaling adds finer image features
    for name, rank in new_inputs.items():
        shape = [f"{name}_{axis}" for axis in range(rank)]
        inputs.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    results = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
    for entry, kept in (
        (graph.node, nodes),
        (graph.initializer, constants),
        (graph.input, inputs),
        (graph.output, results),
    ):
        del entry[:]
        entry.extend(kept)
    return part


def _one_quadrant(tail: Any, weight: str) -> Any | None:
    """The upscaling with only the first of the four cells that its first transposed convolution makes."""
    import onnx

    sketch = copy.deepcopy(tail)
    for constant in sketch.graph.initializer:
        if constant.name == weight:
            values = onnx.numpy_helper.to_array(constant)
            constant.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(values[:, :, :1, :1]), weight))
            break
    else:
        return None
    for node in sketch.graph.node:
        if node.op_type == "ConvTranspose" and node.input[1] == weight:
            for attribute in node.attribute:
                if attribute.name in ("kernel_shape", "strides"):
                    attribute.ints[:] = [1, 1]
    return sketch


def _share_image_features(graph: Any) -> None:
    """Undo repetitions over the batch: whoever read a repeated tensor reads the original and broadcasts."""
    producers = {output: node for node in graph.node for output in node.output}
    replaced: dict[str, str] = {}
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        repeat = producers.get(node.input[0])
        if repeat is None or repeat.op_type not in REPEATING:
            continue
        unsqueeze = producers.get(repeat.input[0])
        if unsqueeze is not None and unsqueeze.op_type in RESHAPING:  # the export of repeat_interleave
            replaced[node.output[0]] = unsqueeze.input[0]
    for node in graph.node:
        for k, name in enumerate(node.input):
            if name in replaced:
                node.input[k] = replaced[name]
