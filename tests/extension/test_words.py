"""Find by Words: the engine's answer in the panel, and one press selects."""

from pathlib import Path

import bpy
import pytest

from blender_bgs.cloud import label_selection
from blender_bgs.engine import segmenting, word_operators, words
from blender_bgs.engine.word_operators import BGS_OT_find_words, BGS_OT_select_found
from tests.extension.test_second_run import run_import  # noqa: F401 - a fixture


@pytest.fixture
def obj(run_import, engine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):  # noqa: F811
    """The made splat out of a run folder, at level 1, with the stand-in for the engine."""
    monkeypatch.setenv("BGS_ENGINE_PYTHON", str(engine))
    monkeypatch.setattr(segmenting, "_engine_state", (-segmenting.CHECK_SECONDS, ""))  # what it found is kept a second
    monkeypatch.setattr(word_operators, "log_path", lambda name: tmp_path / f"{name}.log")
    found = run_import[0]
    found.bgs.level = 1
    yield found
    words.forget()


def test_labels_that_fit_are_listed_best_first_and_one_press_selects(obj) -> None:
    assert BGS_OT_find_words.disabled_reason(bpy.context) == ""
    assert "searched by words" in BGS_OT_select_found.disabled_reason(bpy.context)
    assert bpy.ops.bgs.find_words(text=" a mug ") == {"FINISHED"}
    answer = words.answer_of(obj)
    assert answer is not None and answer.words == "a mug"
    assert [round(one.score, 1) for one in answer.found[:3]] == [0.9, 0.8, 0.7] and len(answer.fitting) == 2
    assert len(answer.found) == sum(row.level < 3 for row in obj.bgs.labels)
    assert bpy.ops.bgs.select_found(index=1) == {"FINISHED"}
    assert obj.bgs.shown_level == 2  # that of the label
    chosen = label_selection.selected_labels(obj)
    assert [(row.level, row.label) for row in chosen] == [answer.found[1].key]
    assert obj.bgs.active_label() == chosen[0]
    bpy.ops.bgs.select_found(index=0, extend=True)
    assert len(label_selection.selected_labels(obj)) == 2
    bpy.ops.bgs.close_found()
    assert words.answer_of(obj) is None


def test_the_summary_names_the_best_one(obj, capfd: pytest.CaptureFixture) -> None:
    bpy.ops.bgs.find_words(text="a mug")
    answer = words.answer_of(obj)
    assert answer is not None
    best = next(row for row in obj.bgs.labels if (row.level, row.label) == answer.found[0].key)
    assert f'2 labels fit "a mug", best {best.name} of level 2 (0.90)' in capfd.readouterr().out


def test_a_failure_is_the_engines_sentence_and_leaves_no_answer(obj, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BGS_FAKE_ENGINE", "bad")
    with pytest.raises(RuntimeError, match="No model for words is here"):
        bpy.ops.bgs.find_words(text="a mug")
    assert words.answer_of(obj) is None


def test_the_answer_of_another_run_does_not_count(obj) -> None:
    bpy.ops.bgs.find_words(text="a mug")
    obj.bgs.run_id = "another"
    assert words.answer_of(obj) is None


def test_it_is_grey_where_the_engine_would_not_see_what_one_sees(obj) -> None:
    obj.bgs.run_changed = True
    assert "Save to Run Folder" in BGS_OT_find_words.disabled_reason(bpy.context)
    obj.bgs.run_changed, obj.bgs.run_folder = False, ""
    assert "no run folder" in BGS_OT_find_words.disabled_reason(bpy.context)


def test_no_words_are_refused(obj) -> None:
    with pytest.raises(RuntimeError, match="No words"):
        bpy.ops.bgs.find_words(text="  ")
