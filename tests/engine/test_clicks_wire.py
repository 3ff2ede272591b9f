"""Asks and answers as JSON: what is written comes back, and what is malformed ends in a plain error."""

import base64
import json
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest

from bgs_engine.clicks.prompt import Answer, Prompt, Suggestion
from bgs_engine.clicks.wire import (
    SETS,
    answer_from,
    answer_message,
    ask_message,
    decode_set,
    decode_shares,
    encode_set,
    encode_shares,
    id_of,
    prompt_from,
)
from bgs_engine.core.cameras import Camera, look_at
from bgs_engine.core.errors import InputError

COUNT = 1003  # no multiple of 8: the last byte of a set is not full
CAMERA = Camera(
    "asked", 640, 480, 500.0, 501.0, 320.5, 240.0, look_at(np.array([3.0, 1, 2]), np.zeros(3), np.eye(3)[2])
)


def members(seed: int, share: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).random(COUNT) < share


def whole_prompt() -> Prompt:
    places = np.array([[0.1, -2.5, 3e6], [1 / 3, 0.0, -1e-9]])
    return Prompt(places, np.array([True, False]), members(1), members(2), members(3), members(4), CAMERA)


def sent(message: dict[str, Any]) -> Any:
    return json.loads(json.dumps(message, allow_nan=False))


def test_a_prompt_comes_back_as_it_was() -> None:
    prompt = whole_prompt()
    message = sent(ask_message(7, prompt))
    assert message["do"] == "ask"
    assert id_of(message) == 7
    back = prompt_from(message, COUNT)
    assert np.array_equal(back.places, prompt.places)  # JSON keeps every float64
    assert back.inside.tolist() == [True, False]
    for name in SETS:
        assert np.array_equal(getattr(back, name), getattr(prompt, name))
    assert back.camera is not None
    assert np.array_equal(back.camera.viewmat, CAMERA.viewmat)
    assert (back.camera.width, back.camera.height, back.camera.fx, back.camera.cx) == (640, 480, 500.0, 320.5)
    assert back.camera.orthographic is False


def test_a_prompt_may_have_places_only_or_marks_only() -> None:
    places = prompt_from(sent(ask_message(1, Prompt(np.zeros((1, 3)), np.array([True])))), COUNT)
    assert places.marked is places.excluded is places.among is places.camera is None
    marks = prompt_from(sent(ask_message(1, Prompt(np.zeros((0, 3)), np.zeros(0, bool), marked=members(4)))), COUNT)
    assert marks.places.shape == (0, 3)
    assert marks.inside.shape == (0,)
    assert marks.marked is not None and np.array_equal(marks.marked, members(4))


def test_an_answer_comes_back_with_confidence_to_half_a_255th() -> None:
    small, large = members(5, 0.1), members(6, 0.9)
    confidence = np.random.default_rng(7).random(COUNT).astype(np.float32)
    answer = Answer((Suggestion(small, confidence, 3), Suggestion(large, confidence, 12)), 1)
    message = sent(answer_message(9, answer, 0.41234))
    assert [one["count"] for one in message["suggestions"]] == [int(small.sum()), int(large.sum())]
    reply = answer_from(message, COUNT)
    assert (reply.id, reply.seconds, reply.answer.likeliest) == (9, 0.412, 1)
    for back, (inside, views) in zip(reply.answer.suggestions, ((small, 3), (large, 12)), strict=True):
        assert np.array_equal(back.gaussians, inside)
        assert np.abs(back.confidence[inside] - confidence[inside]).max() <= 0.5 / 255 + 1e-6
        assert not back.confidence[~inside].any()
        assert back.views == views


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, COUNT])
def test_sets_of_every_length(count: int) -> None:
    inside = np.arange(count) % 3 == 0
    assert np.array_equal(decode_set(encode_set(inside), count), inside)
    assert np.array_equal(decode_shares(encode_shares(inside), count), inside)


def test_confidence_keeps_both_ends_exactly() -> None:
    assert decode_shares(encode_shares(np.array([0.0, 1.0, 7.0, -3.0])), 4).tolist() == [0.0, 1.0, 1.0, 0.0]


