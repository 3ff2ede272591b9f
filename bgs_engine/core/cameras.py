"""A camera and conversions of its pose. All axes are OpenCV axes: x right, y down, z forward."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])  # transforms.json stores OpenGL poses: y up, looking along -z


@dataclass(frozen=True)
class Camera:
    """One view. The centre of pixel (0, 0) is at (0.5, 0.5). fx, fy, cx and cy are in pixels.

    viewmat: float64 [4, 4], world → camera. image: the photo or rendered picture of this view, or None.
    orthographic: rays are parallel, and fx and fy are pixels per scene unit.
    """

    name: str
    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    viewmat: np.ndarray
    image: Path | None = None
    orthographic: bool = False

    def resized(self, width: int, height: int) -> "Camera":
        """The same view with another number of pixels. The intrinsics scale with the picture."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self, width=width, height=height, fx=self.fx * sx, fy=self.fy * sy, cx=self.cx * sx, cy=self.cy * sy
        )

    def moved(self, offset: np.ndarray) -> "Camera":
        """The same view where `offset` [3], in scene units, has become the origin of the world."""
        viewmat = self.viewmat.copy()
        viewmat[:3, 3] += viewmat[:3, :3] @ offset
        return replace(self, viewmat=viewmat)

    @property
    def position(self) -> np.ndarray:
        """Camera centre in world coordinates, [3]."""
        return -self.viewmat[:3, :3].T @ self.viewmat[:3, 3]

    @property
    def forward(self) -> np.ndarray:
        """Unit direction of the viewing axis in world coordinates, [3]."""
        axis = self.viewmat[2, :3]
        return axis / np.linalg.norm(axis)

    @property
    def opengl_pose(self) -> np.ndarray:
        """Camera → world with OpenGL axes, [4, 4], as transforms.json stores it."""
        return np.linalg.inv(self.viewmat) @ OPENGL_TO_OPENCV


@dataclass(frozen=True)
class FrameChange:
    """How the cameras of a dataset move into the frame of its splat.

    similarity: float64 [4, 4], from the cameras' frame to the splat's: a rotation, one scale and a shift. other_axes:
    the poses were written with OpenCV axes where OpenGL axes are the rule, or the reverse.
    """

    similarity: np.ndarray
    other_axes: bool = False

    @property
    def rotation(self) -> np.ndarray:
        """The rotation alone, [3, 3]."""
        turn = self.similarity[:3, :3]
        return turn / np.cbrt(np.linalg.det(turn))

    def moved(self, camera: Camera) -> Camera:
        """The camera in the splat's frame."""
        pose = np.linalg.inv(camera.viewmat)
        if self.other_axes:
            pose = pose @ OPENGL_TO_OPENCV
        position = self.similarity @ pose[:, 3]
        pose[:3, :3] = self.rotation @ pose[:3, :3]
        pose[:, 3] = position
        return replace(camera, viewmat=np.linalg.inv(pose))

    def as_json(self) -> dict[str, Any]:
        """For a run's run.json; `frame_change_from` reads it."""
        return {"similarity": self.similarity.tolist(), "other_axes": self.other_axes}


def frame_change_from(data: Any) -> FrameChange | None:
    """The frame change that `FrameChange.as_json` wrote; None for anything else."""
    if not isinstance(data, dict):
        return None
    try:
        similarity = np.array(data["similarity"], np.float64)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if similarity.shape != (4, 4) or not np.isfinite(similarity).all() or np.linalg.det(similarity) <= 0:
        return None
    return FrameChange(similarity, data.get("other_axes") is True)


def viewmat_from_opengl(pose: np.ndarray) -> np.ndarray:
    """World → camera, OpenCV axes, [4, 4], from a camera → world OpenGL pose [4, 4]."""
    return np.linalg.inv(np.asarray(pose, np.float64) @ OPENGL_TO_OPENCV)


def look_at(eye: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    """World → camera [4, 4] of a camera at `eye` [3] looking at `target` [3], `up` [3] pointing up in the picture."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, up)
    if np.linalg.norm(right) < 1e-6:  # the camera looks straight up or down, so any right axis will do
        right = np.cross(forward, np.eye(3)[np.argmin(np.abs(forward))])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    viewmat = np.eye(4)
    viewmat[:3, :3] = rotation
    viewmat[:3, 3] = -rotation @ eye
    return viewmat
