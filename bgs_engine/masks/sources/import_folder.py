"""`import:FOLDER`: masks that another program made."""

from bgs_engine.masks.proposer import MaskProposer
from bgs_engine.masks.sources.mask_source import MaskSource, SourceSettings, path_from


def open_folder(argument: str, settings: SourceSettings) -> MaskProposer:
    """The masks in a folder."""
    from bgs_engine.masks.imported import ImportedMasks

    return ImportedMasks(path_from(argument))


SOURCES = (MaskSource("import", open_folder, "FOLDER"),)
