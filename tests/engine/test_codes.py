"""The bit layout: packing, labels, parents and bytes over the full range of a code."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bgs_engine.core.codes import BitLayout, code_bytes, codes_from_bytes
from bgs_engine.core.errors import UsageError

int32s = arrays.arrays(np.int32, st.integers(0, 20), elements=st.integers(-(2**31), 2**31 - 1))


@st.composite
def layouts(draw: st.DrawFn) -> BitLayout:
    """Any layout of 1 to 5 levels and at most 32 bits."""
    bits: list[int] = []
    for _ in range(draw(st.integers(1, 5))):
        bits.append(draw(st.integers(1, 32 - sum(bits) - (5 - len(bits)) + 1)))
    return BitLayout(tuple(bits))


@st.composite
def layouts_and_codes(draw: st.DrawFn) -> tuple[BitLayout, np.ndarray]:
    """A layout and codes that use its bits only."""
    layout = draw(layouts())
    values = draw(st.lists(st.integers(0, 2**layout.total - 1), max_size=20))
    return layout, np.array(values, np.uint32).view(np.int32)


@settings(deadline=None, derandomize=True)
@given(layouts_and_codes())
def test_pack_is_the_inverse_of_local(made: tuple[BitLayout, np.ndarray]) -> None:
    layout, codes = made
    parts = [layout.local(codes, level) for level in range(1, layout.levels + 1)]
    for part, bits in zip(parts, layout.level_bits, strict=True):
        assert (part < 2**bits).all()
    packed = layout.pack(parts)
    assert packed.dtype == np.int32
    np.testing.assert_array_equal(packed, codes)


@settings(deadline=None, derandomize=True)
@given(layouts_and_codes())
def test_labels_are_the_leading_bits_and_parents_one_level_of_them_less(made: tuple[BitLayout, np.ndarray]) -> None:
    layout, codes = made
    text = [format(int(code), f"0{layout.total}b") for code in codes.view(np.uint32)]
    for level in range(1, layout.levels + 1):
        labels = layout.labels(codes, level)
        assert labels.tolist() == [int(bits[: layout.bits_to(level)], 2) for bits in text]
        np.testing.assert_array_equal(layout.labels(codes.view(np.uint32), level), labels)
        above = layout.labels(codes, level - 1) if level > 1 else np.zeros_like(labels)
        np.testing.assert_array_equal(layout.parent(labels, level), above)
    np.testing.assert_array_equal(layout.labels(codes, layout.levels), codes.view(np.uint32))


@settings(deadline=None, derandomize=True)
@given(layouts_and_codes())
def test_bits_and_features(made: tuple[BitLayout, np.ndarray]) -> None:
    layout, codes = made
    features = layout.to_bits(codes)
    assert features.shape == (len(codes), layout.total) and features.dtype == np.float32
    np.testing.assert_array_equal(layout.from_features(features), codes)
    np.testing.assert_array_equal(layout.from_features(features * np.float32(0.6) + np.float32(0.1)), codes)
    joined = [features[:, part] for part in layout.slices()]
    assert [part.shape[1] for part in joined] == list(layout.level_bits)
    np.testing.assert_array_equal(np.concatenate(joined, 1), features)


def test_one_half_is_a_zero() -> None:
    """Equation 3 says greater than 0.5."""
    half, above = np.float32(0.5), np.nextafter(np.float32(0.5), np.float32(1))
    assert BitLayout((1, 1)).from_features(np.array([[half, above], [above, half]])).tolist() == [0b01, 0b10]


@settings(deadline=None, derandomize=True)
@given(int32s)
def test_bytes_round_trip(codes: np.ndarray) -> None:
    columns = code_bytes(codes)
    assert columns.shape == (len(codes), 4) and columns.dtype == np.uint8
    back = codes_from_bytes(columns)
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, codes)
    np.testing.assert_array_equal(codes_from_bytes(np.asfortranarray(columns.astype(np.float64))), codes)


def test_bytes_are_little_endian() -> None:
    assert code_bytes(np.array([0x04030201, -1], np.int32)).tolist() == [[1, 2, 3, 4], [255] * 4]


@pytest.mark.parametrize("bits", [(), (0,), (4, 0), (-1, 5), (33,), (12, 10, 11)])
def test_layouts_that_do_not_fit(bits: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="do not fit a code"):
        BitLayout(bits)


def test_parse() -> None:
    assert BitLayout.parse("12,10,10") == BitLayout()
    assert BitLayout.parse("32").total == 32
    for text in ("", "a", "12,,10", "1.5", "16,17"):
        with pytest.raises(UsageError):
            BitLayout.parse(text)


@pytest.mark.parametrize("level", [0, 4, -1])
def test_a_level_that_is_not_there(level: int) -> None:
    with pytest.raises(UsageError):
        BitLayout().bits_to(level)
