"""`bgs frames`: draws a shot for compositing. `shot` reads the shot.

Each frame has passes for colour, labels, one mask a label, and depth, as PNG or EXR.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.file_names import safe_names
from bgs_engine.core.files import write_json, writing
from bgs_engine.core.palette import srgb_to_linear
from bgs_engine.formats.read import open_rows
from bgs_engine.io.exr import write_exr
from bgs_engine.io.gaussians import Gaussians, load_gaussians
from bgs_engine.io.images import write_label_png
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.output_folder import lock_of, one_writer_into
from bgs_engine.io.pictures import save_png, to_bytes
from bgs_engine.io.run_folder import codes_in
from bgs_engine.output.label_pictures import label_places
from bgs_engine.output.shot import Frame, Shot, ShotLabel, read_shot
from bgs_engine.raster.cpu.frame import blend
from bgs_engine.raster.cpu.label_maps import label_map
from bgs_engine.raster.cpu.project import covariances
from bgs_engine.raster.cpu.view import View, ViewBuilder
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.sh import sh_colors

PASSES = ("color", "label", "mask", "depth")
LAYER = "Splats"  # of the EXR: Splats.Combined.R and so on, as Blender names its own
DEPTH_STEPS = 65535
READING_WEIGHT = 1.0  # reading the splats takes about as long as a frame
LEGEND_WAIT = 30.0  # seconds to wait for another job of the same shot that writes the legend


@dataclass(frozen=True)
class FramesConfig:
    """Which passes are drawn, and into which files.

    Raises:
        UsageError: there is no such pass.
    """

    passes: tuple[str, ...] = field(default=("color",))
    exr: bool = False  # one EXR a frame, linear and premultiplied, instead of a PNG for each pass

    def __post_init__(self) -> None:
        unknown = [name for name in self.passes if name not in PASSES]
        if unknown or not self.passes:
            raise UsageError(f"There is no pass '{', '.join(unknown)}'.", f"Passes are {', '.join(PASSES)}.")


@dataclass(frozen=True)
class Part:
    """One PLY of a shot: covs [N, 6] in its own space, codes uint32 [N] or None."""

    gaussians: Gaussians
    covs: np.ndarray
    codes: np.ndarray | None


def load_part(path: Path) -> Part:
    """Read a part.

    Raises:
        InputError: the file is missing or is no splat.
    """
    ply = open_rows(path)
    gaussians = load_gaussians(ply)
    if gaussians.offset.any():  # the shot's matrices count from the file's own origin
        gaussians = replace(gaussians, means=(gaussians.means + gaussians.offset).astype(np.float32))
    codes = codes_in(ply)
    covs = covariances(gaussians.quats, gaussians.scales)
    return Part(gaussians, covs, None if codes is None else codes.view(np.uint32))


class Stage:
    """All parts, placed as a frame places them. Means and covariances are made again only after a part has moved."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.opacities = np.concatenate([part.gaussians.opacities for part in parts])
        self._at: np.ndarray | None = None
        self._builder: ViewBuilder | None = None

    def view(self, camera: Camera, transforms: np.ndarray) -> View:
        """What the camera sees; transforms [P, 4, 4] to world. Rows are those of all parts, one after the other."""
        if self._builder is None or self._at is None or not np.array_equal(self._at, transforms):
            means, covs = zip(*(moved(p, m) for p, m in zip(self.parts, transforms, strict=True)), strict=True)
            rows = np.arange(len(self.opacities), dtype=np.int32)
            scene = RasterScene(np.concatenate(means), np.concatenate(covs), self.opacities, None, rows, len(rows))
            self._builder, self._at = ViewBuilder(scene), transforms
        return self._builder.build(camera)

    def colors(self, camera: Camera, transforms: np.ndarray) -> np.ndarray:
        """Colour of every row as the camera sees it, float32 [N, 3]; directions are the part's own."""
        out = []
        for part, matrix in zip(self.parts, transforms, strict=True):
            inverse = np.linalg.inv(matrix)
            eye = inverse[:3, :3] @ camera.position + inverse[:3, 3]
            forward = inverse[:3, :3] @ camera.forward
            forward /= np.linalg.norm(forward)
            sh = part.gaussians.sh
            assert sh is not None  # loaded with colours
            out.append(sh_colors(sh, part.gaussians.means, eye, forward if camera.orthographic else None))
        return np.concatenate(out)


