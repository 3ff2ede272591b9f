"""Runs `python -m blender_bgs COMMAND ...` in a Python that has the bpy wheel."""

import os
import sys

import bpy

from . import registration
from .headless import command_line

bpy.ops.wm.read_factory_settings(use_empty=True)
registration.register()
try:
    code = command_line.main(sys.argv[1:])
finally:
    # A class that is still registered when Python ends makes some bpy wheels crash or hang.
    registration.unregister()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)
