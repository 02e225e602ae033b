"""How good frozen features are: linear probes by condition, and how steady features stay from clear to adverse.

Protocols: ``seg2d-ridge/lidar2d@1`` reads an image encoder at the centres of a 4-pixel grid; ``seg3d-ridge/lidar2d@1``
reads a point encoder at its points. Both fit a :class:`~lidar2d.tasks.ridge.RidgeProbe` on the card's probe split,
once on its clear frames and once on all its conditions, and pool one confusion matrix a condition over the test split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, interpolate

from lidar2d.data.card import Card
from lidar2d.data.source import Source
from lidar2d.data.twins import scenes
from lidar2d.frame import Batch, collate
from lidar2d.metrics.confusion import confusion, iou, mean_iou
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.progress import Progress
from lidar2d.tasks.ridge import RidgeProbe

GRID = 4  # pixels between the places where image features are judged

# a batch in; rows of features (P, C), their classes (P,) and the frame (P,) of each row out
Reader = Callable[[Batch], tuple[Tensor, Tensor, Tensor]]


@dataclass
class Judged:
    """What one encoder's frozen features are worth."""

    clear_probe: dict[str, Tensor] = field(default_factory=dict)  # condition -> confusion matrix
    mixed_probe: dict[str, Tensor] = field(default_factory=dict)
    cosine: dict[str, float] = field(default_factory=dict)  # condition -> similarity to the clear twin


def image_reader(encoder: ImageEncoder, half: bool = False) -> Reader:
    """Read an image encoder at the centres of the grid; ``half`` computes its maps in bfloat16."""

    def read(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        assert batch.pixel_labels is not None
        labels = batch.pixel_labels[:, GRID // 2 :: GRID, GRID // 2 :: GRID]
        with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=half):
            maps = encoder(batch.images)
        maps = maps.float()
        if maps.shape[-2:] != labels.shape[-2:]:
            maps = interpolate(maps, labels.shape[-2:], mode="bilinear", align_corners=False)
        frame = batch.view_frame[:, None, None].expand(labels.shape)
        return maps.permute(0, 2, 3, 1).flatten(0, 2), labels.flatten(), frame.flatten()

    return read


def point_reader(encoder: PointEncoder, half: bool = False) -> Reader:
    """Read a point encoder at its points; ``half`` computes its features in bfloat16."""

    def read(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        assert batch.labels is not None
        with torch.autocast(batch.points.device.type, torch.bfloat16, enabled=half):
            features = encoder(batch)
        return features.float(), batch.labels, batch.point_frame

    return read


@torch.no_grad()
def judge(
    readers: Mapping[str, Reader],
    channels: Mapping[str, int],
    probe: Source,
    test: Source,
    progress: Progress,
    rows_of_twins_correspond: bool,
) -> dict[str, Judged]:
    """Fit the probes and judge every encoder under every condition, reading each frame once.

    Args:
        readers: the encoders by name, as :func:`image_reader` or :func:`point_reader` gives them.
        channels: of each encoder.
        probe: labelled frames on which the probes are fitted.
        test: labelled frames on which they are judged; frames whose tokens differ in the condition alone are twins.
        progress: shows how far it is.
        rows_of_twins_correspond: as pixels do, and points of two sweeps do not; only then is their cosine taken.
    """
    card = test.card
    classes = len(card.classes)
    clear_probes = {name: RidgeProbe(channels[name], classes) for name in readers}
    mixed_probes = {name: RidgeProbe(channels[name], classes) for name in readers}
    advance = progress("probe", len(probe))
    for batch in _by_scene(probe):
        for name, read in readers.items():
            for condition, features, labels in _by_condition(read, batch):
                mixed_probes[name].add(features, labels)
                if condition in card.clear:
                    clear_probes[name].add(features, labels)
        for _ in range(len(batch)):
            advance()
    judged = {name: Judged() for name in readers}
    cosines: dict[tuple[str, str], list[float]] = {}
    advance = progress("test", len(test))
    for batch in _by_scene(test):
        for name, read in readers.items():
            centre = clear_probes[name].mean()
            twin: Tensor | None = None
            for condition, features, labels in _by_condition(read, batch):
                for probes, matrices in (
                    (clear_probes, judged[name].clear_probe),
                    (mixed_probes, judged[name].mixed_probe),
                ):
                    counted = confusion(probes[name].predict(features), labels, classes)
                    matrices[condition] = matrices.get(condition, torch.zeros_like(counted)) + counted
                centred = features - centre
                if condition in card.clear:
                    twin = centred
                elif twin is not None and rows_of_twins_correspond:
                    cosines.setdefault((name, condition), []).append(cosine_similarity(twin, centred).mean().item())
        for _ in range(len(batch)):
            advance()
    for (name, condition), values in cosines.items():
        judged[name].cosine[condition] = sum(values) / len(values)
    return judged


def summarise(judged: Judged, card: Card) -> dict[str, object]:
    """Put an encoder's judgement into plain numbers: mIoU in percent by condition, adverse means, class IoUs."""
    summary: dict[str, object] = {"cosine": judged.cosine}
    for name, matrices in (("clear_probe", judged.clear_probe), ("mixed_probe", judged.mixed_probe)):
        by_condition = {condition: 100 * mean_iou(matrix).item() for condition, matrix in matrices.items()}
        adverse = [value for condition, value in by_condition.items() if condition not in card.clear]
        clear = [value for condition, value in by_condition.items() if condition in card.clear]
        summary[name] = {
            "miou": by_condition,
            "clear": sum(clear) / len(clear) if clear else None,
            "adverse": sum(adverse) / len(adverse) if adverse else None,
            "iou": {
                condition: dict(zip(card.classes, (100 * iou(matrix)).tolist(), strict=True))
                for condition, matrix in matrices.items()
            },
        }
    return summary


def _by_scene(source: Source) -> Iterator[Batch]:
    """Yield a source's frames, twins together and the clear one first."""
    for rows in scenes(source):
        yield collate([source[row] for row in rows])


def _by_condition(read: Reader, batch: Batch) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Read a batch and yield each frame's rows with its condition."""
    features, labels, owner = read(batch)
    for frame, condition in enumerate(batch.conditions):
        yield condition, features[owner == frame], labels[owner == frame]
