"""Write docs/reference/api.md from the docstrings of the engine's public functions and classes.

    python docs/reference/make_api.py            write api.md
    python docs/reference/make_api.py --check    exit with 1 if api.md is not current

The sources are parsed, never imported, so the script needs the standard library alone.
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGES = ("core", "io", "pipeline", "output")
PAGE = HERE / "api.md"
HEAD = """# API

This page lists the public Python functions and classes of `bgs_engine.core`, `bgs_engine.io`,
`bgs_engine.pipeline` and `bgs_engine.output`. `python docs/reference/make_api.py` makes it from
their docstrings.

`N` is the number of Gaussians, `D` the number of bits and `L` the number of levels. `H` and `W` are
the height and the width of a picture. [The glossary](../glossary.md) defines the words.
"""
Definition = ast.FunctionDef | ast.ClassDef


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description="Make docs/reference/api.md from docstrings.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if api.md is not current")
    check = parser.parse_args().check
    text = page()
    if not check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write("docs/reference/api.md is not current: run python docs/reference/make_api.py\n")
    return 1


def page() -> str:
    """The whole page as text."""
    modules = [path for package in PACKAGES for path in sorted((ROOT / "bgs_engine" / package).glob("*.py"))]
    sections = [section for path in modules if (section := module_section(path))]
    return "\n".join([HEAD, *sections])


def module_section(path: Path) -> str:
    """One module with its public definitions; empty if it has none."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    found = list(public(tree.body))
    if not found:
        return ""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    parts = [f"## {name}\n"]
    if text := ast.get_docstring(tree):
        parts.append(f"```text\n{text}\n```\n")
    for node in found:
        parts.append(f"### {node.name}\n\n```python\n{outline(node, source.splitlines())}\n```\n")
    return "\n".join(parts)


def public(body: list[ast.stmt]) -> Iterator[Definition]:
    """Functions and classes whose names do not begin with an underscore."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def outline(node: Definition, lines: list[str]) -> str:
    """The source of a definition without the bodies of its functions."""
    first = node.decorator_list[0] if node.decorator_list else node
    body = node.body
    kept = lines[first.lineno - 1 : body[0].lineno - 1]
    if ast.get_docstring(node) is not None:
        kept += lines[body[0].lineno - 1 : body[0].end_lineno]
    if isinstance(node, ast.ClassDef):
        fields = [item for item in body if isinstance(item, ast.AnnAssign | ast.Assign) and is_public(item)]
        if fields:
            kept.append("")
        for field in fields:
            kept += lines[field.lineno - 1 : field.end_lineno]
        for method in public(body):
            kept += ["", outline(method, lines)]
    return "\n".join(line.removesuffix("  # fmt: skip") for line in kept)


def is_public(field: ast.AnnAssign | ast.Assign) -> bool:
    """Whether a field's name does not begin with an underscore."""
    target = field.target if isinstance(field, ast.AnnAssign) else field.targets[0]
    return not ast.unparse(target).startswith("_")


if __name__ == "__main__":
    sys.exit(main())
