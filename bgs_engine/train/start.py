"""Where training starts: the codes of the association, those of a file, or none at all."""

from functools import partial
from pathlib import Path

import numpy as np

from bgs_engine.associate.stage import AssociateConfig, Association, associate
from bgs_engine.associate.votes import LevelMaps, VoteCollector, collect_votes
from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import Device
from bgs_engine.raster.scene import RasterScene
from bgs_engine.train.config import TrainConfig

START_SPREAD = 0.6  # first features are 0.5 +- half of this: decided, yet free to change their mind


def first_codes(
    scene: RasterScene,
    in_file: int,
    cameras: list[Camera],
    level_maps: LevelMaps,
    layout: BitLayout,
    config: TrainConfig,
    device: Device,
    reporter: Reporter,
) -> tuple[np.ndarray | None, Association | None]:
    """(codes int32 [N] in scene order or None for random features, the association where one was made).

    Args:
        scene: N Gaussians.
        in_file: number of Gaussians in the scene's file.
        cameras, level_maps: the views and their masks.
        layout: the bits of each level.
        config: `init` and `objective` decide.
        device: where votes are collected.
        reporter: told of the stages.

    Raises:
        InputError: a file of codes that cannot be read or is another scene's; as `associate`.
        UsageError: as `associate`.
    """
    init = config.init
    if init == "auto":
        init = "associate" if config.objective == "association" else "random"
    association = None
    if init == "associate" or config.objective == "association":
        association = associate(
            scene, cameras, level_maps, layout, AssociateConfig(), config.seed, reporter, _vote_collector(device)
        )
    if init == "associate":
        assert association is not None
        return association.codes, association
    if init == "random":
        return None, association
    return scene.from_file_order(_read_codes(Path(init), in_file)), association


def _vote_collector(device: Device) -> VoteCollector:
    if device.kind != "cuda":
        return collect_votes
    from bgs_engine.associate.device_votes import collect_votes_on

    return partial(collect_votes_on, device.name)


def _read_codes(path: Path, count: int) -> np.ndarray:
    try:
        codes = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be read ({error}).", "Give --init random or a codes.npy.") from None
    if codes.shape != (count,) or codes.dtype not in (np.int32, np.uint32):
        raise InputError(
            f"{path} holds {codes.dtype} {list(codes.shape)}; the scene needs int32 [{count}].",
            "Use codes of the same scene.",
        )
    return codes.view(np.int32)


def first_features(codes: np.ndarray | None, count: int, layout: BitLayout, config: TrainConfig) -> np.ndarray:
    """Features, float32 [N, D] in 0..1, from codes [N], or drawn at random for N = count Gaussians."""
    if codes is None:  # uniform: features that all start on one side of 0.5 deadlock
        return np.random.default_rng(config.seed).random((count, layout.total), np.float32)
    return (layout.to_bits(codes) - np.float32(0.5)) * np.float32(START_SPREAD) + np.float32(0.5)
