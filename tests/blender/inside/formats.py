"""Runs inside a real Blender with a window: import and export of SPZ by the file dialogs, and by the engine as a job.

Arguments: a PLY with codes, and the stand-in for the engine. By test_formats_in_window.py.
"""

import os
import sys
from pathlib import Path

import bpy

sys.path.insert(0, "/mnt/repo")
sys.path.insert(0, str(Path(__file__).parent))
import desk
from desk import GIVEN, OUT, Step, facts, in_view, open_tab, picture, remove_all, splats, walk, window

bpy.context.preferences.view.filebrowser_display_type = "SCREEN"
os.environ["BGS_ENGINE_PYTHON"] = GIVEN[1]
of_view = desk.area


def any_area():
    """The 3D view, or the file dialog that covers it."""
    return of_view() if any(a.type == "VIEW_3D" for a in window().screen.areas) else dialog()


desk.area = any_area


def dialog():
    return next(a for a in window().screen.areas if a.type == "FILE_BROWSER")


def lacking():
    """Blender gets a format whose package it lacks. The stand-in for the engine has it."""
    from bgs_engine.formats import read
    from tests.helpers.made_format import LACKING

    read.FORMATS = (*read.FORMATS, LACKING)


def start():
    remove_all()
    of_view().spaces.active.show_region_ui = True
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=GIVEN[0])
        splats()[0].bgs.labels[0].name = "Chair"
    lacking()


def look():
    open_tab()
    desk.view_from((0.3, -1, 0.6), 6)


def menu():
    with in_view():
        bpy.ops.wm.call_menu(name="TOPBAR_MT_file_import")


def open_export():
    with in_view():
        bpy.ops.bgs.export_splat("INVOKE_DEFAULT")


def choose_another():
    """Another entry in the list Format of the dialog, by real events. The picture `dialog` shows where it is."""
    down = [word for _ in range(2) for word in ("key", "Down", "sleep", desk.PAUSE)]
    desk.hand("mousemove", 1184, 111, "sleep", desk.PAUSE, "click", 1, "sleep", 1, *down, "key", "Return")


def chosen():
    space = dialog().spaces.active
    facts["proposed"] = [space.active_operator.format, space.params.filename]


def run_dialog(name):
    area = dialog()
    area.spaces.active.params.directory = str(OUT).encode()
    area.spaces.active.params.filename = name
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=window(), area=area, region=region):
        bpy.ops.file.execute()


def export_spz():
    run_dialog("out.spz")


def open_import():
    remove_all()
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT")


def import_spz():
    facts["pattern"] = dialog().spaces.active.params.filter_glob
    run_dialog("out.spz")


def export_by_engine():
    with in_view():
        bpy.ops.bgs.export_splat("EXEC_DEFAULT", filepath=str(OUT / "out.lacking"), what="WHOLE")


def import_by_engine():
    remove_all()
    with in_view():
        bpy.ops.ed.undo_push(message="Empty")
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=str(OUT / "out.lacking"))
        facts["splats_at_once"] = len(splats())
    picture("formats-running")


def undo():
    with in_view():
        bpy.ops.ed.undo()


def note(step):
    found = splats()
    names = sorted(row.name for row in found[0].bgs.labels) if found else []
    facts[step] = {"splats": [len(o.data.points) for o in found], "chair": "Chair" in names,
                   "source": Path(found[0].bgs.source_path).name if found else ""}  # fmt: skip


def busy():
    """Whether a job of the extension runs, whatever Blender calls its package."""
    name = next(n for n in sys.modules if n.endswith("binary_gaussian_segmentation.engine.runner"))
    return sys.modules[name].runner.current is not None


STEPS: list[Step] = [
    (start, 3, None),
    (look, 2, "imported"),
    (menu, 1, "menu"),
    (lambda: desk.hand("key", "Escape"), 1, None),
    (open_export, 2, None),
    (choose_another, 3, None),
    (chosen, 1, "dialog"),
    (export_spz, 3, "exported"),
    (open_import, 2, "open"),
    (import_spz, 4, "spz"),
    (export_by_engine, 3, "by_engine"),
    (import_by_engine, 4, "back"),
    (undo, 2, "undone"),
]
walk("formats", STEPS, note, busy)
