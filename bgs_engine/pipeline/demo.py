"""`bgs demo`: a small made scene, the whole path, pictures and figures, on any machine in minutes."""

from pathlib import Path

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.events import Reporter
from bgs_engine.core.files import write_json, write_text
from bgs_engine.io.output_place import checked_place, checked_run_place
from bgs_engine.io.run_folder import open_run
from bgs_engine.made_scenes import SceneConfig, make_scene
from bgs_engine.made_scenes.scene import MADE_SCENE
from bgs_engine.output.evaluate import as_table, evaluate_run
from bgs_engine.output.render import RenderConfig, render_run
from bgs_engine.pipeline.runs import train_run
from bgs_engine.train.config import TrainConfig

DEMO_SCENE = SceneConfig(kind="room", gaussians=30_000, views=24, size=(320, 240), noise=1)


def run_demo(out: Path, reporter: Reporter) -> None:
    """Make a scene with known answers, segment it, draw it and measure it, all below `out`."""
    scene, run = out / "scene", out / "run"
    checked_place(scene, (), MADE_SCENE)
    checked_run_place(run, ())
    reporter.stage("Making a scene")
    make_scene(scene, DEMO_SCENE, reporter)
    train_run(scene, run, BitLayout(), TrainConfig(), reporter)
    for level in range(1, BitLayout().levels + 1):
        render_run(open_run(run), "orbit", out / f"turntable_level_{level}", RenderConfig(level=level), reporter)
    result = evaluate_run(run, scene / "gt", reporter)
    write_text(out / "evaluation.txt", as_table(result) + "\n")
    write_json(out / "evaluation.json", result)
    reporter.artifact("pictures", run / "preview")
    reporter.artifact("figures", out / "evaluation.txt")
