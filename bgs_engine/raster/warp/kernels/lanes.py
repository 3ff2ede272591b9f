"""Lanes: the threads that walk one list together. On a card they are the 32 threads of a warp, on the CPU it is one.

Each lane looks at another entry of the list, so the loads of 32 entries are under way at once. Then all lanes take the
entries that count one after the other, in the order of the list: the sums are those of a single thread.
The lanes of one list must run through the same loops, because each of these functions waits for all of them.
"""

import warp as wp

LANES_OF_CARD = 32


def lanes_of(device: wp.DeviceLike) -> int:
    """How many threads share a list on this device."""
    return LANES_OF_CARD if wp.get_device(device).is_cuda else 1


@wp.func_native("""
#if defined(__CUDA_ARCH__)
    return __ballot_sync(0xffffffffu, yes != 0);
#else
    return yes != 0 ? 1u : 0u;
#endif
""")
def lanes_with(yes: wp.int32) -> wp.uint32:
    """One bit a lane, lane 0 lowest: set where `yes` is not 0."""
    ...


@wp.func_native("""
#if defined(__CUDA_ARCH__)
    return __shfl_sync(0xffffffffu, value, lane);
#else
    return value;
#endif
""")
def of_lane(value: wp.float32, lane: wp.int32) -> wp.float32:
    """The `value` of that lane."""
    ...


@wp.func_native("""
#if defined(__CUDA_ARCH__)
    return __shfl_sync(0xffffffffu, value, lane);
#else
    return value;
#endif
""")
def int_of_lane(value: wp.int32, lane: wp.int32) -> wp.int32:
    """The integer `value` of that lane."""
    ...


@wp.func_native("""
#if defined(__CUDA_ARCH__)
    return __shfl_sync(0xffffffffu, value, lane);
#else
    return value;
#endif
""")
def code_of_lane(value: wp.uint32, lane: wp.int32) -> wp.uint32:
    """The code `value` of that lane."""
    ...


@wp.func_native("""
#if defined(__CUDA_ARCH__)
    return __ffs(lanes) - 1;
#else
    return 0;
#endif
""")
def first_lane(lanes: wp.uint32) -> wp.int32:
    """The lowest set bit of `lanes`, which is not 0."""
    ...


@wp.func_native("""
#if defined(__CUDA_ARCH__)
    for (int step = 16; step > 0; step /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, step);
#endif
    return value;
""")
def sum_of_lanes(value: wp.float32) -> wp.float32:
    """The sum of all lanes' values, always added in the same order."""
    ...


@wp.func_native("""
#if defined(__CUDA_ARCH__)
    return __popc(lanes & ((1u << lane) - 1u));
#else
    return 0;
#endif
""")
def lanes_before(lanes: wp.uint32, lane: wp.int32) -> wp.int32:
    """How many bits of `lanes` are set below `lane`."""
    ...


@wp.func_native("""
#if defined(__CUDA_ARCH__)
    for (int step = 16; step > 0; step /= 2)
        bits |= __shfl_xor_sync(0xffffffffu, bits, step);
#endif
    return bits;
""")
def bits_of_lanes(bits: wp.uint32) -> wp.uint32:
    """The bits that are set in any lane's `bits`."""
    ...
