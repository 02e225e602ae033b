"""nuImages in its official layout."""

from lidar2d.data.nuimages.reader import NuImages

__all__ = ["NuImages"]
