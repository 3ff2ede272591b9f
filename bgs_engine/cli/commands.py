"""The commands: arguments in, library calls out. Heavy imports happen inside, so `--help` answers at once."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bgs_engine.cli.options import add_config, config_from
from bgs_engine.cli.streams import write_answer
from bgs_engine.core.codes import DEFAULT_LEVEL_BITS, BitLayout
from bgs_engine.core.errors import EnvironmentLacksError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.printable import printable
from bgs_engine.core.view_counts import DATASET_VIEWS, SEGMENT_VIEWS
from bgs_engine.devices.choice import CHOICES
from bgs_engine.train.config import TrainConfig


@dataclass(frozen=True)
class Command:
    """One sub-command of `bgs`."""

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Reporter], None]


def _add_trust_cameras(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trust-cameras", action="store_true", help="do not compare the photos with the splat")


def _add_training(parser: argparse.ArgumentParser) -> None:
    bits = ",".join(map(str, DEFAULT_LEVEL_BITS))
    text = f"bits of each level, coarse to fine, at most 32 together, such as {bits} (default: what the scene needs)"
    parser.add_argument("--level-bits", metavar="BITS", help=text)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint of a stopped run")
    add_config(parser, TrainConfig)


def _add_masks_model(parser: argparse.ArgumentParser, flag: str) -> None:
    from bgs_engine.masks.sources.table import DEFAULT_SOURCE, SOURCES_HELP

    parser.add_argument(flag, dest="model", default=DEFAULT_SOURCE, help=SOURCES_HELP)


def _add_masks_settings(parser: argparse.ArgumentParser) -> None:
    from bgs_engine.masks.config import MasksConfig

    add_config(parser, MasksConfig)


def _segment_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scene", type=Path, help="the splat, a 3DGS PLY")
    parser.add_argument("-o", "--output", type=Path, required=True, help="run folder to write")
    parser.add_argument("--dataset", type=Path, help="photos with poses, masks if any; else views are rendered")
    parser.add_argument("--views", type=int, default=SEGMENT_VIEWS, help="views to render where there are no photos")
    _add_masks_model(parser, "--masks-model")
    _add_masks_settings(parser)
    _add_trust_cameras(parser)
    _add_training(parser)


def _layout(arguments: argparse.Namespace) -> BitLayout | None:
    return BitLayout.parse(arguments.level_bits) if arguments.level_bits else None


def _segment(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.masks.pipeline import MasksConfig
    from bgs_engine.pipeline.runs import segment_run

    segment_run(
        arguments.scene,
        arguments.output,
        _layout(arguments),
        config_from(arguments, TrainConfig),
        config_from(arguments, MasksConfig, model=arguments.model),
        reporter,
        arguments.dataset,
        arguments.views,
        arguments.resume,
        arguments.trust_cameras,
    )


def _views_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scene", type=Path, help="the splat, a 3DGS PLY")
    parser.add_argument("-o", "--output", type=Path, required=True, help="dataset folder to write")
    parser.add_argument("--count", type=int, default=DATASET_VIEWS, help="number of views")
    parser.add_argument("--size", default="640x480", help="pixels of each view")
    parser.add_argument("--up", choices=("x", "-x", "y", "-y", "z", "-z"), help="up axis (default: guessed)")
    parser.add_argument("--background", default="0,0,0", help="red,green,blue behind the scene, 0 to 1")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")


def _views(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.views import ViewsConfig, make_views

    size = _numbers(arguments.size.lower(), "x", int, 2, "--size", "640x480")
    background = _numbers(arguments.background, ",", float, 3, "--background", "0,0,0")
    config = ViewsConfig(
        count=arguments.count,
        size=(size[0], size[1]),
        up=arguments.up,
        background=(background[0], background[1], background[2]),
        seed=arguments.seed,
    )
    make_views(arguments.scene, arguments.output, config, reporter)
    reporter.artifact("views", arguments.output / "preview" / "views.png")
    reporter.artifact("dataset", arguments.output)


def _masks_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, help="dataset folder with images and poses")
    _add_masks_model(parser, "--model")
    parser.add_argument("--levels", type=int, choices=range(1, 5), help="levels (default: what the scene needs)")
    parser.add_argument("--ply", type=Path, help="the splat, where it is not in the dataset folder")
    _add_masks_settings(parser)
    _add_trust_cameras(parser)


def _masks(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.io.dataset import open_dataset
    from bgs_engine.io.dataset_files import complete_dataset
    from bgs_engine.masks.output import announce
    from bgs_engine.masks.pipeline import MasksConfig, make_masks
    from bgs_engine.pipeline.scene import load_scene
    from bgs_engine.views.alignment import aligned

    complete_dataset(arguments.dataset)
    dataset = open_dataset(arguments.dataset, arguments.ply, reporter)
    scene = None if dataset.ply is None else load_scene(dataset.ply, reporter)
    if scene is not None:
        dataset = dataset.moved(scene.gaussians.offset)
        if not arguments.trust_cameras:
            dataset = aligned(dataset, scene.raster, reporter)
    config = config_from(arguments, MasksConfig, model=arguments.model, levels=arguments.levels)
    make_masks(dataset, config, reporter, scene.raster if scene else None)
    announce(arguments.dataset, reporter)


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, help="dataset folder with images, poses and masks")
    parser.add_argument("-o", "--output", type=Path, required=True, help="run folder to write")
    parser.add_argument("--ply", type=Path, help="the splat, where it is not in the dataset folder")
    _add_trust_cameras(parser)
    _add_training(parser)


def _train(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.pipeline.runs import train_run

    layout, config = _layout(arguments), config_from(arguments, TrainConfig)
    train_run(
        arguments.dataset,
        arguments.output,
        layout,
        config,
        reporter,
        arguments.ply,
        arguments.resume,
        arguments.trust_cameras,
    )


def _render_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--level", type=int, help="level to draw, 1 = coarsest (default: the finest)")
    what.add_argument("--color", action="store_true", help="colours only")
    parser.add_argument("--views", default="orbit", help="orbit for a turntable, or a transforms.json")
    devices = [choice for choice in CHOICES if choice != "gsplat"]
    parser.add_argument("--device", default="auto", choices=devices, help="where to render labels, see bgs train")


def _render(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.io.run_folder import open_run
    from bgs_engine.output.render import RenderConfig, render_run

    config = RenderConfig(level=arguments.level, color=arguments.color, device=arguments.device)
    render_run(open_run(arguments.run_folder), arguments.views, arguments.output, config, reporter)


def _frames_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shot", metavar="SHOT.json", type=Path, help="splats and cameras, as Render Splats writes them")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--passes", default="color", help="comma-separated: color, label, mask, depth")
    parser.add_argument("--exr", action="store_true", help="one EXR a frame, linear, instead of PNGs")


def _frames(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.output.frames import FramesConfig, render_shot

    config = FramesConfig(tuple(arguments.passes.split(",")), arguments.exr)
    render_shot(arguments.shot, arguments.output, config, reporter)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--level", type=int, help="level, 1 = coarsest (default: the finest)")
    parser.add_argument("--label", type=int, nargs="+", help="labels to write (default: all)")
    parser.add_argument("--plain", action="store_true", help="the 62-float layout that every viewer reads")
    parser.add_argument("--proxies", action="store_true", help="also a closed mesh of each label, NAME_proxy.ply")
    parser.add_argument(
        "--fill", action="store_true", help="also filled.ply: the rest, with the holes of the labels closed"
    )


def _export(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.io.run_folder import open_run
    from bgs_engine.output.export import export_run

    run = open_run(arguments.run_folder)
    export_run(
        run,
        arguments.output,
        arguments.level,
        arguments.label,
        arguments.plain,
        reporter,
        proxies=arguments.proxies,
        filled=arguments.fill,
    )


def _crumbs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("--level", type=int, default=1, help="level to search, 1 = coarsest (the default)")
    parser.add_argument("--strength", type=float, default=0.5, help="how much is proposed, 0 to 1 (default: 0.5)")
    parser.add_argument("--apply", action="store_true", help="give crumbs a label of their own; nothing is deleted")


def _crumbs(arguments: argparse.Namespace, _reporter: Reporter) -> None:
    from bgs_engine.output.crumbs import crumbs_of_run

    lines = crumbs_of_run(arguments.run_folder, arguments.level, arguments.strength, arguments.apply)
    _print("\n".join(lines), arguments)


def _eval_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("--truth", type=Path, required=True, help="folder with transforms_test.json and level_<l> maps")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def _eval(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.output.evaluate import as_table, evaluate_run

    result = evaluate_run(arguments.run_folder, arguments.truth, reporter)
    _print(json.dumps(result) if arguments.json else as_table(result), arguments)


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def _doctor(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.devices.doctor import as_json, as_text, examine

    report = examine()
    _print(json.dumps(as_json(report)) if arguments.json else as_text(report), arguments)
    missing = [check for check in report.checks if check.needed and not check.ok]
    if missing:
        raise EnvironmentLacksError(f"{missing[0].name}: {missing[0].detail}.", missing[0].hint)


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, default=Path("demo"), help="folder to write to")


def _demo(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.pipeline.demo import run_demo

    run_demo(arguments.output, reporter)


def _print(text: str, arguments: argparse.Namespace) -> None:
    """Write an answer to standard output, or to standard error if events go to standard output."""
    write_answer(printable(text, keep="\n") + "\n", sys.stderr if arguments.events else sys.stdout)


def _numbers(text: str, separator: str, kind: type, count: int, flag: str, example: str) -> list:
    try:
        values = [kind(part) for part in text.split(separator)]
    except ValueError:
        values = []
    if len(values) != count:
        raise UsageError(f"{flag} {text} is not understood.", f"Write it like {example}.")
    return values


COMMANDS = (
    Command("segment", "a splat, alone or with photos → a run folder", _segment_arguments, _segment),
    Command("views", "render a dataset of views from a splat", _views_arguments, _views),
    Command("masks", "find masks in the images of a dataset", _masks_arguments, _masks),
    Command("train", "a dataset with masks → a run folder", _train_arguments, _train),
    Command("render", "label maps, overlays and turntables of a run", _render_arguments, _render),
    Command("frames", "splat pictures of a moving camera, for compositing", _frames_arguments, _frames),
    Command("export", "one PLY for each label of a run", _export_arguments, _export),
    Command("crumbs", "find floaters, crumbs, strays and haze of a run", _crumbs_arguments, _crumbs),
    Command("eval", "measure a run against true labels", _eval_arguments, _eval),
    Command("doctor", "check what works on this machine; gives a remedy for each problem", _doctor_arguments, _doctor),
    Command("demo", "a small made scene, the whole path, pictures", _demo_arguments, _demo),
)
