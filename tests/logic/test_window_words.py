"""Nothing that the engine says reaches the window with an option of the command line."""

import ast
import re
from collections.abc import Iterator

import pytest

from blender_bgs.logic.window_words import FOREIGN, for_window
from tools.environments import ROOT

CALLS = ("warning",)  # of the reporter


def sentences() -> Iterator[tuple[str, str]]:
    """(place, text) of every text in the engine's errors and warnings that has an option in it."""
    for path in sorted((ROOT / "bgs_engine").rglob("*.py")):
        if "cli" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        helps = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.Dict)
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and key.value == "help"
            for part in ast.walk(value)
        }
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            text = _text(node)
            hidden = id(node) in documentation or id(node) in helps or id(node) in inside
            if text and not hidden and " " in text and re.search("--[a-z]|`bgs", text):
                yield f"{path.name}:{node.lineno}", text  # type: ignore[attr-defined]


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "3" for part in node.values)  # type: ignore
    return ""


FOUND = dict(sentences())
NOT_FOR_BLENDER = (  # hints of commands that Blender does not start, or of choices that its panel does not have
    "Give the splat with --ply SCENE.ply.",
    "Make masks with `bgs masks` first.",
    "Give --levels a number from 1 to 3.",
    "Give --init random or a codes.npy.",
    "--fill needs --label: it closes the holes that these labels leave.",
    "fetch it with: bgs models --fetch 3",  # the list of `bgs models` as text; the panel has its own
)


def test_the_search_finds_them() -> None:
    """If the engine's errors move elsewhere, this test must follow them."""
    assert len(FOUND) > 20
    assert any("--level-bits" in text for text in FOUND.values())


@pytest.mark.parametrize("place", FOUND, ids=str)
def test_no_sentence_speaks_of_an_option(place: str) -> None:
    shown = for_window(FOUND[place])
    assert shown or FOUND[place] in NOT_FOR_BLENDER
    assert "  " not in shown
    for word in FOREIGN:
        shown = shown.replace(word, "")
    assert "--" not in shown and "`bgs" not in shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "The card fails its self-test: no answer. Use --device cpu.",
            "The card fails its self-test: no answer. Set Device to CPU.",
        ),
        (
            "Close other programs on the card, use a smaller scene, or --device cpu.",
            "Close other programs on the card, use a smaller scene, or set Device to CPU.",
        ),
        (
            "Give level 2 at least 5 bits with --level-bits.",
            "Give level 2 at least 5 bits under Settings > Level Bits.",
        ),
        (
            "12% are seen by 5 or more of 20. More views show more (`bgs segment --views`, `bgs views --count`).",
            "12% are seen by 5 or more of 20. More views show more (Settings > Views).",
        ),
        (
            "What was made so far is kept in /tmp/a b: the same command with --resume goes on.",
            "What was made so far is kept in /tmp/a b.",
        ),
        (
            "In Blender, tick Preferences > System > Allow Online Access. On the command line, leave out --no-fetch.",
            "In Blender, tick Preferences > System > Allow Online Access.",
        ),
        ("Close other programs, use fewer workers (--workers 1) or a smaller mask model.",
         "Close other programs or use a smaller mask model."),
        ("Add --fetch to allow its download, or give --model FOLDER.",
         "Download it, and name its folder in the preference Words Model."),
        ("a--b.ply has no opacity. Nothing else.", "a--b.ply has no opacity. Nothing else."),
        ("Export it again. In nerfstudio: --ply-color-mode sh_coeffs.",
         "Export it again. In nerfstudio: --ply-color-mode sh_coeffs."),
    ],
)  # fmt: skip
def test_next_steps_name_the_panel(said: str, shown: str) -> None:
    assert for_window(said) == shown
