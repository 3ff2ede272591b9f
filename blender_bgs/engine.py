"""Finding the engine and talking to it. No bpy."""

import json
import os
import re
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
    views: int = 0  # 0 = the engine's default
    masks_model: str = ""
    seed: int = 0

    def arguments(self, scene: Path, run: Path) -> list[str]:
        """Arguments of `bgs segment`."""
        out = ["segment", str(scene), "-o", str(run), "--events", "--level-bits", self.level_bits]
        out += ["--device", self.device, "--seed", str(self.seed)]
        for flag, value in (
            ("--iterations", self.iterations), ("--dataset", self.dataset), ("--views", self.views),
            ("--masks-model", self.masks_model),
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


def in_words(report: dict[str, Any], device: str = "auto") -> list[str]:
    """A doctor's report as lines for people: whether segmenting works and on which device, what works, what does not
    and what to do about that. `device` is the one chosen in the settings.
    """
    checks = {check.get("name", "?"): check for check in report.get("checks", [])}
    lines = []
    for name, check in checks.items():
        detail = check.get("detail", "")
        if name == "device":
            continue
        if check.get("ok"):
            lines.append(f"{name}: {detail or 'works'}")
        else:
            state = "is needed" if check.get("needed") else "not here"
            said = f"{detail.removesuffix('.')}."
            lines.append(" ".join(part for part in (f"{name} {state}:", said, check.get("hint", "")) if part))
    ready = "Everything that segmenting needs is here." if report.get("ok") else "Segmenting does not work yet."
    return [ready, *_device_in_words(checks, device), *lines]


def _device_in_words(checks: dict[str, dict[str, Any]], device: str) -> list[str]:
    """On what it will be computed. The doctor's own line reads "auto means cpu: no NVIDIA driver was found"."""
    meant = re.match(r"auto means (\w+): (.*)", checks.get("device", {}).get("detail", ""))
    card = checks.get("cuda", {})
    if meant is None:  # another engine's doctor: nothing that could be said for sure
        return []
    if device == "cpu":
        return ["It will use the processor (CPU), as chosen under Settings > Device."]
    if meant[1] != "cpu":
        return [f"It will use the graphics card: {card.get('detail') or meant[2]}."]
    why = meant[2].removesuffix(".")
    out = [f"It will use the processor (CPU): {why}."]
    if device == "cuda":
        out = [f"It cannot use the NVIDIA GPU chosen under Settings > Device: {why}. Choose Automatic or CPU."]
    if checks.get("nvidia", {}).get("ok") and not checks.get("warp-lang", {}).get("ok", True):
        out.append("An NVIDIA driver is here: Install Engine, in the preferences, adds what makes use of the card.")
    return out
