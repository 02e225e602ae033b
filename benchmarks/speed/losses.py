"""Time and memory of the losses' parts beside the plain form of the same equations, in one process.

    python benchmarks/speed/losses.py --threads 2 --out losses.json

The plain forms are written here from the equations, the way the released code has them: superpixels as sparse one-hot
matrices, the density as a matrix of all pairs by all rings, classes in a loop, the lift as an outer product of depth
and context, pixel features as a whole map. Sizes are those of a step on nuScenes: a frame of six images of 224 x 416,
60,000 pairs, 64 channels. Every part is checked against its plain form first. Milliseconds, the best of several;
megabytes, the most that the allocator held at once beyond the inputs.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from lidar2d.frame import Pairs
from lidar2d.losses.density import density
from lidar2d.losses.vmf import VonMisesFisher, concentration
from lidar2d.nets.bev import lift
from lidar2d.nets.decoder import Decoder
from lidar2d.writing import write_atomically

VIEWS, SIZE, PAIRS, CHANNELS = 6, (224, 416), 60_000, 64
Work = Callable[[], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a file for the same in JSON")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, no GPU",
        "threads": given.threads,
        "torch": torch.__version__,
        "parts": {},
    }
    for name, make in PARTS.items():
        ours, plain, tolerance = make()
        off = float((ours() - plain()).detach().abs().max() / plain().detach().abs().max())
        if off > tolerance:
            raise SystemExit(f"{name} does not agree with its plain form: off by {off:.1e}")
        found = {
            "ms": best(ours),
            "plain ms": best(plain),
            "MB": most(ours),
            "plain MB": most(plain),
        }
        result["parts"][name] = found
        print(
            f"{name:24s}{found['ms']:10.2f} ms, {found['plain ms'] / found['ms']:8.1f} times as fast;"
            f"{found['MB']:10.1f} MB, {found['MB'] / found['plain MB']:.3f} of the plain form's",
            flush=True,
        )
    if given.out:
        write_atomically(given.out, lambda unfinished: unfinished.write_text(json.dumps(result, indent=1) + "\n"))


def superpixels() -> tuple[Work, Work, float]:
    """Mean unit pixel of each of 150 superpixels an image, with the gradient to the head."""
    decoder = Decoder(256, CHANNELS, align_corners=True)
    maps = torch.randn(VIEWS, 256, 56, 104)
    segment = _tiles()
    count = int(segment.max()) + 1
    weights = torch.randn(count, CHANNELS)

    def ours() -> Tensor:
        return _gradient(decoder, (decoder.pooled(maps, segment, count) * weights).sum())

    def plain() -> Tensor:
        pixels = F.normalize(decoder(maps, SIZE), dim=1).permute(0, 2, 3, 1).flatten(0, 2)
        places = torch.stack([segment.flatten(), torch.arange(segment.numel())])
        one_hot = torch.sparse_coo_tensor(places, torch.ones(segment.numel()), (count, segment.numel()))
        number = torch.sparse.sum(one_hot, 1).to_dense()[:, None]
        return _gradient(decoder, ((one_hot @ pixels) / (number + 1e-6) * weights).sum())

    return ours, plain, 1e-4


def pixels() -> tuple[Work, Work, float]:
    """Unit pixels of 4,096 pairs, with the gradient to the head."""
    decoder = Decoder(256, CHANNELS, align_corners=True)
    maps = torch.randn(VIEWS, 256, 7, 13)
    row, column = (torch.randint(side, (4096,)) for side in SIZE)
    found = Pairs(
        torch.arange(4096), torch.randint(VIEWS, (4096,)), torch.stack([column, row], 1) + 0.5, torch.ones(4096)
    )
    weights = torch.randn(4096, CHANNELS)

    def ours() -> Tensor:
        return _gradient(decoder, (F.normalize(decoder.at(maps, found, SIZE), dim=1) * weights).sum())

    def plain() -> Tensor:
        whole = F.normalize(decoder(maps, SIZE), dim=1)
        return _gradient(decoder, (whole[found.view, :, row, column] * weights).sum())

    return ours, plain, 1e-4


def rings() -> tuple[Work, Work, float]:
    """Density of the ring of each pair."""
    values = (torch.rand(PAIRS).square() * 500).long()

    def plain() -> Tensor:
        width = 1.06 * values.double().std() * PAIRS**-0.2
        places, back = torch.unique(values, return_inverse=True)
        found = []
        for part in torch.split(places.double(), 64):  # all at once would take gigabytes
            apart = (part[:, None] - values.double()[None]) / width
            found.append(torch.exp(-0.5 * apart.square()).sum(1) / (PAIRS * width * math.sqrt(2 * math.pi)))
        return torch.cat(found)[back]

    return lambda: density(values), plain, 1e-9


def directions() -> tuple[Work, Work, float]:
    """Running means of 17 classes and their distributions' parameters."""
    vectors, labels = F.normalize(torch.randn(PAIRS, CHANNELS), dim=1), torch.randint(17, (PAIRS,))

    net = VonMisesFisher(17, CHANNELS, 0.1, legacy=True)

    def ours() -> Tensor:
        net.mean.zero_()  # as in the first step
        net.update(vectors, labels)
        mean, kappa = net.parameters_of_classes()
        return torch.cat([mean.flatten(), kappa])

    def plain() -> Tensor:
        directions, kappas = [], []
        for c in range(17):
            mean = 0.1 * vectors[labels == c].mean(0)
            length = mean.norm()
            directions.append(mean / length)
            kappas.append(concentration(length, CHANNELS))
        return torch.cat([torch.cat(directions), torch.stack(kappas)])

    return ours, plain, 1e-3


