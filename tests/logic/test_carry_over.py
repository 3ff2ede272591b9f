"""Who is who among the labels of two segmentations."""

import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.label_table import is_automatic
from blender_bgs.logic.carry_over import LabelSettings, partners
from blender_bgs.logic.label_tree import CodeTable


def test_labels_are_found_again_by_what_they_hold() -> None:
    layout = BitLayout((4, 4))
    old = layout.pack([np.repeat([1, 2, 3], 100), np.tile(np.repeat([0, 5], 50), 3)])
    first, second = np.repeat([9, 4, 8], 100), np.tile(np.repeat([7, 1], 50), 3)
    first[:40] = 4  # 60 of 100 stay: 60 / 100 of the union; the other has 100 / 140
    second[200:250] = 1  # the third's halves become one
    found = partners(CodeTable.of(old, layout), CodeTable.of(layout.pack([first, second]), layout))
    assert {key[1]: value[1] for key, value in found.items() if key[0] == 1} == {1: 9, 2: 4, 3: 8}
    children = {key[1]: value[1] for key, value in found.items() if key[0] == 2}
    assert children[0x15] == 0x91 and children[0x25] == 0x41
    assert 0x10 not in children  # 10 of its 50 are left, the others went away
    assert not {0x30, 0x35} & set(children)  # exactly half of the union each: no one can say


def test_another_number_of_levels_matches_those_that_both_have() -> None:
    old, new = BitLayout((3, 3, 3)), BitLayout((5,))
    ids = np.repeat([1, 2], 10)
    a = CodeTable.of(old.pack([ids, ids, ids]), old)
    assert partners(a, CodeTable.of(new.pack([ids + 8]), new)) == {(1, 1): (1, 9), (1, 2): (1, 10)}


def test_given_names_move_and_automatic_ones_stay_behind() -> None:
    kept = LabelSettings(
        names={(1, 1): "Sofa", (1, 2): "L1_02", (1, 3): "Gone"}, colors={(1, 2): (1, 0, 0)}, hidden={(1, 1)}
    )
    moved = kept.for_new_labels({(1, 1): (1, 7), (1, 2): (1, 8)})
    assert moved.names == {(1, 7): "Sofa"} and moved.colors == {(1, 8): (1, 0, 0)} and moved.hidden == {(1, 7)}
    assert is_automatic("L2_017") and is_automatic("L1_1_2") and not is_automatic("L1_Lamp")
