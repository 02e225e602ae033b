"""nuScenes in its official layout."""

from lidar2d.data.nuscenes.reader import NuScenes

__all__ = ["NuScenes"]
