"""How labels that were found or saved are combined with what is selected; the buttons for it."""

from typing import Any

import bpy

MODES: Any = (
    ("SET", "New", "Select these labels and nothing else", "SELECT_SET", 0),
    ("ADD", "Add", "Add these labels to the selection", "SELECT_EXTEND", 1),
    ("SUB", "Subtract", "Take these labels out of the selection", "SELECT_SUBTRACT", 2),
    ("AND", "Intersect", "Keep only what is selected and in these labels", "SELECT_INTERSECT", 3),
)


def draw_buttons(layout: bpy.types.UILayout, operator: str, **values: Any) -> None:
    """A row with a button of an operator for each mode. `values` are its other properties."""
    row = layout.row(align=True)
    for mode, _, _, icon, _ in MODES:
        button: Any = row.operator(operator, text="Select" if mode == "SET" else "", icon=icon)
        for field, value in values.items():
            setattr(button, field, value)
        button.mode = mode


def describe(values: Any, what: str) -> str:
    """The tooltip of a button of a mode."""
    return {
        "SET": f"Select {what} and nothing else",
        "ADD": f"Add {what} to the selection",
        "SUB": f"Take {what} out of the selection",
        "AND": f"Keep only what is selected and among {what}",
    }[values.mode]
