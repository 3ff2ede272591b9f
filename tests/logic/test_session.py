"""The extension's end of `bgs serve`, with a real process: asks go out, the newest answer is there, nothing waits."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.clicks.prompt import Prompt
from bgs_engine.core.events import Reporter
from bgs_engine.io.ply import read_ply
from bgs_engine.made_scenes import SceneConfig, make_scene
from blender_bgs.engine import session as sessions
from blender_bgs.engine.locate import command
from blender_bgs.engine.session import Session, close_all, serve_arguments
from tests.helpers import fake_session
from tests.helpers.fake_session import COUNT
from tests.helpers.toy_mask_model import write_models
from tools.environments import ROOT

PATIENCE = 30.0  # seconds that a process may take on a busy machine
PATIENCE_TO_OPEN = 240.0  # kernels may have to be compiled
AT_ONCE = 0.05  # seconds that a call from Blender's main thread may take
A_SECOND = 1.0 + 0.5  # the manual's promise, and what a busy machine adds

Start = Callable[..., Session]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    def make(mode: str = "good") -> Session:
        program = [sys.executable, fake_session.__file__]
        env = {"BGS_FAKE_SESSION": mode, "PYTHONPATH": str(ROOT)}
        return Session(program, log=tmp_path / "session.log", env=env)

    yield make
    close_all(PATIENCE)


def at(x: float) -> Prompt:
    return Prompt(np.array([[x, 0.0, 0.0]]), np.array([True]))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def test_an_ask_is_answered(start: Start) -> None:
    session = start()
    state = session.wait(PATIENCE, "ready")
    assert (state.phase, state.gaussians, state.views, state.words) == ("ready", COUNT, 3, "Ready")
    number = session.ask(at(500))
    assert session.state.phase == "asking"
    state = session.wait(PATIENCE, "ready")
    assert state.reply is not None
    assert state.reply.id == number == state.asked
    sizes = [int(one.gaussians.sum()) for one in state.reply.answer.suggestions]
    assert sizes == [5, 21, 201]  # Gaussians within 2, 10 and 100 of the five hundredth
    assert state.reply.answer.likeliest == 1
    assert state.reply.answer.suggestions[0].confidence[500] == 1


def test_asks_made_while_it_opens_are_answered_when_it_is_open(start: Start) -> None:
    session = start()
    number = [session.ask(at(x)) for x in (1, 2, 300)][-1]
    state = session.wait(PATIENCE, "ready")
    assert state.reply is not None and state.reply.id == number
    assert state.reply.answer.suggestions[0].gaussians[300]


def test_no_call_waits_even_for_a_process_that_reads_nothing(start: Start) -> None:
    session = start("still")
    session.wait(PATIENCE, "ready")
    large = np.random.default_rng(0).random(10**6) < 0.5  # more than any pipe holds
    began = time.monotonic()
    for _ in range(20):
        session.ask(Prompt(np.zeros((0, 3)), np.zeros(0, bool), marked=large))
    session.cancel()
    assert session.state.phase == "ready"
    session.close()
    assert time.monotonic() - began < AT_ONCE * 22
    closed = time.monotonic()
    assert session.wait(PATIENCE).phase == "ended"
    assert time.monotonic() - closed < A_SECOND


def test_a_new_ask_replaces_one_that_runs(start: Start) -> None:
    session = start("slow")
    session.wait(PATIENCE, "ready")
    first = session.ask(at(1))
    time.sleep(0.3)
    second = session.ask(at(2))
    time.sleep(0.3)  # `cancelled` of the first has come, and does not end the second
    assert (session.state.phase, session.state.asked) == ("asking", second)
    assert second == first + 1
    session.cancel()
    state = session.state
    assert (state.phase, state.reply, state.refusal) == ("ready", None, None)


def test_a_refused_ask_leaves_the_session_open(start: Start) -> None:
    session = start()
    session.wait(PATIENCE, "ready")
    number = session.ask(Prompt(np.zeros((0, 3)), np.zeros(0, bool)))
    state = session.wait(PATIENCE, "ready")
    assert state.refusal is not None and state.refusal.id == number
    assert state.refusal.message == "The prompt points at nothing."
    session.ask(at(7))
    state = session.wait(PATIENCE, "ready")
    assert state.refusal is None and state.reply is not None


def test_an_answer_that_is_none_is_a_refusal(start: Start) -> None:
    session = start("odd")
    session.wait(PATIENCE, "ready")
    session.ask(at(7))
    state = session.wait(PATIENCE, "ready")
    assert state.refusal is not None and "not understood" in state.refusal.message and state.reply is None


@pytest.mark.parametrize(
    ("mode", "words"), [("crash", "Segmentation fault"), ("failing", "There is no splat. Give one."),
                        ("old", "older than this extension")]
)  # fmt: skip
def test_a_process_that_ends_by_itself_is_a_failure_in_words(start: Start, mode: str, words: str) -> None:
    session = start(mode)
    session.wait(PATIENCE, "ready")
    session.ask(at(7))
    state = session.wait(PATIENCE)
    assert state.phase == "failed" and state.error is not None
    assert words in " ".join(state.error)
    assert words.split(".")[0] in session.details()
    session.ask(at(8))  # nothing happens
    assert session.state.phase == "failed"


@pytest.mark.parametrize("mode", ["good", "deaf", "still"])
def test_close_ends_the_process_within_a_second(start: Start, mode: str) -> None:
    session = start(mode)
    session.wait(PATIENCE, "ready")
    began = time.monotonic()
    close_all()
    assert time.monotonic() - began < AT_ONCE
    state = session.wait(PATIENCE)
    assert time.monotonic() - began < A_SECOND
    assert (state.phase, state.error) == ("ended", None)
    assert not is_alive(session.pid)


def test_a_program_that_is_not_there_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        Session([str(tmp_path / "no-such-program")], log=tmp_path / "session.log")
    assert not [session for session in sessions._open if session.log == tmp_path / "session.log"]


def test_arguments_of_the_engine() -> None:
    assert serve_arguments(Path("run"), "import:masks") == ["serve", "run"]  # masks of files answer no clicks
    assert serve_arguments(Path("run"), "hf:x", fetch=False) == ["serve", "run", "--masks-model", "hf:x", "--no-fetch"]


def test_with_the_engine_itself(tmp_path: Path) -> None:
    """A made room and a model that takes what has the colour of the place for a thing."""
    make_scene(tmp_path / "room", SceneConfig(gaussians=3000, views=3, test_views=1, size=(64, 48)), Reporter())
    scene = tmp_path / "room" / "scene.ply"
    model = "onnx:" + ",".join(map(str, write_models(tmp_path)))
    program = command(Path(sys.executable), serve_arguments(scene, model, fetch=False))
    session = Session(program, log=tmp_path / "log", env={"PYTHONPATH": str(ROOT)})
    try:
        state = session.wait(PATIENCE_TO_OPEN, "ready")
        assert (state.phase, state.gaussians) == ("ready", 3000), session.details()
        ply = read_ply(scene)
        places = np.stack([ply.column(name) for name in "xyz"], 1)
        for row in np.argsort(-ply.column("opacity"))[:20]:
            number = session.ask(Prompt(places[row : row + 1].astype(np.float64), np.array([True])))
            state = session.wait(PATIENCE_TO_OPEN, "ready")
            assert state.phase == "ready", session.details()
            if state.refusal is None:
                break
            assert "bug" not in state.refusal.hint, session.details()
        assert state.reply is not None and state.reply.id == number
        sizes = [one.gaussians for one in state.reply.answer.suggestions]
        assert all(size.shape == (3000,) and size.any() for size in sizes)
        assert [int(size.sum()) for size in sizes] == sorted(int(size.sum()) for size in sizes)
        began = time.monotonic()
    finally:
        session.close()
    assert session.wait(PATIENCE).phase == "ended"
    assert time.monotonic() - began < A_SECOND


def test_a_place_that_is_no_number_is_refused_and_the_next_ask_is_answered(start: Start) -> None:
    session = start()
    session.wait(PATIENCE, "ready")
    session.ask(at(np.nan))
    state = session.wait(PATIENCE, "ready")
    assert state.refusal is not None and "finite" in state.refusal.message
    number = session.ask(at(7))
    state = session.wait(PATIENCE, "ready")
    assert state.refusal is None and state.reply is not None and state.reply.id == number
