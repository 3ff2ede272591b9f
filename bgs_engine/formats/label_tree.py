"""Labels as a tree of named nodes, for formats that hold a scene: glTF and USD.

Every label is a node below its parent, and the Gaussians belong to the nodes of the finest level. So the names and the
tree show in any program, and the place of a Gaussian says its code. What a node's name does not say are its facts,
which the format keeps as extra data of the node.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.core.label_table import (
    AUTOMATIC_NAMES,
    TABLE_FORMAT,
    LabelTable,
    build_label_table,
    labels_as_json,
    labels_from_json,
)
from bgs_engine.formats.activation import drawable, opacities_of
from bgs_engine.formats.raw_splat import RawSplat, SplatLabels
from bgs_engine.io.gaussians import SH_C0

KEY = "bgs"  # of the facts in the extra data of a node
AGAIN = "Export it again, or use its PLY."


@dataclass
class Branch:
    """A label with its children, largest first. `rows`: the Gaussians of a finest label, in the order of the tree."""

    name: str
    facts: dict[str, Any]
    rows: slice | None = None
    children: list["Branch"] = field(default_factory=list)

    def walk(self) -> Iterator["Branch"]:
        """This label and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


def scene_facts(labels: SplatLabels) -> dict[str, Any]:
    """The facts of the node above the tree."""
    return {"format": TABLE_FORMAT, "level_bits": list(labels.layout.level_bits)}


def tree_of(labels: SplatLabels, rows: np.ndarray) -> tuple[list[Branch], np.ndarray]:
    """The labels of level 1, each with those below it, and the row numbers `rows`, int [K], in the order of the tree.

    Raises:
        InputError: the label table lacks a label of these rows.
    """
    codes = labels.codes.view(np.uint32)[rows]
    sorted_rows = np.argsort(codes, kind="stable")
    in_order = codes[sorted_rows]
    starts = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]])
    ids, ends = in_order[starts], [*starts[1:].tolist(), len(codes)]
    _check_table(labels.layout, labels.table, ids)
    table = labels_as_json(labels.table)
    names = table.get(AUTOMATIC_NAMES) or [[""] * len(level) for level in table["levels"]]
    above: dict[int, Branch] = {}
    roots: list[Branch] = []
    for level, (entries, automatic) in enumerate(zip(table["levels"], names, strict=True), 1):
        here: dict[int, Branch] = {}
        for rank, (entry, own) in enumerate(zip(entries, automatic, strict=True)):
            name, label = entry.pop("name"), entry["label"]
            facts = {"level": level, "rank": rank, **entry, "automatic": own}
            here[label] = Branch(name, {key: value for key, value in facts.items() if value not in (None, "")})
            siblings = roots if level == 1 else above[int(labels.layout.parent(label, level))].children
            siblings.append(here[label])
        above = here
    of_label = {i: sorted_rows[a:b] for i, a, b in zip(ids.tolist(), starts.tolist(), ends, strict=True)}
    done, parts = 0, [np.zeros(0, np.int64)]
    for branch in (below for root in roots for below in root.walk()):
        if branch.facts["level"] == labels.layout.levels:
            branch.facts["code"] = branch.facts["label"]
            own_rows = of_label.get(branch.facts["label"])
            if own_rows is not None:
                branch.rows = slice(done, done + len(own_rows))
                parts.append(own_rows)
                done += len(own_rows)
    return roots, rows[np.concatenate(parts)]


def ordered(splat: RawSplat, file: str) -> tuple[list[Branch] | None, np.ndarray]:
    """The tree of a splat's labels, None if it has none, and the rows that can stand in a scene, in its order, int [K].

    Raises:
        InputError: no Gaussian can be drawn, or the label table lacks a label of the codes.
    """
    rows = np.flatnonzero(drawable(splat.means, splat.scales, splat.quats))
    if not len(rows):
        raise InputError(f"No Gaussian for {file} has a finite position, size and rotation.", "Export it again.")
    return tree_of(splat.labels, rows) if splat.labels else (None, rows)


