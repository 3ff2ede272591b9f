"""Makes a dataset from a bare splat: guesses the up axis, places cameras, renders views and measures their coverage."""

from bgs_engine.views.make import ViewsConfig, ViewsResult, make_views

__all__ = ["ViewsConfig", "ViewsResult", "make_views"]
