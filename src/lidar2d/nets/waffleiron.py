"""WaffleIron: a LiDAR network of 2D convolutions on three flattened views and of layers that mix channels.

Puy et al., Using a Waffle Iron for Automotive Point Cloud Semantic Segmentation (ICCV 2023, arXiv:2301.10100), with
layer norm as in ScaLR (arXiv:2310.17504); the defaults are a small one, :class:`WaffleIron768` is ScaLR's. It needs no
sparse convolution: one point of every small cube is a token, and a view is the mean of the tokens of each of its cells.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor, nn

from lidar2d.errors import within
from lidar2d.frame import Batch
from lidar2d.nets.encoder import PointEncoder
from lidar2d.nets.norm import BatchNorm
from lidar2d.nets.sparse import voxelise

# x, y, z; metres; of a frame that lies beyond altogether, the points count into the outermost cells
LOW = (-64.0, -64.0, -8.0)
HIGH = (64.0, 64.0, 8.0)
CELLS = (256, 256, 32)
VIEWS = ((0, 1), (0, 2), (1, 2))  # the axes that a view keeps; layers take them in turn

# of nuScenes' intensities 0..255 (ScaLR)
INTENSITY_MEAN = 18.742355
INTENSITY_STD = 22.04632


class WaffleIron(PointEncoder):
    """Every layer smooths the tokens over one flattened view, and then mixes their channels.

    Tokens are the first points of cubes within the views; any other point has the feature of the token nearest to it.

    Args:
        channels: of the features that come out; None leaves the last layer out.
        width: channels of a token.
        depth: layers.
        neighbours: tokens around a token that it is first made from.
        voxel_size: metres, of the cubes; 0 makes a token of every point. Weights depend on it: it says what is near.
        drop_path: share of frames for which a layer's change is left out in training.
        intensity_mean: of the intensities 0..1; they enter standardised.
        intensity_std: of the intensities 0..1.
        weights: a file to begin from: of a run, or released by others (docs/weights.md); None begins at random.

    Raises:
        UsageError: if the weights do not fit.
    """

    head = "classif."

    def __init__(
        self,
        channels: int | None = 64,
        width: int = 48,
        depth: int = 6,
        neighbours: int = 16,
        voxel_size: float = 0.1,
        drop_path: float = 0.0,
        intensity_mean: float = INTENSITY_MEAN / 255,
        intensity_std: float = INTENSITY_STD / 255,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        within(1, channels=channels, width=width, depth=depth)
        within(1, 256, neighbours=neighbours)
        within(0, voxel_size=voxel_size)
        within(0, 0.99, drop_path=drop_path)
        within(1e-6, intensity_std=intensity_std)
        self.channels = channels or width
        self.neighbours, self.voxel_size = neighbours, voxel_size
        self.intensity_mean, self.intensity_std = intensity_mean, intensity_std
        self.embed = Embedding(5, width)
        self.waffleiron = nn.ModuleDict(
            {
                "spatial_mix": nn.ModuleList(SpatialMix(width, drop_path) for _ in range(depth)),
                "channel_mix": nn.ModuleList(ChannelMix(width, drop_path) for _ in range(depth)),
            }
        )
        self.classif = nn.Linear(width, channels) if channels else nn.Identity()
        if weights is not None:
            self.load(Path(weights))

    def settings(self) -> dict[str, object]:
        """Return what says which tokens there are, what is near to them, and how intensities enter."""
        intensity = {"intensity_mean": self.intensity_mean, "intensity_std": self.intensity_std}
        return {"voxel_size": self.voxel_size, "neighbours": self.neighbours, **intensity}

    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Return features (P, channels) of the points at ``rows`` (P,), or of all points."""
        kept, spread = choose_tokens(batch.points[:, :3], batch.point_frame, self.voxel_size)
        points, frame = batch.points[kept], batch.point_frame[kept]
        xyz = points[:, :3]
        intensity = (points[:, 3:4] - self.intensity_mean) / self.intensity_std
        inputs = torch.cat([intensity, xyz, xyz.norm(dim=1, keepdim=True)], dim=1)
        tokens = self.embed(inputs, nearest(xyz, frame, self.neighbours))
        views = [View(xyz, frame, axes, len(batch)) for axes in VIEWS]
        layers = zip(self.waffleiron["spatial_mix"], self.waffleiron["channel_mix"], strict=True)  # type: ignore[call-overload]
        for depth, (smooth, mix) in enumerate(layers):
            tokens = mix(smooth(tokens, views[depth % len(views)]), frame)
        # by index_select throughout: several threads sum the gradient of an index in any order
        if rows is not None:
            tokens = tokens.index_select(0, spread[rows])
        found: Tensor = self.classif(tokens)
        return found.index_select(0, spread) if rows is None else found


