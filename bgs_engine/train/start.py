"""Where training starts: the codes of the association, those of a file, or random features."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bgs_engine.associate.mask_children import MaskChildren
from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.associate.stage import AssociateConfig, Association, associate
from bgs_engine.associate.votes import VoteCollector, collect_votes
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import Device
from bgs_engine.io.arrays import load_array
from bgs_engine.train.config import TrainConfig

START_SPREAD = 0.6  # first features are 0.5 plus or minus half of this: they have a side, and training can change it


@dataclass(frozen=True)
class TrainingStart:
    """What training starts from.

    features: float32 [N, D] in 0..1, scene order.
    codes: int32 [N], scene order, of which the features were made; None where the features are random.
    association: the answer of the association, where one was made.
    mask_children: the codes that the masks are pulled towards; None for the contrastive objective, which has none.
    """

    features: np.ndarray
    codes: np.ndarray | None
    association: Association | None
    mask_children: MaskChildren | None


def training_start(views: MaskedViews, config: TrainConfig, device: Device, reporter: Reporter) -> TrainingStart:
    """Make or read the first codes, as `config.init` and `config.objective` say.

    Args:
        views: the scene with its cameras and masks.
        config: settings of the training.
        device: where votes are collected.
        reporter: told of the stages.

    Raises:
        InputError: a file of codes that cannot be read or belongs to another scene; as `associate`.
        UsageError: as `associate`.
    """
    association = codes = None
    if config.first_codes == "associate" or config.objective == "association":
        association = associate(views, AssociateConfig(), config.seed, reporter, _vote_collector(device))
    if config.first_codes == "associate":
        assert association is not None
        codes = association.codes
    elif config.first_codes != "random":
        codes = views.scene.from_file_order(read_codes(Path(config.first_codes), views.scene.file_count))
    features = (
        random_features(len(views.scene), views.layout, config.seed)
        if codes is None
        else features_of_codes(codes, views.layout)
    )
    targets = association.mask_children if association and config.objective == "association" else None
    return TrainingStart(features, codes, association, targets)


def _vote_collector(device: Device) -> VoteCollector:
    if device.kind != "cuda":
        return collect_votes
    from bgs_engine.associate.device_votes import collect_votes_on

    return partial(collect_votes_on, device.name)


def read_codes(path: Path, count: int) -> np.ndarray:
    """First codes from a .npy file, int32 [count], file order.

    Raises:
        InputError: the file cannot be read or belongs to another scene.
    """
    codes = load_array(path, "Give --init random or a codes.npy.")
    if codes.shape != (count,) or codes.dtype not in (np.int32, np.uint32):
        raise InputError(
            f"{path} holds {codes.dtype} {list(codes.shape)}; the scene needs int32 [{count}].",
            "Use codes of the same scene.",
        )
    return codes.view(np.int32)


def random_features(count: int, layout: BitLayout, seed: int) -> np.ndarray:
    """Features, float32 [count, D], uniform in 0..1: features that all start on one side of 0.5 do not train."""
    return np.random.default_rng(seed).random((count, layout.total), np.float32)


def features_of_codes(codes: np.ndarray, layout: BitLayout) -> np.ndarray:
    """Features, float32 [N, D] in 0..1, each on the side of 0.5 that its bit of codes int32 [N] says."""
    return (layout.to_bits(codes) - np.float32(0.5)) * np.float32(START_SPREAD) + np.float32(0.5)
