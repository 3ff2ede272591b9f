"""What a mask source declares about itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bgs_engine.masks.proposer import MaskProposer

# What a source says that would have to fetch something and must not: the fact, and what to do.
NOT_ALLOWED = (
    "It has to be downloaded once, and this job may not go online.",
    "In Blender, tick Preferences > System > Allow Online Access. On the command line, leave out --no-fetch.",
)

if TYPE_CHECKING:
    from bgs_engine.masks.automatic import PromptConfig
    from bgs_engine.masks.prompting import PromptableModel


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """What the masks stage asks of every source. A source ignores the settings that do not concern it.

    `prompting` says how a promptable model is asked; None means its defaults. `threads` is the number of threads of
    one call of a model on the processor; 0 means all. `device` is auto, cpu or cuda. `fetch` allows to download what
    is missing.
    """

    prompting: "PromptConfig | None" = None
    threads: int = 0
    device: str = "auto"
    fetch: bool = True


@dataclass(frozen=True)
class MaskSource:
    """A mask source that users call `name`, or `name:ARGUMENT` if there is an `argument`.

    `open` takes the text behind the colon and the settings. It raises `UsageError` if the text makes no sense,
    `InputError` if a file or folder cannot be read, and `EnvironmentLacksError` if a package is missing.
    `fetch` brings what the source needs onto this machine, for sources that need no name of a model. Its argument says
    whether it may go online.
    """

    name: str
    open: Callable[[str, SourceSettings], MaskProposer]
    argument: str = ""
    note: str = ""
    fetch: Callable[[bool], object] | None = None

    @property
    def usage(self) -> str:
        """How to write it on the command line."""
        text = f"{self.name}:{self.argument}" if self.argument else self.name
        return f"{text} ({self.note})" if self.note else text


def prompted(model: "PromptableModel", settings: SourceSettings) -> MaskProposer:
    """A promptable model that is asked all over each image."""
    from bgs_engine.masks.automatic import AutomaticMasks

    return AutomaticMasks(model, settings.prompting)


def path_from(text: str) -> Path:
    """A path as users type it."""
    return Path(text.strip()).expanduser()
