"""What Check Engine says about the device."""

import pytest

from blender_bgs.engine.doctor import in_words


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
