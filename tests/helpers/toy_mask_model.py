"""A SAM-style encoder and decoder in ONNX that need no weights: a mask is what has nearly the colour of the point.

The graphs have the form of published exports: a padded square image, point prompts, a decoder that picks one of its
four masks inside the graph and declares a batch of one.
"""

from pathlib import Path
from typing import Any

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
    constants: dict[str, Any] = {
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


def write_upscaling_models(folder: Path, neighbours: bool = False) -> tuple[Path, Path]:
    """(encoder, decoder) whose decoder repeats the features, transforms and upscales them as SAM's does.

    Args:
        neighbours: let the upscaling mix neighbouring cells, which no sketch can stand for.
    """
    encoder, decoder = folder / "encoder.onnx", folder / "decoder.onnx"
    channels, side = 6, INPUT // 16
    rng = np.random.default_rng(0)
    pool = helper.make_node("AveragePool", ["image"], ["small"], kernel_shape=[16, 16], strides=[16, 16])
    conv = helper.make_node("Conv", ["small", "kernel"], ["features"], kernel_shape=[1, 1])
    kernel = rng.standard_normal((channels, 3, 1, 1)).astype(np.float32)
    ends = [_floats("image", [1, 3, INPUT, INPUT])], [_floats("features", [1, channels, side, side])]
    onnx.save(_model([pool, conv], *ends, {"kernel": kernel}), str(encoder))
    onnx.save(_upscaling_decoder(channels, side, neighbours, rng), str(decoder))
    return encoder, decoder


def _upscaling_decoder(channels: int, side: int, neighbours: bool, rng: np.random.Generator) -> onnx.ModelProto:
    node = helper.make_node

    def random(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    constants: dict[str, Any] = {
        "first": np.array([0], np.int64),
        "axis1": np.array([1], np.int64),
        "two": np.array([2], np.int64),
        "rest": np.array([-1], np.int64),
        "image_shape": np.array([channels, side, side], np.int64),
        "scale": np.float32(1 / INPUT),
        "embed": random(2, channels),
        "column": np.array([0, channels, 1, 1], np.int64),
        "layer": random(channels, channels),
        "up1": random(channels, 5, 2, 2),
        "up2": random(5, 4, 2, 2),
        "smooth": random(4, 4, 3, 3),
        "vectors_of": random(channels, 16),
        "vectors_shape": np.array([0, 4, 4], np.int64),
        "flat4": np.array([0, 4, -1], np.int64),
        "plane": np.array([0, 4, 4 * side, 4 * side], np.int64),
        "nothing": np.zeros((channels, 4), np.float32),
        "quality": np.array(SCORES, np.float32),
    }
    last = "smoothed" if neighbours else "wide"
    nodes = [
        node("Shape", ["point_coords"], ["prompt_shape"]),
        node("Gather", ["prompt_shape", "first"], ["count"], axis=0),
        node("Unsqueeze", ["image_embeddings", "axis1"], ["one_more"]),
        node("Concat", ["first_one", "count", "ones3"], ["times"], axis=0),
        node("Tile", ["one_more", "times"], ["tiled"]),
        node("Concat", ["count", "image_shape"], ["repeated_shape"], axis=0),
        node("Reshape", ["tiled", "repeated_shape"], ["repeated"]),
        node("Gather", ["point_coords", "first_index"], ["point"], axis=1),
        node("Mul", ["point", "scale"], ["relative"]),
        node("MatMul", ["relative", "embed"], ["coordinates"]),
        node("Cast", ["point_labels"], ["labels"], to=TensorProto.FLOAT),
        node("Gather", ["labels", "first"], ["label"], axis=1),
        node("Mul", ["coordinates", "label"], ["token"]),
        node("Reshape", ["token", "column"], ["token_plane"]),
        node("Mul", ["repeated", "token_plane"], ["prompted"]),
        node("Shape", ["prompted"], ["prompted_shape"]),
        node("Slice", ["prompted_shape", "first", "two"], ["two_sizes"]),
        node("Concat", ["two_sizes", "rest"], ["flat_shape"], axis=0),
        node("Reshape", ["prompted", "flat_shape"], ["flat"]),
        node("Transpose", ["flat"], ["cells_first"], perm=[0, 2, 1]),
        node("MatMul", ["cells_first", "layer"], ["layered"]),
        node("Transpose", ["layered"], ["channels_first"], perm=[0, 2, 1]),
        node("Shape", ["repeated"], ["cells_shape"]),
        node("Reshape", ["channels_first", "cells_shape"], ["cells"]),
        node("ConvTranspose", ["cells", "up1"], ["double"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Relu", ["double"], ["double_on"]),
        node("ConvTranspose", ["double_on", "up2"], ["wide"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["wide", "smooth"], ["smoothed"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Reshape", [last, "flat4"], ["wide_flat"]),
        node("MatMul", ["token", "vectors_of"], ["vectors_flat"]),
        node("Reshape", ["vectors_flat", "vectors_shape"], ["vectors"]),
        node("MatMul", ["vectors", "wide_flat"], ["all_flat"]),
        node("Reshape", ["all_flat", "plane"], ["all_masks"]),
        node("Gather", ["all_masks", "first"], ["low_res_masks"], axis=1),
        node("Gemm", ["token", "nothing", "quality"], ["all_scores"]),
        node("Gather", ["all_scores", "first"], ["iou_predictions"], axis=1),
    ]
    nodes = [n for n in nodes if neighbours or n.output[0] != "smoothed"]
    constants |= {"first_one": np.ones(1, np.int64), "ones3": np.ones(3, np.int64), "first_index": np.int64(0)}
    inputs = [
        _floats("image_embeddings", [1, channels, side, side]),
        _floats("point_coords", [1, "points", 2]),
        _floats("point_labels", [1, "points"]),
    ]
    outputs = [_floats("low_res_masks", [1, 1, 4 * side, 4 * side]), _floats("iou_predictions", [1, 1])]
    return _model(nodes, inputs, outputs, constants)
