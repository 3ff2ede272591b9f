"""What Install Engine asks for, in which order, and what it leaves when it fails. No network is used here."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bgs_engine.core import child_environment
from bgs_engine.core.errors import EnvironmentLacksError
from blender_bgs.engine.installing import machine, place, steps
from blender_bgs.engine.installing.commands import HASHED, PIP, Runner
from blender_bgs.engine.installing.failures import CommandFailed, in_words
from blender_bgs.engine.installing.lock import CUDA_ONLY, packages, parse, read_lock, requirements
from blender_bgs.engine.job import Job
from blender_bgs.engine.locate import find_engine, install_command
from blender_bgs.engine.progress import Progress
from tools.environments import ENGINE_LOCK, ROOT

HASH = "--hash=sha256:" + "0123456789abcdef" * 4
LOCK = f"""\
# for: core train masks
numpy==1.2 \\
    {HASH}
# for: train masks
torch==2.3.4 ; python_version < '4' \\
    {HASH}
# for: train masks {CUDA_ONLY}
nvidia-things==13 ; sys_platform == 'linux' \\
    {HASH}
# for: uv
uv==0.5 \\
    {HASH}
# for: older-warp
warp-lang==1.17.0 \\
    {HASH}
"""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a driver; returns the folder that is searched for programs and libraries."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    monkeypatch.setattr(machine, "DRIVER_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(machine.ctypes.util, "find_library", lambda _name: None)
    return tmp_path


def test_the_driver_is_found_by_its_tool_or_library(bare: Path) -> None:
    assert not any(machine.has_nvidia_driver(system) for system in ("linux", "win32", "darwin"))
    (bare / "libcuda.so.1").touch()
    assert machine.has_nvidia_driver("linux") and not machine.has_nvidia_driver("win32")
    (bare / "libcuda.so.1").unlink()
    (bare / "System32").mkdir()
    (bare / "System32" / "nvcuda.dll").touch()
    assert machine.has_nvidia_driver("win32") and not machine.has_nvidia_driver("linux")
    tool = bare / ("nvidia-smi.exe" if sys.platform == "win32" else "nvidia-smi")
    tool.touch()
    tool.chmod(0o755)
    assert machine.has_nvidia_driver("linux") and not machine.has_nvidia_driver("darwin")


def test_looking_for_a_driver_loads_nothing() -> None:
    code = "import sys, machine; machine.has_nvidia_driver(); print(sorted({'torch', 'warp'} & set(sys.modules)))"
    where = Path(machine.__file__).parent
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=where)
    assert run.stdout.strip() == "[]"


def test_a_card_gets_its_extras(bare: Path) -> None:
    assert machine.extras_for("masks", "auto") == "masks"
    assert "cuda" in machine.extras_for("masks", "cuda").split(",")  # asked for by name
    (bare / "libcuda.so.1").touch()
    (bare / "System32").mkdir()
    (bare / "System32" / "nvcuda.dll").touch()
    found = machine.has_nvidia_driver()  # never on macOS
    assert ("cuda" in machine.extras_for("masks", "auto").split(",")) == found
    assert machine.extras_for("masks", "cpu") == "masks" and machine.extras_for("", "auto") == ""


def test_extras_are_those_of_the_engine() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = machine.extras_for("masks", "cuda").split(",")
    assert set(asked) <= set(project["optional-dependencies"])


class Recorder(Runner):
    """Notes what is installed, with "hashed" before what pip checks; commands with a word of `failing` fail."""

    def __init__(self, folder: Path, *failing: str) -> None:
        super().__init__(folder)
        self.failing = failing
        self.commands: list[str] = []

    def run(self, command, path: Path | None = None) -> list[str]:
        words = [*map(str, command)]
        shown = " ".join(words[1:])
        if "-r" in words:
            assert words[1 : 1 + len(PIP)] == [*PIP] and [*HASHED] == words[1 + len(PIP) : -2]
            found = parse(Path(words[-1]).read_text(encoding="utf-8"))
            shown = "hashed " + " ".join(package.pin for package in found)
        self.commands.append(shown)
        if any(word in words for word in self.failing):
            raise CommandFailed("pip", 1, ["ERROR: No matching distribution found"])
        return []


@pytest.mark.parametrize(
    ("system", "device", "last"),
    [
        ("linux", "cuda", "hashed torch==2.3.4 nvidia-things==13"),
        ("linux", "cpu", "--torch-backend cpu torch==2.3.4"),
        ("win32", "cuda", "--torch-backend auto torch==2.3.4"),  # what pip finds there cannot use a card
        ("win32", "cpu", "hashed torch==2.3.4 nvidia-things==13"),  # pip itself skips what is for Linux alone
        ("darwin", "auto", "hashed torch==2.3.4 nvidia-things==13"),
    ],
)
def test_torch_fits_the_machine(
    system: str, device: str, last: str, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps.sys, "platform", system)
    monkeypatch.setattr(steps, "wants_cuda", lambda device: device == "cuda")
    runner = Recorder(tmp_path, "torch==2.3.4+cpu")  # no index has it unless somebody set one up
    steps.install_torch(runner, Path("python"), device, parse(LOCK))
    assert runner.commands[-1].endswith(last)
    if "uv" in last:
        assert runner.commands[-2] == "hashed uv==0.5" and "--no-deps --no-build" in runner.commands[-1]
    no_index_of_torch = Recorder(tmp_path, "torch==2.3.4+cpu", "--torch-backend")
    steps.install_torch(no_index_of_torch, Path("python"), device, parse(LOCK))
    assert no_index_of_torch.commands[-1] == "hashed torch==2.3.4 nvidia-things==13"
    with pytest.raises(CommandFailed):  # and no other version ever
        steps.install_torch(
            Recorder(tmp_path, "torch==2.3.4+cpu", "--torch-backend", "-r"), Path("p"), device, parse(LOCK)
        )


def test_everything_else_comes_from_the_lock_file_alone(tmp_path: Path) -> None:
    runner = Recorder(tmp_path)
    steps.install_packages(runner, Path("python"), "masks,cuda", parse(LOCK))
    steps.install_engine(runner, Path("python"), "e.whl")
    assert runner.commands[0] == "hashed numpy==1.2"
    assert "--no-deps --no-index" in runner.commands[1] and len(runner.commands) == 2
    steps.fit_the_driver(runner, Path("python"), parse(LOCK))
    assert len(runner.commands) == 3  # the engine was asked, and advised nothing
    with pytest.raises(CommandFailed):  # it is not tried without hashes
        steps.install_packages(Recorder(tmp_path, "-r"), Path("python"), "masks", parse(LOCK))


@pytest.mark.parametrize(("driver", "wanted"), [((12, 4), True), ((13, 0), False), (None, False)])
def test_an_older_driver_gets_the_warp_that_works_with_it(driver: tuple[int, int] | None, wanted: bool) -> None:
    from bgs_engine.devices.choice import CudaFacts, trouble

    problem = trouble(CudaFacts(driver, "1.19.0", "NVIDIA RTX", 86))
    report = json.dumps({"cuda": {"install": problem.install if problem else ""}})
    advised = steps.older_warp(report)
    assert bool(advised) == wanted
    locked = [one for one in packages(read_lock(ENGINE_LOCK), ["older-warp"]) if one.name == "warp-lang"]
    assert len(locked) == 1
    if wanted:
        assert locked[0].pin.startswith(advised.removesuffix("*"))


@pytest.mark.parametrize(
    ("output", "sentence", "hint"),
    [
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk is full", "space"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "not the one", "report it"),
        ("npm error code EINTEGRITY", "not the one", "report it"),
        ("WARNING: Retrying after connection broken by 'NewConnectionError('<pip>: Failed: [Errno -3]')\n"
         "ERROR: No matching distribution found for numpy==2.4.6", "cannot be reached", "connection"),
        ("WARNING: Retrying ... ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 403'))",
         "proxy does not", "HTTPS_PROXY"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))", "certificate", "PIP_CERT"),
        ("ERROR: No matching distribution found for llvmlite==0.50.0", "no build for this Python", "Untested Versions"),
        ("The virtual environment was not created because ensurepip is not available.", "python3-venv", "Base Python"),
        ("ERROR: [Errno 13] Permission denied: '/opt/x'", "cannot be written", "Install Folder"),
        ("something\nERROR: odd thing\nbye", "odd thing", "Copy the details"),
    ],
)  # fmt: skip
def test_a_failure_is_told_in_a_sentence(output: str, sentence: str, hint: str) -> None:
    said = in_words(CommandFailed("python", 1, output.splitlines()))
    assert sentence in said[0] and hint in said[1]
    assert said[0].endswith(".") and said[1].endswith(".") and "\n" not in said[0]


# From here on the installer runs as it does in Blender. A program stands in for the Python that makes the environment.

STAND_IN = """#!{python}
import os, pathlib, shutil, signal, subprocess, sys, time
words = sys.argv[1:]
what = "venv" if "venv" in words else "lock" if "-r" in words else "wheel" if "--no-index" in words else "check"
plan = pathlib.Path({plan!r}).read_text().split()
if what == "venv":
    python = pathlib.Path(words[-1]) / {place!r}
    python.parent.mkdir(parents=True)
    shutil.copy(__file__, python)
    (python.parent.parent / "pyvenv.cfg").touch()
