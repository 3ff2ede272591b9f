"""The commands that find and name labels of a run: similar, find, graph, mcp, names."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from bgs_engine.cli.command import Command, print_answer
from bgs_engine.core.errors import UsageError
from bgs_engine.core.events import Reporter

TOP = 10
MODEL_HELP = "image-text model: FOLDER, or hf:NAME on the hub"


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help=MODEL_HELP)
    parser.add_argument("--fetch", action="store_true", help="allow to download the model, if it is not here")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="of the model")


def _similar_arguments(parser: argparse.ArgumentParser) -> None:
    from bgs_engine.likeness.likeness import ALIKE

    parser.add_argument("run_folder", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("label", metavar="LABEL", help="number or name of a label")
    parser.add_argument("--level", type=int, help="level, 1 = coarsest (default: the finest)")
    parser.add_argument("--least", type=float, default=ALIKE, help="smallest likeness that is listed, 0 to 1")


def _similar(arguments: argparse.Namespace, _reporter: Reporter) -> None:
    from bgs_engine.io.run_folder import open_run
    from bgs_engine.output.similar import as_table, similar_labels

    found = similar_labels(open_run(arguments.run_folder), arguments.label, arguments.level)
    print_answer(as_table(found, arguments.least), arguments)


def _graph_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write graph.json and graph.png to")
    parser.add_argument("--level", type=int, help="level, 1 = coarsest (default: the finest)")


def _graph(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.io.run_folder import open_run
    from bgs_engine.output.graph import write_graph

    write_graph(open_run(arguments.run_folder), arguments.level, arguments.output, reporter)


def _find_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("text", metavar="TEXT", help="what to find, such as a mug")
    parser.add_argument("--not", dest="unwanted", action="append", default=[], metavar="TEXT", help="what it is not")
    parser.add_argument("--top", type=int, default=TOP, help=f"how many labels are listed at most (default: {TOP})")
    parser.add_argument("--level", type=int, help="level, 1 = coarsest (default: all)")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    _add_model(parser)


def _find(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.io.run_folder import open_run
    from bgs_engine.pipeline import finding

    if arguments.top < 1:
        raise UsageError(f"--top {arguments.top} lists nothing.", "Give a number from 1.")
    if not arguments.text.strip():
        raise UsageError("There is no text to find.", "Say what to find, such as a mug.")
    if arguments.unwanted and not arguments.model:
        raise UsageError("--not goes with --model.", "Leave it out, or name an image-text model.")
    run = open_run(arguments.run_folder)
    if arguments.model:
        from bgs_engine.pipeline.word_vectors import word_vectors
        from bgs_engine.words.opening import open_model

        model = open_model(arguments.model, arguments.device, arguments.fetch)
        if arguments.level is not None:
            run.layout.bits_to(arguments.level)  # before the labels are looked at, which takes long
        vectors = word_vectors(run, model, reporter, arguments.device)
        hits = finding.find_by_picture(run, model, vectors, arguments.text, arguments.unwanted, arguments.level)
    else:
        hits = finding.find_by_name(run, arguments.text, arguments.level)
    hits = hits[: arguments.top]
    answer = json.dumps({"text": arguments.text, "labels": [asdict(hit) for hit in hits]})
    print_answer(answer if arguments.json else finding.as_table(hits), arguments)


def _names_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("--words", metavar="FILE", type=Path, help="name by these words, one a line; needs --model")
    _add_model(parser)


def _names(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.output.names import as_text, name_run

    if (arguments.words is None) != (arguments.model is None):
        raise UsageError("--words and --model go together.", "Give both of them, or none.")
    if arguments.words is None:
        table, changed = name_run(arguments.run_folder)
    else:
        from bgs_engine.pipeline.finding import name_by_words
        from bgs_engine.words.opening import open_model

        model = open_model(arguments.model, arguments.device, arguments.fetch)
        table, changed = name_by_words(arguments.run_folder, arguments.words, model, reporter)
    print_answer(f"{as_text(table)}\n{changed} new names.", arguments)


def _mcp_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="RUN|FOLDER", type=Path, help="run folder, or a folder with runs")
    parser.add_argument("--allow-changes", action="store_true", help="let the assistant write files below the folder")
    parser.add_argument("--model", metavar="MODEL", help=f"find by words too: {MODEL_HELP}")


def _mcp(arguments: argparse.Namespace, _reporter: Reporter) -> None:
    if arguments.events:
        raise UsageError("--events and an assistant would share standard output.", "Leave out --events.")
    from bgs_engine.pipeline.mcp_server import serve

    model = None
    if arguments.model:
        from bgs_engine.words.opening import open_model

        model = open_model(arguments.model)
    serve(arguments.folder, arguments.allow_changes, model)


FINDING_COMMANDS = (
    Command("similar", "labels of a run that look like one of them", _similar_arguments, _similar),
    Command("find", "labels of a run that fit a text, by their pictures or by their names", _find_arguments, _find),
    Command("graph", "which labels of a run touch, stand on and lie inside which", _graph_arguments, _graph),
    Command("mcp", "let an assistant work on runs, over standard input and output", _mcp_arguments, _mcp),
    Command("names", "name the labels of a run by what they look like", _names_arguments, _names),
)
