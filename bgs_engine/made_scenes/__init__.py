"""Made scenes with exact answers, for `bgs demo`, the tests and the benchmarks."""

from bgs_engine.made_scenes.scene import SceneConfig, make_scene

__all__ = ["SceneConfig", "make_scene"]
