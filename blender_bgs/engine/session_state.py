"""What is known of a session of clicks at one moment. It does not use bpy."""

from dataclasses import dataclass, field

from bgs_engine.clicks.wire import Reply

from .progress import Progress


@dataclass(frozen=True)
class Refusal:
    """Why an ask has no answer. id: the number of the ask, or None."""

    id: int | None
    message: str
    hint: str = ""


@dataclass(frozen=True)
class SessionState:
    """A session at one moment.

    phase: "opening" (the scene is read), "ready", "asking" (an ask runs), "ended" (it was closed) or "failed".
    opening: stage, share and warnings while it opens; see `Progress`.
    gaussians, views: N, the rows of the PLY file that the process read, and the number of its views; 0 while it opens.
    asked: the number of the newest ask, 0 before the first.
    reply: the newest answer, which may be to an earlier ask: compare `reply.id` with `asked`. Sets are bool [N].
    refusal: why the newest ask was refused, or None. It is removed by the next ask.
    error: (message, hint) of a session that has failed.
    changes: grows by one with every change, so that a timer sees whether there is anything new.
    """

    phase: str = "opening"
    opening: Progress = field(default_factory=Progress)
    gaussians: int = 0
    views: int = 0
    asked: int = 0
    reply: Reply | None = None
    refusal: Refusal | None = None
    error: tuple[str, str] | None = None
    changes: int = 0

    @property
    def over(self) -> bool:
        """Whether the process has ended."""
        return self.phase in ("ended", "failed")

    @property
    def words(self) -> str:
        """What the session does, for the status bar: "Reading scene, 40 %", "Ready", "Asking"."""
        if self.phase == "opening":
            share = f", {self.opening.fraction:.0%}" if self.opening.total else ""
            return f"{self.opening.stage[:1].upper()}{self.opening.stage[1:]}{share}"
        return " ".join(filter(None, self.error)) if self.error else self.phase.capitalize()