def labels_from(
    scene: dict[str, Any], nodes: list[tuple[str, dict[str, Any]]], codes: np.ndarray, file: str
) -> SplatLabels:
    """The labels of a file: the facts of the scene, name and facts of every label's node, and the codes, int32 [N].

    Raises:
        InputError: the facts are damaged or of a newer version, or lack a label of the codes.
    """
    try:
        layout = BitLayout(tuple(scene["level_bits"]))
        ranked: list[list[tuple[int, int, str, dict[str, Any]]]] = [[] for _ in layout.level_bits]
        for place, (name, node) in enumerate(nodes):
            facts = dict(node)
            level, rank = int(facts.pop("level")), int(facts.pop("rank", place))
            facts.pop("code", None)
            ranked[level - 1].append((rank, place, str(facts.pop("automatic", "")), {**facts, "name": name}))
        rows: list[list[dict[str, Any]]] = []
        automatic = []
        for found in ranked:
            first = {row["label"]: (own, row) for *_, own, row in sorted(found, key=lambda one: one[:2], reverse=True)}
            rows.append([row for _, row in reversed(first.values())])
            automatic.append([own for own, _ in reversed(first.values())])
        data = {"format": scene["format"], "level_bits": scene["level_bits"], AUTOMATIC_NAMES: automatic}
    except (TypeError, KeyError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise InputError(f"The labels in {file} are damaged ({error}).", AGAIN) from None
    table = labels_from_json({**data, "levels": rows}, f"The label tree of {file}")
    _check_table(table.layout, table, np.unique(codes.view(np.uint32)))
    return SplatLabels(codes, table.layout, table)


@dataclass(frozen=True)
class Found:
    """What the nodes of a scene say about labels: the facts of the one at the top, names and facts of the labels."""

    scene: dict[str, Any] | None
    labels: list[tuple[str, dict[str, Any]]]


def with_labels(
    splat: RawSplat, found: Found, codes: list[int | None], rows: list[slice], matrices: list[np.ndarray], file: str
) -> RawSplat:
    """The splat with the labels that its nodes had, if every node with Gaussians was below one.

    Args:
        splat: moved to where its nodes are.
        found: what the nodes say.
        codes: of each node with Gaussians; None: it was below no label.
        rows: the Gaussians of each of these nodes.
        matrices: from each of them to the scene, float64 [4, 4]. A label is measured anew where they say that it moved.
        file: its name, for messages.

    Raises:
        InputError: the facts are damaged or of a newer version, or lack a label of the codes.
    """
    known = [code for code in codes if code is not None]
    if found.scene is None or len(known) < len(codes):
        return splat
    try:
        each = np.array([code & 0xFFFFFFFF for code in known], np.uint32)
    except TypeError:
        raise InputError(f"The labels in {file} are damaged (a code that is no number).", AGAIN) from None
    every = np.repeat(each, [own.stop - own.start for own in rows]).view(np.int32)
    splat = replace(splat, labels=labels_from(found.scene, found.labels, every, file))
    still = all(np.array_equal(matrix[:3, :3], np.eye(3)) for matrix in matrices)
    assert splat.labels is not None
    if still and len({matrix.tobytes() for matrix in matrices}) == 1 and counts_fit(splat.labels):
        return splat
    return measured_anew(splat)


def measured_anew(splat: RawSplat) -> RawSplat:
    """The splat with the counts, centres, boxes and colours of its labels as they are now. Names and the like stay.

    For files that another program has moved or thinned out.
    """
    labels = splat.labels
    assert labels is not None
    colors = (splat.sh[:, 0] * np.float32(SH_C0) + np.float32(0.5)).clip(0, 1)
    fresh = build_label_table(
        labels.layout, labels.codes, splat.means, opacities_of(splat.opacities), colors, offset=splat.offset
    )
    levels = []
    for rows, known in zip(fresh.levels, labels.table.levels, strict=True):
        old = {row.label: row for row in known}
        levels.append(
            [
                replace(row, name=own.name, confidence=own.confidence, shown_color=own.shown_color,
                        automatic=own.automatic)
                for row in rows
                for own in (old[row.label],)
            ]
        )  # fmt: skip
    return replace(splat, labels=replace(labels, table=LabelTable(labels.layout, levels)))


def counts_fit(labels: SplatLabels) -> bool:
    """Whether the table's counts of the finest labels are those of the codes."""
    ids, counts = np.unique(labels.codes.view(np.uint32), return_counts=True)
    said = {row.label: row.count for row in labels.table.levels[-1] if row.count}
    return said == dict(zip(ids.tolist(), counts.tolist(), strict=True))


def _check_table(layout: BitLayout, table: LabelTable, used: np.ndarray) -> None:
    """Check that the table has the labels of the codes `used`, uint32 [U]."""
    above: set[int] = set()
    for level, rows in enumerate(table.levels, 1):
        known = {row.label for row in rows}
        lacking = set(np.unique(layout.labels(used, level)).tolist()) - known
        orphans = {int(layout.parent(label, level)) for label in known} - above if level > 1 else set()
        if lacking or orphans:
            raise InputError(
                f"The label table lacks label {min(lacking or orphans)} of level {level if lacking else level - 1}.",
                "Take codes and names from one run.",
            )
        above = known
