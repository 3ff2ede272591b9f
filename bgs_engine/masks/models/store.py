"""Where fetched mask models lie, and which of them can be used."""

import importlib.util
from pathlib import Path

from bgs_engine.core.errors import EnvironmentLacksError, InputError
from bgs_engine.core.files import sha256
from bgs_engine.core.input_files import file_size, is_file
from bgs_engine.core.mask_models import BETTER_MODELS, BetterModel

PACKAGES = ("torch", "transformers")  # that run the models


def folder_of(model: BetterModel) -> Path:
    """The folder of a model in the user's cache. Another revision has another one."""
    import platformdirs

    cache = Path(platformdirs.user_cache_dir("bgs_engine", appauthor=False))
    return cache / "models" / f"{model.name}@{model.revision[:12]}"


def is_here(model: BetterModel) -> bool:
    """Whether its files are here in their full size. A file gets its name only after its digest was checked."""
    folder = folder_of(model)
    return all(is_file(folder / file.name) and file_size(folder / file.name) == file.size for file in model.files)


def missing_packages() -> list[str]:
    """The packages that run the models and that this environment lacks. Nothing is imported to find out."""
    return [package for package in PACKAGES if importlib.util.find_spec(package) is None]


def best_usable() -> BetterModel | None:
    """The first model of the list that is here, or None; also None if a package is missing."""
    return None if missing_packages() else next(filter(is_here, BETTER_MODELS), None)


def checked_folder(model: BetterModel) -> Path:
    """The folder of a model, with its files checked against their digests.

    Raises:
        EnvironmentLacksError: a file is not here.
        InputError: a file is not the published one.
    """
    folder = folder_of(model)
    again = f"Run: bgs models --fetch {model.name}. In Blender, press Fetch below Check Engine."
    for file in model.files:
        path = folder / file.name
        if not is_file(path):
            raise EnvironmentLacksError(f"The mask model {model.name} is not on this machine.", again)
        if sha256(path) != file.sha256:
            raise InputError(f"{path} is not the published file of {model.name}.", f"Delete it. {again}")
    return folder
