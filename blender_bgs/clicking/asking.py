"""The open session, and what a person points at in it. A timer on Blender's main thread takes the answers.

There is one session at a time, for the splat that was clicked last. It opens with the first click and stays open. It
ends with its splat, when another file is opened, and when the extension is disabled.
"""

from typing import Any, cast

import bpy
from bgs_engine.core.errors import EnvironmentLacksError
from bpy.app.handlers import persistent

from ..cloud import shapes
from ..cloud.point_clouds import is_splat
from ..cloud.redraw import regions
from ..cloud.typed import Context, SplatObject
from ..engine import segmenting
from ..engine.locate import command
from ..engine.runner import Outcome, log_path, runner
from ..engine.session import Session, SessionState, close_all, serve_arguments
from ..engine.settings import settings_of
from ..logic.window_words import for_window
from ..viewport.draw import display, redraw
from .engine_scene import EngineScene, key_of, open_scene
from .pointing import Pointing, Step

TITLE = "Click to Select"
TOOL = "bgs.click_thing"  # the name of the tool in Blender's list
BUSY_TICK, IDLE_TICK = 0.05, 0.4  # seconds between two looks at the session
WAIT_SECONDS = 600.0  # for an answer in Blender without a window
STOP_SECONDS = 2.0  # longest wait for the end of the session when the extension is disabled
HEADERS = {("VIEW_3D", "TOOL_HEADER"), ("VIEW_3D", "UI"), ("PROPERTIES", "WINDOW")}