pathlib.Path({plan!r} + ".seen").open("a").write(what + "\\n")
if plan[:1] == [what]:
    if plan[1] == "wait":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(600)"])
        pathlib.Path({plan!r} + ".pids").write_text(f"{{os.getpid()}} {{child.pid}} .")
        time.sleep(600)
    print("ERROR: [Errno 28] No space left on device")
    sys.exit(1)
if what == "check":
    pathlib.Path({plan!r} + ".environment").write_text(" ".join(os.environ))
"""
posix = pytest.mark.skipif(os.name == "nt", reason="a script stands in for Python")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The stand-in for Python; `tell` says what goes wrong."""
    (tmp_path / "plan").write_text("")
    program = tmp_path / "base" / "python"
    program.parent.mkdir()
    where = str(place.python_in(Path()))
    program.write_text(STAND_IN.format(python=sys.executable, plan=str(tmp_path / "plan"), place=where))
    program.chmod(0o755)
    return program


def tell(tmp_path: Path, plan: str) -> None:
    (tmp_path / "plan").write_text(plan)
    (tmp_path / "plan.pids").unlink(missing_ok=True)


def start(tmp_path: Path, base: Path, *options: str) -> Job:
    """The installer, as Install Engine starts it, but without extras."""
    (tmp_path / "lock.txt").write_text(LOCK)
    arguments = ["--lock", str(tmp_path / "lock.txt"), "--extras", "", *options]
    command = install_command(sys.executable, tmp_path / "env", ROOT, arguments)  # the core comes from the repository
    where = command.index("--python") + 1
    command[where] = str(base)
    tidy = lambda: place.remove_unfinished(tmp_path / "env")  # noqa: E731
    return Job(command, log=tmp_path / "log", variables=child_environment.INSTALLER, tidy=tidy)


