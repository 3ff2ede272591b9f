"""`bgs doctor`: what this machine has, what works, and what to do about what does not."""

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from typing import Any

import bgs_engine


@dataclass(frozen=True)
class Check:
    """One line of the answer; `needed` marks what the CPU path cannot do without."""

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


def examine() -> list[Check]:
    """All checks, in reading order."""
    return [
        Check("engine", True, bgs_engine.__version__),
        Check("python", sys.version_info >= (3, 11), platform.python_version(), "Use Python 3.11 or later.", True),
        Check("system", True, f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"),
        *(_package(*row) for row in _PACKAGES),
        _memory(),
        _cuda(),
        Check("device", True, "auto means cpu: training on a card is not part of this version"),
    ]


def as_json(checks: list[Check]) -> dict[str, Any]:
    """The answer for programs."""
    return {"ok": all(c.ok for c in checks if c.needed), "checks": [asdict(c) for c in checks]}


def as_text(checks: list[Check]) -> str:
    """The answer for people."""
    lines = []
    for check in checks:
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
    if not needed:  # importing the optional ones takes seconds and tells nothing that their use does not
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


def _cuda() -> Check:
    if not shutil.which("nvidia-smi"):
        return Check("nvidia", False, "no NVIDIA driver found", "Not needed: the CPU path gives the same results.")
    return Check("nvidia", True, "driver present")
