"""The settings of Segment, as arguments of the engine. No bpy."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class SegmentConfig:
    """The options of a segmentation. An empty text or 0 means the engine's default."""

    level_bits: str = ""  # as many levels as the scene has
    iterations: int = 0
    device: str = "auto"
    dataset: str = ""  # folder with photos and cameras
    views: int = 0
    masks_model: str = ""
    seed: int = 0
    fetch: bool = False  # the engine may download a mask model that is not on this machine

    def arguments(self, scene: Path, run: Path) -> list[str]:
        """The arguments of `bgs segment` for the PLY `scene` and the run folder `run`."""
        out = ["segment", str(scene), "-o", str(run), "--events"]
        out += ["--device", self.device, "--seed", str(self.seed), "--fetch" if self.fetch else "--no-fetch"]
        for flag, value in (
            ("--level-bits", self.level_bits), ("--iterations", self.iterations), ("--dataset", self.dataset),
            ("--views", self.views), ("--masks-model", self.masks_model),
        ):  # fmt: skip
            if value:
                out += [flag, str(value)]
        return out
