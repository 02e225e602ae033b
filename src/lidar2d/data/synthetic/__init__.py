"""The embedded default data set: a seeded street scene, ray-cast into LiDAR and cameras by one scene model."""
