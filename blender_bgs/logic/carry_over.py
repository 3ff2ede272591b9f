"""Carries names, colours and hidden labels over from the old labels to the new ones after a second segmentation.

The label numbers of two runs are unrelated, so labels are matched by their Gaussians. Two labels match if their
intersection over union is above 0.5. At this threshold a label matches at most one other label of a level.
"""

from dataclasses import dataclass, field

import numpy as np
from bgs_engine.core.label_table import is_automatic

from .label_tree import CodeTable, Key

LEAST_IOU = 0.5  # two labels match above this intersection over union; from 0.5 on, the match is unique


@dataclass
class LabelSettings:
    """What users can change on labels, by (level, label): names, sRGB colours in 0..1, and which labels are hidden.

    `light` has the tint (3 values) and the exposure of the labels whose light is not the captured one. `locked` are the
    labels that are protected against edits. `sets` has the labels of each named set. `automatic` has the names that
    describe labels, which those have that nobody has named.
    """

    names: dict[Key, str] = field(default_factory=dict)
    colors: dict[Key, tuple[float, float, float]] = field(default_factory=dict)
    hidden: set[Key] = field(default_factory=set)
    light: dict[Key, tuple[float, ...]] = field(default_factory=dict)
    locked: set[Key] = field(default_factory=set)
    sets: dict[str, set[Key]] = field(default_factory=dict)
    automatic: dict[Key, str] = field(default_factory=dict)

    def for_new_labels(self, partners: dict[Key, Key]) -> "LabelSettings":
        """The settings for the new labels. `partners` maps old to new ones. Automatic names are not carried over."""
        new = self.renumbered(partners)
        given = {key: name for key, name in new.names.items() if not is_automatic(name, new.automatic.get(key, ""))}
        new.names, new.automatic = given, {}
        return new

    def renumbered(self, partners: dict[Key, Key]) -> "LabelSettings":
        """The settings after an edit of labels: all of them stay with their labels. `partners` maps old to new ones."""

        def those(keys: set[Key]) -> set[Key]:
            return {partners[key] for key in keys if key in partners}

        return LabelSettings(
            names={partners[key]: name for key, name in self.names.items() if key in partners},
            colors={partners[key]: color for key, color in self.colors.items() if key in partners},
            hidden=those(self.hidden),
            light={partners[key]: values for key, values in self.light.items() if key in partners},
            locked=those(self.locked),
            sets={name: those(keys) for name, keys in self.sets.items()},
            automatic={partners[key]: name for key, name in self.automatic.items() if key in partners},
        )


def partners(old: CodeTable, new: CodeTable) -> dict[Key, Key]:
    """Map each old (level, label) to the new one it matches. Both tables are of the same Gaussians, in one order.

    Labels without a match are left out, and so are levels that only one table has.
    """
    pair = old.inverse.astype(np.int64) * len(new.unique) + new.inverse
    pairs, both = np.unique(pair, return_counts=True)
    first, second = np.divmod(pairs, len(new.unique))
    out: dict[Key, Key] = {}
    for level in range(1, min(old.layout.levels, new.layout.levels) + 1):
        a_ids, a = np.unique(old.labels(level), return_inverse=True)
        b_ids, b = np.unique(new.labels(level), return_inverse=True)
        a, b = a.reshape(-1), b.reshape(-1)
        shared = np.zeros((len(a_ids), len(b_ids)), np.int64)
        np.add.at(shared, (a[first], b[second]), both)
        size_a = np.bincount(a, weights=old.counts, minlength=len(a_ids))
        size_b = np.bincount(b, weights=new.counts, minlength=len(b_ids))
        same = shared > LEAST_IOU * (size_a[:, None] + size_b[None, :] - shared)
        for i, j in zip(*np.nonzero(same), strict=True):
            out[(level, int(a_ids[i]))] = (level, int(b_ids[j]))
    return out
