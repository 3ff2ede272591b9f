"""All kernel modules by name: to compile them ahead, as a stage of its own or for a card that is not here."""

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from bgs_engine.raster.warp import wp

KERNEL_MODULES = (
    "bgs_engine.raster.warp.kernels.project",
    "bgs_engine.raster.warp.kernels.tiles",
    "bgs_engine.raster.warp.kernels.walk",
    "bgs_engine.raster.warp.kernels.composite",
    "bgs_engine.raster.warp.kernels.label_maps",
    "bgs_engine.raster.warp.kernels.grouping",
    "bgs_engine.associate.warp_kernels",
    "bgs_engine.train.warp_kernels.adam",
    "bgs_engine.train.warp_kernels.sampling",
    "bgs_engine.train.warp_kernels.segments",
    "bgs_engine.train.warp_kernels.contrastive",
)
DEFAULT_BLOCK = 256  # Warp's own: a module is compiled once for every number of threads a block


def load_kernels(device: str) -> Iterator[str]:
    """Compile every module for the device, or load it from Warp's cache; yields each name when it is ready."""
    for name in KERNEL_MODULES:
        module = importlib.import_module(name)
        wp.load_module(module, device=device, block_dim=getattr(module, "BLOCK", DEFAULT_BLOCK))
        yield name


def compile_to_ptx(name: str, archs: Sequence[int], folder: Path) -> list[Path]:
    """PTX of one kernel module for the given architectures (75 = sm_75); needs no card and no toolkit."""
    module = importlib.import_module(name)
    wp.compile_aot_module(module, arch=list(archs), module_dir=folder, use_ptx=True)
    return sorted(folder.glob("*.ptx"))
