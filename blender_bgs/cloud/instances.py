"""The instances of splat objects: collection instances, and what geometry nodes put on points.

A duplicate that shares its points (Alt-D) is an object like any other, and no instance.
"""

from dataclasses import dataclass
from typing import Any, cast

import bpy
import numpy as np

from . import point_clouds
from .typed import SplatObject


@dataclass(frozen=True)
class Instance:
    """One instance: the splat object that it shows, the object that makes it, and its world matrix [4, 4]."""

    obj: SplatObject
    parent: bpy.types.Object
    world: np.ndarray


def instances_in(depsgraph: bpy.types.Depsgraph) -> list[Instance]:
    """The instances of splat objects in the evaluated scene."""
    found = []
    for one in depsgraph.object_instances:
        # The frame of a splat is an instance too: a mesh of the same object.
        if not one.is_instance or one.object.type != "POINTCLOUD" or one.parent is None:
            continue
        obj, parent = cast(Any, one.object.original), cast(Any, one.parent.original)
        if point_clouds.is_splat(obj) and parent != obj:
            found.append(Instance(obj, parent, np.array(one.matrix_world, np.float64)))
    return found
