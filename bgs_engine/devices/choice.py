"""Chooses the device that `--device` means on this machine, with a reason. Importable without Warp or a driver.

The driver is asked directly (ctypes). Warp is imported only if there is a card that it can use.
"""

import ctypes
import importlib.metadata
import importlib.util
import re
import sys
from dataclasses import dataclass

from bgs_engine.core.errors import EnvironmentLacksError

CHOICES = ("auto", "cpu", "cuda", "gsplat", "warp-cpu")
LAST_FOR_CUDA_12 = "1.17"  # its wheels hold CUDA 12.9; from 1.18 on they hold CUDA 13 (release notes of Warp)
DRIVER_OF_CUDA = {12: "R525", 13: "R580"}  # first driver series of each CUDA (NVIDIA's compatibility table)
OLDEST_ARCH = 75  # Turing, the oldest that CUDA 13 compiles for
Version = tuple[int, int]

# Words of Warp, CUDA, torch, ONNX Runtime, NumPy, C++, the loader of libraries and the operating system.
_NO_MEMORY = re.compile(
    r"failed to allocate|out of memory|not enough memory|(can't|cannot|unable to) allocate|bad_alloc"
    r"|failed to map segment|can't start new thread",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Device:
    """Where a job computes.

    kind: cpu (Numba), cuda (Warp) or gsplat. name: the Warp or torch device, "" for Numba. why: a sentence for people.
    """

    kind: str
    name: str
    why: str

    @property
    def choice(self) -> str:
        """The value of `--device` that gives exactly this device."""
        return "warp-cpu" if self.kind == "cuda" and self.name == "cpu" else self.kind

    @property
    def for_torch(self) -> str:
        """Where networks run by torch belong in a job on this device: auto (a card if torch finds one), or cpu.

        A job that does not compute on a card leaves the card alone.
        """
        return "auto" if self.kind in ("cuda", "gsplat") and self.name != "cpu" else "cpu"

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the packages that compute there, beyond those of the CPU path."""
        package = {"cuda": "warp-lang", "gsplat": "gsplat"}.get(self.kind)
        return {package: importlib.metadata.version(package)} if package else {}


@dataclass(frozen=True)
class CudaTrouble:
    """The reason why the card cannot be used.

    problem: in words. hint: a remedy. install: the requirement of an older Warp that would work, or "".
    """

    problem: str
    hint: str
    install: str = ""


@dataclass(frozen=True)
class CudaFacts:
    """Facts about this machine. driver: the CUDA version that the driver supports; None without a driver.

    warp: version of the package. broken: why it does not load. card, arch (75 = sm_75): of the first card.
    """

    driver: Version | None
    warp: str | None
    card: str | None = None
    arch: int = 0
    broken: str = ""


def cuda_facts() -> CudaFacts:
    """Look at this machine; imports Warp only where driver and package could work together."""
    try:
        version: str | None = importlib.metadata.version("warp-lang")
    except importlib.metadata.PackageNotFoundError:
        version = None
    facts = CudaFacts(driver_version(), version)
    if trouble(facts, look_at_card=False):
        return facts
    try:
        from bgs_engine.devices.warp import wp

        cards = wp.get_cuda_devices()
    except (ImportError, OSError, RuntimeError) as error:
        return CudaFacts(facts.driver, version, broken=str(error))
    return CudaFacts(facts.driver, version, cards[0].name, cards[0].arch) if cards else facts


def driver_version() -> Version | None:
    """CUDA version of the installed NVIDIA driver, or None without one (or with one that does not load)."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        number = ctypes.c_int()
        if driver.cuDriverGetVersion(ctypes.byref(number)) != 0:
            return None
    except (OSError, AttributeError):
        return None
    return number.value // 1000, number.value % 1000 // 10


def trouble(facts: CudaFacts, look_at_card: bool = True) -> CudaTrouble | None:
    """The reason why the card cannot be used, or None if it can."""
    if facts.driver is None:
        hint = "Install NVIDIA's driver; without a card, use --device cpu."
        return CudaTrouble("no NVIDIA driver was found", hint)
    if facts.warp is None:
        return CudaTrouble("warp-lang is not installed", "pip install 'bgs-engine[cuda]'")
    if facts.broken:
        problem = f"warp-lang {facts.warp} does not load ({facts.broken})"
        return CudaTrouble(problem, "pip install --force-reinstall warp-lang")
    needed = 13 if _minor(facts.warp) > _minor(LAST_FOR_CUDA_12) else 12
    older = f"warp-lang=={LAST_FOR_CUDA_12}.*"
    if facts.driver[0] < needed:
        problem = f"the driver supports CUDA {_dotted(facts.driver)}, warp-lang {facts.warp} needs {needed}.0"
        update = f"Update the driver to {DRIVER_OF_CUDA[needed]} or newer"
        if facts.driver[0] == 12:
            return CudaTrouble(problem, f"{update}, or: pip install '{older}'", older)
        return CudaTrouble(problem, f"{update}.")
    if not look_at_card:
        return None
    if facts.card is None:
        hint = "Check that nvidia-smi lists one and CUDA_VISIBLE_DEVICES does not hide it."
        return CudaTrouble("the driver reports no card", hint)
    if needed >= 13 and facts.arch < OLDEST_ARCH:
        card = f"{facts.card} (sm_{facts.arch})"
        problem = f"{card} is older than warp-lang {facts.warp} supports (sm_{OLDEST_ARCH})"
        return CudaTrouble(problem, f"pip install '{older}'", older)
    return None


def resolve(choice: str, facts: CudaFacts | None = None) -> Device:
    """The device that `--device` stands for: auto is the card if it can be used, else the CPU.

    Args:
        choice: one of `CHOICES`. warp-cpu runs the card's kernels on the CPU: slow, to check them.
        facts: of `cuda_facts`, asked for where needed.

    Raises:
        EnvironmentLacksError: a card or package was asked for that is not here.
    """
    if choice == "cpu":
        return Device("cpu", "", "asked for")
    if choice == "warp-cpu":
        if importlib.util.find_spec("warp") is None:
            raise EnvironmentLacksError("warp-lang is not installed.", "pip install 'bgs-engine[cuda]'")
        return Device("cuda", "cpu", "asked for: the card's kernels on the CPU, slow")
    if choice == "gsplat":
        from bgs_engine.devices.gsplat import check_gsplat

        check_gsplat()
        return Device("gsplat", "cuda", "asked for")
    facts = facts or cuda_facts()
    problem = trouble(facts)
    if problem is None:
        return Device(
            "cuda", "cuda:0", f"{facts.card}, driver for CUDA {_dotted(facts.driver)}, warp-lang {facts.warp}"
        )
    if choice == "cuda":
        raise EnvironmentLacksError(f"The card cannot be used: {problem.problem}.", problem.hint)
    return Device("cpu", "", problem.problem)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: most libraries say so in words only."""
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


def _minor(version: str) -> Version:
    numbers = re.findall(r"\d+", version)
    return int(numbers[0]), int(numbers[1])


def _dotted(version: Version | None) -> str:
    return "none" if version is None else f"{version[0]}.{version[1]}"
