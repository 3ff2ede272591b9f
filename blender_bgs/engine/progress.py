"""The state of a job, and how each event of the engine changes it. It does not use bpy.

What comes from another process may be anything: odd values change nothing, and floods do not fill the memory.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bgs_engine.core.events import PROTOCOL

UPDATE = "Press Install Engine: it installs the engine that came with this extension."
LARGEST = 1e15  # no count or time of a job comes near it
LONGEST_TEXT = 4000  # characters of a sentence or path; a longer one is cut
MOST = 500  # warnings, metrics and artifacts that are kept of a job


@dataclass(frozen=True)
class Progress:
    """The state of a job at one moment.

    `plan` has the name and the weight of every stage to come, and `place` is the present stage's place in it, or -1.
    `done` and `total` count steps of the stage. `eta` is the time left in the stage and `seconds` the time since the
    start, both in seconds. `error` is (message, hint) or None.
    """

    plan: tuple[tuple[str, float], ...] = ()
    place: int = -1
    stage: str = "starting"
    done: int = 0
    total: int = 0
    eta: float | None = None
    message: str = ""
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    error: tuple[str, str] | None = None
    cancelling: bool = False
    saving: bool = False  # the engine does something that must not be broken off
    completed: bool = False  # the engine said `done`
    delivered: tuple[str, str] | None = None  # the run that `done` named: its folder, its identity
    finished: bool = False
    returncode: int | None = None
    seconds: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether the job ended well: the engine said so, and its exit code agrees."""
        return self.finished and self.returncode == 0 and self.completed and self.error is None

    @property
    def cancelled(self) -> bool:
        """Whether the job has ended because the user cancelled it."""
        return self.finished and self.cancelling and not self.succeeded

    @property
    def fraction(self) -> float:
        """The share of the stage that is done, in 0..1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def overall(self) -> float:
        """The share of the whole job that is done, in 0..1. Without a plan it is that of the stage."""
        if not self.plan:
            return self.fraction
        if self.completed or self.place < 0:
            return float(self.completed)
        weights = [weight for _, weight in self.plan]
        return (sum(weights[: self.place]) + weights[self.place] * self.fraction) / sum(weights)


def advance(state: Progress, event: Mapping[str, Any]) -> Progress:
    """The state after one event. Unknown events and missing fields change nothing."""
    match event.get("event"):
        case "hello":
            protocol = _plain(event.get("protocol"))
            if protocol == PROTOCOL:
                return state
            return replace(state, error=(f"The engine speaks protocol {protocol}, this extension {PROTOCOL}.", UPDATE))
        case "plan":
            return replace(state, plan=_plan(event.get("stages")), place=-1)
        case "stage":
            name = _text(event.get("name"))
            later = [number for number, (known, _) in enumerate(state.plan) if known == name and number > state.place]
            place = later[0] if later else state.place  # a stage that the plan does not know belongs to the one before
            return replace(state, place=place, stage=name, done=0, total=0, eta=None, message="")
        case "progress":
            done, total = (int(_number(event.get(name)) or 0) for name in ("done", "total"))
            return replace(state, done=done, total=total, eta=_number(event.get("eta")))
        case "metric":
            name, value = _text(event.get("name")), _plain(event.get("value"))
            message = f"{name.replace('_', ' ')}: {_short(value)}"
            return replace(state, metrics=_with(state.metrics, name, value), message=message)
        case "artifact":
            kind, path = _text(event.get("kind")), _text(event.get("path"))
            return replace(state, artifacts=_with(state.artifacts, kind, path))
        case "warning":
            message = _text(event.get("message"))
            if len(state.warnings) >= MOST:
                return replace(state, message=message)
            return replace(state, warnings=(*state.warnings, message), message=message)
        case "saving":
            return replace(state, saving=True)
        case "saved":
            return replace(state, saving=False)
        case "error":
            return replace(state, error=(_text(event.get("message")), _text(event.get("hint"))))
        case "done":
            run, identity = _text(event.get("run")), _text(event.get("id"))
            delivered = (run, identity) if run and identity else None
            return replace(state, message="Done", eta=0.0, completed=True, delivered=delivered)
    return state


def event_in(line: str) -> dict[str, Any] | None:
    """The event that a line of standard output holds, or None."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _number(value: Any) -> float | None:
    """A finite number of an event, or None: what another program sends may be anything."""
    usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
    return value if usable else None  # NaN is not smaller than anything


def _plan(value: Any) -> tuple[tuple[str, float], ...]:
    """Names and positive weights of stages; empty if the value is anything else."""
    if not isinstance(value, list) or len(value) > MOST:
        return ()
    pairs = [(_text(item[0]), _number(item[1])) for item in value if isinstance(item, list) and len(item) == 2]
    usable = tuple((name, float(weight)) for name, weight in pairs if name and weight is not None and weight > 0)
    return usable if len(usable) == len(value) else ()


def _text(value: Any) -> str:
    """A text of an event; "" if it is none."""
    return value[:LONGEST_TEXT] if isinstance(value, str) else ""


def _plain(value: Any) -> Any:
    """The value of a metric: a text or a number; None if it is neither."""
    return _text(value) if isinstance(value, str) else _number(value)


def _with(known: Mapping[str, Any], name: str, value: Any) -> Mapping[str, Any]:
    """The mapping with one more entry, if it has room."""
    return known if name not in known and len(known) >= MOST else {**known, name: value}


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