MALFORMED: dict[str, list[Any]] = {
    "id": [None, "7", 1.5, True, 10**400, [7]],
    "places": [None, "x", [1, 2, 3], [[1, 2]] * 2, [[1, 2, 3, 4]] * 2, [[1, 2, "3"]] * 2, [[1, 2, True]] * 2,
               [[float("nan"), 0, 0]] * 2, [[float("inf"), 0, 0]] * 2, [[10**400, 0, 0]] * 2, [[1, 2, 3]], {},
               [[0, 0, 0]] * 1001, [[0] * 10**5]],
    "inside": [None, "x", [True], [1, 0], [None, True], True],
    "marked": [5, [True], "", "no base64!", "AAAA", encode_set(np.ones(COUNT + 8, bool)),
               encode_set(np.ones(COUNT - 8, bool)), encode_set(np.ones(COUNT + 1, bool)), "A" * 10**7],
    "camera": [5, [], {}],
}  # fmt: skip


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in MALFORMED.items() for v in values if v is not None
                                              or f in ("id", "places", "inside")])  # fmt: skip
def test_a_malformed_ask_ends_in_a_plain_error(field: str, value: Any) -> None:
    message = {**sent(ask_message(7, whole_prompt())), field: value}
    with pytest.raises(InputError, match="not understood") as caught:
        prompt_from(message, COUNT)
    assert len(str(caught.value)) < 300  # what was sent is not repeated


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0), ("width", 64.5), ("height", True), ("height", 10**6), ("fx", 0), ("fy", -1.0), ("cx", "1"),
        ("cy", float("nan")), ("orthographic", 1), ("viewmat", None), ("viewmat", [[1, 0], [0, 1]]),
        ("viewmat", np.diag([2.0, 2, 2, 1]).tolist()), ("viewmat", np.diag([1.0, 1, -1, 1]).tolist()),
        ("viewmat", np.diag([1.0, 1, 1, 2]).tolist()), ("viewmat", (np.eye(4) * 1e300).tolist()),
        ("viewmat", [[1, 0, 0, 0], [0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    ],
)  # fmt: skip
def test_a_malformed_camera_ends_in_a_plain_error(field: str, value: Any) -> None:
    message = sent(ask_message(7, whole_prompt()))
    message["camera"][field] = value
    with pytest.raises(InputError, match="not understood"):
        prompt_from(message, COUNT)


def test_a_prompt_that_points_at_nothing_is_refused() -> None:
    empty = Prompt(np.zeros((0, 3)), np.zeros(0, bool), marked=np.zeros(COUNT, bool), among=members(3))
    with pytest.raises(InputError, match="points at nothing"):
        prompt_from(sent(ask_message(1, empty)), COUNT)


def test_no_more_memory_is_asked_for_than_the_splat_can_need() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(10**8), 9)).decode()  # 100 MB of zeros in 130 KB
    tracemalloc.start()
    with pytest.raises(InputError):
        decode_set(bomb, 10**6)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6  # the text is too long for a million Gaussians; and if it were not, 125 KB would be read
    small_bomb = base64.b64encode(zlib.compress(bytes(10**7), 9)).decode()
    assert len(small_bomb) < 4 * 10**6 / 8 / 3  # this one is short enough to be opened
    tracemalloc.start()
    with pytest.raises(InputError, match="bytes"):
        decode_set(small_bomb, 10**6)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


def good_answer() -> dict[str, Any]:
    return sent(answer_message(9, Answer((Suggestion(members(5), np.ones(COUNT, np.float32), 3),), 0), 0.4))


@pytest.mark.parametrize(
    ("field", "value"),
    [("id", None), ("suggestions", []), ("suggestions", None), ("suggestions", [5]), ("likeliest", 1),
     ("likeliest", -1), ("likeliest", True), ("seconds", "x"), ("seconds", float("nan"))],
)  # fmt: skip
def test_a_malformed_answer_ends_in_a_plain_error(field: str, value: Any) -> None:
    with pytest.raises(InputError, match="not understood"):
        answer_from({**good_answer(), field: value}, COUNT)


@pytest.mark.parametrize(
    ("field", "value"), [("gaussians", None), ("confidence", encode_shares(np.ones(3))), ("views", -1), ("views", None)]
)
def test_a_malformed_suggestion_ends_in_a_plain_error(field: str, value: Any) -> None:
    message = good_answer()
    message["suggestions"][0][field] = value
    with pytest.raises(InputError, match="not understood"):
        answer_from(message, COUNT)
