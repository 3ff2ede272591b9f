"""What Check Engine says about the device."""

import pytest

from blender_bgs.engine import doctor as panel_doctor
from blender_bgs.engine.doctor import in_words, offered_models


def report(kind: str, why: str, **cuda: object) -> dict:
    return {"ok": True, "checks": [], "auto_device": {"kind": kind, "why": why}, "cuda": cuda}


def test_the_device_in_words() -> None:
    none = report("cpu", "no NVIDIA driver was found", driver=None, warp=None)
    assert in_words(none)[1] == "It will use the processor (CPU): no NVIDIA driver was found."
    assert in_words(none, "cuda")[1].startswith(
        "It cannot use the NVIDIA GPU chosen under Settings > Device: no NVIDIA"
    )
    assert not any("Install Engine" in line for line in in_words(none))
    card = report("cuda", "asked", driver=[13, 0], warp="1.19", card="NVIDIA H100")
    assert in_words(card)[1] == "It will use the graphics card: NVIDIA H100."
    assert "as chosen" in in_words(card, "cpu")[1]
    unused = report("cpu", "warp-lang is not installed", driver=[13, 0], warp=None)
    assert in_words(unused)[1:3] == [
        "It will use the processor (CPU): warp-lang is not installed.",
        "An NVIDIA driver is here: Install Engine, in the preferences, adds what makes use of the card.",
    ]


def test_the_real_doctors_report_is_understood() -> None:
    """The fields are those that the engine sends."""
    pytest.importorskip("torch", reason="the doctor asks the engine's packages")
    from bgs_engine.devices import doctor

    lines = in_words(doctor.as_json(doctor.examine()))
    assert lines[1].startswith("It will use the ")


def test_better_mask_models_are_offered_as_the_engine_lists_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fields are those that the engine sends. Where a package is missing nothing is offered that cannot run."""
    pytest.importorskip("platformdirs", reason="the engine finds its cache with it")
    from bgs_engine.masks.models import listing

    monkeypatch.setattr(listing, "missing_packages", list)
    facts = {"ok": True, "checks": [], "mask_models": listing.models_as_json()}
    assert [model.name for model in offered_models(facts)] == ["sam2.1-large", "sam2.1-base-plus", "sam2.1-small"]
    assert all("MB" in model.words and "Apache-2.0" in model.words for model in offered_models(facts))
    assert any(line.startswith("Segment uses the mask model ") for line in in_words(facts))
    monkeypatch.setattr(listing, "missing_packages", lambda: ["transformers"])
    facts["mask_models"] = listing.models_as_json()
    assert offered_models(facts) == ()
    assert any("need transformers" in line and "Install Engine" in line for line in in_words(facts))
    assert offered_models({"ok": True, "checks": []}) == ()  # an older engine


def test_what_was_fetched_is_shown_as_here(monkeypatch: pytest.MonkeyPatch) -> None:
    models = tuple(panel_doctor.OfferedModel(name, name, False) for name in ("a", "b"))
    used = tuple(panel_doctor._models_in_words({"auto": "minisam", "missing_packages": []}))
    monkeypatch.setattr(panel_doctor, "shown", panel_doctor.Shown(("Engine: x", *used), models))
    for fetched in ("b", "a"):  # the first of the list is the better one
        panel_doctor.note_fetched(fetched)
        assert panel_doctor.shown.lines[0] == "Engine: x" and f" {fetched}, unless" in panel_doctor.shown.lines[1]
    assert [model.here for model in panel_doctor.shown.models] == [True, True]
