"""Settings of the masks stage. The command line shows them, so the module loads no libraries."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class MasksConfig:
    """Settings of `bgs masks`. The `help` of a field is its text on the command line."""

    model: str = ""  # a mask source, see sources/table.py
    levels: int = 3
    device: str = "auto"  # of transformers models
    fetch: bool = field(default=True, metadata={"help": "download a mask model that is not on this machine"})
    points_per_side: int = field(default=32, metadata={"help": "grid of points asked in each image"})
    adaptive: bool = field(
        default=True, metadata={"help": "ask only where an answer may be new; off = every point of the grid"}
    )
    thoroughness: float = field(
        default=1.0, metadata={"help": "2 asks about a third more points and finds more small masks, 0.5 asks fewer"}
    )
    min_iou: float = field(default=0.86, metadata={"help": "least quality that the model itself predicts for a mask"})
    min_stability: float = field(default=0.90, metadata={"help": "least agreement of a mask with a stricter cut"})
    batch: int = field(default=4, metadata={"help": "points in one call of the model"})
    min_area: int = field(default=100, metadata={"help": "least pixels of a mask, in an image of 640x480"})
    workers: int = field(default=0, metadata={"help": "images in work at once; 0 = by the number of processors"})