def install(tmp_path: Path, base: Path, *options: str) -> Progress:
    job = start(tmp_path, base, *options)
    state = job.wait(30)
    assert state.finished, job.details()
    return state


def in_folder(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "env").iterdir()) if (tmp_path / "env").is_dir() else []


@posix
def test_an_engine_comes_into_use_when_it_works(tmp_path: Path, base: Path) -> None:
    state = install(tmp_path, base)
    assert state.succeeded and state.artifacts["environment"] == str(tmp_path / "env")
    assert (tmp_path / "plan.seen").read_text().split() == ["venv", "lock", "wheel", "check"]
    first = find_engine("", str(tmp_path / "env"))
    assert find_engine(str(tmp_path / "env"), "") == first and first.is_file()
    assert in_folder(tmp_path) == [".bgs-engine", "current.txt", first.parent.parent.name]
    assert install(tmp_path, base).succeeded
    second = find_engine("", str(tmp_path / "env"))
    assert second != first and second.is_file() and not first.exists()


@posix
@pytest.mark.parametrize("when", ["venv", "lock", "wheel", "check"])
@pytest.mark.parametrize("earlier", [True, False])
def test_a_failure_keeps_the_earlier_engine_and_the_next_try_works(
    when: str, earlier: bool, tmp_path: Path, base: Path
) -> None:
    if earlier:
        assert install(tmp_path, base).succeeded
    before = in_folder(tmp_path)
    tell(tmp_path, f"{when} fail")
    state = install(tmp_path, base)
    assert state.returncode == 4 and state.error is not None
    assert "The disk is full." in state.error[0] and "Free some space" in state.error[1]
    assert ("earlier engine" in state.error[0]) == earlier
    assert in_folder(tmp_path) == before
    if earlier:
        assert find_engine("", str(tmp_path / "env")).is_file()
    else:
        assert not (tmp_path / "env").exists()
        with pytest.raises(EnvironmentLacksError):
            find_engine("", str(tmp_path / "env"))
    tell(tmp_path, "")
    assert install(tmp_path, base).succeeded and find_engine("", str(tmp_path / "env")).is_file()


