"""Which label of a new segmentation is which of the old one: so that names, colours and objects outlive a second run.

Label numbers of two runs have nothing to do with each other. What they share are Gaussians: two labels are the same
thing when more than half of their union is in both. Of two labels of one level at most one can be that to a third, so
there is nothing to assign, only to look up.
"""

import re
from dataclasses import dataclass, field

import numpy as np

from .label_tree import CodeTable, Key

SAME = 0.5  # intersection over union above which two labels are one thing; at this value the partner is unique
_AUTOMATIC = re.compile(r"L\d+_\d+(_\d+)?")


@dataclass
class Kept:
    """What people see of labels, by (level, label): names they gave, colours, closed eyes."""

    names: dict[Key, str] = field(default_factory=dict)
    colors: dict[Key, tuple[float, float, float]] = field(default_factory=dict)
    hidden: set[Key] = field(default_factory=set)

    def moved(self, partners: dict[Key, Key]) -> "Kept":
        """The same for new labels, where an old one has a partner; automatic names stay behind."""
        names = {partners[key]: name for key, name in self.names.items() if key in partners and not is_automatic(name)}
        colors = {partners[key]: color for key, color in self.colors.items() if key in partners}
        return Kept(names, colors, {partners[key] for key in self.hidden if key in partners})


def is_automatic(name: str) -> bool:
    """Whether a label's name is the one it gets by itself, `L<level>_<rank>`."""
    return _AUTOMATIC.fullmatch(name) is not None


def partners(old: CodeTable, new: CodeTable) -> dict[Key, Key]:
    """New (level, label) of old ones that share more than half of their union; both tables are of the same Gaussians.

    Levels beyond those that both have are left out.
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
        same = shared > SAME * (size_a[:, None] + size_b[None, :] - shared)
        for i, j in zip(*np.nonzero(same), strict=True):
            out[(level, int(a_ids[i]))] = (level, int(b_ids[j]))
    return out
