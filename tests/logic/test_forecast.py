"""The bar of the whole job and the time left: neither jumps back."""

from dataclasses import replace
from itertools import pairwise

import pytest

from blender_bgs.engine.forecast import Forecast
from blender_bgs.engine.progress import Progress, advance

PLAN = [["read", 1], ["masks", 6], ["training", 3]]


def after(*events: dict) -> Progress:
    state = Progress()
    for event in ({"event": "plan", "stages": PLAN}, *events):
        state = advance(state, event)
    return state


def stage(name: str, done: int = 0) -> list[dict]:
    return [{"event": "stage", "name": name}, {"event": "progress", "done": done, "total": 10, "eta": 1.0}]


def test_the_bar_counts_the_whole_job_by_weight() -> None:
    assert after().overall == 0 and after().place == -1
    half = after(*stage("read", 5))
    assert (half.place, half.overall) == (0, pytest.approx(0.05))
    masks = after(*stage("read", 10), *stage("masks", 5))
    assert (masks.place, masks.overall) == (1, pytest.approx(0.1 + 0.3))
    # A stage that was left out counts as done, one that the plan does not know belongs to the one before.
    assert after(*stage("training")).overall == pytest.approx(0.7)
    assert after(*stage("masks"), {"event": "stage", "name": "tidying"}).place == 1
    assert after(*stage("masks"), {"event": "stage", "name": "read"}).place == 1
    assert after(*stage("masks"), {"event": "done"}).overall == 1


@pytest.mark.parametrize(
    "stages", [None, "x", [["a"]], [["a", 0]], [["a", -1]], [["a", "b"]], [[1, 1]], [["a", 1]] * 501]
)
def test_a_plan_that_is_none_changes_nothing_that_is_shown(stages: object) -> None:
    state = advance(advance(Progress(), {"event": "plan", "stages": stages}), {"event": "stage", "name": "a"})
    assert state.plan == () and state.place == -1 and state.overall == 0


def test_time_left_never_grows_and_a_slow_job_says_so() -> None:
    forecast = Forecast()
    shown = []
    for second in range(1, 400):
        share = second / 100 if second < 40 else 0.4 + (second - 40) / 1000  # ten times slower after 40 seconds
        done = min(10, round(share * 10))
        forecast.update(replace(after(*stage("read", 10), *stage("masks", done)), seconds=float(second)))
        if forecast.left is not None:
            shown.append((forecast.fraction, forecast.left))
    assert shown[0][1] > 10
    assert all(a[0] <= b[0] and a[1] >= b[1] for a, b in pairwise(shown))
    assert forecast.late and forecast.in_words() == "longer than usual"


def test_an_even_job_is_forecast_rightly() -> None:
    forecast = Forecast()
    for second in range(0, 61):  # 100 seconds, of which 10 read and 60 find masks
        events = stage("read", second) if second < 10 else [*stage("read", 10), *masks_at(second)]
        forecast.update(replace(after(*events), seconds=float(second)))
    assert forecast.fraction == pytest.approx(0.6) and forecast.left == pytest.approx(40, abs=1)
    assert forecast.in_words() == "about 40 s left"
    forecast.left = 170
    assert forecast.in_words() == "about 3 min left"


def masks_at(second: int) -> list[dict]:
    return [{"event": "stage", "name": "masks"}, {"event": "progress", "done": second - 10, "total": 60, "eta": None}]


def test_a_job_without_a_plan_shows_its_stage() -> None:
    forecast = Forecast()
    state = advance(Progress(), {"event": "progress", "done": 2, "total": 8, "eta": 30})
    forecast.update(state)
    assert (forecast.fraction, forecast.left) == (0.25, 30)
    forecast.update(advance(state, {"event": "stage", "name": "next"}))
    assert (forecast.fraction, forecast.in_words()) == (0, "")
