"""What multiplies features by kernels: one interface, and the libraries behind it."""

from lidar2d.nets.sparse.backends.backend import Backend, Name, named

__all__ = ["Backend", "Name", "named"]
