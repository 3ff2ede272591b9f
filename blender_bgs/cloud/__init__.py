"""The splat as a point cloud in Blender: attributes, properties, labels, selection, how Blender itself shows it."""