class Asking:
    """The session and what is pointed at. `problem` says why there is no session, after one has failed."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.pointing: Pointing | None = None
        self.problem = ""
        self._scene: EngineScene | None = None
        self._whole_uid = 0
        self._key: tuple[str, ...] = ()
        self._seen = -1  # `changes` of the session's state at the last look

    @property
    def state(self) -> SessionState | None:
        """The state of the session, or None without one."""
        return None if self.session is None else self.session.state

    @property
    def opens(self) -> bool:
        """Whether the session is still being opened."""
        return self.session is not None and self.session.state.phase == "opening"

    def whole(self) -> SplatObject | None:
        """The splat that is pointed at, or None if there is none any more."""
        return find(self.pointing.whole_uid) if self.pointing is not None else None

    def begin(self, whole: SplatObject, with_tool: bool = False) -> Pointing:
        """What is pointed at in a splat so far; if it is nothing, the session is opened.

        Raises:
            BgsError: the splat has no file that the engine can read, or its points are no Gaussians.
            EnvironmentLacksError: there is no engine.
        """
        shapes.make_true(whole)  # points that were joined have rows of their own only then
        scene, pointing = self._open(whole), self.pointing
        if pointing is not None and pointing.scene is scene and pointing.fits(whole):
            return pointing
        self.drop()
        return Pointing.at(whole, scene, with_tool)

    def add(self, pointing: Pointing, step: Step) -> None:
        """Point at one more place or area, and ask."""
        self.pointing = pointing
        pointing.add(step)
        self._ask()

    def take_back(self) -> None:
        """Take back the last step. Without any, nothing is pointed at."""
        pointing = self.pointing
        if pointing is None:
            return
        pointing.steps.pop()
        if pointing.steps:
            self._ask()
        else:
            self.drop()

    def drop(self, stop_opening: bool = False) -> None:
        """Point at nothing any more. `stop_opening` also ends a session that is still being opened."""
        self.pointing = None
        if self.session is not None:
            if stop_opening and self.opens:
                self.close()
            elif self.session.state.phase == "asking":
                self.session.cancel()
        self.show()

    def close(self) -> None:
        """End the session and point at nothing."""
        self.pointing = None
        if self.session is not None:
            self.session.close()
        self.session, self._scene = None, None
        self.show()

    def change_size(self, by: int) -> bool:
        """Show a larger or a smaller suggestion. Returns whether there is one."""
        changed = self.pointing is not None and self.pointing.change_size(by)
        if changed:
            self.show()
        return changed

    def check(self) -> float | None:
        """Look at the session. Returns the seconds until the next look, or None to stop looking."""
        session = self.session
        if session is None:
            return None
        if find(self._whole_uid) is None:
            self.close()
            return None
        if self.pointing is not None and self._left():
            self.drop()
        state = session.state
        if state.changes != self._seen:
            self._seen = state.changes
            self._take(state)
            self.show()
        busy = self.pointing is not None or state.phase in ("opening", "asking")
        return None if self.session is None else BUSY_TICK if busy else IDLE_TICK

    def wait(self) -> None:
        """Wait for the answer. For Blender without a window, which has no timers."""
        if self.session is not None:
            state = self.session.wait(WAIT_SECONDS, "ready")
            self._seen = state.changes
            self._take(state)

    def show(self) -> None:
        """Tint the suggestion, and draw the headers and the markers anew."""
        tint = self.pointing.strengths() if self.pointing is not None else None
        new = None if tint is None or self.pointing is None else {self.pointing.whole_uid: tint}
        if new is not None or display.preview is not None:
            display.preview = new
            display.look_key = ()
        if not bpy.app.background:
            redraw()
            regions(HEADERS)
            say_keys(None if self.pointing is None else self.pointing.words())

    def _ask(self) -> None:
        pointing, session = self.pointing, self.session
        assert pointing is not None and session is not None
        prompt = pointing.prompt()
        if prompt is None:
            session.cancel()
            pointing.answer, pointing.problem = None, "Click on the thing itself too"
        else:
            pointing.problem = ""
            pointing.asked = session.ask(prompt)
        if bpy.app.background:
            self.wait()
        elif not bpy.app.timers.is_registered(tick):
            bpy.app.timers.register(tick, first_interval=BUSY_TICK, persistent=True)
        self.show()

    def _open(self, whole: SplatObject) -> EngineScene:
        key = key_of(whole)
        alive = self.session is not None and not self.session.state.over
        if alive and self._scene is not None and (self._whole_uid, self._key) == (whole.session_uid, key):
            return self._scene
        self.close()  # with what was pointed at: its rows are those of the other file
        self.problem = ""
        scene = open_scene(whole)
        python = segmenting.engine_python()
        arguments = serve_arguments(
            scene.path, settings_of(cast(Context, bpy.context).scene).masks_model, bpy.app.online_access
        )
        try:
            self.session = Session(command(python, arguments), log=log_path("clicks"))
        except OSError as error:
            raise EnvironmentLacksError(f"{python} cannot be started: {error.strerror}.", "Check the engine.") from None
        self._scene, self._whole_uid, self._key, self._seen = scene, whole.session_uid, key, -1
        return scene

    def _take(self, state: SessionState) -> None:
        pointing = self.pointing
        if state.phase == "failed":
            self._failed(" ".join(filter(None, state.error or ())))
        elif pointing is not None and self._scene is not None and state.gaussians not in (0, self._scene.count):
            self._failed(f"{self._scene.path.name} was changed since. Import it again, or press Segment.")
        elif pointing is not None and state.asked == pointing.asked:
            if state.refusal is not None:
                pointing.answer = None
                pointing.problem = for_window(f"{state.refusal.message} {state.refusal.hint}".strip())
            elif state.reply is not None and state.reply.id == pointing.asked:
                pointing.take(state.reply.answer)

    def _failed(self, message: str) -> None:
        """Close the session and say why, also in the panel Segment, which has Copy Details."""
        details, uid = self.session.details() if self.session is not None else "", self._whole_uid
        self.close()
        self.problem = for_window(message)
        if not runner.busy():
            runner.last = Outcome(TITLE, self.problem, details, failed=True, splat_uid=uid)

    def _left(self) -> bool:
        """Whether the person does something else now: another tool or mode, or the splat has other points."""
        pointing, whole = self.pointing, self.whole()
        if pointing is None or whole is None or len(whole.data.points) != len(pointing.numbers):
            return True
        context = cast(Context, bpy.context)
        return context.mode != "OBJECT" or (pointing.with_tool and not tool_is_active(context))


asking = Asking()


def find(uid: int) -> SplatObject | None:
    """The splat object with this session_uid, or None."""
    return next((obj for obj in bpy.data.objects if obj.session_uid == uid and is_splat(obj)), None)


def tool_is_active(context: Context) -> bool:
    """Whether the tool of clicks is chosen in a window."""
    workspaces = [window.workspace for window in context.window_manager.windows]
    tools: list[Any] = [space.tools.from_space_view3d_mode("OBJECT", create=False) for space in workspaces]
    return any(tool is not None and tool.idname == TOOL for tool in tools)


KEYS = (
    "Click: on the thing    Ctrl Click: beside it    Drag: mark an area    + and -: size    Enter: New Label    "
    "Shift Enter: Add to Active Label    Ctrl Enter: Take from Active Label    Ctrl Z: take back    Esc: cancel"
)


def say_keys(words: str | None) -> None:
    """Show the suggestion in words and the keys in the status bar, or, for None, Blender's own keys again."""
    text = None if words is None else f"{words}.    {KEYS}" if words else KEYS
    if text == _said[0]:
        return
    _said[0] = text
    for workspace in bpy.data.workspaces:
        workspace.status_text_set(text)


_said: list[str | None] = [None]


def tick() -> float | None:
    """The timer's function. Blender identifies a timer by its function, so it cannot be a bound method."""
    return asking.check()


@persistent
def _forget(*_: object) -> None:
    """Another file is opened."""
    asking.close()
    asking.problem = ""


def start() -> None:
    """Watch for other files."""
    bpy.app.handlers.load_pre.append(_forget)


def stop() -> None:
    """End the session, and watch no more."""
    bpy.app.handlers.load_pre.remove(_forget)
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    asking.close()
    close_all(STOP_SECONDS)
