"""Draws true splats in the viewport: depth-sorted, alpha-blended Gaussians over the scene.

1. `packing` converts a cloud's arrays to texels.
2. `atlas` uploads the textures of all shown clouds.
3. `ordering` sorts the Gaussians by depth in a thread.
4. `look` makes the colours of the shown level.
5. `draw` issues one instanced draw call and one composite per redraw. `shaders` has their GLSL.

`probing` finds the Gaussian that a pixel shows. `packing`, `ordering` and `probing` do not use bpy.
"""
