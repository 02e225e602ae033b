"""How other libraries keep the weights of a sparse convolution in memory.

lidar2d keeps them as MinkowskiEngine does, (K, C_in, C_out) with the first axis of the coordinates fastest in K, or
(C_in, C_out) where K is 1. spconv has five axes; its kernel axes are those of the coordinates backwards, z, y, x. Where
K is 1, every version of spconv reads the numbers in the order (C_in, C_out), also where it declares them otherwise
(traveller59/spconv, issue 450): only their shape changes.
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn

from lidar2d.nets.sparse.conv import PointwiseConv, SparseConv
from lidar2d.nets.sparse.kernel import Triple

Layout = Literal["minkowski", "spconv", "spconv-1", "spconv-native"]

# which axis of (z, y, x, C_in, C_out) stands where
_AXES: dict[Layout, tuple[int, int, int, int, int]] = {
    "spconv": (4, 0, 1, 2, 3),  # 2.x
    "spconv-1": (0, 1, 2, 3, 4),  # 1.x, and the one inside MMCV
    "spconv-native": (0, 1, 2, 4, 3),  # 2.0 and 2.1 where their native algorithm was chosen
}


def kernels(net: nn.Module) -> dict[str, Triple]:
    """Return the names of a network's kernels, and the size of each along the axes of the coordinates."""
    found = {}
    for name, module in net.named_modules():
        if isinstance(module, (SparseConv, PointwiseConv)):
            found[f"{name}.kernel"] = module.geometry.size if isinstance(module, SparseConv) else (1, 1, 1)
    return found


def lay_out(kernel: Tensor, size: Triple, layout: Layout) -> Tensor:
    """Return a kernel of lidar2d's in another layout."""
    if layout == "minkowski":
        return kernel
    full = (*reversed(size), *kernel.shape[-2:])
    if kernel.ndim == 2:
        return kernel.reshape([full[axis] for axis in _AXES[layout]])
    return kernel.reshape(full).permute(_AXES[layout]).contiguous()


def restore(weight: Tensor, shape: tuple[int, ...], layout: Layout) -> Tensor:
    """Return a weight of another layout as lidar2d's kernel of a shape."""
    if layout == "minkowski":
        return weight
    if len(shape) == 2:
        return weight.reshape(shape)
    axes = _AXES[layout]
    back = [axes.index(axis) for axis in range(len(axes))]
    return weight.permute(back).reshape(shape).contiguous()


def layouts_of(weight: tuple[int, ...], kernel: tuple[int, ...], size: Triple) -> set[Layout]:
    """Return the layouts in which a kernel of lidar2d's, by its shape and size, would have a weight's shape."""
    full = (*reversed(size), *kernel[-2:])
    found: set[Layout] = {"minkowski"} if weight == kernel else set()
    return found | {layout for layout, axes in _AXES.items() if weight == tuple(full[axis] for axis in axes)}


ALL: tuple[Layout, ...] = get_args(Layout)
