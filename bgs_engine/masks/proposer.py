"""The interface of every mask source: an image goes in, and scored binary masks come out."""

from typing import TYPE_CHECKING, Protocol

import numpy as np

from bgs_engine.masks.prompting import Check

if TYPE_CHECKING:  # compiles with Numba, and the command line's help text must come at once
    from bgs_engine.masks.bits import MaskStack


class MaskProposer(Protocol):
    """Proposes masks for an image."""

    crops: bool  # whether `propose` may be given a part of the image instead of the whole

    def key(self, stem: str) -> str:
        """A key of everything besides its pixels that the masks of the view `stem` depend on."""

    def propose(self, image: np.ndarray, stem: str, check: Check, where: np.ndarray | None = None) -> "MaskStack":
        """Scored masks of an image, uint8 [H, W, 3].

        Args:
            check: called often; it raises once the user asked to stop.
            where: bool [H, W], the only pixels whose masks matter, or None for all.
        """

    def stop(self) -> None:
        """End a running `propose` in another thread as soon as possible."""
