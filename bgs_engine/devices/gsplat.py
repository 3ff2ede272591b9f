"""Whether gsplat can work on this machine. Importable without gsplat and without torch."""

import contextlib
import importlib.util
import shutil
import subprocess
import sys

from bgs_engine.core.errors import EnvironmentLacksError


def check_gsplat(compile_now: bool = True) -> None:
    """Make sure that gsplat can work here; its first compilation takes minutes.

    Raises:
        EnvironmentLacksError: what is missing, in a sentence, and how to get it.
    """
    install = "pip install 'bgs-engine[gsplat]'"
    for package in ("gsplat", "packaging"):  # gsplat imports packaging without declaring it
        if importlib.util.find_spec(package) is None:
            raise EnvironmentLacksError(f"gsplat cannot be used: the package {package} is missing.", install)
    import torch

    if not torch.cuda.is_available():
        raise EnvironmentLacksError(
            "gsplat cannot be used: this torch finds no CUDA card.",
            "Install a CUDA build of torch and NVIDIA's driver, or use --device cuda, which needs no torch with CUDA.",
        )
    from torch.utils.cpp_extension import CUDA_HOME

    missing = [] if CUDA_HOME else ["nvcc (the CUDA toolkit)"]
    missing += [] if any(map(shutil.which, ("c++", "g++", "clang++", "cl"))) else ["a C++ compiler"]
    if missing:
        raise EnvironmentLacksError(
            f"gsplat compiles its kernels at first use and finds no {' and no '.join(missing)}.",
            "Install what is missing, or use --device cuda, which needs neither.",
        )
    if not compile_now:
        return
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it prints, and standard output belongs to our events
            from gsplat.cuda._backend import _C
    except (ImportError, OSError, RuntimeError, subprocess.CalledProcessError) as error:
        raise EnvironmentLacksError(
            f"gsplat could not compile its kernels: {str(error).strip().splitlines()[-1]}.",
            "Match torch's CUDA version with nvcc's, or use --device cuda, which compiles nothing.",
        ) from None
    if _C is None:
        raise EnvironmentLacksError("gsplat did not compile its kernels and does not say why.", "Use --device cuda.")
