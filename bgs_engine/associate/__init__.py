"""Association: masks of all views → segments of the scene → a first code for every Gaussian, without training.

`votes` (which mask each Gaussian shows in each view) → `merge` (masks that share Gaussians become segments) →
`consensus` (segments and votes refine each other) → `assign` (nested labels and distinct codes).
"""
