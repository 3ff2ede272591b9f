"""Reads a shot: moving splats and a moving camera, frame by frame. Blender's Render Splats writes it.

    {"format": 1, "size": [W, H], "pixel_aspect": 1.0, "level_bits": "12,10,10", "level": 1,
     "parts": ["part_0.ply", ...],
     "labels": [{"label": 17, "name": "Chair", "color": [0.8, 0.2, 0.1]}, ...],
     "depth_far": 30.0,
     "frames": [{"name": "0001", "camera": {"fx": .., "fy": .., "cx": .., "cy": .., "orthographic": false,
                 "viewmat": [16 numbers, world → camera, OpenCV axes]}, "transforms": [[16 numbers], ...]}, ...]}

Parts are splat PLYs beside the file, with their codes (seg_0..seg_3) where there are labels; a frame has one
part → world matrix for each. Colours of labels are sRGB 0..1.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.core.file_names import safe_name
from bgs_engine.core.files import read_json
from bgs_engine.io.poses import MAX_SIDE

SHOT_FORMAT = 1
AGAIN = "Write it again with Render Splats."


@dataclass(frozen=True)
class ShotLabel:
    """A label of the shot's level; color sRGB 0..1."""

    label: int
    name: str
    color: tuple[float, float, float]


@dataclass(frozen=True)
class Frame:
    """One picture: its camera (whose name is the frame's) and each part's matrix to world [P, 4, 4]."""

    camera: Camera
    transforms: np.ndarray


@dataclass(frozen=True)
class Shot:
    """A shot, read and checked. depth_far: what a 16-bit depth picture's largest value stands for, scene units."""

    parts: tuple[Path, ...]
    frames: tuple[Frame, ...]
    level: int
    layout: BitLayout | None
    labels: tuple[ShotLabel, ...]
    depth_far: float
    pixel_aspect: float


def read_shot(path: Path) -> Shot:
    """Read a shot.

    Raises:
        InputError: the file is no shot, of a newer format, or damaged.
    """
    data = read_json(path)
    if not isinstance(data, dict) or not isinstance(data.get("frames"), list) or "parts" not in data:
        raise InputError(f"{path.name} is no shot.", AGAIN)
    if data.get("format") != SHOT_FORMAT:
        raise InputError(f"{path.name} has shot format {data.get('format')}, not {SHOT_FORMAT}.", "Update the engine.")
    try:
        return _shot(path.parent, data)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{path.name} is damaged ({type(error).__name__}: {error}).", AGAIN) from None


def _shot(folder: Path, data: dict[str, Any]) -> Shot:
    width, height = (int(side) for side in data["size"])
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ValueError("a picture has no such size")
    parts = tuple(folder / str(name) for name in data["parts"])
    frames = []
    for entry in data["frames"]:
        given = entry["camera"]
        viewmat = np.array(given["viewmat"], np.float64).reshape(4, 4)
        fx, fy, cx, cy = (float(given[name]) for name in ("fx", "fy", "cx", "cy"))
        name = str(entry["name"])
        if name != safe_name(name):  # it becomes a file's name
            raise ValueError("a frame's name is no name of a file")
        camera = Camera(name, width, height, fx, fy, cx, cy, viewmat, None, bool(given["orthographic"]))
        transforms = np.array(entry["transforms"], np.float64).reshape(len(parts), 4, 4)
        if not (np.isfinite(viewmat).all() and np.isfinite(transforms).all()):
            raise ValueError(f"frame {camera.name} has a matrix that is not finite")
        frames.append(Frame(camera, transforms))
    bits = str(data.get("level_bits") or "")
    labels = tuple(
        ShotLabel(int(row["label"]), str(row["name"]), (float(r), float(g), float(b)))
        for row in data.get("labels", ())
        for r, g, b in [row["color"]]
    )
    return Shot(
        parts, tuple(frames), int(data.get("level", 1)), BitLayout.parse(bits) if bits else None, labels,
        float(data.get("depth_far", 100.0)), float(data.get("pixel_aspect", 1.0)),
    )  # fmt: skip
