"""Regrouped attention says what the published order says, and costs less where it claims to."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from bgs_engine.masks.onnx_attention import cheaper_attention

TOKENS, CELLS, CHANNELS, HEADS, SIZE = 5, 120, 12, 2, 4


class Graph:
    """A decoder's attention as exporters write it."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def linear(self, name: str, source: str, inner: int, outer: int) -> str:
        weight = self.constant(f"{name}_w", self.rng.standard_normal((inner, outer)).astype(np.float32) / 3)
        bias = self.constant(f"{name}_b", self.rng.standard_normal(outer).astype(np.float32))
        return self.node("Add", [bias, self.node("MatMul", [source, weight], f"{name}_m")], name)

    def heads(self, name: str, source: str, perm: list[int]) -> str:
        shape = self.constant(f"{name}_s", np.array([0, -1, HEADS, SIZE], np.int64))
        return self.node("Transpose", [self.node("Reshape", [source, shape], f"{name}_r")], name, perm=perm)

    def attention(self, name: str, query: str, key: str, value: str) -> str:
        width = HEADS * SIZE
        q = self.heads(f"{name}_qh", self.linear(f"{name}_q", query, CHANNELS, width), [0, 2, 1, 3])
        k = self.heads(f"{name}_kh", self.linear(f"{name}_k", key, CHANNELS, width), [0, 2, 3, 1])
        v = self.heads(f"{name}_vh", self.linear(f"{name}_v", value, CHANNELS, width), [0, 2, 1, 3])
        root = self.constant(f"{name}_root", np.array(SIZE**0.5, np.float32))
        scores = self.node("Div", [self.node("MatMul", [q, k], f"{name}_qk"), root], f"{name}_scores")
        mixed = self.node("MatMul", [self.node("Softmax", [scores], f"{name}_soft", axis=-1), v], f"{name}_mixed")
        back = self.node("Transpose", [mixed], f"{name}_back", perm=[0, 2, 1, 3])
        joined = self.node(
            "Reshape", [back, self.constant(f"{name}_js", np.array([0, -1, width], np.int64))], f"{name}_joined"
        )
        return self.linear(f"{name}_o", joined, width, CHANNELS)

    def model(self, output: str) -> onnx.ModelProto:
        shapes: dict[str, list[Any]] = {
            "tokens": ["b", TOKENS, CHANNELS],
            "cells": ["b", CELLS, CHANNELS],
            "shared": [1, CELLS, CHANNELS],
        }
        used = {name for node in self.nodes for name in node.input}
        inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items() if n in used]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "attention", inputs, outputs, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def feed(model: onnx.ModelProto, batch: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    sizes = {"tokens": (batch, TOKENS), "cells": (batch, CELLS), "shared": (1, CELLS)}
    return {i.name: rng.standard_normal((*sizes[i.name], CHANNELS)).astype(np.float32) for i in model.graph.input}


def run(model: onnx.ModelProto, batch: int, names: list[str]) -> list[np.ndarray]:
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    present = {o.name for o in probe.graph.output}
    extra = [n for n in dict.fromkeys(names) if n not in present]
    probe.graph.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in extra)
    session = onnxruntime.InferenceSession(probe.SerializeToString())
    values = dict(zip(dict.fromkeys(names), session.run(list(dict.fromkeys(names)), feed(model, batch)), strict=True))
    return [values[name] for name in names]


def shapes_of(model: onnx.ModelProto, names: Sequence[str]) -> list[tuple[int, ...]]:
    return [value.shape for value in run(model, 2, list(names))]


@pytest.mark.parametrize(
    ("query", "key", "value", "regrouped"),
    [
        ("tokens", "cells", "cells", True),
        ("cells", "tokens", "tokens", True),
        ("shared", "tokens", "tokens", True),
        ("tokens", "shared", "shared", False),  # projected once for all prompts already
        ("tokens", "tokens", "tokens", False),
    ],
)
def test_same_values(query, key, value, regrouped):
    graph = Graph(0)
    model = graph.model(graph.attention("a", query, key, value))
    cheaper = cheaper_attention(model, shapes_of)
    assert (cheaper is not None) == regrouped
    if cheaper is not None:
        for batch in (1, 3):
            ours, theirs = run(cheaper, batch, ["a_o"])[0], run(model, batch, ["a_o"])[0]
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)  # float32, sums in another order
        big_projections = [n for n in cheaper.graph.node if n.op_type == "MatMul" and n.input[0] in ("cells", "shared")]
        assert all(n.name.startswith("regrouped") for n in big_projections)


def test_two_layers_in_a_row_and_graphs_without_attention():
    graph = Graph(1)
    seen = graph.attention("a", "tokens", "cells", "cells")
    model = graph.model(graph.attention("b", "cells", seen, seen))
    cheaper = cheaper_attention(model, shapes_of)
    assert cheaper is not None
    np.testing.assert_allclose(run(cheaper, 2, ["b_o"])[0], run(model, 2, ["b_o"])[0], rtol=1e-4, atol=1e-5)
    plain = Graph(2)
    assert cheaper_attention(plain.model(plain.linear("x", "tokens", CHANNELS, 3)), shapes_of) is None
