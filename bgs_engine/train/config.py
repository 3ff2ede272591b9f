"""Training settings, their defaults, and the presets of both objectives.

The command line's options and help texts are made from the fields of `TrainConfig`.
"""

from dataclasses import dataclass, field
from typing import Any

from bgs_engine.core.errors import UsageError
from bgs_engine.core.step_counts import STEPS, STEPS_OF_VIEW
from bgs_engine.devices.choice import CHOICES

DEFAULT_CACHE_GB = 4.0


@dataclass(frozen=True)
class Preset:
    """Values that suit one objective; they hold wherever a field of `TrainConfig` is None.

    iterations: optimisation steps, but not more than `iterations_per_view` for each view.
    uniform_pixels, balanced_pixels: pixels of a step drawn anywhere, and drawn mask by mask.
    feature_rate: learning rate of the features at the first step.
    init: the first codes.
    """

    iterations: int
    iterations_per_view: int | None
    uniform_pixels: int
    balanced_pixels: int
    feature_rate: float
    init: str


# The paper's pairs of pixels need pixels of small masks. Where each pixel has a code to reach, drawing as often from
# small masks as from large ones gives small masks the pixels beside them. More than a few looks at each view only
# learn the faults of its masks. Associated codes need small corrections; random ones have far to go.
PRESETS = {
    "association": Preset(
        STEPS, STEPS_OF_VIEW, uniform_pixels=8000, balanced_pixels=2000, feature_rate=0.01, init="associate"
    ),
    "contrastive": Preset(1500, None, uniform_pixels=2000, balanced_pixels=8000, feature_rate=0.02, init="random"),
}


def _by_objective(help_text: str, value: str, kind: type, pattern: str = "{:,}") -> Any:
    """A field whose default is the preset's `value`; its help names the values of both objectives."""
    values = [f"{pattern.format(getattr(preset, value))} for {name}" for name, preset in PRESETS.items()]
    return field(
        default=None,
        metadata={"help": f"{help_text}; negative = what suits the objective: {', '.join(values)}", "type": kind},
    )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of `bgs train`. The `help` of a field is its text on the command line.

    A field that is None takes its value from the preset of the objective.

    Raises:
        UsageError: an unknown objective, or a negative number where None is meant.
    """

    device: str = field(
        default="auto",
        metadata={
            "help": "where to train: auto = the NVIDIA card if it can be used, else the CPU; gsplat = the card through "
            "gsplat's rasteriser; warp-cpu = the card's kernels on the CPU, slow, to check them",
            "choices": CHOICES,
        },
    )
    iterations: int | None = field(
        default=None,
        metadata={
            "help": "optimisation steps, one view each; negative = what suits the objective: 300 for association, but "
            "not more than 8 a view; 1,500 for contrastive",
            "type": int,
        },
    )
    objective: str = field(
        default="association",
        metadata={
            "help": "association: pull towards the segments that the masks of all views agree on; "
            "contrastive: the paper's objective, from pairs of pixels of one view",
            "choices": tuple(PRESETS),
        },
    )
    init: str = field(
        default="auto",
        metadata={"help": "first codes: associate, random, or a codes.npy; auto = what the objective is best with"},
    )
    uniform_pixels: int | None = _by_objective("pixels drawn anywhere in each step", "uniform_pixels", int)
    balanced_pixels: int | None = _by_objective("pixels drawn mask by mask in each step", "balanced_pixels", int)
    balanced_masks: int = field(default=64, metadata={"help": "masks that share the balanced pixels of a step"})
    feature_rate: float | None = _by_objective(
        "learning rate of the features, falling to a tenth", "feature_rate", float, "{:g}"
    )
    opacity_rate: float = field(default=0.01, metadata={"help": "learning rate of the opacity logits; 0 = frozen"})
    regulariser: float = field(default=0.3, metadata={"help": "weight of the pull towards 0 and 1 (equation 8)"})
    virtual_negative: float = field(default=1.0, metadata={"help": "weight of the virtual negative (equation 7)"})
    straight_through: bool = field(default=False, metadata={"help": "binarise in the forward pass (equation 3)"})
    progressive: bool = field(default=True, metadata={"help": "repel only inside the same coarser mask (equation 6)"})
    seed: int = field(default=0, metadata={"help": "seed of everything random"})
    cache_gb: float = field(default=DEFAULT_CACHE_GB, metadata={"help": "memory for views kept between steps, GB"})
    checkpoint_seconds: float = field(default=30.0, metadata={"help": "seconds between two checkpoints"})

    def __post_init__(self) -> None:
        if self.objective not in PRESETS:
            raise UsageError(f"There is no objective {self.objective}.", f"Use one of {', '.join(PRESETS)}.")
        for name in ("iterations", "uniform_pixels", "balanced_pixels", "feature_rate"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise UsageError(f"{name} is {value}.", "Use None for the value that suits the objective.")

    @property
    def preset(self) -> Preset:
        """The values of the fields that are None."""
        return PRESETS[self.objective]

    @property
    def first_codes(self) -> str:
        """Where the first codes come from: associate, random, or the path of a codes.npy."""
        return self.preset.init if self.init == "auto" else self.init

    def steps(self, views: int) -> int:
        """Number of optimisation steps for that many views."""
        if self.iterations is not None:
            return self.iterations
        per_view = self.preset.iterations_per_view
        return self.preset.iterations if per_view is None else min(self.preset.iterations, per_view * views)

    @property
    def pixels_of_step(self) -> tuple[int, int, int]:
        """Pixels of a step drawn anywhere, pixels drawn mask by mask, and how many masks share those."""
        uniform = self.preset.uniform_pixels if self.uniform_pixels is None else self.uniform_pixels
        balanced = self.preset.balanced_pixels if self.balanced_pixels is None else self.balanced_pixels
        return uniform, balanced, self.balanced_masks

    @property
    def first_feature_rate(self) -> float:
        """Learning rate of the features at the first step; it falls to a tenth by the last one."""
        return self.preset.feature_rate if self.feature_rate is None else self.feature_rate
