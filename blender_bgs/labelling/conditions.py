"""Which labels of the shown level fulfil a condition."""

from dataclasses import dataclass

import numpy as np
from bgs_engine.core.errors import UsageError

from ..cloud import appearance, label_rows
from ..cloud.properties import BGS_Label
from ..cloud.typed import SplatObject
from ..logic.label_statistics import alike_in_color, in_box, in_sphere, shares
from .label_facts import LabelFacts, facts_of

# Each kind of condition: name in Blender, and tooltip. NUMBERS compare a number, RELATIONS need an active label.
NUMBERS = {
    "SIZE": ("Size", "The longest side of the label's box"),
    "COUNT": ("Gaussians", "How many Gaussians the label has"),
    "OPACITY": ("Opacity", "The mean opacity of the label's Gaussians"),
    "HEIGHT": ("Height", "Where the middle of the label's box is along Z of the scene"),
    "CONFIDENCE": ("Confidence", "The mean confidence of the label's Gaussians"),
}
PLACES = {
    "BOX": ("In a Box", "At least half of the label's Gaussians lie in a box"),
    "SPHERE": ("In a Sphere", "At least half of the label's Gaussians lie in a sphere"),
}
RELATIONS = {
    "TOUCHING": ("Touches Active", "The label touches the active label"),
    "INSIDE": ("Inside Active", "The label lies inside the active label, as things lie in a box or a shelf"),
    "ABOVE": ("Stands on Active", "The label stands on the active label, directly or on what stands there"),
}
KINDS = {
    **NUMBERS,
    "COLOR": ("Color", "The mean colour of the label is like a given one"),
    **PLACES,
    "VISIBILITY": ("Visibility", "How much of the label is shown"),
    **RELATIONS,
}
SHARE = 0.5  # of a label's Gaussians that must lie in a box or a sphere


@dataclass(frozen=True)
class Condition:
    """What is asked of labels. Only the fields count that belong to `kind`.

    kind: a key of KINDS. compare: LEAST, MOST or BETWEEN, for NUMBERS, with `least` and `most`. color: sRGB, with
    `tolerance` in Oklab. around: CURSOR or ACTIVE, for PLACES, with `reach`: from the cursor to the sides of the box,
    or how far beyond the active label's box, in scene units. cursor: in the world. seen: SHOWN, PARTLY or HIDDEN.
    """

    kind: str
    compare: str = "LEAST"
    least: float = 0.0
    most: float = 0.0
    color: tuple[float, float, float] = (0.5, 0.5, 0.5)
    tolerance: float = 0.1
    around: str = "CURSOR"
    reach: float = 1.0
    cursor: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seen: str = "SHOWN"


def matching(obj: SplatObject, asked: Condition) -> list[int]:
    """The labels of the shown level that fulfil a condition. Hidden ones are left out, unless it asks for them.

    Raises:
        UsageError: there is no active label, or no confidence, but the condition needs it.
        InputError: the splat has lost an attribute.
    """
    facts = facts_of(obj)
    hidden = appearance.hidden_codes(obj.bgs, facts.table)
    gone = np.bincount(np.searchsorted(facts.ids, facts.table.labels(obj.bgs.shown_level)),
                       np.where(hidden, facts.table.counts, 0), len(facts.ids)).astype(np.int64)  # fmt: skip
    all_gone = gone == facts.statistics.counts
    if asked.kind == "VISIBILITY":
        wanted = {"HIDDEN": all_gone, "PARTLY": (gone > 0) & ~all_gone, "SHOWN": gone == 0}[asked.seen]
    else:
        wanted = _fulfil(obj, facts, asked) & ~all_gone
    return [int(label) for label in facts.ids[wanted]]


def _fulfil(obj: SplatObject, facts: LabelFacts, asked: Condition) -> np.ndarray:
    """Which labels fulfil the condition, hidden or not; bool [L]."""
    if asked.kind in NUMBERS:
        return _compared(_numbers(facts, asked.kind), asked)
    if asked.kind == "COLOR":
        return alike_in_color(facts.statistics.colors, asked.color, asked.tolerance)
    if asked.kind in RELATIONS:
        active = facts.chosen([need_active(obj).label])
        reached = {"TOUCHING": "touching", "INSIDE": "inside_of", "ABOVE": "above"}[asked.kind]
        return np.asarray(getattr(facts.graph, reached)(active))
    low = high = np.array(asked.cursor)
    if asked.around == "ACTIVE":
        place = int(np.flatnonzero(facts.chosen([need_active(obj).label]))[0])
        low, high = facts.statistics.low[place], facts.statistics.high[place]
    if asked.kind == "BOX":
        inside = in_box(facts.positions, low - asked.reach, high + asked.reach)
    else:
        inside = in_sphere(facts.positions, (low + high) / 2, float(np.linalg.norm(high - low)) / 2 + asked.reach)
    return np.asarray(shares(facts.of, len(facts.ids), inside) >= SHARE)


def _numbers(facts: LabelFacts, kind: str) -> np.ndarray:
    if kind == "CONFIDENCE":
        return facts.need_confidences()
    found = facts.statistics
    return {"SIZE": found.sizes, "COUNT": found.counts, "OPACITY": found.opacities, "HEIGHT": found.heights}[kind]


def _compared(values: np.ndarray, asked: Condition) -> np.ndarray:
    """Which values, [L], lie in the range that is asked for; bool [L]."""
    found = np.ones(len(values), bool)
    if asked.compare != "MOST":
        found &= values >= asked.least
    if asked.compare != "LEAST":
        found &= values <= asked.most
    return found


def need_active(obj: SplatObject) -> BGS_Label:
    """The active label of the shown level.

    Raises:
        UsageError: none is active.
    """
    active = obj.bgs.active_label()
    if active is None:
        raise UsageError("No label of this level is active.", "Click one in the list.")
    return active


def grown(obj: SplatObject, shrink: bool) -> list[int]:
    """The labels of the shown level that are selected after the selection grew by the shown labels that touch it.

    With `shrink`, those that touch a shown label that is not selected go out of it.
    """
    facts, level = facts_of(obj), obj.bgs.shown_level
    here = label_rows.column(obj, "level") == level
    keys = label_rows.column(obj, "key").view(np.uint32)

    def those(name: str) -> np.ndarray:
        return np.asarray(np.isin(facts.ids, keys[here & label_rows.column(obj, name)]))

    selected, shown = those("selected"), ~those("hidden")
    if shrink:
        left = selected & ~facts.graph.touching(~selected & shown)
    else:
        left = selected | (facts.graph.touching(selected) & shown)
    return [int(label) for label in facts.ids[left]]
