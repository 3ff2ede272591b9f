"""What this machine has that decides which packages are worth installing. Nothing is loaded to find out."""

import ctypes.util
import os
import shutil
import sys
from pathlib import Path

FOR_A_CARD = ",sam,cuda"  # extras: our kernels for NVIDIA cards, and the mask models that need one
# Folders of NVIDIA's driver that the loader's own list may not name: WSL, NixOS, containers.
DRIVER_FOLDERS = ("/usr/lib/wsl/lib", "/run/opengl-driver/lib", "/usr/local/nvidia/lib64", "/usr/lib64", "/usr/lib")


def wants_cuda(device: str) -> bool:
    """Whether the packages for an NVIDIA card are worth their gigabytes here."""
    return device == "cuda" or (device == "auto" and has_nvidia_driver())


def has_nvidia_driver(system: str = sys.platform) -> bool:
    """Whether NVIDIA's driver is on this machine, by its tool or its library."""
    if system == "darwin":
        return False
    if shutil.which("nvidia-smi") is not None:
        return True
    if system == "win32":
        windows = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"))
        return (windows / "System32" / "nvcuda.dll").is_file()
    return any((Path(folder) / "libcuda.so.1").exists() for folder in DRIVER_FOLDERS) or bool(
        ctypes.util.find_library("cuda")
    )


def extras_for(extras: str, device: str) -> str:
    """The engine's extras to install: what was asked for, and with an NVIDIA driver what makes use of the card."""
    return extras + FOR_A_CARD if extras and wants_cuda(device) else extras
