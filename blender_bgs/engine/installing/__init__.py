"""Makes the engine's environment, as a program of its own: `main` is its start.

It runs in a Python that has nothing but the standard library. `locate.install_command` adds the engine's wheel to its
path, so that it shares `bgs_engine.core` with everything else.
"""
