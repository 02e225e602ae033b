"""lidar2d: distillation between cameras and LiDAR, one data layer and one harness."""

__version__ = "0.1.0"
