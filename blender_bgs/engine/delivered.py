"""Which run the engine says it has made."""

import os
from pathlib import Path

from bgs_engine.core.errors import InputError
from bgs_engine.core.printable import without_surrogates

from .progress import UPDATE, Progress


def delivered_identity(state: Progress, run: Path) -> str:
    """The identity of the run that the engine says it has made.

    Args:
        state: of the job after its end.
        run: the folder that the engine was asked to write.

    Raises:
        InputError: the engine named no run, or another folder.
    """
    if state.delivered is None:
        raise InputError("The engine did not say which run it has made.", UPDATE)
    folder, identity = state.delivered
    if Path(folder) != Path(str(without_surrogates(os.path.realpath(run)))):
        raise InputError(
            f"The engine wrote its run to {folder}, and was asked for {run}.", "Import that folder, or segment again."
        )
    return identity
