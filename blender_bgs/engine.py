"""Finding the engine and talking to it. No bpy."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgs_engine.errors import EnvironmentLacksError

VARIABLE = "BGS_ENGINE_PYTHON"
DOCTOR_SECONDS = 120  # a first import of torch from a cold disk can take a minute


@dataclass(frozen=True, kw_only=True)
class SegmentConfig:
    """What the Segment button passes on; the engine's own defaults hold where nothing is given."""

    level_bits: str = "12,10,10"
    iterations: int = 0  # 0 = the engine's default
    device: str = "auto"
    dataset: str = ""
    masks_model: str = ""
    seed: int = 0

    def arguments(self, scene: Path, run: Path) -> list[str]:
        """Arguments of `bgs segment`."""
        out = ["segment", str(scene), "-o", str(run), "--events", "--level-bits", self.level_bits]
        out += ["--device", self.device, "--seed", str(self.seed)]
        for flag, value in (
            ("--iterations", self.iterations), ("--dataset", self.dataset), ("--masks-model", self.masks_model),
        ):  # fmt: skip
            if value:
                out += [flag, str(value)]
        return out


def environment_python(folder: Path) -> Path:
    """The Python inside a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def find_engine(preference: str, installed: str) -> Path:
    """The Python that has the engine: the preference, then the environment variable, then what Install Engine made.

    Args:
        preference: a Python executable or an environment's folder, or nothing.
        installed: the folder of the environment that Install Engine made, or nothing.

    Raises:
        EnvironmentLacksError: nothing is set, or what is set does not exist.
    """
    for where, value in (
        ("the preferences", preference), (VARIABLE, os.environ.get(VARIABLE, "")), ("Install Engine", installed),
    ):  # fmt: skip
        if not value:
            continue
        path = Path(value).expanduser()
        path = environment_python(path) if path.is_dir() else path
        if path.is_file():
            return path
        if where != "Install Engine":
            raise EnvironmentLacksError(
                f"{path}, set in {where}, does not exist.", "Correct it, or clear it and press Install Engine."
            )
    raise EnvironmentLacksError(
        "No engine is installed.", "Press Install Engine, or set a Python that has it in the preferences."
    )


def command(python: Path, arguments: Sequence[str]) -> list[str]:
    """The command line of an engine run."""
    return [str(python), "-m", "bgs_engine", *arguments]


def ask_doctor(python: Path) -> dict[str, Any]:
    """`bgs doctor --json`; takes seconds, so call it from a thread where a window waits.

    Raises:
        EnvironmentLacksError: that Python has no engine, or its doctor fails.
    """
    try:
        answer = subprocess.run(
            command(python, ["doctor", "--json"]), capture_output=True, text=True, timeout=DOCTOR_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
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


def in_words(report: dict[str, Any]) -> list[str]:
    """A doctor's report as lines for people, whatever its nesting: name, state, and what to do."""
    lines: list[str] = []

    def visit(name: str, value: Any) -> None:
        if isinstance(value, dict):
            state = next((value[key] for key in ("status", "state", "ok", "works") if key in value), None)
            if state is not None or "hint" in value or "detail" in value:
                shown = {True: "works", False: "missing"}.get(state, state) if isinstance(state, bool) else state
                parts = [value.get(key) for key in ("version", "detail", "message", "hint")]
                text = ", ".join(str(p) for p in (shown, *parts) if p not in (None, ""))
                lines.append(f"{value.get('name', name)}: {text}")
                return
            for key, inner in value.items():
                visit(str(key).replace("_", " "), inner)
        elif isinstance(value, list):
            if all(not isinstance(v, dict | list) for v in value):
                lines.append(f"{name}: {', '.join(map(str, value)) or 'none'}")
            else:
                for inner in value:
                    visit(name, inner)
        else:
            shown = {True: "yes", False: "no", None: "none"}.get(value, value) if value in (True, False, None) else value
            lines.append(f"{name}: {shown}")

    for key, value in report.items():
        visit(str(key).replace("_", " "), value)
    return lines
