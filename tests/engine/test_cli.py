"""The command line as users meet it: exit codes, sentences, files."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.cli import main
from bgs_engine.cli.main import build_parser
from bgs_engine.cli.options import config_from
from bgs_engine.cutouts.surface import Mesh
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.ply import read_ply
from bgs_engine.io.ply_rows import plain_dtype
from bgs_engine.io.run_folder import codes_in, open_run
from bgs_engine.masks.config import MasksConfig
from bgs_engine.train.config import TrainConfig

QUICK = ["--iterations", "5", "--uniform-pixels", "200", "--balanced-pixels", "200"]


@pytest.fixture(scope="module")
def run(small_scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", str(small_scene), "-o", str(out), *QUICK]) == 0
    return out


def test_export_writes_one_ply_per_label(run: Path, tmp_path: Path):
    assert main(["export", str(run), "-o", str(tmp_path), "--level", "1"]) == 0
    opened = open_run(run)
    files = sorted(tmp_path.glob("*.ply"))
    labels = opened.layout.labels(opened.codes, 1)
    assert len(files) == len(np.unique(labels))
    rows = 0
    for path in files:
        part = read_ply(path)
        codes = codes_in(part)
        assert codes is not None and len(np.unique(opened.layout.labels(codes, 1))) == 1
        members = np.flatnonzero(labels == opened.layout.labels(codes, 1)[0])
        assert (part.take(np.arange(part.count)) == opened.ply.take(members)).all()  # bytes and order of the source
        rows += part.count
    assert rows == opened.ply.count


def test_plain_export_has_62_floats(run: Path, tmp_path: Path):
    label = open_run(run).labels().of(2)[0].label
    assert main(["export", str(run), "-o", str(tmp_path), "--level", "2", "--label", str(label), "--plain"]) == 0
    (path,) = tmp_path.glob("*.ply")
    assert read_ply(path).dtype == plain_dtype() and len(plain_dtype().names or ()) == 62


def test_similar_lists_the_labels_by_likeness(run: Path, capsys: pytest.CaptureFixture[str]):
    opened = open_run(run)
    asked = opened.labels().of(2)[0]
    assert main(["similar", str(run), asked.name, "--level", "2", "--least", "0"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["likeness", "label", "Gaussians", "name"]
    values = [float(line.split()[0]) for line in lines]
    assert len(lines) == len(opened.labels().of(2)) - 1 and values == sorted(values, reverse=True)
    assert main(["similar", str(run), str(asked.label), "--level", "2", "--least", "0"]) == 0  # by its number
    assert capsys.readouterr().out.splitlines()[1:] == lines
    assert main(["similar", str(run), "no such", "--level", "2"]) == 2


def test_export_writes_a_proxy_beside_each_label(run: Path, tmp_path: Path):
    assert main(["export", str(run), "-o", str(tmp_path), "--level", "1", "--proxies"]) == 0
    proxies = sorted(tmp_path.glob("*_proxy.ply"))
    assert proxies and {p.name.replace("_proxy", "") for p in proxies} <= {p.name for p in tmp_path.glob("*.ply")}
    for path in proxies:
        head, _, body = path.read_bytes().partition(b"end_header\n")
        vertices, faces = (int(line.split()[2]) for line in head.splitlines() if line.startswith(b"element"))
        assert b"property float x" in head and 4 <= faces <= 2000
        places = np.frombuffer(body[: 12 * vertices], "<f4").reshape(-1, 3)
        rows = np.frombuffer(body[12 * vertices :], [("count", "u1"), ("corners", "<i4", 3)])
        assert len(rows) == faces and (rows["count"] == 3).all() and np.isfinite(places).all()
        part = load_gaussians(read_ply(path.with_name(path.name.replace("_proxy", ""))), colors=False)
        low, high = part.means.min(0), part.means.max(0)
        assert (places.min(0) < high).all() and (places.max(0) > low).all()  # at the place of its label
        mesh = Mesh(places.astype(float), rows["corners"].astype(int))
        assert mesh.is_closed() and mesh.volume() > 0


@pytest.mark.slow
def test_render_orbit_and_views(run: Path, small_scene: Path, tmp_path: Path):
    views = str(small_scene / "gt" / "transforms_test.json")
    assert main(["render", str(run), "-o", str(tmp_path / "v"), "--level", "1", "--views", views]) == 0
    legend = json.loads((tmp_path / "v" / "legend.json").read_text())
    assert legend["level"] == 1 and len(legend["labels"]) == len(open_run(run).labels().of(1))
    for kind in ("color", "labels", "overlay"):
        assert len(list((tmp_path / "v" / kind).glob("*.png"))) >= 1
    assert main(["render", str(run), "-o", str(tmp_path / "o"), "--color"]) == 0
    assert (tmp_path / "o" / "turntable.gif").stat().st_size > 1000
    assert not (tmp_path / "o" / "labels").exists()


def test_eval_prints_one_json_object(run: Path, small_scene: Path, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    assert main(["eval", str(run), "--truth", str(small_scene / "gt"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert 0 < result["level_1"]["click"] <= 1


def test_negative_numbers_stand_for_what_suits_the_objective() -> None:
    """Scripts written before None was the default pass -1."""
    line = ["train", "DATASET", "-o", "OUT", "--iterations", "-1", "--feature-rate", "-1", "--uniform-pixels", "0"]
    config = config_from(build_parser().parse_args(line), TrainConfig)
    assert config == TrainConfig(uniform_pixels=0)
    assert config.steps(100) == 300 and config.pixels_of_step == (0, 2000, 64)


def test_the_mask_model_does_not_inherit_the_training_device() -> None:
    line = ["segment", "SPLAT", "-o", "OUT", "--device", "warp-cpu"]
    arguments = build_parser().parse_args(line)
    assert config_from(arguments, MasksConfig).device == "auto"  # segment_run decides from the device in use
    assert config_from(arguments, TrainConfig).device == "warp-cpu"


def test_doctor_answers_for_programs(capsys: pytest.CaptureFixture[str]):
    assert main(["doctor", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] and {check["name"] for check in answer["checks"]} >= {"python", "numba", "torch", "device"}


def test_events_are_json_lines(run: Path, tmp_path: Path, capsys, monkeypatch):
    reading, writing = os.pipe()  # an open standard input: its end would cancel the job
    monkeypatch.setattr("sys.stdin", os.fdopen(reading))
    capsys.readouterr()
    assert main(["export", str(run), "-o", str(tmp_path), "--level", "1", "--events"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0]["event"] == "hello" and events[0]["protocol"] == 1
    assert events[-1]["event"] == "done"
    os.close(writing)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["train", "NOWHERE", "-o", "OUT"], 3, "no folder"),
        (["segment", "NOWHERE.ply", "-o", "OUT"], 3, "cannot be read"),
        (["train", "SCENE", "-o", "OUT", "--level-bits", "20,20"], 2, "at most 32"),
        (["train", "SCENE", "-o", "OUT", "--level-bits", "many"], 2, "whole numbers"),
        (["train", "SCENE", "-o", "OUT", "--level-bits", "1,1,1"], 2, "at least"),
        (["train", "SCENE", "-o", "OUT", "--init", "NOWHERE.npy"], 3, "codes.npy"),
        (["train", "SCENE", "-o", "SCENE/scene.ply"], 2, "is a file"),
        (["export", "SCENE", "-o", "OUT"], 3, "run.json"),
        (["render", "RUN", "-o", "OUT", "--views", "spiral"], 2, "orbit"),
        (["render", "RUN", "-o", "OUT", "--level", "9"], 2, "levels 1 to 3"),
        (["export", "RUN", "-o", "OUT", "--label", "4000000000"], 2, "no label"),
        (["views", "SCENE/scene.ply", "-o", "OUT", "--size", "wide"], 2, "640x480"),
        (["segment", "SCENE/scene.ply", "-o", "OUT", "--masks-model", "magic", "--views", "1"], 2, "mask model"),
    ],
)
def test_mistakes_end_in_a_sentence_and_a_code(
    arguments: list[str], code: int, words: str, run: Path, small_scene: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    places = {"SCENE": small_scene, "RUN": run, "OUT": tmp_path / "out", "NOWHERE": tmp_path / "nowhere"}
    filled = []
    for argument in arguments:
        head, slash, tail = argument.partition("/")
        stem, dot, suffix = head.partition(".")
        filled.append(f"{places[stem]}{dot}{suffix}{slash}{tail}" if stem in places else argument)
    assert main(filled) == code
    answer = capsys.readouterr().err
    assert words in answer and "Traceback" not in answer
    assert not list(tmp_path.iterdir())  # nothing half-written stays


def test_a_bug_keeps_its_trace_for_debug_only(run: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr("bgs_engine.output.export.export_run", lambda *a, **k: 1 / 0)
    assert main(["export", str(run), "-o", str(tmp_path)]) == 1
    answer = capsys.readouterr().err
    assert "--debug" in answer
    with pytest.raises(ZeroDivisionError):
        main(["export", str(run), "-o", str(tmp_path), "--debug"])
