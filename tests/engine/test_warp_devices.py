"""What --device means on which machine, and that the kernels compile for cards that are not here."""

import subprocess
import sys
from pathlib import Path

import pytest

from bgs_engine.cli.main import main
from bgs_engine.core.errors import EnvironmentLacksError
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import CudaFacts, Device, cuda_facts, is_out_of_memory, resolve, trouble
from bgs_engine.raster.warp.compiled import KERNEL_MODULES, compile_to_ptx, load_kernels
from bgs_engine.train.self_test import self_test, usable

ARCHS = (75, 86, 89, 90)  # Turing (the oldest for CUDA 13), Ampere and Ada at the desk, Hopper

READY = CudaFacts((13, 0), "1.19.0", "NVIDIA RTX", 89)
MACHINES = {
    "no driver": (CudaFacts(None, "1.19.0"), "no NVIDIA driver", "Install NVIDIA's driver"),
    "no warp": (CudaFacts((13, 0), None), "warp-lang is not installed", "bgs-engine[cuda]"),
    "driver for CUDA 12": (CudaFacts((12, 4), "1.19.0"), "supports CUDA 12.4", "warp-lang==1.17.*"),
    "driver for CUDA 11": (CudaFacts((11, 8), "1.17.0"), "needs 12.0", "R525 or newer"),
    "no card": (CudaFacts((13, 0), "1.19.0"), "no card", "nvidia-smi"),
    "old card": (CudaFacts((13, 0), "1.18.2", "NVIDIA GTX", 61), "sm_61", "warp-lang==1.17.*"),
    "broken warp": (CudaFacts((13, 0), "1.19.0", broken="no such file"), "does not load", "reinstall"),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_in_the_way_is_said_with_a_way_out(machine: str) -> None:
    facts, words, hint = MACHINES[machine]
    chosen = resolve("auto", facts)
    assert chosen.kind == "cpu" and words in chosen.why
    with pytest.raises(EnvironmentLacksError, match="The card cannot be used") as caught:
        resolve("cuda", facts)
    assert words in caught.value.message and hint in caught.value.hint


def test_networks_run_on_a_card_only_beside_training_on_a_card() -> None:
    assert Device("cuda", "cuda:0", "").for_torch == Device("gsplat", "cuda", "").for_torch == "auto"
    assert Device("cuda", "cpu", "").for_torch == Device("cpu", "", "").for_torch == "cpu"


def test_a_card_that_answers_is_taken() -> None:
    for facts in (READY, CudaFacts((12, 2), "1.17.0", "NVIDIA GTX", 61)):
        assert trouble(facts) is None
        assert resolve("auto", facts).name == resolve("cuda", facts).name == "cuda:0"
        assert facts.card and facts.card in resolve("auto", facts).why


def test_cpu_is_the_cpu_whatever_there_is() -> None:
    assert resolve("cpu", READY).kind == "cpu"
    assert (resolve("warp-cpu").kind, resolve("warp-cpu").name) == ("cuda", "cpu")


def test_asking_for_a_missing_card_ends_in_a_sentence(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    if trouble(cuda_facts()) is None:
        pytest.skip("this machine has a card: nothing is missing")
    for device in ("cuda", "gsplat"):
        assert main(["train", str(tmp_path), "-o", str(tmp_path / "run"), "--device", device]) == 4
        answer = capsys.readouterr().err
        assert "cannot be used" in answer and "Traceback" not in answer
    assert not list(tmp_path.iterdir())


def test_a_card_is_tried_before_it_is_trusted() -> None:
    """Warp's CPU device passes; a device that does not exist fails like a card whose driver or compiler fails."""
    assert self_test("cpu") == ""
    broken = Device("cuda", "cuda:99", "")
    seen: list[dict] = []
    chosen = usable(broken, "auto", Reporter([seen.append]))
    assert chosen.kind == "cpu" and "self-test" in chosen.why and seen[0]["event"] == "warning"
    with pytest.raises(EnvironmentLacksError, match="self-test"):
        usable(broken, "cuda", Reporter())


def test_a_wrong_result_fails_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bgs_engine.train.self_test.TOLERANCE", 0.0)  # rounding counts as wrong now
    assert "differs from the CPU's" in self_test("cpu")


def test_out_of_memory_is_told_by_the_words_of_warp_and_torch() -> None:
    assert is_out_of_memory(RuntimeError("Failed to allocate 4096 bytes on device 'cuda:0'"))
    assert is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert is_out_of_memory(MemoryError()) and not is_out_of_memory(RuntimeError("backward before forward"))


def test_the_engine_needs_no_warp(tmp_path: Path) -> None:
    """With an import of warp that fails, training settings, the pipeline and doctor still import."""
    (tmp_path / "warp.py").write_text("raise ImportError('not here')\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "import bgs_engine.pipeline.runs, bgs_engine.output.render, bgs_engine.devices.doctor, bgs_engine.cli.main;"
        "assert bgs_engine.devices.doctor.examine() and 'warp' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=120)


def test_all_kernels_load() -> None:
    assert list(load_kernels("cpu")) == list(KERNEL_MODULES)
    root = Path(sys.modules["bgs_engine"].__file__ or "").parent
    kernel_files = {path for path in root.rglob("*.py") if "@wp.kernel" in path.read_text(encoding="utf-8")}
    assert kernel_files == {root.parent / f"{name.replace('.', '/')}.py" for name in KERNEL_MODULES}


@pytest.mark.parametrize("name", KERNEL_MODULES)
def test_kernels_compile_for_cards(name: str, tmp_path: Path) -> None:
    """To PTX, by the NVRTC inside the wheel: no card, no driver, no toolkit."""
    made = compile_to_ptx(name, ARCHS, tmp_path)
    assert len(made) == len(ARCHS)
    for path in made:
        text = path.read_text(encoding="utf-8", errors="replace")
        assert ".visible .entry" in text
    targets = {line.split()[1].rstrip(",") for path in made for line in path.read_text().splitlines() if line.startswith(".target")}  # fmt: skip  # noqa: E501
    assert targets == {f"sm_{arch}" for arch in ARCHS}
