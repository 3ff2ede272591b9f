"""Attention between few prompt tokens and thousands of image cells, regrouped to cost a third.

As published, every prompt projects all cells X [N, C] to keys and values before seven tokens look at them. But

    softmax(q (X Wk + bk)^T) (X Wv + bv) = (softmax((q Wk^T) X^T) X) Wv + bv

so the projections can be done on the tokens' side: bk shifts all scores of a query alike and cancels, the rows of the
softmax sum to one. The other way round, cells looking at tokens K, V:

    softmax((X Wq + bq) K^T) V Wo = softmax(X (Wq K^T) + bq K^T) (V Wo)

Results differ from the published order by rounding only. The blocks are found by their form (softmax of a product of
two projections, times a third); onnx_parts.py compares the outcome with the original before using it.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ON_THE_WAY = {"Reshape", "Transpose", "Div", "Mul"}  # between a projection and the product of queries and keys
FEW = 16  # a side is small when the other has at least so many times its length
ShapesOf = Callable[[Any, Sequence[str]], list[tuple[int, ...]]]


@dataclass(frozen=True)
class _Projection:
    source: str  # [B, n, C]
    result: str  # [B, n, H * d]
    weight: np.ndarray  # [C, H * d]
    bias: np.ndarray  # [H * d]


@dataclass(frozen=True)
class _Block:
    softmax: str
    query: _Projection
    key: _Projection
    value: _Projection
    output: Any  # the MatMul node of the output projection


def cheaper_attention(model: Any, shapes_of: ShapesOf) -> Any | None:
    """The model with its token-image attentions regrouped; None if it has none of the known form.

    Args:
        model: ONNX model; stays as it is.
        shapes_of: (model, tensor names) → their shapes in a run with two prompts.
    """
    blocks = _find_blocks(model.graph)
    if not blocks:
        return None
    names = [n for b in blocks for n in (b.query.source, b.key.source, b.softmax)]
    shapes = iter(shapes_of(model, names))
    regrouped = copy.deepcopy(model)
    graph = regrouped.graph
    changed = 0
    for number, block in enumerate(blocks):
        query, key, weights = next(shapes), next(shapes), next(shapes)
        if len(weights) != 4 or len(query) != 3 or len(key) != 3:
            continue
        writer = _Writer(graph, f"regrouped_{number}")
        if key[1] >= FEW * query[1] and key[0] > 1:  # shared cells are projected once already
            _tokens_to_cells(writer, block, weights[1])
        elif query[1] >= FEW * key[1]:
            _cells_to_tokens(writer, block, weights[1])
        else:
            continue
        changed += 1
    if not changed:
        return None
    _sort(graph)
    return regrouped


class _Writer:
    """Adds nodes and constants to a graph, with names of their own."""

    def __init__(self, graph: Any, prefix: str) -> None:
        self.graph, self.prefix, self.count = graph, prefix, 0

    def constant(self, values: np.ndarray) -> str:
        import onnx

        name = self._name()
        self.graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        import onnx

        result = result or self._name()
        self.graph.node.append(onnx.helper.make_node(kind, list(inputs), [result], name=result, **attributes))
        return result

    def reshape(self, tensor: str, *shape: int) -> str:
        return self.node("Reshape", tensor, self.constant(np.array(shape, np.int64)))

    def replace(self, output: str) -> str:
        """Free the name `output`: whoever made it makes something unused instead."""
        for node in self.graph.node:
            for k, name in enumerate(node.output):
                if name == output:
                    node.output[k] = self._name()
        return output

    def _name(self) -> str:
        self.count += 1
        return f"{self.prefix}_{self.count}"


def _heads(weight: np.ndarray, heads: int) -> np.ndarray:
    """[C, H * d] → [1, H, C, d]."""
    return weight.reshape(len(weight), heads, -1).transpose(1, 0, 2)[None].astype(np.float32)


def _tokens_to_cells(w: _Writer, block: _Block, heads: int) -> None:
    channels, width = block.key.weight.shape
    size = width // heads
    query = w.node("Transpose", w.reshape(block.query.result, 0, -1, heads, size), perm=[0, 2, 1, 3])
    onto_cells = w.constant(_heads(block.key.weight, heads).transpose(0, 1, 3, 2) / np.float32(np.sqrt(size)))
    asked = w.reshape(w.node("MatMul", query, onto_cells), 0, -1, channels)  # [B, H * t, C]
    scores = w.node("MatMul", asked, w.node("Transpose", block.key.source, perm=[0, 2, 1]))
    seen = w.node("MatMul", w.node("Softmax", scores, axis=-1), block.value.source)
    seen = w.reshape(seen, 0, heads, -1, block.value.weight.shape[0])
    value = w.node("MatMul", seen, w.constant(_heads(block.value.weight, heads)))
    value = w.node("Add", value, w.constant(block.value.bias.reshape(1, heads, 1, -1)))
    joined = w.reshape(w.node("Transpose", value, perm=[0, 2, 1, 3]), 0, -1, block.value.weight.shape[1])
    block_output = w.replace(block.output.output[0])
    w.node("MatMul", joined, block.output.input[1], result=block_output)


def _cells_to_tokens(w: _Writer, block: _Block, heads: int) -> None:
    channels, width = block.query.weight.shape
    size = width // heads
    scale = np.float32(1 / np.sqrt(size))
    key = w.node("Transpose", w.reshape(block.key.result, 0, -1, heads, size), perm=[0, 2, 3, 1])  # [B, H, d, t]
    from_cells = w.node("MatMul", w.constant(_heads(block.query.weight, heads) * scale), key)  # [B, H, C, t]
    from_cells = w.reshape(w.node("Transpose", from_cells, perm=[0, 2, 1, 3]), 0, channels, -1)
    bias = w.node("MatMul", w.constant(block.query.bias.reshape(1, heads, 1, size) * scale), key)
    scores = w.node("Add", w.node("MatMul", block.query.source, from_cells), w.reshape(bias, 0, 1, -1))
    weights = w.node("Softmax", w.reshape(scores, 0, 0, heads, -1), axis=-1)
    value = w.node("Transpose", w.reshape(block.value.result, 0, -1, heads, size), perm=[0, 2, 1, 3])
    wanted = _constant(w.graph, block.output.input[1]).reshape(1, heads, size, -1)
    answers = w.reshape(w.node("MatMul", value, w.constant(wanted)), 0, -1, wanted.shape[-1])  # [B, H * t, C]
    block_output = w.replace(block.output.output[0])
    w.node("MatMul", w.reshape(weights, 0, 0, -1), answers, result=block_output)


def _constant(graph: Any, name: str) -> np.ndarray:
    import onnx

    for constant in graph.initializer:
        if constant.name == name:
            values: np.ndarray = onnx.numpy_helper.to_array(constant)
            return values
    raise KeyError(name)


def _find_blocks(graph: Any) -> list[_Block]:
    constants = {c.name for c in graph.initializer}
    producers = {output: node for node in graph.node for output in node.output}
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def projection(tensor: str) -> _Projection | None:
        node = producers.get(tensor)
        while node is not None and node.op_type in ON_THE_WAY:
            tensor = node.input[0]
            node = producers.get(tensor)
        if node is None or node.op_type != "Add":
            return None
        bias = next((i for i in node.input if i in constants), None)
        product = next((producers[i] for i in node.input if i in producers), None)
        if bias is None or product is None or product.op_type != "MatMul" or product.input[1] not in constants:
            return None
        return _Projection(product.input[0], node.output[0], _constant(graph, product.input[1]), _constant(graph, bias))

    blocks = []
    for softmax in (node for node in graph.node if node.op_type == "Softmax"):
        scores = producers.get(softmax.input[0])
        while scores is not None and scores.op_type in ("Div", "Mul"):
            scores = producers.get(scores.input[0])
        after = readers.get(softmax.output[0], [])
        if scores is None or scores.op_type != "MatMul" or len(after) != 1 or after[0].op_type != "MatMul":
            continue
        output = after[0]
        while output is not None and (output is after[0] or output.op_type in ("Transpose", "Reshape")):
            following = [n for n in readers.get(output.output[0], []) if n.op_type != "Shape"]
            output = following[0] if len(following) == 1 else None
        parts = [projection(tensor) for tensor in (*scores.input, after[0].input[1])]
        if output is None or output.op_type != "MatMul" or output.input[1] not in constants or None in parts:
            continue
        query, key, value = parts
        assert query is not None and key is not None and value is not None
        blocks.append(_Block(softmax.output[0], query, key, value, output))
    return blocks


def _sort(graph: Any) -> None:
    """Nodes in an order in which everything is made before it is used; unused ones go."""
    producers = {output: node for node in graph.node for output in node.output}
    done: set[int] = set()
    ordered: list[Any] = []
    waiting = [(producers[o.name], False) for o in graph.output if o.name in producers]
    while waiting:
        node, ready = waiting.pop()
        if ready:
            ordered.append(node)
        elif id(node) not in done:
            done.add(id(node))
            waiting.append((node, True))
            waiting.extend((producers[i], False) for i in node.input if i in producers and id(producers[i]) not in done)
    kept = [copy.deepcopy(node) for node in ordered]
    del graph.node[:]
    graph.node.extend(kept)
