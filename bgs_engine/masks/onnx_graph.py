"""Make a published SAM decoder graph fit for batches: all masks and scores of a prompt, many prompts at once.

Published decoders pick one mask of four inside the graph, declare a batch of one, and end in a resize to the original
image. Cutting the graph where the mask and score heads end gives all masks at their own resolution. The heads are found
by walking back from the outputs through operations that only select or reshape, so tensor names do not matter.
"""

from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core.errors import EnvironmentLacksError, InputError

# Operations that only pick, move or reshape values of their first input.
SELECTING = {"Unsqueeze", "Squeeze", "Reshape", "Gather", "Flatten", "Slice", "Resize", "Identity", "Cast", "Transpose"}
MASK_OUTPUTS = ("low_res_masks", "masks", "pred_masks")
SCORE_OUTPUTS = ("iou_predictions", "iou_scores", "scores")
NO_MASK_PROMPT = ("mask_input", "has_mask_input")


def load_graph(path: Path) -> Any:
    """The ONNX model of a file.

    Raises:
        InputError: there is no such file, or it is not an ONNX model.
        EnvironmentLacksError: the onnx package is missing.
    """
    try:
        import onnx
    except ImportError:
        raise EnvironmentLacksError(
            "Reading ONNX models needs the package onnx.", "Run: pip install onnx onnxruntime"
        ) from None
    if not path.is_file():
        raise InputError(f"There is no model file {path}.", "Check the path after onnx: (encoder,decoder).")
    try:
        model = onnx.load(str(path))
        if not model.graph.node or not model.graph.output:
            raise ValueError("the graph is empty")
    except Exception as error:  # protobuf raises types of its own, a different one a version
        raise InputError(
            f"{path.name} is not an ONNX model ({_first_line(error)}).",
            "Give two .onnx files: onnx:ENCODER,DECODER.",
        ) from None
    return model


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:120]


def batched_decoder(model: Any) -> tuple[bytes, str, str]:
    """A decoder that takes prompts [B, P, 2] and returns all masks and scores of each prompt.

    Returns the serialised graph and the names of its mask and score outputs.

    Raises:
        InputError: no mask or score output can be found.
    """
    import onnx

    graph = model.graph
    names = [output.name for output in graph.output]
    masks = _output(names, MASK_OUTPUTS)
    scores = _output(names, SCORE_OUTPUTS)
    if not masks or not scores:
        raise InputError(
            f"The decoder's outputs ({', '.join(names)}) are not those of a SAM decoder.",
            f"It must have one of {', '.join(MASK_OUTPUTS)} and one of {', '.join(SCORE_OUTPUTS)}.",
        )
    producers = {output: node for node in graph.node for output in node.output}
    mask_head, score_head = _head(masks, producers), _head(scores, producers)
    del graph.output[:]
    for name in (mask_head, score_head):
        graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    _freeze_empty_mask_prompt(graph)
    _drop_unused(graph, producers, (mask_head, score_head))
    for value in graph.input:
        if value.name.startswith("point_"):
            value.type.tensor_type.shape.dim[0].ClearField("dim_value")
            value.type.tensor_type.shape.dim[0].dim_param = "prompts"
    del graph.value_info[:]  # they repeat the batch of one
    return model.SerializeToString(), mask_head, score_head


def _output(names: list[str], known: tuple[str, ...]) -> str | None:
    return next((name for name in known if name in names), None)


def _head(name: str, producers: dict[str, Any]) -> str:
    """The tensor that `name` is selected from; `name` itself where the walk ends at anything unknown."""
    tensor = name
    while tensor in producers and producers[tensor].op_type in SELECTING:
        tensor = producers[tensor].input[0]
    known_head = tensor in producers and producers[tensor].op_type in {"MatMul", "Gemm", "Add", "Einsum", "Sigmoid"}
    return tensor if known_head else name


def _freeze_empty_mask_prompt(graph: Any) -> None:
    """Make "no mask prompt" a constant, so that the runtime folds its whole branch away once."""
    import onnx

    for value in graph.input:
        if value.name in NO_MASK_PROMPT:
            shape = [max(1, d.dim_value) for d in value.type.tensor_type.shape.dim]
            if value.name == "mask_input" and 1 in shape[2:]:
                return  # a size left open: it stays an input
            graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(shape, np.float32), value.name))


def _drop_unused(graph: Any, producers: dict[str, Any], outputs: tuple[str, ...]) -> None:
    needed: set[int] = set()
    waiting = list(outputs)
    while waiting:
        node = producers.get(waiting.pop())
        if node is not None and id(node) not in needed:
            needed.add(id(node))
            waiting.extend(node.input)
    nodes = [node for node in graph.node if id(node) in needed]
    used = {name for node in nodes for name in node.input}
    constants = [c for c in graph.initializer if c.name in used]
    constant_names = {c.name for c in constants}
    inputs = [v for v in graph.input if v.name in used and v.name not in constant_names]
    for field, kept in ((graph.node, nodes), (graph.initializer, constants), (graph.input, inputs)):
        del field[:]
        field.extend(kept)