def ground() -> tuple[Work, Work, float]:
    """Lift of two images to all cells that they see, 118 depths, with gradients; the plain form holds the volume."""
    views, bins, height, width = 2, 118, 28, 52
    context = torch.randn(views, CHANNELS, height, width, requires_grad=True)
    odds = torch.randn(views, bins, height, width).softmax(1).requires_grad_()
    cells = _fan(views, bins, height, width)
    wanted = torch.unique(cells[cells >= 0])
    weights = torch.randn(len(wanted), CHANNELS)

    def ours() -> Tensor:
        grads = torch.autograd.grad((lift(context, odds, cells, wanted) * weights).sum(), [context, odds])
        return torch.cat([grad.flatten() for grad in grads])

    def plain() -> Tensor:
        volume = (odds[:, :, None] * context[:, None]).permute(0, 1, 3, 4, 2).reshape(-1, CHANNELS)
        inside = cells.flatten() >= 0
        bag = torch.searchsorted(wanted, cells.flatten()[inside])
        found = torch.zeros(len(wanted), CHANNELS).index_add(0, bag, volume[inside])
        grads = torch.autograd.grad((found * weights).sum(), [context, odds])
        return torch.cat([grad.flatten() for grad in grads])

    return ours, plain, 1e-5


PARTS: dict[str, Callable[[], tuple[Work, Work, float]]] = {
    "superpixel pooling": superpixels,
    "pixels of pairs": pixels,
    "density of rings": rings,
    "directions of classes": directions,
    "lift to the ground": ground,
}


def _gradient(decoder: Decoder, loss: Tensor) -> Tensor:
    return torch.autograd.grad(loss, decoder.project.weight)[0]


def _tiles() -> Tensor:
    row, column = torch.meshgrid(torch.arange(SIZE[0]) // 22, torch.arange(SIZE[1]) // 28, indexing="ij")
    image = row * (int(column.max()) + 1) + column
    return image + (int(image.max()) + 1) * torch.arange(VIEWS)[:, None, None]


def _fan(views: int, bins: int, height: int, width: int) -> Tensor:
    """Cells of 0.4 m that rays of two cameras, 60 degrees wide and back to back, pass."""
    angle = (torch.arange(width) / width - 0.5) * math.pi / 3
    depth = 1 + 0.5 * torch.arange(bins)
    facing = torch.tensor([1.0, -1.0])[:views]
    x = facing[:, None, None] * depth[:, None] * angle.cos()
    y = facing[:, None, None] * depth[:, None] * angle.sin()
    place = torch.stack([((v + 51.2) / 0.4).floor().long() for v in (x, y)])
    cell = torch.where(((place >= 0) & (place < 256)).all(0), place[0] * 256 + place[1], -1)
    return cell[:, :, None].expand(-1, -1, height, -1).contiguous()


def best(work: Work, repeats: int = 5) -> float:
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return round(min(seconds[1:]) * 1e3, 3)


def most(work: Work) -> float:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    held = peak = 0
    for event in sorted(found.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return round(peak / 1e6, 3)


if __name__ == "__main__":
    main()
