"""A SAM-style encoder and decoder in ONNX that need no weights: a mask is what has nearly the colour of the point.

The graphs have the form of published exports: a padded square image, point prompts, a decoder that picks one of its
four masks inside the graph and declares a batch of one.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUT, PLANE = 128, 32  # encoder input and mask side, pixels
REACH = (0.1, 0.1, 1.3, 3.0)  # colour distance (normalised, three channels) up to which masks 0..3 reach
SCORES = (0.99, 0.97, 0.95, 0.93)


def write_models(folder: Path) -> tuple[Path, Path]:
    """(encoder, decoder) files."""
    encoder, decoder = folder / "encoder.onnx", folder / "decoder.onnx"
    onnx.save(_encoder(), str(encoder))
    onnx.save(_decoder(), str(decoder))
    return encoder, decoder


def _floats(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(nodes: list, inputs: list, outputs: list, constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "toy", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _encoder() -> onnx.ModelProto:
    cell = INPUT // PLANE
    pool = helper.make_node("AveragePool", ["image"], ["features"], kernel_shape=[cell, cell], strides=[cell, cell])
    return _model([pool], [_floats("image", [1, 3, INPUT, INPUT])], [_floats("features", [1, 3, PLANE, PLANE])], {})


def _decoder() -> onnx.ModelProto:
    node = helper.make_node
    constants = {
        "cell": np.float32(INPUT / PLANE),
        "last": np.float32(PLANE - 1),
        "zero": np.float32(0),
        "swap": np.array([1, 0], np.int64),  # (x, y) → (row, column)
        "first": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "column": np.array([-1, 3, 1, 1], np.int64),
        "flat": np.array([0, 4, PLANE * PLANE], np.int64),
        "plane": np.array([0, 4, PLANE, PLANE], np.int64),
        "eye": np.eye(PLANE * PLANE, dtype=np.float32),
        "reach": np.array(REACH, np.float32).reshape(1, 4, 1, 1),
        "sharp": np.float32(40),  # logits a unit of colour distance: masks are stable
        "nothing": np.zeros((3, 4), np.float32),
        "quality": np.array(SCORES, np.float32),
        "axis1": np.array([1], np.int64),
        "axis0": np.array([0], np.int64),
    }
    nodes = [
        node("Gather", ["point_coords", "first"], ["point_"], axis=1),
        node("Squeeze", ["point_", "axis1"], ["point"]),
        node("Div", ["point", "cell"], ["at_plane"]),
        node("Floor", ["at_plane"], ["at_floor"]),
        node("Clip", ["at_floor", "zero", "last"], ["at_clipped"]),
        node("Cast", ["at_clipped"], ["at_xy"], to=TensorProto.INT64),
        node("Gather", ["at_xy", "swap"], ["at"], axis=1),
        node("Squeeze", ["image_embeddings", "axis0"], ["chw"]),
        node("Transpose", ["chw"], ["hwc"], perm=[1, 2, 0]),
        node("GatherND", ["hwc", "at"], ["found"]),
        node("Gather", ["point_labels", "first"], ["label"], axis=1),
        node("Mul", ["found", "label"], ["color"]),  # the label of a positive point is 1
        node("Reshape", ["color", "column"], ["color_plane"]),
        node("Sub", ["image_embeddings", "color_plane"], ["difference"]),
        node("Abs", ["difference"], ["absolute"]),
        node("ReduceSum", ["absolute", "axis1"], ["distance"], keepdims=1),
        node("Sub", ["reach", "distance"], ["margin"]),
        node("Mul", ["margin", "sharp"], ["sharpened"]),
        node("Reshape", ["sharpened", "flat"], ["flattened"]),
        node("MatMul", ["flattened", "eye"], ["all_flat"]),
        node("Reshape", ["all_flat", "plane"], ["all_masks"]),
        node("Gather", ["all_masks", "first"], ["low_res_masks"], axis=1),
        node("Gemm", ["color", "nothing", "quality"], ["all_scores"]),
        node("Gather", ["all_scores", "first"], ["iou_predictions"], axis=1),
        node("Identity", ["mask_input"], ["unused_mask"]),
    ]
    inputs = [
        _floats("image_embeddings", [1, 3, PLANE, PLANE]),
        _floats("point_coords", [1, "points", 2]),
        _floats("point_labels", [1, "points"]),
        _floats("mask_input", [1, 1, PLANE, PLANE]),
        _floats("has_mask_input", [1]),
    ]
    outputs = [_floats("low_res_masks", [1, 1, PLANE, PLANE]), _floats("iou_predictions", [1, 1])]
    return _model(nodes, inputs, outputs, constants)
