"""The training loop: one view a step, checkpoints, cancel and resume.

Everything random in step t comes from (seed, t), so a resumed run gives the codes of an uninterrupted one.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bgs_engine.core.errors import CancelledError, InputError, OutputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.files import writing
from bgs_engine.core.input_files import is_file
from bgs_engine.io.arrays import open_arrays
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.steps import Steps

REPORT_EVERY = 50  # steps between two loss figures
MOST_BYTES = 4096  # of a number or a name in a checkpoint


@dataclass(frozen=True)
class Checkpoint:
    """Where a checkpoint lies and how often it is written, seconds; it is never written if path is None."""

    path: Path | None = None
    seconds: float = 30.0
    fingerprint: str = ""  # of all inputs and settings that must be equal to resume


def train(steps: Steps, views: int, config: TrainConfig, checkpoint: Checkpoint, reporter: Reporter) -> None:
    """Train in place, on as many views as there are.

    Raises:
        CancelledError: the user asked to stop; the checkpoint is written.
        OutputError: the user asked to stop, and the checkpoint cannot be written.
    """
    reporter.stage("Training")
    first = load_checkpoint(steps, checkpoint)
    saved = time.monotonic()
    total = config.steps(views)
    with reporter.saving("training"):  # steps are short, and the last one writes the checkpoint
        for step in range(first, total):
            try:
                reporter.progress(step, total)
            except CancelledError:
                save_checkpoint(steps, step, checkpoint)
                raise
            rng = np.random.default_rng((config.seed, step))
            feature_rate = config.first_feature_rate * 0.1 ** (step / total)
            steps.take(view_of_step(step, views, config.seed), rng, feature_rate, config.opacity_rate)
            if (step + 1) % REPORT_EVERY == 0:
                loss = steps.loss()
                if loss is not None:
                    reporter.metric("loss", round(loss, 6))
            if time.monotonic() - saved > checkpoint.seconds:
                try:
                    save_checkpoint(steps, step + 1, checkpoint)
                except OutputError as error:  # there may be room for the result, or at the next time
                    reporter.warning(f"The checkpoint was not written, and training goes on. {error}")
                saved = time.monotonic()
    reporter.progress(total, total)


def view_of_step(step: int, views: int, seed: int) -> int:
    """The view that a step looks at: a new permutation of all views every epoch."""
    epoch, place = divmod(step, views)
    return int(np.random.default_rng((seed, 1 << 20, epoch)).permutation(views)[place])


def save_checkpoint(steps: Steps, step: int, checkpoint: Checkpoint) -> None:
    """Write the state after `step` steps; a failed write leaves the old file."""
    if checkpoint.path is None:
        return
    with writing(checkpoint.path) as stream:
        np.savez(stream, allow_pickle=False, step=step, fingerprint=checkpoint.fingerprint, **steps.state())


def load_checkpoint(steps: Steps, checkpoint: Checkpoint) -> int:
    """Steps already done: 0 without a checkpoint.

    Raises:
        InputError: the checkpoint is damaged or belongs to other data or settings.
    """
    if checkpoint.path is None or not is_file(checkpoint.path):
        return 0
    wanted = steps.state()
    with open_arrays(checkpoint.path, "Run again without --resume.") as archive:
        if str(archive.read("fingerprint", MOST_BYTES)) != checkpoint.fingerprint:
            raise InputError(
                "The checkpoint belongs to another scene or other settings.",
                "Run again without --resume to start anew.",
            )
        done = int(archive.read("step", MOST_BYTES))
        state = {name: archive.read(name, values.nbytes) for name, values in wanted.items()}
        fits = all(state[name].shape == values.shape for name, values in wanted.items())
        if done < 0 or not fits or any(state[name].dtype != values.dtype for name, values in wanted.items()):
            raise ValueError("its arrays are not those of this scene")
    steps.load_state(state)
    return done