def moved(part: Part, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means [N, 3] and covs [N, 6] in world space, float32: A p + t and A S Aᵀ, for any A."""
    a = matrix[:3, :3]
    means = (part.gaussians.means @ a.T + matrix[:3, 3]).astype(np.float32)
    upper = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    place = {(i, j): k for k, (i, j) in enumerate(upper)} | {(j, i): k for k, (i, j) in enumerate(upper)}
    linear = np.zeros((6, 6))
    for k, (i, j) in enumerate(upper):
        for p in range(3):
            for q in range(3):
                linear[k, place[p, q]] += a[i, p] * a[j, q]
    return means, (part.covs @ linear.T).astype(np.float32)


def render_shot(path: Path, out: Path, config: FramesConfig, reporter: Reporter) -> None:
    """Write all frames of a shot.

    PNG: out/color/NAME.png (RGBA), out/label/NAME.png (16-bit: the label's place in the shot's list, from 1; 0 =
    nothing), out/mask/LABEL/NAME.png (grey), out/depth/NAME.png (16-bit, DEPTH_STEPS at depth_far; 0 = nothing), and
    out/legend.json. EXR: out/NAME.exr with layers Combined, Depth (scene units, 1e10 = nothing), Label and one
    mask a label; linear and premultiplied.

    Raises:
        InputError: the file is no shot, a part cannot be read, or labels are wanted of parts without codes.
    """
    shot = read_shot(path)
    reporter.plan((("Reading splats", READING_WEIGHT), ("Rendering", float(len(shot.frames)))))
    reporter.stage("Reading splats")
    parts = [load_part(part) for part in reporter.track(shot.parts, len(shot.parts))]
    if not parts:
        raise InputError(f"{path.name} has no splat in it.", "Make one visible in renders.")
    wanted = [name for name in PASSES if name in config.passes]
    if ("label" in wanted or "mask" in wanted) and (shot.layout is None or any(p.codes is None for p in parts)):
        raise InputError("Label and mask pictures need labels, and a splat has none.", "Segment it, or leave them out.")
    stage, codes = Stage(parts), _codes(parts)
    reporter.stage("Rendering")
    with one_writer_into(out, "color", "label", "depth", "mask"):
        with only_writer(lock_of(out), LEGEND_WAIT, out):
            write_json(out / "legend.json", _legend(shot))
        for frame in reporter.track(shot.frames, len(shot.frames)):
            _write_frame(out, frame, shot, stage, codes, wanted, config)
    reporter.artifact("frames", out)


def _write_frame(
    out: Path,
    frame: Frame,
    shot: Shot,
    stage: Stage,
    codes: np.ndarray | None,
    wanted: Sequence[str],
    config: FramesConfig,
) -> None:
    """Draw and write the passes of one frame."""
    view = stage.view(frame.camera, frame.transforms)
    colors = stage.colors(frame.camera, frame.transforms)[view.order]
    image, transmittance, depth = blend(view, stage.opacities, colors)
    made: dict[str, np.ndarray] = {"image": image, "alpha": 1 - transmittance, "depth": depth}
    masks: dict[str, np.ndarray] = {}
    if shot.layout is not None and codes is not None:
        if "label" in wanted:
            found = label_map(view, stage.opacities, codes, shot.layout.total)
            made["label"] = label_places(found, shot.layout, shot.level, [row.label for row in shot.labels])
        if "mask" in wanted:
            masks = _masks(view, stage.opacities, shot.layout.labels(codes, shot.level), shot.labels)
    name = frame.camera.name
    if config.exr:
        write_exr(out / f"{name}.exr", exr_channels(made, masks, wanted), shot.pixel_aspect)
    else:
        _write_pngs(out, name, made, masks, wanted, shot.depth_far)


def _codes(parts: Sequence[Part]) -> np.ndarray | None:
    found = [part.codes for part in parts if part.codes is not None]
    return np.concatenate(found) if len(found) == len(parts) else None


def _legend(shot: Shot) -> dict[str, object]:
    rows = {str(n): {"label": r.label, "name": r.name, "color": r.color} for n, r in enumerate(shot.labels, 1)}
    return {"level": shot.level, "labels": rows, "depth_unit": shot.depth_far / DEPTH_STEPS}


def _masks(view: View, opacities: np.ndarray, labels: np.ndarray, wanted: Sequence[ShotLabel]) -> dict[str, np.ndarray]:
    """The share of each pixel's light that each label catches, float32 [H, W] in 0..1; three labels a walk."""
    out = {}
    names = mask_names(wanted)
    here = labels[view.order]
    for start in range(0, len(wanted), 3):
        some = wanted[start : start + 3]
        marks = np.zeros((len(here), 3), np.float32)
        for channel, row in enumerate(some):
            marks[:, channel] = here == np.uint32(row.label)
        image = blend(view, opacities, marks)[0]
        for channel in range(len(some)):
            out[names[start + channel]] = image[..., channel].clip(0, 1)
    return out


def mask_names(labels: Sequence[ShotLabel]) -> list[str]:
    """A name for each label that is legal and different as a folder and as an EXR channel, on every system."""
    # A dot would divide a channel's name, and Blender cuts the names of its passes.
    plain = ["".join(c if c.isalnum() or c in "-_" else "_" for c in row.name)[:60] for row in labels]
    return safe_names([name or str(row.label) for name, row in zip(plain, labels, strict=True)])


def exr_channels(
    made: dict[str, np.ndarray], masks: dict[str, np.ndarray], wanted: Sequence[str]
) -> dict[str, np.ndarray]:
    """Channels of one frame. Colours were blended in sRGB: they are unpremultiplied, linearised and premultiplied."""
    out = {}
    if "color" in wanted:
        alpha = made["alpha"]
        linear = srgb_to_linear(_straight(made["image"], alpha)) * alpha[..., None]
        for k, channel in enumerate("RGB"):
            out[f"{LAYER}.Combined.{channel}"] = linear[..., k].astype(np.float16)
        out[f"{LAYER}.Combined.A"] = alpha.astype(np.float16)
    if "depth" in wanted:
        out[f"{LAYER}.Depth.Z"] = np.where(np.isfinite(made["depth"]), made["depth"], 1e10).astype(np.float32)
    if "label" in made:
        out[f"{LAYER}.Label.X"] = made["label"].astype(np.float32)
    for name, mask in masks.items():
        out[f"{LAYER}.Mask {name}.X"] = mask.astype(np.float16)
    return out


def _straight(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.clip(image / np.maximum(alpha, 1e-6)[..., None], 0, 1)


def _write_pngs(
    out: Path, name: str, made: dict[str, np.ndarray], masks: dict[str, np.ndarray], wanted: Sequence[str], far: float
) -> None:
    if "color" in wanted:
        alpha = made["alpha"]
        rgba = to_bytes(np.concatenate([_straight(made["image"], alpha), alpha[..., None]], -1))
        with writing(out / "color" / f"{name}.png") as stream:
            Image.fromarray(rgba, "RGBA").save(stream, format="PNG")
    if "label" in made:
        write_label_png(out / "label" / f"{name}.png", made["label"])
    for label, mask in masks.items():
        save_png(out / "mask" / label / f"{name}.png", mask)
    if "depth" in wanted:
        steps = np.where(np.isfinite(made["depth"]), made["depth"] / far * DEPTH_STEPS, 0).clip(0, DEPTH_STEPS)
        write_label_png(out / "depth" / f"{name}.png", (steps + 0.5).astype(np.int32))