@posix
@pytest.mark.parametrize("how", ["cancel", "kill", "owner gone"])
@pytest.mark.parametrize("when", ["venv", "lock", "wheel", "check"])
def test_stopped_at_any_moment_it_leaves_the_earlier_engine_and_no_process(
    when: str, how: str, tmp_path: Path, base: Path
) -> None:
    assert install(tmp_path, base).succeeded
    before, engine = in_folder(tmp_path), find_engine("", str(tmp_path / "env"))
    tell(tmp_path, f"{when} wait")
    job = start(tmp_path, base)
    pids_file = tmp_path / "plan.pids"
    end = time.monotonic() + 20
    while not pids_file.is_file() or "." not in pids_file.read_text():
        assert time.monotonic() < end and not job.progress.finished, job.details()
        time.sleep(0.01)
    pids = [int(word) for word in pids_file.read_text().split()[:2]]
    asked = time.monotonic()
    if how == "cancel":
        job.cancel()
    elif how == "kill":
        job._process.kill()  # as the system does when memory runs out
    else:
        job._process.close_input()  # as when Blender dies
    state = job.wait(10)
    assert state.finished and time.monotonic() - asked < 3  # 0.9 s until the processes are gone; then files are removed
    alive = subprocess.run(["ps", "-o", "stat=", "-p", ",".join(map(str, pids))], capture_output=True, text=True)
    assert not [word for word in alive.stdout.split() if word[0] != "Z"]
    assert in_folder(tmp_path) == before and find_engine("", str(tmp_path / "env")) == engine and engine.is_file()
    tell(tmp_path, "")
    assert install(tmp_path, base).succeeded


@posix
def test_a_killed_first_installation_is_no_obstacle(tmp_path: Path, base: Path) -> None:
    """Also when nobody tidies up: Blender was killed too."""
    half = tmp_path / "env" / "engine-half" / "bin"
    half.mkdir(parents=True)
    (half / "python").touch()
    (tmp_path / "env" / ".bgs-engine").write_text(place.MADE)
    with pytest.raises(EnvironmentLacksError):  # it is not taken for an engine
        find_engine("", str(tmp_path / "env"))
    assert install(tmp_path, base).succeeded
    assert not half.exists() and find_engine("", str(tmp_path / "env")).is_file()


@posix
def test_one_installation_at_a_time(tmp_path: Path, base: Path) -> None:
    tell(tmp_path, "lock wait")
    first = start(tmp_path, base)
    while not (tmp_path / "plan.pids").is_file():
        time.sleep(0.01)
    state = install(tmp_path, base)
    assert state.returncode == 2 and state.error is not None and "Another installation runs in" in state.error[0]
    assert not first.progress.finished
    first.cancel()
    assert first.wait(5).cancelled and not (tmp_path / "env").exists()


