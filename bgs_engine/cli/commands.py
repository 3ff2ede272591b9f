"""The commands: arguments in, library calls out. Heavy imports happen inside, so `--help` answers at once."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from bgs_engine.cli.command import Command, print_answer
from bgs_engine.cli.options import add_config, config_from
from bgs_engine.cli.run_commands import RUN_COMMANDS
from bgs_engine.cli.splat_commands import SPLAT_COMMANDS
from bgs_engine.core.codes import DEFAULT_LEVEL_BITS, BitLayout
from bgs_engine.core.errors import EnvironmentLacksError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.view_counts import DATASET_VIEWS, SEGMENT_VIEWS
from bgs_engine.train.config import TrainConfig


def _add_trust_cameras(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trust-cameras", action="store_true", help="do not compare the photos with the splat")


def _add_training(parser: argparse.ArgumentParser) -> None:
    bits = ",".join(map(str, DEFAULT_LEVEL_BITS))
    text = f"bits of each level, coarse to fine, at most 32 together, such as {bits} (default: what the scene needs)"
    parser.add_argument("--level-bits", metavar="BITS", help=text)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint of a stopped run")
    parser.add_argument(
        "--keep-labels",
        metavar="RUN",
        type=Path,
        nargs="?",
        const=True,
        help="fix the labels that were mended by hand in an earlier run of the splat (without RUN: in the one at -o)",
    )
    add_config(parser, TrainConfig)


def _kept_run(arguments: argparse.Namespace) -> Path | None:
    return arguments.output if arguments.keep_labels is True else arguments.keep_labels


def _add_masks_model(parser: argparse.ArgumentParser, flag: str) -> None:
    from bgs_engine.masks.sources.table import DEFAULT_SOURCE, SOURCES_HELP

    parser.add_argument(flag, dest="model", default=DEFAULT_SOURCE, help=SOURCES_HELP)


def _add_masks_settings(parser: argparse.ArgumentParser) -> None:
    from bgs_engine.masks.config import MasksConfig

    add_config(parser, MasksConfig)


def _segment_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scene", type=Path, help="the splat, of any format that `bgs convert` reads")
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
        _kept_run(arguments),
    )


def _views_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scene", type=Path, help="the splat, of any format that `bgs convert` reads")
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
    from bgs_engine.formats.read import file_of
    from bgs_engine.io.dataset import open_dataset
    from bgs_engine.io.dataset_files import complete_dataset
    from bgs_engine.masks.output import announce
    from bgs_engine.masks.pipeline import MasksConfig, make_masks
    from bgs_engine.pipeline.scene import load_scene
    from bgs_engine.views.alignment import aligned

    complete_dataset(arguments.dataset)
    dataset = open_dataset(arguments.dataset, file_of(arguments.ply) if arguments.ply else None, reporter)
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
        _kept_run(arguments),
    )


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def _doctor(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.devices.doctor import as_json, as_text, examine
    from bgs_engine.formats.checks import format_checks
    from bgs_engine.masks.models.listing import models_as_json, models_as_text

    report = examine()
    report = replace(report, checks=(*report.checks, *format_checks()))
    if arguments.json:
        print_answer(json.dumps({**as_json(report), "mask_models": models_as_json()}), arguments)
    else:
        print_answer(f"{as_text(report)}\n\n{models_as_text()}", arguments)
    missing = [check for check in report.checks if check.needed and not check.ok]
    if missing:
        raise EnvironmentLacksError(f"{missing[0].name}: {missing[0].detail}.", missing[0].hint)


def _models_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fetch", metavar="NAME", help="fetch this model; goes on where an earlier try stopped")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def _models(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.masks.models.listing import fetch_named, models_as_json, models_as_text

    if arguments.fetch:
        fetch_named(arguments.fetch, reporter)
    print_answer(json.dumps(models_as_json()) if arguments.json else models_as_text(), arguments)


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, default=Path("demo"), help="folder to write to")


def _demo(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.pipeline.demo import run_demo

    run_demo(arguments.output, reporter)


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
    *RUN_COMMANDS,
    *SPLAT_COMMANDS,
    Command("models", "list the mask models that are here, and fetch better ones", _models_arguments, _models),
    Command("doctor", "check what works on this machine; gives a remedy for each problem", _doctor_arguments, _doctor),
    Command("demo", "a small made scene, the whole path, pictures", _demo_arguments, _demo),
)
