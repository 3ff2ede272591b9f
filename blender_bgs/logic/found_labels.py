"""Reads what the engine found by words."""

import json
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from bgs_engine.core.errors import InputError
from bgs_engine.core.palette import Key

MOST = 100_000  # labels of an answer


@dataclass(frozen=True)
class FoundLabel:
    """A label that the engine compared with the words. score: 0..1. fits: it is nearer to the words than to others."""

    level: int
    label: int
    score: float
    fits: bool

    @property
    def key(self) -> Key:
        """(level, label)."""
        return self.level, self.label


def answer_in(lines: Iterable[str]) -> Any:
    """The answer among lines that the engine wrote: the last one that is a JSON object with labels.

    Raises:
        InputError: there is none.
    """
    found = None
    for line in lines:
        if line.startswith("{") and '"labels"' in line:
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                continue
    if not isinstance(found, dict):
        raise _damaged()
    return found


def found_labels(answer: Any, known: Collection[Key]) -> list[FoundLabel]:
    """The labels of an answer that are among the `known` ones, best first.

    Args:
        answer: what `bgs find --json` wrote: {"labels": [{"level": 2, "label": 7, "score": 0.6, "found": true}]}.
        known: the (level, label) of all labels of the splat.

    Raises:
        InputError: it is something else.
    """
    rows = answer.get("labels") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or len(rows) > MOST:
        raise _damaged()
    found = [one for one in map(_found_label, rows) if one.key in known]
    return sorted(found, key=lambda one: -one.score)


def _found_label(row: Any) -> FoundLabel:
    try:
        level, label, score = int(row["level"]), int(row["label"]), float(row["score"])
        fits = bool(row["found"])
    except (TypeError, KeyError, ValueError, OverflowError):
        raise _damaged() from None
    if not math.isfinite(score):
        raise _damaged()
    return FoundLabel(level, label, score, fits)


def _damaged() -> InputError:
    return InputError("The engine's answer cannot be read.", "Update the engine: press Install Engine.")
