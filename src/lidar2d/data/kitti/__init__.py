"""KITTI and the data sets made of it, in their official layouts."""

from lidar2d.data.kitti.object import Kitti
from lidar2d.data.kitti.odometry import SemanticKitti
from lidar2d.data.kitti.raw import KittiRaw

__all__ = ["Kitti", "KittiRaw", "SemanticKitti"]
