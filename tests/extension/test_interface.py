"""Names, tooltips and reasons: what a person meets before anything is computed."""

import bpy
import pytest

from blender_bgs import registration
from blender_bgs.interface import menu

OPERATORS = [c for c in registration.CLASSES if issubclass(c, bpy.types.Operator)]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda c: c.bl_idname)
def test_names_and_tooltips_are_there_and_alike(operator: type) -> None:
    assert operator.bl_idname.startswith("bgs.")
    title = operator.bl_label.title()
    for word in ("To", "Of", "As", "By", "And"):
        title = title.replace(f" {word} ", f" {word.lower()} ")
    assert operator.bl_label == title
    tooltip = getattr(bpy.ops.bgs, operator.bl_idname[4:]).get_rna_type().description
    assert tooltip and "\n" not in tooltip  # a docstring of several lines would be shown with its indents


def test_search_finds_every_operator() -> None:
    """Blender's search (F3) lists what menus hold."""
    listed = {name for group in menu.MENU for name in group}
    assert listed == {operator.bl_idname for operator in OPERATORS}


def test_a_grey_button_says_why(tmp_path, monkeypatch) -> None:
    from tests.helpers import made_splat

    monkeypatch.delenv("BGS_ENGINE_PYTHON", raising=False)
    reasons = {operator: operator.disabled_reason(bpy.context) for operator in OPERATORS}
    assert all(bool(reason) != getattr(bpy.ops.bgs, op.bl_idname[4:]).poll() for op, reason in reasons.items())
    by_name = {operator.bl_idname: reason for operator, reason in reasons.items()}
    assert "import one" in by_name["bgs.segment"] and not by_name["bgs.import_splat"]
    rows, codes = made_splat.made_splat(per_object=20)
    bpy.ops.bgs.import_splat(filepath=str(made_splat.write(tmp_path / "a.ply", rows)))
    by_name = {operator.bl_idname: operator.disabled_reason(bpy.context) for operator in OPERATORS}
    assert "no labels" in by_name["bgs.make_collections"] and not by_name["bgs.export_splat"]
    assert "engine" in by_name["bgs.segment"].lower()
    bpy.ops.bgs.import_splat(filepath=str(made_splat.write(tmp_path / "b.ply", made_splat.with_codes(rows, codes))))
    by_name = {operator.bl_idname: operator.disabled_reason(bpy.context) for operator in OPERATORS}
    assert "Make Collections" in by_name["bgs.merge_back"]
    assert "Pick" in by_name["bgs.grow_selection"] and "Select" in by_name["bgs.reassign"]
    assert "run folder" in by_name["bgs.save_run"]
