"""What Install Engine asks for, and what Check Engine says about the device. Plain Python: nothing is installed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from blender_bgs.engine import installer
from blender_bgs.engine.doctor import in_words


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a driver; returns the folder that is searched for programs and libraries."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    monkeypatch.setattr(installer, "DRIVER_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(installer.ctypes.util, "find_library", lambda _name: None)
    return tmp_path


def test_the_driver_is_found_by_its_tool_or_library(bare: Path) -> None:
    assert not any(installer.has_nvidia_driver(system) for system in ("linux", "win32", "darwin"))
    (bare / "libcuda.so.1").touch()
    assert installer.has_nvidia_driver("linux") and not installer.has_nvidia_driver("win32")
    (bare / "libcuda.so.1").unlink()
    (bare / "System32").mkdir()
    (bare / "System32" / "nvcuda.dll").touch()
    assert installer.has_nvidia_driver("win32") and not installer.has_nvidia_driver("linux")
    tool = bare / ("nvidia-smi.exe" if sys.platform == "win32" else "nvidia-smi")
    tool.touch()
    tool.chmod(0o755)
    assert installer.has_nvidia_driver("linux") and not installer.has_nvidia_driver("darwin")


def test_looking_for_a_driver_loads_nothing() -> None:
    code = "import sys, installer; installer.has_nvidia_driver(); print(sorted({'torch', 'warp'} & set(sys.modules)))"
    place = Path(installer.__file__).parent
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=place)
    assert run.stdout.strip() == "[]"


def test_a_card_gets_its_extras(bare: Path) -> None:
    assert installer.extras_for("masks", "auto") == "masks"
    assert "cuda" in installer.extras_for("masks", "cuda").split(",")  # asked for by name
    (bare / "libcuda.so.1").touch()
    (bare / "System32").mkdir()
    (bare / "System32" / "nvcuda.dll").touch()
    found = installer.has_nvidia_driver()  # never on macOS
    assert ("cuda" in installer.extras_for("masks", "auto").split(",")) == found
    assert installer.extras_for("masks", "cpu") == "masks" and installer.extras_for("", "auto") == ""


def test_extras_are_those_of_the_engine() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = installer.extras_for("masks", "cuda").split(",")
    assert set(asked) <= set(project["optional-dependencies"])


class Recorder(installer.Runner):
    """Notes commands; those with a word of `failing` in them fail."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.commands: list[str] = []

    def run(self, command: list[str], path: Path | None = None) -> None:
        self.commands.append(" ".join(command))
        if any(word in command for word in self.failing):
            raise subprocess.CalledProcessError(1, command)


@pytest.fixture
def constraints(tmp_path: Path) -> Path:
    path = tmp_path / "constraints.txt"
    path.write_text("numpy==1.2\ntorch==2.3.4 ; python_version < '4'\n")
    return path


@pytest.mark.parametrize(
    ("system", "device", "last"),
    [
        ("linux", "cuda", "install --disable-pip-version-check --progress-bar off torch==2.3.4"),
        ("linux", "cpu", "--torch-backend cpu torch==2.3.4"),
        ("win32", "cuda", "--torch-backend auto torch==2.3.4"),  # what pip finds there cannot use a card
        ("win32", "cpu", "install --disable-pip-version-check --progress-bar off torch==2.3.4"),
        ("darwin", "auto", "install --disable-pip-version-check --progress-bar off torch==2.3.4"),
    ],
)
def test_torch_fits_the_machine(
    system: str,
    device: str,
    last: str,
    constraints: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(installer.sys, "platform", system)
    monkeypatch.setattr(installer, "has_nvidia_driver", lambda: False)
    runner = Recorder("torch==2.3.4+cpu")  # no index has it unless somebody set one up
    installer.install_torch(runner, Path("python"), device, constraints)
    assert runner.commands[-1].endswith(last) and not capsys.readouterr().out
    unreachable = Recorder("torch==2.3.4+cpu", "--torch-backend", "torch==2.3.4")
    installer.install_torch(unreachable, Path("python"), device, constraints)
    assert unreachable.commands[-1].endswith("off torch")  # another version, but it works
    assert "warning" in capsys.readouterr().out


def test_the_engine_comes_in_the_tested_versions_or_the_newest(
    constraints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = Recorder()
    installer.install_engine(runner, Path("python"), "e.whl", "masks", constraints)
    assert f"-c {constraints} e.whl[masks]" in runner.commands[0] and len(runner.commands) == 2
    runner = Recorder("-c")
    installer.install_engine(runner, Path("python"), "e.whl", "masks", constraints)
    assert runner.commands[1].endswith("off e.whl[masks]") and "newest" in capsys.readouterr().out
    with pytest.raises(subprocess.CalledProcessError):
        installer.install_engine(Recorder("e.whl[masks]"), Path("python"), "e.whl", "masks", constraints)


@pytest.mark.parametrize(("driver", "wanted"), [((12, 4), "warp-lang==1.17.*"), ((13, 0), ""), (None, "")])
def test_an_older_driver_gets_the_warp_that_works_with_it(driver: tuple[int, int] | None, wanted: str) -> None:
    from bgs_engine.devices.choice import CudaFacts, trouble

    problem = trouble(CudaFacts(driver, "1.19.0", "NVIDIA RTX", 86))
    report = json.dumps({"cuda": {"install": problem.install if problem else ""}})
    assert installer.older_warp(report) == wanted


def test_where_no_driver_is_nothing_is_fitted() -> None:
    pytest.importorskip("torch", reason="asks the engine of this Python")
    runner = Recorder()
    installer.fit_the_driver(runner, Path(sys.executable))
    assert runner.commands == []


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


@pytest.mark.parametrize("name", ["thesis.txt", "downloads/film.mkv", ".hidden"])
def test_a_folder_of_the_users_files_is_no_place_for_an_environment(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "mine"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("mine")
    command = [sys.executable, "-P", installer.__file__, str(folder), "engine.whl", "--extras", ""]
    run = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert run.returncode == 2 and "holds other files" in run.stdout
    assert (folder / name).read_text() == "mine" and len(list(folder.iterdir())) == 1


def test_only_our_own_downloads_are_removed(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").touch()
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "film.mkv").touch()
    command = [sys.executable, "-P", installer.__file__, str(tmp_path), str(tmp_path / "no.whl"), "--extras", ""]
    run = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert run.returncode != 0
    assert (tmp_path / "downloads" / "film.mkv").exists()
    assert not list(tmp_path.glob(f"{installer.DOWNLOADS}*"))
