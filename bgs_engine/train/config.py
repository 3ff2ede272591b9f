"""Training settings; the command line's options and help texts are made from these fields."""

from dataclasses import dataclass, field

from bgs_engine.devices.choice import CHOICES

DEFAULT_CACHE_GB = 4.0


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What `bgs train` can be told. The `help` of each field is its text on the command line."""

    device: str = field(
        default="auto",
        metadata={
            "help": "where to train: auto = the NVIDIA card if it can be used, else the CPU; gsplat = the card through "
            "gsplat's rasteriser; warp-cpu = the card's kernels on the CPU, slow, to check them",
            "choices": CHOICES,
        },
    )
    iterations: int = field(
        default=-1,
        metadata={
            "help": "optimisation steps, one view each; negative = what suits the objective: 300 for association, but "
            "not more than 8 a view; 1,500 for contrastive"
        },
    )
    objective: str = field(
        default="association",
        metadata={
            "help": "association: pull towards the segments that the masks of all views agree on; "
            "contrastive: the paper's objective, from pairs of pixels of one view",
            "choices": ("association", "contrastive"),
        },
    )
    init: str = field(
        default="auto",
        metadata={"help": "first codes: associate, random, or a codes.npy; auto = what the objective is best with"},
    )
    uniform_pixels: int = field(
        default=-1,
        metadata={
            "help": "pixels drawn anywhere in each step; negative = what suits the objective: 8,000 for association, "
            "2,000 for contrastive"
        },
    )
    balanced_pixels: int = field(
        default=-1,
        metadata={
            "help": "pixels drawn mask by mask in each step; negative = 2,000 for association, 8,000 for contrastive"
        },
    )
    balanced_masks: int = field(default=64, metadata={"help": "masks that share the balanced pixels of a step"})
    feature_rate: float = field(
        default=-1.0,
        metadata={
            "help": "learning rate of the features, falling to a tenth; negative = what suits the objective: "
            "0.01 for association, 0.02 for contrastive"
        },
    )
    opacity_rate: float = field(default=0.01, metadata={"help": "learning rate of the opacity logits; 0 = frozen"})
    regulariser: float = field(default=0.3, metadata={"help": "weight of the pull towards 0 and 1 (equation 8)"})
    virtual_negative: float = field(default=1.0, metadata={"help": "weight of the virtual negative (equation 7)"})
    straight_through: bool = field(default=False, metadata={"help": "binarise in the forward pass (equation 3)"})
    progressive: bool = field(default=True, metadata={"help": "repel only inside the same coarser mask (equation 6)"})
    seed: int = field(default=0, metadata={"help": "seed of everything random"})
    cache_gb: float = field(default=DEFAULT_CACHE_GB, metadata={"help": "memory for views kept between steps, GB"})
    checkpoint_seconds: float = field(default=30.0, metadata={"help": "seconds between two checkpoints"})

    def steps(self, views: int) -> int:
        """Optimisation steps for so many views: more than a few looks at each only learn its masks' faults."""
        if self.iterations >= 0:
            return self.iterations
        return min(300, 8 * views) if self.objective == "association" else 1500

    @property
    def drawn(self) -> tuple[int, int, int]:
        """Pixels of a step drawn anywhere, pixels drawn mask by mask, and how many masks share those.

        The paper's pairs need pixels of small masks. Where each pixel has a code to reach, drawing from small masks as
        often as from large ones gives them what is beside them.
        """
        uniform, balanced = (8000, 2000) if self.objective == "association" else (2000, 8000)
        uniform = self.uniform_pixels if self.uniform_pixels >= 0 else uniform
        balanced = self.balanced_pixels if self.balanced_pixels >= 0 else balanced
        return uniform, balanced, self.balanced_masks

    @property
    def first_feature_rate(self) -> float:
        """Learning rate of the features at the first step: associated codes are mended, random ones have far to go."""
        if self.feature_rate >= 0:
            return self.feature_rate
        return 0.01 if self.objective == "association" else 0.02