@posix
def test_pip_gets_no_secrets(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index")
    assert install(tmp_path, base).succeeded
    names = (tmp_path / "plan.environment").read_text().split()
    assert {"PIP_INDEX_URL", "TMPDIR", "PYTHONSAFEPATH"} <= set(names)
    assert not {"AWS_SECRET_ACCESS_KEY", "HF_TOKEN"} & set(names)


@posix
@pytest.mark.parametrize("name", ["thesis.txt", "downloads/film.mkv", ".hidden", "engine-mine/notes.txt"])
def test_a_folder_of_the_users_files_is_no_place_for_an_environment(tmp_path: Path, base: Path, name: str) -> None:
    folder = tmp_path / "env"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("mine")
    state = install(tmp_path, base)
    assert state.returncode == 2 and state.error is not None and "holds other files" in state.error[0]
    assert (folder / name).read_text() == "mine" and len(list(folder.iterdir())) == 1


@posix
def test_other_files_in_an_install_folder_stay(tmp_path: Path, base: Path) -> None:
    assert install(tmp_path, base).succeeded
    (tmp_path / "env" / "film.mkv").touch()
    tell(tmp_path, "lock fail")
    assert not install(tmp_path, base).succeeded
    tell(tmp_path, "")
    assert install(tmp_path, base).succeeded and (tmp_path / "env" / "film.mkv").exists()


def test_a_pointer_leads_nowhere_else(tmp_path: Path) -> None:
    """current.txt might have been edited: only environments of this folder count."""
    for text in ("../engine-x", "engine-a/../../x", "/usr", "elsewhere", ""):
        (tmp_path / "current.txt").write_text(text)
        assert place.environment_python(tmp_path) == place.python_in(tmp_path)
    (tmp_path / "current.txt").write_bytes(b"\xff\xfe")
    assert place.environment_python(tmp_path) == place.python_in(tmp_path)


@pytest.mark.slow
def test_pip_refuses_a_package_with_another_hash(tmp_path: Path) -> None:
    """pip itself, with the options that we give it, and a wheel that lies here."""
    import hashlib
    import zipfile

    wheel = tmp_path / "wheels" / "made-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("made.py", "")
        archive.writestr("made-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: made\nVersion: 1.0\n")
        archive.writestr("made-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("made-1.0.dist-info/RECORD", "made.py,,\n")
    good = hashlib.sha256(wheel.read_bytes()).hexdigest()
    results = []
    for digest in (good, good[::-1]):
        listed = tmp_path / "listed.txt"
        listed.write_text(requirements(parse(f"made==1.0 --hash=sha256:{digest}")))
        where = ["--no-index", "--find-links", str(wheel.parent), "--target", str(tmp_path / digest)]
        run = subprocess.run(
            [sys.executable, *PIP, *HASHED, *where, "-r", str(listed)], capture_output=True, text=True, check=False
        )
        results.append(run)
    assert results[0].returncode == 0 and (tmp_path / good / "made.py").is_file(), results[0].stderr
    assert results[1].returncode != 0 and not (tmp_path / good[::-1] / "made.py").exists()
    said = in_words(CommandFailed("pip", 1, (results[1].stdout + results[1].stderr).splitlines()))
    assert "is not the one that this version was tested with" in said[0]


@pytest.mark.slow
def test_it_makes_an_environment_that_has_the_core(tmp_path: Path) -> None:
    """From the wheel as it is bundled and the lock file, without extras: torch alone would take minutes."""
    from tools import package

    wheel = next(w for w in package.make_wheels() if w.name.startswith("bgs_engine"))
    arguments = ["--lock", str(ENGINE_LOCK), "--extras", ""]
    job = Job(install_command(sys.executable, tmp_path / "env", wheel, arguments), log=tmp_path / "log")
    state = job.wait(300)
    assert state.succeeded, job.details()
    python = find_engine("", str(tmp_path / "env"))
    code = "import json, bgs_engine.io.run_folder, sys; print(json.dumps('torch' in sys.modules))"
    run = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(run.stdout) is False  # the core needs nothing heavy
