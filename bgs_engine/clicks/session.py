"""A session: one scene, its views and a mask model, ready to answer prompts."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bgs_engine.clicks.prompt import Answer, Prompt
from bgs_engine.core.cameras import Camera
from bgs_engine.masks.prompting import Check, PromptableModel
from bgs_engine.raster.scene import RasterScene


class ClickSession:
    """Answers prompts about one scene. It is used by one thread at a time."""

    def __init__(
        self,
        scene: RasterScene,
        offset: np.ndarray,
        cameras: Sequence[Camera],
        encoded: Callable[[int], Any],
        model: PromptableModel,
        labels: np.ndarray | None,
    ) -> None:
        """Nothing is computed yet.

        Args:
            scene: the splat.
            offset: float64 [3], what was subtracted from the positions of the PLY file.
            cameras: the views, in the scene's coordinates.
            encoded: the model's features of a view's picture, by its number. It may take a second.
            model: the mask model.
            labels: int32 [L, N], the label of each Gaussian at each level, in the scene's order; None: no run.
        """

    def answer(self, prompt: Prompt, check: Check) -> Answer:
        """Suggestions for a prompt.

        Raises:
            InputError: no view sees a place, or nothing is there.
            CancelledError: raised by `check`.
        """
        raise NotImplementedError
