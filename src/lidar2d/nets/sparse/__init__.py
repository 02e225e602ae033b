"""Sparse convolution; no sparse type leaves ``nets``."""

from lidar2d.nets.sparse.backends import Backend, Name, named
from lidar2d.nets.sparse.conv import ConvOnto, InverseConv, PointwiseConv, StridedConv, SubmanifoldConv
from lidar2d.nets.sparse.dense import read_bev, to_bev
from lidar2d.nets.sparse.grid import Grid
from lidar2d.nets.sparse.kernel import Kernel
from lidar2d.nets.sparse.tensor import SparseTensor
from lidar2d.nets.sparse.voxels import Voxels, cylindrical, voxelise

__all__ = [
    "Backend",
    "ConvOnto",
    "Grid",
    "InverseConv",
    "Kernel",
    "Name",
    "PointwiseConv",
    "SparseTensor",
    "StridedConv",
    "SubmanifoldConv",
    "Voxels",
    "cylindrical",
    "named",
    "read_bev",
    "to_bev",
    "voxelise",
]
