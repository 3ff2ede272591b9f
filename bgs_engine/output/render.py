"""`bgs render`: draws label maps, overlays and turntables of a run from any cameras."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.files import write_json, writing
from bgs_engine.core.input_files import is_file
from bgs_engine.devices.choice import resolve
from bgs_engine.io.dataset import open_dataset
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.images import write_label_png
from bgs_engine.io.output_folder import only_writer_into
from bgs_engine.io.pictures import overlay, save_png, to_bytes
from bgs_engine.io.run_folder import Run
from bgs_engine.io.transforms import read_views
from bgs_engine.output.label_pictures import LabelColors, label_places
from bgs_engine.output.orbit import orbit_cameras
from bgs_engine.raster.color_frames import render_color
from bgs_engine.raster.label_maps import label_renderer
from bgs_engine.raster.scene import RasterScene

ORBIT_FRAMES, ORBIT_SIZE = 48, (480, 360)
GIF_FRAME_MS = 66
DEFAULT_UP = np.array([0.0, -1.0, 0.0])  # COLMAP scenes, so most captures, have y pointing down


@dataclass(frozen=True)
class RenderConfig:
    """What to draw: labels of `level` (None = finest), or only colours; labels on `device` (`devices.CHOICES`)."""

    level: int | None = None
    color: bool = False
    device: str = "auto"


def render_run(run: Run, views: str, out: Path, config: RenderConfig, reporter: Reporter) -> None:
    """Draw a run from the cameras of `views`: a transforms.json, or `orbit` for a turntable.

    It writes out/color/*.png. Unless only colours are wanted, it also writes out/labels/*.png (16-bit, the label's
    place in labels.json from 1, 0 = nothing), out/legend.json and out/overlay/*.png. For an orbit it also writes
    turntable.gif.

    Raises:
        InputError: the cameras cannot be read, or the folder cannot be written.
        EnvironmentLacksError: this machine does not have the device.
        UsageError: the level has more labels than 16 bits can number.
    """
    gaussians = load_gaussians(run.ply)
    scene = RasterScene.from_gaussians(gaussians)
    if views == "orbit":
        cameras = orbit_cameras(gaussians, up_of(run), ORBIT_FRAMES, *ORBIT_SIZE)
    else:
        cameras = [camera.moved(gaussians.offset) for camera in _read(views)]
    level = run.layout.levels if config.level is None else config.level
    legend = [label.label for label in run.labels().of(level)]
    if len(legend) >= 1 << 16:
        raise UsageError(f"Level {level} has {len(legend):,} labels, too many for 16-bit maps.", "Use a coarser level.")
    codes, opacities = scene.from_file_order(run.codes), scene.from_file_order(run.opacities)
    label_map = label_renderer(resolve(config.device), scene, codes, opacities, run.layout.total)
    label_colors = None if config.color else LabelColors(run.codes, run.layout)
    frames = []
    reporter.stage("Rendering")
    with only_writer_into(out, "color", "labels", "overlay"):
        for camera in reporter.track(cameras, len(cameras)):
            frame = to_bytes(render_color(scene, camera))
            save_png(out / "color" / f"{camera.name}.png", frame)
            if label_colors is not None:
                found = label_map(camera)
                places = label_places(found, run.layout, level, legend)
                write_label_png(out / "labels" / f"{camera.name}.png", places)
                frame = overlay(frame, label_colors.picture(found, level))
                save_png(out / "overlay" / f"{camera.name}.png", frame)
            if views == "orbit":
                frames.append(Image.fromarray(frame))
        if not config.color:
            write_json(out / "legend.json", {"level": level, "labels": dict(enumerate(legend, 1))})
        if frames:
            with writing(out / "turntable.gif") as stream:
                frames[0].save(
                    stream, format="GIF", save_all=True, append_images=frames[1:], duration=GIF_FRAME_MS, loop=0
                )
    if frames:
        reporter.artifact("turntable", out / "turntable.gif")
    reporter.artifact("pictures", out)


def up_of(run: Run) -> np.ndarray:
    """The up axis of the run's dataset, or the usual one of captures."""
    up = up_of_dataset(run)
    return DEFAULT_UP if up is None else up


def up_of_dataset(run: Run) -> np.ndarray | None:
    """The up axis that the run's dataset names, float64 [3]; None if it names none or is not there."""
    folder = run.folder / str(run.info.get("dataset", "dataset"))
    if not is_file(folder / "transforms.json"):
        return None
    try:
        return open_dataset(folder).up
    except InputError:  # the photos have gone; the run itself is whole
        return None


def _read(views: str) -> list[Camera]:
    path = Path(views)
    if path.suffix != ".json":
        raise UsageError(f"'{views}' is no way to place cameras.", "Give --views orbit or a transforms.json.")
    return read_views(path)
