"""Make a dataset from a bare splat: guess which way is up, place cameras, render, measure what they cover."""

from bgs_engine.views.make import ViewsConfig, ViewsResult, make_views

__all__ = ["ViewsConfig", "ViewsResult", "make_views"]
