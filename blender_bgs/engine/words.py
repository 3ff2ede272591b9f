"""Asks the engine which labels fit some words, and keeps its answer for the panel."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bgs_engine.core.errors import EnvironmentLacksError

from ..cloud.typed import SplatObject
from ..interface.operator_base import counted
from ..logic.found_labels import FoundLabel, answer_in, found_labels
from .job import Job
from .locate import command
from .preferred import preferences
from .progress import Progress
from .runner import PlainTask

MOST = 60  # labels that the engine lists


@dataclass(frozen=True)
class Answer:
    """The labels that were compared with some words, best first, and the run that the engine looked at."""

    words: str
    run_id: str
    found: tuple[FoundLabel, ...]

    @property
    def fitting(self) -> list[FoundLabel]:
        """The labels that fit."""
        return [one for one in self.found if one.fits]


_answers: dict[int, Answer] = {}  # by the session_uid of the whole cloud; the last one counts


def forget() -> None:
    """Forget all answers."""
    _answers.clear()


def forget_answer(obj: SplatObject) -> None:
    """Forget the answer about a splat."""
    _answers.pop(obj.session_uid, None)


def answer_of(obj: SplatObject) -> Answer | None:
    """The last answer about a splat, if its labels still come from the same run."""
    answer = _answers.get(obj.session_uid)
    return answer if answer is not None and answer.run_id == obj.bgs.run_id else None


class FindTask(PlainTask):
    """The task of Find by Words."""

    def __init__(self, obj: SplatObject, words: str, log: Path) -> None:
        """Args:
        obj: the whole cloud.
        words: what is looked for.
        log: that of the job. The engine writes its answer there.
        """
        super().__init__("Find by Words", "")
        self.splat_uid = obj.session_uid
        self._words, self._run_id, self._log = words, obj.bgs.run_id, log
        self._names = {(row.level, row.label): row.name for row in obj.bgs.labels}
        self._answer: Answer | None = None

    def prepare(self, _state: Progress) -> None:
        """Read the answer."""
        with self._log.open(encoding="utf-8", errors="replace") as lines:
            found = found_labels(answer_in(lines), self._names)
        self._answer = Answer(self._words, self._run_id, tuple(found))

    def apply(self) -> Iterator[None]:
        """Keep it for the panel."""
        assert self._answer is not None and self.splat_uid is not None
        _answers[self.splat_uid] = self._answer
        yield

    def summary(self) -> str:
        """How many labels fit, and the best one."""
        assert self._answer is not None
        fitting = self._answer.fitting
        if not fitting:
            return f'No label fits "{self._words}"'
        best = fitting[0]
        fit = f"{counted(len(fitting), 'label')} {'fits' if len(fitting) == 1 else 'fit'}"
        return f'{fit} "{self._words}", best {self._names[best.key]} of level {best.level} ({best.score:.2f})'


def start_find(python: Path, run: Path, words: str, log: Path) -> Job:
    """Start the engine's `bgs find`, which writes its answer into the log. It fetches no model.

    Raises:
        EnvironmentLacksError: the engine's Python cannot be started.
    """
    model = preferences().words_model.strip()
    options = ["--top", str(MOST), "--json", "--events", *(["--model", model] if model else [])]
    try:
        return Job(command(python, ["find", str(run), *options, "--", words]), log=log)
    except OSError as error:
        raise EnvironmentLacksError(f"{python} cannot be started: {error.strerror}.", "Press Install Engine.") from None
