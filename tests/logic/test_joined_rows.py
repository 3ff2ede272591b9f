"""The row type of several splats in one file."""

import numpy as np
import pytest

from bgs_engine.io.ply import _NAMES
from blender_bgs.logic.joined_rows import joined_dtype
from tests.helpers.made_files import splat_dtype


def test_the_first_layout_and_the_highest_degree() -> None:
    first, second = splat_dtype(9, [("time", "<f8")]), splat_dtype(45, [("id", "<i4")])
    joined = joined_dtype([first, second])
    assert joined.names == (*splat_dtype(45).names, "time", "id")
    assert joined_dtype([second, first]).names == (*splat_dtype(45).names, "id", "time")
    assert joined_dtype([splat_dtype(0), second]).names == (*splat_dtype(45).names, "id")  # after the colour
    assert joined_dtype([first]) == first


def test_codes_can_be_left_out() -> None:
    coded = splat_dtype(0, [(f"seg_{k}", "u1") for k in range(4)])
    assert joined_dtype([coded], codes=False) == splat_dtype(0)


@pytest.mark.parametrize(
    ("a", "b", "wide"),
    [("u1", "<u2", "<u2"), ("u1", "i1", "<i2"), ("<f4", "<f8", "<f8"), ("<i4", "<u4", "<f8"), ("<i4", "<f4", "<f8")],
)
def test_a_property_of_two_types_gets_one_that_a_ply_has(a: str, b: str, wide: str) -> None:
    kind = joined_dtype([np.dtype([("id", a)]), np.dtype([("id", b)])])["id"]
    assert kind == np.dtype(wide) and kind.str[1:] in _NAMES
