"""Registers the extension's classes, properties, menus, handlers and command with Blender."""

from typing import Any

import bpy
from bgs_engine.formats.read import use_numpy_alone

from . import guide, preferences
from .clicking import asking, markers
from .clicking import brush as click_brush
from .clicking import operators as click_operators
from .clicking import tool as click_tool
from .cloud import appearance, code_tables, label_selection, labels, properties, shown
from .edits import handlers as edit_handlers
from .edits import operators as edit_operators
from .engine import converting, model_operators, word_operators, words
from .engine import operators as engine_operators
from .engine import panel as engine_panel
from .engine import runner as engine_runner
from .engine import settings as segment_settings
from .files import adopt_operator, animation_operator, by_engine, importer, save_to_run, sequence_operator
from .files import label_operators as label_file_operators
from .files import operators as file_operators
from .files import panel as file_panel
from .frames import command as frame_command
from .frames import operators as frame_operators
from .frames import panel as frame_panel
from .frames import settings as frame_settings
from .headless import command_line
from .interface import menu, pie
from .labelling import (
    area_operators,
    condition_operators,
    condition_settings,
    crumb_operators,
    label_facts,
    naming,
    pick,
    set_operators,
)
from .labelling import edit_operators as label_edit_operators
from .labelling import handlers as label_handlers
from .labelling import light as label_light
from .labelling import operators as label_operators
from .labelling import panel as label_panel
from .labelling import search as label_search
from .labelling import similar as label_similar
from .parts import arriving, clean_operators, companion_operators, fill_operators
from .parts import operators as part_operators
from .parts import panel as part_panel
from .viewport import draw, handlers, select_keys, select_operators
from .viewport import settings as view_settings

# Property groups come first, because other classes refer to them.
CLASSES = (
    *properties.CLASSES,
    *preferences.CLASSES,
    *segment_settings.CLASSES,
    *frame_settings.CLASSES,
    *condition_settings.CLASSES,
    *engine_operators.CLASSES,
    *model_operators.CLASSES,
    *file_operators.CLASSES,
    *adopt_operator.CLASSES,
    *animation_operator.CLASSES,
    *sequence_operator.CLASSES,
    *label_file_operators.CLASSES,
    *label_operators.CLASSES,
    *label_edit_operators.CLASSES,
    *label_similar.CLASSES,
    *naming.CLASSES,
    *label_search.CLASSES,
    *crumb_operators.CLASSES,
    *part_operators.CLASSES,
    *clean_operators.CLASSES,
    *fill_operators.CLASSES,
    *companion_operators.CLASSES,
    *edit_operators.CLASSES,
    *pick.CLASSES,
    *area_operators.CLASSES,
    *click_brush.CLASSES,
    *click_operators.CLASSES,
    *select_operators.CLASSES,
    *frame_operators.CLASSES,
    *menu.CLASSES,
    *pie.CLASSES,
    # Blender shows panels in this order.
    *guide.CLASSES,
    *file_panel.CLASSES,
    *engine_panel.CLASSES,
    *label_panel.CLASSES,
    *word_operators.CLASSES,
    *set_operators.CLASSES,
    *condition_operators.CLASSES,
    *part_panel.CLASSES,
    *frame_panel.CLASSES,
    *label_light.CLASSES,
    *view_settings.CLASSES,
)
_SETTINGS = (properties, segment_settings, frame_settings, condition_settings, label_search, view_settings)
_factory: Any = bpy.utils.register_classes_factory(CLASSES)
_register_classes, _unregister_classes = _factory


def register() -> None:
    """Register classes, properties, hooks, menus, drawing and the `bgs` command."""
    _register_classes()
    for module in _SETTINGS:
        module.add_to_blender()
    properties.hooks = properties.Hooks(
        active_changed=label_selection.select_active,
        appearance_changed=appearance.refresh,
        color_changed=save_to_run.color_changed,
        eye_changed=shown.eye_changed,
        level_changed=labels.level_changed,
        name_changed=save_to_run.name_changed,
        selection_changed=draw.selection_changed,
        up_axis_changed=importer.apply_up_axis,
    )
    engine_runner.start_handlers()
    by_engine.converter = converting.start
    use_numpy_alone()
    file_operators.add_menus()
    animation_operator.add_menus()
    menu.add_menus()
    pie.add_keys()
    edit_handlers.start()  # before the drawing, so that it hears of shapes that followed
    handlers.start()
    label_handlers.start()
    arriving.start()
    select_keys.start()
    area_operators.add_tools()
    click_tool.add_tools()
    asking.start()
    markers.start()
    save_to_run.start()
    command_line.extra_commands[:] = [frame_command.add_command]
    command_line.add_command()


def unregister() -> None:
    """Stop a running job and unregister everything in reverse order."""
    engine_runner.runner.stop_now()
    command_line.remove_command()
    save_to_run.stop()
    markers.stop()
    asking.stop()
    click_tool.remove_tools()
    area_operators.remove_tools()
    select_keys.stop()
    arriving.stop()
    label_handlers.stop()
    handlers.stop()
    edit_handlers.stop()
    pie.remove_keys()
    menu.remove_menus()
    animation_operator.remove_menus()
    file_operators.remove_menus()
    engine_runner.stop_handlers()
    by_engine.converter = None
    properties.hooks = properties.Hooks()
    for module in reversed(_SETTINGS):
        module.remove_from_blender()
    _unregister_classes()
    code_tables.forget()
    label_similar.forget()
    label_facts.forget()
    words.forget()
