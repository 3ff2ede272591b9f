"""`bgs mcp`: an assistant's client talks to the server over real standard input and output."""

import asyncio
import base64
import io
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bgs_engine.cli import main
from bgs_engine.core.errors import UsageError
from bgs_engine.pipeline import opening
from bgs_engine.pipeline.mcp_server import RunTools
from tests.engine.test_label_names import run as run
from tests.helpers.toy_words_model import ColorModel, write_model
from tools.environments import ROOT

mcp = pytest.importorskip("mcp", reason="the package mcp is missing: pip install 'bgs-engine[mcp]'")
READING = {"list_runs", "list_labels", "find", "similar", "select", "render"}


def with_client(folder: Path, ask: Callable[[Any], Awaitable[None]], *options: str) -> None:
    """Start the server on a folder, as assistants do, and ask it."""

    async def talk() -> None:
        environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "NUMBA_NUM_THREADS": "1"}
        command = ["-m", "bgs_engine", "mcp", str(folder), *options]
        server = mcp.StdioServerParameters(command=sys.executable, args=command, env=environment)
        async with mcp.Client(server) as client:
            await ask(client)

    asyncio.run(asyncio.wait_for(talk(), 120))


def value(answer: Any) -> Any:
    assert not answer.is_error, answer
    return answer.structured_content["result"]


def test_an_assistant_reads_a_run(run: Path) -> None:
    assert main(["names", str(run)]) == 0
    before = {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}

    async def ask(client: Any) -> None:
        listed = (await client.list_tools()).tools
        assert {tool.name for tool in listed} == READING
        assert all(tool.annotations.read_only_hint and tool.description for tool in listed)
        assert value(await client.call_tool("list_runs", {})) == ["run"]
        labels = value(await client.call_tool("list_labels", {"run": "run", "level": 1}))
        assert labels[0]["name"].endswith(" floor")
        found = value(await client.call_tool("find", {"run": "run", "text": "red box", "level": 1}))
        assert found == [{"level": 1, "label": 6, "name": "red box, left"}]
        alike = value(await client.call_tool("similar", {"run": "run", "label": "blue ball 1", "level": 1, "top": 2}))
        assert sorted(one["name"] for one in alike) == ["blue ball 2", "blue ball 3"]
        asked = {"run": "run", "level": 1, "relation": "above", "of_label": 1, "most_count": 3300}
        chosen = value(await client.call_tool("select", asked))
        assert {one["name"] for one in chosen} >= {"red box, left", "My Post", "blue ball 1"}
        picture = (await client.call_tool("render", {"run": "run", "level": 1})).content[0]
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.data))))
        assert pixels.shape == (480, 640, 3) and pixels.std() > 10
        for wrong, sentence in ((("find", {"run": "../..", "text": "x"}), "outside"),
                                (("list_labels", {"run": "run", "level": 9}), "no level 9"),
                                (("list_labels", {"run": "none"}), "no run")):  # fmt: skip
            answer = await client.call_tool(*wrong)
            assert answer.is_error and sentence in answer.content[0].text

    with_client(run.parent, ask)
    assert {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()} == before


def test_leave_to_change_things_allows_export_below_the_folder(run: Path) -> None:
    async def ask(client: Any) -> None:
        assert {tool.name for tool in (await client.list_tools()).tools} == {*READING, "export"}
        asked = {"run": "run", "level": 1, "labels": [6], "folder": "out"}
        assert len(value(await client.call_tool("export", asked))) == 1
        answer = await client.call_tool("export", {**asked, "folder": "../out"})
        assert answer.is_error and "outside" in answer.content[0].text

    with_client(run.parent, ask, "--allow-changes")
    assert len(list((run.parent / "out").iterdir())) == 1


def test_an_assistant_finds_by_words_and_writes_nothing(run: Path, tmp_path: Path) -> None:
    """The model is random, so only the form of the answer is known. The toy model of the other tests knows colours."""
    write_model(tmp_path / "clip", "clip")
    before = {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}

    async def ask(client: Any) -> None:
        assert {tool.name for tool in (await client.list_tools()).tools} == {*READING, "find_by_words"}
        asked = {"run": "run", "text": "a red box", "unwanted": ["blue"], "level": 1, "top": 3}
        hits = value(await client.call_tool("find_by_words", asked))
        assert len(hits) == 3 and [hit["level"] for hit in hits] == [1, 1, 1]
        assert sorted((hit["score"] for hit in hits), reverse=True) == [hit["score"] for hit in hits]
        answer = await client.call_tool("find_by_words", {**asked, "level": 9})
        assert answer.is_error and "no level 9" in answer.content[0].text

    with_client(run.parent, ask, "--model", str(tmp_path / "clip"))
    assert {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()} == before


def test_words_find_what_is_red_and_vectors_are_kept_with_leave(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "BARE_VIEWS", 4)
    assert main(["names", str(run)]) == 0
    model = ColorModel()
    tools = RunTools(run.parent, False, model)
    first = tools.find_by_words("run", "red", level=1)
    asked = model.asked
    assert first[0]["name"].startswith("red ") and first[0]["found"] and not (run / "embeddings").exists()
    assert tools.find_by_words("run", "red", level=1) == first and model.asked == asked
    RunTools(run.parent, True, model).find_by_words("run", "red", level=1)
    assert (run / "embeddings").is_dir()


def test_links_do_not_lead_out(run: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (run.parent / "link").symlink_to(other, target_is_directory=True)
    tools = RunTools(run.parent, True)
    for path in ("link", "link/x", "..", str(other), "/", "run\0"):
        with pytest.raises(UsageError, match=r"outside|character 0"):
            tools.inside(path)
    assert tools.inside("run") == run and RunTools(run, False).list_runs() == ["."]
    with pytest.raises(UsageError, match="may not write"):
        RunTools(run, False).export(".", 1, [6], "out")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert main(["mcp", str(tmp_path / "none")]) == 2