class WaffleIron768(WaffleIron):
    """ScaLR's network, 48 layers of 768 channels: arguments as in :class:`WaffleIron`."""

    def __init__(
        self,
        channels: int | None = 1024,
        voxel_size: float = 0.1,
        drop_path: float = 0.0,
        intensity_mean: float = INTENSITY_MEAN / 255,
        intensity_std: float = INTENSITY_STD / 255,
        weights: str | None = None,
    ) -> None:
        super().__init__(
            channels,
            width=768,
            depth=48,
            voxel_size=voxel_size,
            drop_path=drop_path,
            intensity_mean=intensity_mean,
            intensity_std=intensity_std,
            weights=weights,
        )


class View:
    """The cells of one flattened view, and which of them holds each point.

    Args:
        xyz: (N, 3) metres.
        frame: (N,) frame of each point.
        axes: the two that are kept.
        frames: in the batch.
    """

    def __init__(self, xyz: Tensor, frame: Tensor, axes: tuple[int, int], frames: int) -> None:
        low, high, cells = (xyz.new_tensor([bounds[axis] for axis in axes]) for bounds in (LOW, HIGH, CELLS))
        place = ((xyz[:, list(axes)] - low) / ((high - low) / cells)).floor()
        place = place.clamp(torch.zeros_like(cells), cells - 1).long()
        self.shape = frames, CELLS[axes[0]], CELLS[axes[1]]
        self.cell = (frame * self.shape[1] + place[:, 0]) * self.shape[2] + place[:, 1]  # (N,)
        count = torch.bincount(self.cell, minlength=frames * self.shape[1] * self.shape[2])
        self.share = 1 / count.clamp(min=1)[self.cell]  # (N,) of each point in its cell's mean

    def flatten(self, tokens: Tensor) -> Tensor:
        """Return the mean token of each cell, (frames, C, H, W), of tokens (N, C); zero in empty cells."""
        frames, height, width = self.shape
        sums = tokens.new_zeros(frames * height * width, tokens.shape[1])
        sums = sums.index_add(0, self.cell, tokens * self.share.to(tokens.dtype)[:, None])
        return sums.view(frames, height, width, -1).permute(0, 3, 1, 2)

    def inflate(self, maps: Tensor) -> Tensor:
        """Return each point's cell, (N, C), of maps (frames, C, H, W)."""
        return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]).index_select(0, self.cell)


class Embedding(nn.Module):
    """A point's first token: from its own numbers, and from those of its neighbours relative to its own."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.norm = BatchNorm(inputs)
        self.conv1 = nn.Linear(inputs, width)
        # as numbered in the released weights; 3 is the ReLU
        self.conv2 = nn.ModuleDict(
            {
                "0": BatchNorm(inputs),
                "1": nn.Linear(inputs, width, bias=False),
                "2": BatchNorm(width),
                "4": nn.Linear(width, width, bias=False),
            }
        )
        self.final = nn.Linear(2 * width, width)

    def forward(self, inputs: Tensor, near: Tensor) -> Tensor:
        """Return tokens (N, width) for inputs (N, C) and neighbours (N, K), rows of the inputs."""
        inputs = self.norm(inputs)
        count, around = near.shape
        # not inputs[near], whose gradient several threads sum in any order
        apart = (F.embedding(near, inputs) - inputs[:, None]).flatten(0, 1)
        conv2 = self.conv2
        hidden = F.relu(conv2["2"](conv2["1"](conv2["0"](apart))))
        strongest = conv2["4"](hidden).unflatten(0, (count, around)).amax(1)
        found: Tensor = self.final(torch.cat([self.conv1(inputs), strongest], dim=1))
        return found


class LayerScale(nn.Module):
    """A factor for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width).uniform_(-1, 1))  # as the published code begins

    def forward(self, x: Tensor) -> Tensor:
        """Scale channels, the last axis."""
        return x * self.weight


class SpatialMix(nn.Module):
    """Two 3x3 convolutions, each within its channel, over a flattened view."""

    def __init__(self, width: int, drop_path: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.ffn = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, groups=width),
        )
        self.scale = LayerScale(width)
        self.drop_path = drop_path

    def forward(self, tokens: Tensor, view: View) -> Tensor:
        """Return tokens (N, C) smoothed over the view."""
        change = self.scale(view.inflate(self.ffn(view.flatten(self.norm(tokens)))))
        frame = view.cell // (view.shape[1] * view.shape[2])
        return tokens + _drop_path(change, frame, self.drop_path if self.training else 0.0)


