# mypy: disable-error-code="attr-defined"
# (The stubs do not know that an override is a context.)
"""Proxies of splat objects: closed meshes for collisions, shadows and holdouts, see `bgs_engine.cutouts.proxy`."""

from typing import Any

import bpy
from bgs_engine.core.errors import UsageError
from bgs_engine.cutouts.proxy import ProxyConfig, proxy_of

from ..cloud import companions
from ..cloud.gaussians import gaussians_of
from ..cloud.typed import Context, SplatObject

COLLIDES = "Proxy Collision"  # the name of the modifier
USES = (
    ("COLLISION", "Collision", "Things collide with it: rigid bodies, cloth, particles. It is not rendered"),
    ("SHADOW", "Shadow Catcher", "Cycles shows only the shadows that fall on it. Eevee has no shadow catchers"),
    ("HOLDOUT", "Holdout", "It cuts a hole into the picture, for compositing with rendered splats"),
    ("PLAIN", "Plain Mesh", "A mesh like any other, for a material of your own"),
)


def make_proxies(
    context: Context, objects: list[SplatObject], use: str, config: ProxyConfig
) -> tuple[list[bpy.types.Object], list[str]]:
    """Make or replace the proxy of each object. Returns the proxies and the names of objects that have no surface.

    All meshes are computed before anything is changed.

    Raises:
        UsageError: no object has a surface, or one is linked from another file, or its proxy is being edited.
        InputError: the shapes of an object cannot follow an edit of its points.
    """
    meshes, without = [], []
    for obj in objects:
        companions.need_editable(obj, companions.PROXY)
        try:
            meshes.append((obj, proxy_of(gaussians_of(obj), config)))
        except UsageError as error:
            if len(objects) == 1:
                raise UsageError(f"{obj.name} is too thin or too transparent for a proxy.", error.hint) from None
            without.append(obj.name)
    if not meshes:
        raise UsageError("These objects are too thin or too transparent for a proxy.", "Choose solid objects.")
    made = []
    for obj, mesh in meshes:
        proxy = companions.put(obj, companions.PROXY, f"{obj.name} Proxy", mesh.vertices, mesh.faces)
        _set_use(context, proxy, use)
        made.append(proxy)
    return made, without


def _set_use(context: Context, proxy: bpy.types.Object, use: str) -> None:
    """Set what depends on the use of a proxy, and undo what another use set."""
    mesh: Any = proxy.data
    mesh.shade_smooth()
    collides = use == "COLLISION"
    proxy.is_shadow_catcher, proxy.is_holdout = use == "SHADOW", use == "HOLDOUT"
    proxy.hide_render = collides
    proxy.display_type = "TEXTURED" if use == "PLAIN" else "WIRE"
    modifier = proxy.modifiers.get(COLLIDES)
    if collides and modifier is None:
        proxy.modifiers.new(COLLIDES, "COLLISION")
    if not collides and modifier is not None:
        proxy.modifiers.remove(modifier)
    if collides == (proxy.rigid_body is not None):
        return
    context.view_layer.update()  # rigid bodies need an object that Blender has evaluated
    with context.temp_override(active_object=proxy, object=proxy, selected_objects=[proxy],
                               selected_editable_objects=[proxy]):  # fmt: skip
        if not collides:
            bpy.ops.rigidbody.object_remove()
            return
        bpy.ops.rigidbody.object_add(type="PASSIVE")
    body: Any = proxy.rigid_body
    body.collision_shape, body.mesh_source = "MESH", "BASE"
    body.kinematic = True  # it follows its label object
