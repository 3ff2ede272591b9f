"""Settings of the masks stage. The command line shows them, so the module loads no libraries."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class MasksConfig:
    """Settings of `bgs masks`. The `help` of a field is its text on the command line."""

    model: str = ""  # a mask source, see sources/table.py
    levels: int | None = None  # None: as many as the scene has, and three without a splat
    photos: int = field(
        default=32, metadata={"help": "most images that are asked, chosen from all sides; 0 = all of them"}
    )
    device: str = "auto"  # of transformers models
    fetch: bool = field(default=True, metadata={"help": "download a mask model that is not on this machine"})
    thoroughness: float = field(
        default=1.0, metadata={"help": "2 asks at twice as many points and finds more small masks, 0.5 at half as many"}
    )
    crops: bool = field(
        default=True, metadata={"help": "ask again in four parts of each image, where small things look larger"}
    )
    batch: int = field(default=4, metadata={"help": "points in one call of the model"})
    min_area: int = field(default=100, metadata={"help": "least pixels of a mask, in an image of 640x480"})
    workers: int = field(default=0, metadata={"help": "images in work at once; 0 = by the number of processors"})
