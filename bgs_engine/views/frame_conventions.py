"""Known reasons why a splat and its cameras lie in different frames, each as a map from the cameras' frame.

nerfstudio turns, centres and scales the cameras before it trains; its splats stay in that frame.
https://docs.nerf.studio/quickstart/data_conventions.html
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bgs_engine.core.cameras import Camera, FrameChange
from bgs_engine.core.errors import BgsError
from bgs_engine.core.files import read_json

DATAPARSER_FILE = "dataparser_transforms.json"  # nerfstudio writes it beside its config.yml
PARENTS_SEARCHED = 3  # folders above the splat in which that file is looked for
COLMAP_TO_NERFSTUDIO = ("x,z,-y", "y,x,-z")  # by ns-process-data, today and before 2023
AXES = "xyz"


@dataclass(frozen=True)
class FrameConvention:
    """A way in which the cameras may have to move, and why (a sentence)."""

    reason: str
    change: FrameChange


def conventions(cameras: Sequence[Camera], splat: Path, dataset: Path) -> list[FrameConvention]:
    """Everything to try, the most trustworthy first. Files in the folders of splat and dataset are read."""
    turned = dict(_axis_turns())
    found = [*_from_files(splat, dataset, turned)]
    found += [
        FrameConvention(
            "The splat is in nerfstudio's normalised frame, the cameras are not.",
            FrameChange(_normalised(cameras, turned[base])),
        )
        for base in ("x,y,z", *COLMAP_TO_NERFSTUDIO)
    ]
    for other_axes in (False, True):
        for name, matrix in turned.items():
            reasons = [f"The splat's axes are the cameras' {name}."] if name != "x,y,z" else []
            reasons += ["The poses have the axes of OpenCV where OpenGL's are the rule, or the reverse."] * other_axes
            if reasons:
                found.append(FrameConvention(" ".join(reasons), FrameChange(matrix, other_axes)))
    return found


def _axis_turns() -> Iterator[tuple[str, np.ndarray]]:
    """The 24 rotations that map axes to axes, named by what becomes x, y and z; float64 [4, 4]."""
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.eye(4)
            matrix[:3, :3] = np.eye(3)[list(order)] * np.array(signs)[:, None]
            if np.linalg.det(matrix) > 0:
                name = ",".join(("-" if sign < 0 else "") + AXES[axis] for axis, sign in zip(order, signs, strict=True))
                yield name, matrix


def _from_files(splat: Path, dataset: Path, turned: dict[str, np.ndarray]) -> Iterator[FrameConvention]:
    """Maps from nerfstudio's own record, in both directions, before and after its first turn of the axes."""
    folders = [*[*splat.resolve().parents][:PARENTS_SEARCHED], dataset.resolve()]
    for path in dict.fromkeys(folder / DATAPARSER_FILE for folder in folders):
        matrix = _read_dataparser(path)
        if matrix is None:
            continue
        for base in ("x,y,z", *COLMAP_TO_NERFSTUDIO):
            for first in (turned[base], np.linalg.inv(turned[base])):
                for similarity in (matrix @ first, np.linalg.inv(matrix @ first)):
                    yield FrameConvention(
                        f"{path.name} says how the splat lies to the cameras it was trained with.",
                        FrameChange(similarity),
                    )


def _read_dataparser(path: Path) -> np.ndarray | None:
    """The similarity of nerfstudio's record, float64 [4, 4]; None where there is none that can be used."""
    if not path.is_file():
        return None
    try:
        data = read_json(path)
        matrix = np.eye(4)
        matrix[:3] = np.array(data["transform"], np.float64).reshape(-1, 4)[:3]
        matrix[:3] *= float(data["scale"])
    except (BgsError, KeyError, TypeError, ValueError, OverflowError):
        return None
    usable = np.isfinite(matrix).all() and np.linalg.det(matrix[:3, :3]) > 1e-12
    return matrix if usable else None


def _normalised(cameras: Sequence[Camera], base: np.ndarray) -> np.ndarray:
    """What nerfstudio does by default to cameras turned by `base` [4, 4]: mean up to z, centred, within a unit cube.

    Its settings are orientation_method "up", center_method "poses" and auto_scale_poses.
    """
    poses = np.stack([base @ np.linalg.inv(camera.viewmat) for camera in cameras])
    center = poses[:, :3, 3].mean(0)
    matrix = np.eye(4)
    matrix[:3, :3] = _shortest_turn(-poses[:, :3, 1].mean(0), np.array([0.0, 0.0, 1.0]))  # OpenCV's y points down
    matrix[:3, 3] = -matrix[:3, :3] @ center
    reach = np.abs((poses[:, :3, 3] - center) @ matrix[:3, :3].T).max()
    matrix[:3] /= max(float(reach), 1e-12)
    return matrix @ base


def _shortest_turn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotation [3, 3] by the smallest angle that takes direction a [3] to direction b [3]."""
    a, b = a / max(float(np.linalg.norm(a)), 1e-12), b / np.linalg.norm(b)
    axis, cosine = np.cross(a, b), float(a @ b)
    if cosine < -1 + 1e-9:  # half a turn about any axis across a
        across = np.cross(a, np.eye(3)[np.argmin(np.abs(a))])
        across /= np.linalg.norm(across)
        return 2 * np.outer(across, across) - np.eye(3)
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1 + cosine)
