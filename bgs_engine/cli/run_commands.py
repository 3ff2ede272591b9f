"""The commands that work on a run folder: render, frames, export, publish, crumbs, eval, serve."""

import argparse
import json
from pathlib import Path

from bgs_engine.cli.command import Command, print_answer
from bgs_engine.cli.finding_commands import FINDING_COMMANDS
from bgs_engine.core.errors import UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import CHOICES

CLEAN_HELP = "0 to 1: leave out crumbs and what reaches into the air; crumbs.ply has them (default: 0, nothing)"


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
    parser.add_argument("--clean", type=float, default=0, metavar="STRENGTH", help=CLEAN_HELP)
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
        clean=arguments.clean,
    )


def _publish_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write; open its index.html")
    parser.add_argument("--title", help="heading of the page (default: the name of the run folder)")
    parser.add_argument("--sh", type=int, default=3, help="degree of harmonics to keep, 0 to 3: 0 halves the page")


def _publish(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.io.run_folder import open_run
    from bgs_engine.output.publish import publish_run

    publish_run(open_run(arguments.run_folder), arguments.output, arguments.title, arguments.sh, reporter)


def _crumbs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("--level", type=int, default=1, help="level to search, 1 = coarsest (the default)")
    parser.add_argument("--strength", type=float, default=0.5, help="how much is proposed, 0 to 1 (default: 0.5)")
    parser.add_argument("--apply", action="store_true", help="give crumbs a label of their own; nothing is deleted")


def _crumbs(arguments: argparse.Namespace, _reporter: Reporter) -> None:
    from bgs_engine.output.crumbs import crumbs_of_run

    lines = crumbs_of_run(arguments.run_folder, arguments.level, arguments.strength, arguments.apply)
    print_answer("\n".join(lines), arguments)


def _eval_arguments(parser: argparse.ArgumentParser) -> None:
    from bgs_engine.output.protocols.table import PROTOCOLS

    parser.add_argument("run_folder", metavar="RUN", type=Path, help="run folder")
    text = "folder with transforms_test.json and level_<l> maps, or with the data of --protocol"
    parser.add_argument("--truth", type=Path, required=True, help=text)
    parser.add_argument("--protocol", choices=tuple(PROTOCOLS), help="a published protocol (default: our own measures)")
    text = "with --protocol: photos with cameras (default: those of --truth, else of the run)"
    parser.add_argument("--dataset", type=Path, help=text)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def _eval(arguments: argparse.Namespace, reporter: Reporter) -> None:
    if arguments.protocol:
        from bgs_engine.output.protocols import scoring

        of_protocol = scoring.evaluate_protocol(
            arguments.run_folder, arguments.protocol, arguments.truth, arguments.dataset, reporter
        )
        print_answer(json.dumps(of_protocol) if arguments.json else scoring.as_table(of_protocol), arguments)
        return
    if arguments.dataset:
        raise UsageError("--dataset goes with --protocol.", "Leave it out, or name a protocol.")
    from bgs_engine.output.evaluate import as_table, evaluate_run

    result = evaluate_run(arguments.run_folder, arguments.truth, reporter)
    print_answer(json.dumps(result) if arguments.json else as_table(result), arguments)


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    from bgs_engine.masks.sources.table import DEFAULT_SOURCE, SOURCES_HELP

    parser.add_argument("source", metavar="RUN|SPLAT", type=Path, help="run folder, or a splat of any format")
    parser.add_argument("--masks-model", dest="model", default=DEFAULT_SOURCE, help=SOURCES_HELP)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="of transformers models")
    parser.add_argument(
        "--fetch", action=argparse.BooleanOptionalAction, default=True, help="download a model that is not here"
    )


def _serve(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.clicks.serving import Asks

    asks = Asks(reporter)  # before anything heavy: the input may end at any time
    from bgs_engine.masks.config import MasksConfig
    from bgs_engine.pipeline.opening import open_session

    masks = MasksConfig(model=arguments.model, device=arguments.device, fetch=arguments.fetch)
    try:
        session = open_session(arguments.source, masks, reporter)
        try:
            asks.serve(session)
        finally:
            session.close()
    except (Exception, KeyboardInterrupt):  # an interrupted library may say anything
        if not reporter.hung_up:
            raise


RUN_COMMANDS = (
    Command("render", "label maps, overlays and turntables of a run", _render_arguments, _render),
    Command("frames", "splat pictures of a moving camera, for compositing", _frames_arguments, _frames),
    Command("export", "one PLY for each label of a run", _export_arguments, _export),
    Command("publish", "a web page of a run that needs no server and no network", _publish_arguments, _publish),
    Command("crumbs", "find floaters, crumbs, strays and haze of a run", _crumbs_arguments, _crumbs),
    *FINDING_COMMANDS,
    Command("eval", "measure a run against true labels", _eval_arguments, _eval),
    Command("serve", "answer clicks: prompts in, suggestions out, as JSON lines", _serve_arguments, _serve, talks=True),
)
