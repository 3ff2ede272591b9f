"""Named sets of labels. They are saved with the splat, by the numbers of the labels."""

from collections.abc import Iterable, Mapping

from ..logic.label_names import unique_name
from ..logic.label_tree import Key
from .properties import BGS_LabelSet, without_updates
from .typed import SplatObject


def keys_of(one: BGS_LabelSet) -> list[Key]:
    """The (level, label) of each label of a set."""
    pairs = (text.split(":") for text in one.keys.split())
    return [(int(level), int(label)) for level, label in pairs]


def keys_by_name(obj: SplatObject) -> dict[str, set[Key]]:
    """The labels of every set."""
    return {one.name: set(keys_of(one)) for one in obj.bgs.label_sets}


def save(obj: SplatObject, keys: Iterable[Key], name: str) -> BGS_LabelSet:
    """Save labels as a set, and make it the active one. A set of this name is replaced; "" gives a new name."""
    sets = obj.bgs.label_sets
    index = sets.find(name) if name else -1
    if index < 0:
        wanted = name or unique_name("Set", [one.name for one in sets])
        sets.add()
        index = len(sets) - 1
        with without_updates():
            sets[index].name = wanted
    obj.bgs.set_index = index
    _write(sets[index], keys)
    sets[index].lost = 0
    return sets[index]


def delete(obj: SplatObject, index: int) -> None:
    """Delete a set. The labels stay as they are."""
    obj.bgs.label_sets.remove(index)
    obj.bgs.set_index = max(0, min(index, len(obj.bgs.label_sets) - 1))


def keep(obj: SplatObject, wanted: Mapping[str, set[Key]]) -> None:
    """Give the sets the labels that theirs have become. Labels that are not in the list drop out, and are counted."""
    if not len(obj.bgs.label_sets):
        return
    there = {(row.level, row.label) for row in obj.bgs.labels}
    for one in obj.bgs.label_sets:
        before, left = keys_of(one), wanted.get(one.name, set()) & there
        if left != set(before):
            one.lost += len(before) - len(left)
            _write(one, left)


def lost_note(one: BGS_LabelSet) -> str:
    """A sentence about the labels of a set that are gone, or ""."""
    if not one.lost:
        return ""
    gone = "1 label of it is" if one.lost == 1 else f"{one.lost:,} labels of it are"
    return f"{gone} gone since it was saved."


def _write(one: BGS_LabelSet, keys: Iterable[Key]) -> None:
    one.keys = " ".join(f"{level}:{label}" for level, label in sorted(keys))
