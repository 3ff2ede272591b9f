"""What several engine tests share: one small made scene."""

from pathlib import Path

import pytest

from bgs_engine.core.events import Reporter
from bgs_engine.made_scenes import SceneConfig, make_scene


@pytest.fixture(scope="session")
def small_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A furnished room: 12,000 Gaussians, ten training views and two held-out ones of 160x120, nested faulty masks."""
    folder = tmp_path_factory.mktemp("made") / "scene"
    make_scene(folder, SceneConfig(gaussians=12_000, views=10, test_views=2, size=(160, 120)), Reporter())
    return folder
