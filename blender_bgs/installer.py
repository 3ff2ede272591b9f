"""Makes the engine's environment. Run as a program of its own (`python installer.py FOLDER WHEEL ...`), with the
standard library alone, so that Blender can watch it like any other job: events on standard output, log on standard
error, `cancel` or the end of standard input stops it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

PIP = ("-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off")


def say(event: str, **fields: Any) -> None:
    """One event for whoever started us."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class Cancelled(Exception):  # noqa: N818 - not an error
    """The user asked to stop."""


class Runner:
    """Runs one command after the other and stops them on request."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        for line in sys.stdin:
            if line.strip() == "cancel":
                break
        self.stopping.set()

    def run(self, command: list[str]) -> None:
        """Run a command; its output goes to the log, its last line to the progress message."""
        sys.stderr.write("$ " + " ".join(command) + "\n")
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace",
        )  # fmt: skip
        reader = threading.Thread(target=self._copy, args=(process,), daemon=True)
        reader.start()
        while process.poll() is None:
            if self.stopping.wait(0.1):
                process.terminate()
                try:
                    process.wait(0.5)
                except subprocess.TimeoutExpired:
                    process.kill()
                raise Cancelled
        reader.join(1)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)

    @staticmethod
    def _copy(process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stderr.write(line)
            sys.stderr.flush()
            if line.startswith(("Collecting", "Downloading", "Installing", "Successfully")):
                say("metric", name="pip", value=line.strip()[:120])


def wants_cuda(device: str) -> bool:
    """Whether the packages for an NVIDIA card are worth their gigabytes here."""
    return device == "cuda" or (device == "auto" and shutil.which("nvidia-smi") is not None)


def torch_commands(python: Path, device: str) -> list[list[str]]:
    """How torch gets in: on Linux without NVIDIA driver by uv, which knows where the CPU builds are, else by pip."""
    pip = [str(python), *PIP]
    if wants_cuda(device) or sys.platform != "linux":  # the default builds of macOS and Windows are CPU builds
        return [[*pip, "torch"]]
    uv = [str(python), "-m", "uv", "pip", "install", "--python", str(python), "--torch-backend", "cpu", "torch"]
    return [[*pip, "uv"], uv]


def install(runner: Runner, options: argparse.Namespace) -> None:
    """Environment, torch, engine, check."""
    folder = Path(options.folder)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    steps: list[tuple[str, list[list[str]]]] = []
    if not python.is_file():
        steps.append(("making the environment", [[options.python, "-m", "venv", str(folder)]]))
    pip = [str(python), *PIP]
    if options.torch:
        steps.append(("installing torch", [[*pip, *options.torch.split()]]))
    elif options.extras:
        steps.append(("installing torch", torch_commands(python, options.device)))
    extras = options.extras + (",cuda" if options.extras and wants_cuda(options.device) else "")
    wheel = options.wheel + (f"[{extras}]" if extras else "")
    again = [*pip, "--force-reinstall", "--no-deps", options.wheel]
    steps.append(("installing the engine", [[*pip, wheel], again]))
    steps.append(("checking", [[str(python), "-c", "import bgs_engine; print(bgs_engine.__version__)"]]))
    for number, (name, commands) in enumerate(steps):
        say("stage", name=name)
        say("progress", done=number, total=len(steps), eta=None)
        for command in commands:
            runner.run(command)
    say("progress", done=len(steps), total=len(steps), eta=0)
    say("artifact", kind="environment", path=str(folder))


def main() -> int:
    """Exit codes as the engine's: 0 done, 4 environment lacks something, 130 cancelled."""
    parser = argparse.ArgumentParser(description="Make an environment with the segmentation engine.")
    parser.add_argument("folder")
    parser.add_argument("wheel")
    parser.add_argument("--python", default=sys.executable, help="the Python to make it from, 3.11 or newer")
    parser.add_argument("--extras", default="masks")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--torch", default="", help="pip arguments to install torch with, instead of choosing")
    options = parser.parse_args()
    started = time.monotonic()
    say("hello", protocol=1, version="", command="install")
    made_here = not Path(options.folder).exists()
    try:
        install(Runner(), options)
    except Cancelled:
        if made_here:
            shutil.rmtree(options.folder, ignore_errors=True)
        say("error", code=130, message="Cancelled.", hint="")
        return 130
    except (OSError, subprocess.CalledProcessError) as error:
        hint = "Look into the log: usually no connection, no space, or no python3-venv on this system."
        say("error", code=4, message=f"The engine could not be installed: {error}.", hint=hint)
        return 4
    say("done", seconds=round(time.monotonic() - started, 3))
    return 0


if __name__ == "__main__":
    sys.exit(main())
