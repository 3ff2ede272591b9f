"""True splats in the viewport: depth-sorted, alpha-blended Gaussians, drawn over the scene by a draw handler.

Arrays to texels (`packing`) → textures of all shown clouds (`atlas`) → order by depth in a thread (`ordering`) →
colours of the level (`look`) → one instanced draw call and one composite per redraw (`draw`, GLSL in `shaders`).
`probing` answers which Gaussian a pixel shows. `packing`, `ordering` and `probing` know no bpy.
"""
