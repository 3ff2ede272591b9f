"""Prompts to Gaussians, with a model that knows the true masks: what comes back is the true thing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bgs_engine.clicks.masks_of_place import PlaceMask
from bgs_engine.clicks.prompt import Answer, Prompt
from bgs_engine.clicks.session import ClickSession
from bgs_engine.clicks.things import lifted
from bgs_engine.core.errors import CancelledError, InputError
from bgs_engine.core.events import Reporter
from bgs_engine.io.dataset import Dataset, open_dataset
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.masks import load_level_maps
from bgs_engine.io.ply import read_ply
from bgs_engine.made_scenes import SceneConfig, make_scene
from bgs_engine.masks.prompting import OFF, ON, WholeAnswers
from bgs_engine.raster.scene import RasterScene

LEVELS = 3
ROOM = SceneConfig(kind="room", seed=3, gaussians=20_000, views=16, size=(240, 180), noise=0)
LOGIT = 5.0


class TrueMasks:
    """Answers with the true masks of a view: `encoded` is its level maps, int32 [L, H, W]."""

    signature = "true"

    def __init__(self) -> None:
        self.asked = 0

    def encode(self, image: np.ndarray) -> Any:
        raise AssertionError("the maps are the features")

    def decode(self, encoded: Any, points: np.ndarray) -> WholeAnswers:
        raise AssertionError("a session asks with `decode_together`")

    def decode_together(self, encoded: np.ndarray, points: np.ndarray, kinds: np.ndarray) -> WholeAnswers:
        """At each level the mask that has most of the + points, without it if it has a - point."""
        self.asked += 1
        x, y = points.astype(int).T
        at = encoded[:, y.clip(0, encoded.shape[1] - 1), x.clip(0, encoded.shape[2] - 1)]
        masks = []
        for level, ids in zip(encoded, at, strict=True):
            number = np.bincount(ids[kinds == ON]).argmax()
            masks.append((level == number) & (number > 0) & ~np.isin(number, ids[kinds == OFF]))
        return WholeAnswers(np.where(masks, LOGIT, -LOGIT).astype(np.float32)[None], np.ones((1, LEVELS)), 1.0, 1.0)

    def stop(self) -> None:
        """Nothing runs."""


class Made:
    """A made room, and a session about it. truth: int [N, 3], PLY order."""

    def __init__(self, folder: Path, labels: bool = False) -> None:
        self.dataset: Dataset = open_dataset(folder, None, Reporter())
        gaussians = load_gaussians(read_ply(self.dataset.scene))
        self.truth = np.load(folder / "gt" / "labels.npz")["labels"]
        scene = RasterScene.from_gaussians(gaussians)
        self.means, self.opacities = gaussians.means + gaussians.offset, gaussians.opacities
        cameras = [camera.moved(gaussians.offset) for camera in self.dataset.cameras]
        maps = [load_level_maps(self.dataset, camera) for camera in self.dataset.cameras]
        self.model = TrueMasks()
        known = scene.from_file_order(self.truth.astype(np.int32)).T if labels else None
        self.session = ClickSession(scene, gaussians.offset, cameras, maps.__getitem__, self.model, known)
        while self.session.work_ahead():
            pass
        self.seen = scene.to_file_order(np.max([self.session.seen.view(k).seen for k in range(len(cameras))], 0)) > 0.2

    def rows(self, level: int, number: int) -> np.ndarray:
        """The Gaussians of a true thing, bool [N]."""
        found: np.ndarray = self.truth[:, level - 1] == number
        return found

    def place_on(self, rows: np.ndarray) -> np.ndarray:
        """A place on a thing: the mean of an opaque Gaussian that a view shows best."""
        seen = self.session.seen
        weights = np.max([seen.view(k).seen for k in range(len(seen))], 0)
        shown = seen.scene.to_file_order(weights) * rows * (self.opacities > 0.8)
        place: np.ndarray = self.means[int(shown.argmax())]
        return place

    def overlap(self, said: np.ndarray, true: np.ndarray) -> float:
        """Intersection over union of what can be seen."""
        counted = self.seen & (self.opacities > 0.5)
        return float((said & true & counted).sum() / ((said | true) & counted).sum())

    def bound(self, true: np.ndarray) -> float:
        """What true masks of all views give: Gaussians reach over borders, so it is less than 1."""
        seen = self.session.seen
        rows = seen.scene.from_file_order(true)
        masks = [PlaceMask(k, seen.view(k).picture(rows) > 0.5) for k in range(len(seen))]
        lifted_rows = lifted(seen, masks, [1.0] * len(masks), 1.0).inside
        return self.overlap(seen.scene.to_file_order(lifted_rows), true)

    def ask(self, *places: tuple[np.ndarray, bool], **more: Any) -> Answer:
        """The answer to places with their kinds."""
        at = np.array([place for place, _ in places]).reshape(-1, 3)
        return self.session.answer(Prompt(at, np.array([kind for _, kind in places], bool), **more), lambda: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clicks") / "room"
    make_scene(folder, ROOM, Reporter())
    return folder


@pytest.fixture(scope="module")
def made(folder: Path) -> Made:
    return Made(folder)


@pytest.fixture(scope="module")
def with_labels(folder: Path) -> Made:
    return Made(folder, labels=True)


def things(made: Made, level: int, count: int) -> list[int]:
    """The numbers of the true things of a level with the most Gaussians that can be seen."""
    numbers, counts = np.unique(made.truth[made.seen, level - 1], return_counts=True)
    return [int(k) for k in numbers[np.argsort(-counts)] if k > 0][:count]


def best(made: Made, answer: Answer, true: np.ndarray) -> float:
    return max(made.overlap(suggestion.gaussians, true) for suggestion in answer.suggestions)


@pytest.mark.parametrize("level", [2, 3])
def test_one_click_suggests_the_true_thing(made: Made, level: int) -> None:
    lost = []
    for number in things(made, level, 6):
        true = made.rows(level, number)
        if made.bound(true) > 0.8:  # not the walls: their Gaussians reach far over borders
            lost.append(made.bound(true) - best(made, made.ask((made.place_on(true), True)), true))
    assert len(lost) >= 4
    assert np.mean(lost) < 0.06, lost


def test_suggestions_go_from_small_to_large_and_hold_the_place(made: Made) -> None:
    answer = made.ask((made.place_on(made.rows(3, things(made, 3, 1)[0])), True))
    counts = [int(suggestion.gaussians.sum()) for suggestion in answer.suggestions]
    assert counts == sorted(counts) and counts[0] > 0
    assert 0 <= answer.likeliest < len(counts) <= 6
    for suggestion in answer.suggestions:
        assert suggestion.confidence[suggestion.gaussians].min() >= 0.5
        assert suggestion.confidence.shape == suggestion.gaussians.shape == made.opacities.shape


def test_a_second_place_adds_a_thing_and_a_minus_takes_it_away(made: Made) -> None:
    one, two = (made.rows(2, number) for number in things(made, 2, 4)[2:])
    first, second = made.place_on(one), made.place_on(two)
    both = made.ask((first, True), (second, True), so_far=one)
    assert best(made, both, one | two) > 0.93
    back = made.ask((first, True), (second, False), so_far=one | two)
    assert best(made, back, one) > 0.93


def test_a_place_that_changes_nothing_keeps_what_was_suggested(made: Made) -> None:
    true = made.rows(2, things(made, 2, 4)[3])
    everything = np.ones(len(true), bool)
    answer = made.ask((made.place_on(true), True), (made.place_on(true), True), so_far=everything)
    assert [int(suggestion.gaussians.sum()) for suggestion in answer.suggestions][-1] == len(true)


def test_without_a_suggestion_so_far_all_places_are_answered_in_their_order(made: Made) -> None:
    one, two = (made.rows(2, number) for number in things(made, 2, 4)[2:])
    places = (made.place_on(one), True), (made.place_on(two), True)
    likeliest = made.ask(places[0])
    shown = likeliest.suggestions[likeliest.likeliest].gaussians
    step_by_step, at_once = made.ask(*places, so_far=shown), made.ask(*places)
    assert all(
        np.array_equal(a.gaussians, b.gaussians)
        for a, b in zip(step_by_step.suggestions, at_once.suggestions, strict=True)
    )


def test_hidden_gaussians_are_never_suggested(made: Made) -> None:
    true = made.rows(2, things(made, 2, 2)[1])
    among = np.random.default_rng(0).random(len(true)) < 0.5
    for suggestion in made.ask((made.place_on(true), True), among=among).suggestions:
        assert not (suggestion.gaussians & ~among).any()


def test_what_is_marked_is_suggested_and_what_is_excluded_is_not(made: Made) -> None:
    true = made.rows(2, things(made, 2, 2)[1])
    part = true & (np.random.default_rng(1).random(len(true)) < 0.7)
    answer = made.ask(marked=part)
    assert any(np.array_equal(suggestion.gaussians, part) for suggestion in answer.suggestions)
    completed = max(answer.suggestions, key=lambda suggestion: int(suggestion.gaussians.sum())).gaussians
    assert made.overlap(completed, true) > made.overlap(part, true) + 0.1  # the model adds what was not marked
    left = made.ask(excluded=part, so_far=true)
    assert [int((s.gaussians & part).sum()) for s in left.suggestions] == [0]
    assert np.array_equal(left.suggestions[0].gaussians, true & ~part)


def test_labels_of_a_run_are_suggested(with_labels: Made) -> None:
    true = with_labels.rows(1, things(with_labels, 1, 2)[1])
    answer = with_labels.ask((with_labels.place_on(true), True))
    assert best(with_labels, answer, true) == 1.0


def test_a_place_that_no_view_shows_has_the_labels_of_the_nearest_gaussians(made: Made, with_labels: Made) -> None:
    far = made.means.max(0) + 50
    assert with_labels.ask((far, True)).suggestions
    with pytest.raises(InputError, match="nothing of a size"):
        made.ask((far, True))


def test_a_prompt_of_nothing_is_refused(made: Made) -> None:
    with pytest.raises(InputError, match="points at nothing"):
        made.ask()
    with pytest.raises(InputError, match="nothing of a size"):
        made.ask((made.place_on(made.rows(2, things(made, 2, 1)[0])), False))


@pytest.mark.parametrize("labels", [False, True])
def test_views_that_are_ready_are_asked_and_an_answer_waits_for_three(
    made: Made, with_labels: Made, labels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = with_labels if labels else made
    places = [room.place_on(room.rows(2, number)) for number in things(room, 2, 8)]
    shown_in = [
        room.session.seen.showing(p - room.session._offset, len(room.session.seen), lambda: None) for p in places
    ]
    most = int(np.argmax([len(views) for views in shown_in]))
    place, shown = places[most], [number for number, _ in shown_in[most]]
    assert len(shown) >= 5
    maps, asked, ready = room.session._encoded, set[int](), set[int]()

    def encoded(number: int) -> np.ndarray:
        asked.add(number)
        ready.add(number)
        found: np.ndarray = maps(number)
        return found

    monkeypatch.setattr(room.session, "_encoded", encoded)
    monkeypatch.setattr(room.session, "_ready", lambda number: number in ready)
    ready.update(shown[:1])
    assert room.ask((place, True)).suggestions
    assert len(asked) == 3 and shown[0] in asked
    asked.clear()
    ready.update(shown[:5])
    room.ask((place, True))
    assert asked <= ready and len(asked) >= 5


def test_a_cancelled_prompt_ends(made: Made) -> None:
    def cancelled() -> None:
        raise CancelledError

    place = made.place_on(made.rows(2, things(made, 2, 1)[0]))
    with pytest.raises(CancelledError):
        made.session.answer(Prompt(place[None], np.ones(1, bool)), cancelled)


def test_the_same_prompt_has_the_same_answer(made: Made, folder: Path) -> None:
    place = made.place_on(made.rows(3, things(made, 3, 2)[1]))
    first, second = made.ask((place, True)), Made(folder).ask((place, True))
    for a, b in zip(first.suggestions, second.suggestions, strict=True):
        assert np.array_equal(a.gaussians, b.gaussians) and np.array_equal(a.confidence, b.confidence)
