"""`bgs doctor`: checks what the engine can use on this machine, with a remedy for each problem."""

import importlib
import importlib.metadata
import os
import platform
import sys
from dataclasses import asdict, dataclass
from typing import Any

import bgs_engine
from bgs_engine.core.errors import EnvironmentLacksError
from bgs_engine.devices.choice import CudaFacts, CudaTrouble, Device, cuda_facts, resolve, trouble


@dataclass(frozen=True)
class Check:
    """One line of the answer; `needed` marks a requirement of the CPU path."""

    name: str
    ok: bool
    detail: str
    hint: str = ""
    needed: bool = False


_PACKAGES = (  # import name, distribution, extra, needed on every machine
    ("numpy", "numpy", "", True),
    ("plyfile", "plyfile", "", True),
    ("numba", "numba", "train", True),
    ("scipy", "scipy", "train", True),
    ("torch", "torch", "train", True),
    ("PIL", "pillow", "train", True),
    ("onnxruntime", "onnxruntime", "masks", False),
    ("onnx", "onnx", "masks", False),
    ("warp", "warp-lang", "cuda", False),
    ("gsplat", "gsplat", "gsplat", False),
)


@dataclass(frozen=True)
class Report:
    """The whole answer. cuda: what was found; trouble: why the card is not used; auto: what `--device auto` means."""

    checks: tuple[Check, ...]
    cuda: CudaFacts
    trouble: CudaTrouble | None
    auto: Device


def examine() -> Report:
    """Look at this machine; checks are in reading order."""
    facts = cuda_facts()
    problem, auto = trouble(facts), resolve("auto", facts)
    checks = (
        Check("engine", True, bgs_engine.__version__),
        Check("python", sys.version_info >= (3, 11), platform.python_version(), "Use Python 3.11 or later.", True),
        Check("system", True, f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"),
        *(_package(*row) for row in _PACKAGES),
        _memory(),
        _driver(facts),
        _cuda(facts, problem),
        Check("device", True, f"auto means {auto.kind}: {auto.why}"),
        _gsplat(),
    )
    return Report(checks, facts, problem, auto)


def as_json(report: Report) -> dict[str, Any]:
    """The answer for programs; docs/reference/formats.md describes the fields."""
    driver = report.cuda.driver
    return {
        "ok": all(check.ok for check in report.checks if check.needed),
        "checks": [asdict(check) for check in report.checks],
        "auto_device": {"kind": report.auto.kind, "why": report.auto.why},
        "cuda": {
            "usable": report.trouble is None,
            "driver": None if driver is None else list(driver),
            "card": report.cuda.card,
            "arch": report.cuda.arch,
            "warp": report.cuda.warp,
            "problem": report.trouble.problem if report.trouble else "",
            "hint": report.trouble.hint if report.trouble else "",
            "install": report.trouble.install if report.trouble else "",
        },
    }


def as_text(report: Report) -> str:
    """The answer for people."""
    lines = []
    for check in report.checks:
        mark = "ok" if check.ok else ("MISSING" if check.needed else "-")
        hint = f"  {check.hint}" if check.hint and not check.ok else ""
        lines.append(f"{mark:>8}  {check.name:12} {check.detail}{hint}")
    return "\n".join(lines)


def _package(module: str, distribution: str, extra: str, needed: bool) -> Check:
    hint = f"pip install 'bgs-engine[{extra}]'" if extra else "pip install bgs-engine"
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return Check(distribution, False, "not installed", hint, needed)
    if not needed:  # importing optional packages takes seconds, and a failure shows when they are used
        return Check(distribution, True, version)
    try:
        importlib.import_module(module)
    except (ImportError, OSError) as error:
        return Check(distribution, False, f"{version} does not load: {error}", hint, needed)
    return Check(distribution, True, version, needed=needed)


def _memory() -> Check:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return Check("memory", True, "size not known on this system")
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return Check("memory", total >= 4, f"{total:.0f} GB", "Scenes above 0.5 million Gaussians need 4 GB and more.")


def _driver(facts: CudaFacts) -> Check:
    hint = "Not needed: the CPU path gives the same results."
    if facts.driver is None:
        return Check("nvidia", False, "no NVIDIA driver found", hint)
    return Check("nvidia", True, f"driver for CUDA {facts.driver[0]}.{facts.driver[1]}", hint)


def _cuda(facts: CudaFacts, problem: CudaTrouble | None) -> Check:
    if problem is not None:
        return Check("cuda", False, problem.problem, problem.hint)
    return Check("cuda", True, f"{facts.card} (sm_{facts.arch})")


def _gsplat() -> Check:
    """Whether `--device gsplat` would work; nothing is compiled to find out."""
    try:
        from bgs_engine.devices.gsplat import check_gsplat

        check_gsplat(compile_now=False)
    except EnvironmentLacksError as error:
        return Check("gsplat use", False, error.message, error.hint)
    except ImportError as error:  # without torch nothing can be asked
        return Check("gsplat use", False, str(error))
    return Check("gsplat use", True, "ready; its kernels are compiled at first use")
