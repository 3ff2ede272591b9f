"""Label objects that stay as they are when label objects are made again, because their Gaussians are the same.

What the user did to them is not lost then: colours, opacities, scales, attributes of one's own, cleaning.
"""

from collections.abc import Mapping

import numpy as np

from ..cloud import appearance, geometry_nodes, labels, point_clouds, selection
from ..cloud.typed import SplatObject
from ..logic import attributes as at
from . import gone, trimmed
from .edited import edited_parts

NEEDED = (at.ROW, at.BASE, at.SCALE, at.ROTATION, at.SHAPED_AT)  # an object without these is made again


def unchanged(
    originals: trimmed.Originals, parts: Mapping[int, SplatObject], groups: Mapping[int, np.ndarray]
) -> set[int]:
    """The labels whose objects have exactly their Gaussians, where the whole cloud has them.

    Args:
        originals: of the whole cloud, before anything is changed.
        parts: the label objects, by label.
        groups: the points of the whole cloud of each label, ascending.
    """
    rows = point_clouds.get_column(originals.whole.data, at.ROW)
    edited = set(edited_parts(originals.whole))
    out = set()
    for label, part in parts.items():
        if rows is None or label not in groups or part.name in edited:
            continue
        back = originals.gone.rows_of(part)
        shared = gone.has_record(part) and not len(back)  # another object gives back what is marked here
        if shared or any(part.data.attributes.get(name) is None for name in NEEDED):
            continue
        own = np.concatenate([point_clouds.need_column(part.data, at.ROW), back])
        if np.array_equal(np.sort(own), rows[groups[label]]):
            out.add(label)
    return out


def tell(part: SplatObject, whole: SplatObject) -> None:
    """Give a label object that stays the codes and the confidences that the whole cloud has now, and its modifier."""
    geometry_nodes.attach(part)
    labels.copy_codes_to_part(whole, part)
    new, before = (point_clouds.get_column(one.data, at.CONFIDENCE) for one in (whole, part))
    points = selection.points_in_whole(point_clouds.get_column(whole.data, at.ROW), part)
    if new is None and before is not None:
        part.data.attributes.remove(part.data.attributes[at.CONFIDENCE])
    elif new is not None and points is not None and not (before is not None and np.array_equal(new[points], before)):
        point_clouds.set_column(part.data, at.Column(at.CONFIDENCE, "FLOAT", new[points]))
    else:
        return
    appearance.refresh_one(part, whole.bgs)
