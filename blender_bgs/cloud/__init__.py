"""The splat as a point cloud in Blender: attributes, properties, labels, selection, geometry nodes and material."""
