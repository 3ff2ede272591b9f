# mypy: disable-error-code="valid-type"
"""Find by Words, selecting what was found, and the panel that lists it."""

from typing import Any

import bpy
from bgs_engine.core.errors import UsageError

from ..cloud import label_selection, labels
from ..cloud.active_splat import need_splat, splat_of
from ..cloud.typed import Context
from ..interface.operator_base import NeedsLabels, NoUndo, counted
from ..interface.sidebar import SidebarPanel, wrapped_text
from . import blocking, segmenting, words
from .runner import log_path, runner

SHOWN = 8  # labels that the panel lists


class BGS_OT_find_words(NoUndo, NeedsLabels, bpy.types.Operator):
    """Let the engine look at the labels and list those that fit these words, of all levels. It runs beside Blender."""

    bl_idname = "bgs.find_words"
    bl_label = "Find Labels by Words"
    text: bpy.props.StringProperty(name="Words", description="What to look for, for example: a red mug")

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None:
            return reason
        if not obj.bgs.run_folder or obj.bgs.is_alone:
            return "This splat has no run folder, where the engine reads labels and views: press Segment"
        if obj.bgs.run_changed:
            return "The run folder lacks changes of the labels: press Save to Run Folder first"
        return runner.busy() or segmenting.engine_missing()

    def work(self, context: Context) -> str:
        runner.refuse_second()
        obj, wanted = need_splat(context), self.text.strip()
        if not wanted:
            raise UsageError("No words are given.", "Write into the search field what to look for.")
        run = obj.bgs.path_of(obj.bgs.run_folder)
        if run is None or not run.is_dir():
            raise UsageError(f"The run folder of {obj.name} is not there any more.", "Move it back, or segment again.")
        job = words.start_find(segmenting.engine_python(), run, wanted, log_path("find"))
        task = words.FindTask(obj, wanted, job.log)
        if not bpy.app.background:
            runner.start(task, job)
            return "The engine has started"
        task.prepare(blocking.finish(job))  # there are no timers and no Cancel button: wait for it
        for _ in task.apply():
            pass
        return task.summary()


class NeedsFound(NeedsLabels):
    """Mix-in for operators that work on what was found."""

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None or words.answer_of(obj) is not None:
            return reason
        return "Nothing was searched by words yet: write into the search field, and press the button beside it"


class BGS_OT_select_found(NeedsFound, bpy.types.Operator):
    """Show the level of this label, and select the label. Ctrl or Shift adds it to the selection."""

    bl_idname = "bgs.select_found"
    bl_label = "Select Found Label"
    in_edit_mode = True
    index: bpy.props.IntProperty(description="Place in the list of what was found", min=0, options={"SKIP_SAVE"})
    extend: bpy.props.BoolProperty(name="Extend", description="Add it to the selection", options={"SKIP_SAVE"})

    def invoke(self, context: Context, event: bpy.types.Event) -> set[Any]:
        self.extend = event.ctrl or event.shift
        return self.execute(context)

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        answer = words.answer_of(obj)
        if answer is None or self.index >= len(answer.found):
            raise UsageError("There is no such label in the list.", "Search again.")
        one = answer.found[self.index]
        row = labels.find(obj, one.level, one.label)
        if row is None:
            raise UsageError("This label does not exist any more.", "Search again.")
        if obj.bgs.shown_level != one.level:
            obj.bgs.level = one.level
        label_selection.combine_labels(obj, [one.key], "ADD" if self.extend else "SET")
        labels.activate(obj, one.key)
        return f"{row.name}: {counted(row.count, 'Gaussian')} selected"


class BGS_OT_close_found(NoUndo, NeedsFound, bpy.types.Operator):
    """Close the list of what was found."""

    bl_idname = "bgs.close_found"
    bl_label = "Close Found Labels"

    def work(self, context: Context) -> None:
        words.forget_answer(need_splat(context))


class BGS_PT_found(SidebarPanel, bpy.types.Panel):
    """The labels that fit the words, best first. It is there after a search by words."""

    bl_label = "Found"
    bl_idname = "BGS_PT_found"
    bl_parent_id = "BGS_PT_labels"

    @classmethod
    def poll(cls, context: Context) -> bool:
        obj = splat_of(context)
        return obj is not None and words.answer_of(obj) is not None

    def draw(self, context: Context) -> None:
        obj, column = splat_of(context), self.layout.column(align=True)
        answer = words.answer_of(obj) if obj is not None else None
        if obj is None or answer is None:
            return
        head = column.row()
        head.label(text=answer.words, icon="VIEWZOOM")
        head.operator("bgs.close_found", text="", icon="X", emboss=False)
        names = {(row.level, row.label): row.name for row in obj.bgs.labels}
        if not answer.fitting:
            wrapped_text(column, "No label fits. These are the nearest ones.", context, icon="INFO")
        for index, one in enumerate((answer.fitting or answer.found)[:SHOWN]):
            row = column.row(align=True)
            name = names.get(one.key)
            button: Any = row.operator("bgs.select_found", text=name or "(gone)", icon="RESTRICT_SELECT_OFF")
            button.index = index
            side = row.row()
            side.alignment = "RIGHT"
            side.label(text=f"{one.score:.2f}  L{one.level}")


CLASSES = (BGS_OT_find_words, BGS_OT_select_found, BGS_OT_close_found, BGS_PT_found)
