"""`sam`, `sam2`, `sam3` and `hf:NAME_OR_FOLDER`: models of the transformers library."""

from bgs_engine.masks.proposer import MaskProposer
from bgs_engine.masks.sources.mask_source import MaskSource, SourceSettings, prompted

HUB_NAMES = {
    "sam": "facebook/sam-vit-base",
    "sam2": "facebook/sam2.1-hiera-small",
    "sam3": "facebook/sam3",
}


def open_model(argument: str, settings: SourceSettings) -> MaskProposer:
    """The model of this name on the hub, or in this folder."""
    from bgs_engine.masks.transformers_model import TransformersSam

    return prompted(TransformersSam(argument.strip(), settings.device, settings.fetch), settings)


def _named(name: str) -> MaskSource:
    return MaskSource(name, lambda _, settings: open_model(HUB_NAMES[name], settings))


SOURCES = (*map(_named, HUB_NAMES), MaskSource("hf", open_model, "NAME_OR_FOLDER"))