class ChannelMix(nn.Module):
    """Two layers that mix the channels of each token."""

    def __init__(self, width: int, drop_path: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.scale = LayerScale(width)
        self.drop_path = drop_path

    def forward(self, tokens: Tensor, frame: Tensor) -> Tensor:
        """Return tokens (N, C) with their channels mixed."""
        change = self.scale(self.mlp(self.norm(tokens)))
        return tokens + _drop_path(change, frame, self.drop_path if self.training else 0.0)


def _drop_path(change: Tensor, frame: Tensor, share: float) -> Tensor:
    """Leave out the change of a share of the frames, and enlarge that of the others to keep the mean."""
    if share == 0 or not len(frame):
        return change
    kept = torch.rand(int(frame.max()) + 1, device=frame.device) >= share
    return change * (kept[frame] / (1 - share)).to(change.dtype)[:, None]


@torch.no_grad()
def choose_tokens(xyz: Tensor, frame: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """Keep the first point of every cube, counted from the least coordinates of its frame, if it lies within the views.

    A size of 0 makes no cubes; a frame that has no point within the views keeps those beyond.

    Returns:
        Rows (M,) of the points that are kept, ascending; and for every point (N,) which of those M is nearest to it.
    """
    counts = torch.bincount(frame)  # (frames,)
    kept = torch.arange(len(xyz), device=xyz.device)
    if size:
        index = frame[:, None].expand(-1, 3)
        low = xyz.new_zeros(len(counts), 3).scatter_reduce(0, index, xyz, "amin", include_self=False)
        cubes = ((xyz - low[frame]) / size).floor()
        # what lies beyond the views, however far, is gathered in cubes next to them
        before = ((xyz.new_tensor(LOW) - low) / size).floor().clamp_min(0)
        most = (xyz.new_tensor(HIGH) - xyz.new_tensor(LOW)) / size + 2
        cubes = torch.minimum((cubes - before[frame]).clamp_min(-2), most)
        kept = voxelise(cubes + 0.5, frame, (1.0, 1.0, 1.0)).first.sort().values
    inside = ((xyz[kept] > xyz.new_tensor(LOW)) & (xyz[kept] < xyz.new_tensor(HIGH))).all(1)
    beyond = torch.ones_like(counts, dtype=torch.bool).index_fill(0, frame[kept[inside]], False)
    kept = kept[inside | beyond[frame[kept]]]
    spread = torch.empty_like(frame)
    for present in counts.nonzero()[:, 0].tolist():
        rows, among = (frame == present).nonzero()[:, 0], (frame[kept] == present).nonzero()[:, 0]
        spread[rows] = among[_closest(xyz[rows], xyz[kept[among]], 1)[:, 0]]
    return kept, spread


@torch.no_grad()
def nearest(xyz: Tensor, frame: Tensor, count: int) -> Tensor:
    """Return the rows (N, count) of each point's nearest others in its frame, the nearest first.

    Where a frame has fewer, its points stand for themselves in the places that are left.
    """
    found = torch.arange(len(xyz), device=xyz.device)[:, None].repeat(1, count)
    for index in torch.bincount(frame).nonzero()[:, 0].tolist():
        rows = (frame == index).nonzero()[:, 0]
        some = min(count, len(rows) - 1)
        if some:
            found[rows, :some] = rows[_nearest_of(xyz[rows], some)]
    return found


def _nearest_of(xyz: Tensor, count: int) -> Tensor:
    near = _closest(xyz, xyz, count + 1)
    # a point may come after another that lies on it: whichever column holds it, or the last, is left out
    own = torch.arange(len(xyz), device=xyz.device)[:, None]
    at = (near == own).int()
    at[:, -1] |= ~(near == own).any(1)
    return near[at == 0].view(len(xyz), count)


def _closest(xyz: Tensor, among: Tensor, count: int) -> Tensor:
    """Return which of the other points (N, count) are closest to each of (N, 3), the closest first."""
    return (_by_distances if xyz.is_cuda else _by_tree)(xyz, among, count)


def _by_distances(xyz: Tensor, among: Tensor, count: int) -> Tensor:
    # by differences: by matrix products, cdist's own choice, points 40 m away are off by a centimetre
    exact = "donot_use_mm_for_euclid_dist"
    parts = (torch.cdist(part, among, compute_mode=exact) for part in torch.split(xyz, 2048))
    return torch.cat([part.topk(count, largest=False).indices for part in parts])


def _by_tree(xyz: Tensor, among: Tensor, count: int) -> Tensor:
    _, places = cKDTree(among.numpy()).query(xyz.numpy(), k=range(1, count + 1))
    return torch.from_numpy(places)
