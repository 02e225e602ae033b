"""Sparse convolution in pure PyTorch; no sparse type leaves this package."""

from lidar2d.nets.sparse.conv import DownConv, PointwiseConv, SubmanifoldConv, UpConv
from lidar2d.nets.sparse.grid import Grid, SparseTensor
from lidar2d.nets.sparse.voxels import Voxels, cylindrical, voxelise

__all__ = [
    "DownConv",
    "Grid",
    "PointwiseConv",
    "SparseTensor",
    "SubmanifoldConv",
    "UpConv",
    "Voxels",
    "cylindrical",
    "voxelise",
]
