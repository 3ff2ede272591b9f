"""The engine's answer about words: what is read, what is left out, and what is refused."""

import pytest

from bgs_engine.core.errors import InputError
from blender_bgs.logic.found_labels import FoundLabel, answer_in, found_labels

KNOWN = {(1, 4), (2, 9), (2, 8)}


def test_the_best_come_first_and_unknown_labels_drop_out() -> None:
    rows = [
        {"level": 1, "label": 4, "score": 0.2, "found": False},
        {"level": 2, "label": 9, "score": 0.7, "name": "mug", "found": True},
        {"level": 2, "label": 1, "score": 0.9, "found": True},
        {"level": 2, "label": 8, "score": 0.6, "found": True},
    ]
    assert found_labels({"labels": rows, "more": 1}, KNOWN) == [
        FoundLabel(2, 9, 0.7, True), FoundLabel(2, 8, 0.6, True), FoundLabel(1, 4, 0.2, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        None, [], {},
        {"labels": {}}, {"labels": [7]}, {"labels": [{"level": 1, "label": 4}]},
        {"labels": [{"level": 1, "label": "x", "score": 1}]},
        {"labels": [{"level": 1, "label": 4, "score": float("nan"), "found": 1}]},
        {"labels": [{"level": float("inf"), "label": 4, "score": 1}]}, {"labels": [None] * 100_001},
    ],
)  # fmt: skip
def test_anything_else_is_refused(answer: object) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        found_labels(answer, KNOWN)


def test_the_answer_is_found_among_other_lines() -> None:
    lines = ['{"event": "done"}', "{broken", '{"labels": [1]}', '{"labels": [', "a warning about {labels}"]
    assert answer_in(lines) == {"labels": [1]}
    with pytest.raises(InputError, match="cannot be read"):
        answer_in(lines[:2])
