"""Feature quality at a glance: nearest neighbours, rank, and how steady features stay from clear to adverse."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from lidar2d.bench.neighbours import Bank, Read, draw, fill
from lidar2d.bench.protocol import ALL, Protocol, Session, Splits, Verdict, by_condition
from lidar2d.data.card import Card
from lidar2d.data.twins import scenes
from lidar2d.errors import UsageError, within
from lidar2d.frame import Frame, collate
from lidar2d.metrics.rank import effective_rank, rank_me
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.tasks.kept import device_of
from lidar2d.tasks.probing import image_reader, point_reader
from lidar2d.tasks.segmentation import Scores


class Glance(Protocol):
    """What frozen features are like, without training.

    ``knn/miou`` and ``knn/accuracy`` are of a vote of the nearest neighbours, each with the weight exp(cosine / 0.07)
    as in DINO's evaluation (arXiv 2104.14294); ``rank_me`` and ``effective_rank`` say how many directions features use;
    ``cosine`` is the similarity of a pixel's centred feature to that of its twin in clear weather, where there is one.

    Args:
        of: whose features.
        neighbours: that vote.
        bank: features of labelled frames, in all.
        rows: of each judged frame.
    """

    def __init__(
        self, of: Literal["points", "images"], neighbours: int = 20, bank: int = 20000, rows: int = 512
    ) -> None:
        within(1, neighbours=neighbours, bank=bank, rows=rows)
        self.of, self.neighbours, self.bank, self.rows = of, neighbours, bank, rows

    def reads(self, card: Card) -> Literal["points", "images"]:  # noqa: ARG002 as of every data set
        """Return whose features are looked at."""
        return self.of

    @torch.no_grad()
    def judge(self, encoder: PointEncoder | ImageEncoder, splits: Splits, session: Session) -> list[Verdict]:
        """Look at the features under each condition of the test frames.

        Raises:
            UsageError: if frames have no labels.
        """
        encoder.eval()
        read, test = _reader(encoder), splits.test
        bank = fill(splits.learn, read, self.bank, session)
        scores = {name: Scores(test.card.classes) for name in by_condition(test)}
        seen: dict[str, list[Tensor]] = defaultdict(list)
        cosines: dict[str, list[float]] = defaultdict(list)
        centre = bank.features.mean(0)
        advance = session.progress("test", len(test))
        for rows in scenes(test):
            clear: Tensor | None = None  # features of the scene's frame in clear weather
            for row in rows:
                frame, condition = test[row], test.conditions[row]
                features, labels = read(frame)
                drawn = draw(frame, len(features), self.rows, session.seed)
                vote = self._vote(bank, features[drawn], len(test.card.classes))
                cosine = None
                if condition in test.card.clear:
                    clear = features
                elif clear is not None and len(clear) == len(features) and self.of == "images":
                    cosine = float(cosine_similarity(features - centre, clear - centre).mean())
                for name in {condition, ALL} & set(scores):
                    scores[name].update(vote.cpu(), labels[drawn].cpu())
                    seen[name].append(features[drawn])
                    if cosine is not None:
                        cosines[name].append(cosine)
                advance()
        return [
            Verdict(name, _numbers(scores[name], torch.cat(seen[name]), cosines[name]), len(seen[name]), "none")
            for name in scores
        ]

    def _vote(self, bank: Bank, queries: Tensor, classes: int) -> Tensor:
        cosine, row = bank.nearest(queries, self.neighbours)
        votes = queries.new_zeros(len(queries), classes)
        return votes.scatter_add(1, bank.truth[row], (cosine / 0.07).exp()).argmax(1)


def _numbers(scores: Scores, features: Tensor, cosines: list[float]) -> dict[str, float]:
    knn = scores.compute()
    found = {"knn/miou": knn["miou"], "knn/accuracy": knn["accuracy"]}
    found |= {"rank_me": rank_me(features), "effective_rank": effective_rank(features)}
    return {**found, "cosine": sum(cosines) / len(cosines)} if cosines else found


def _reader(encoder: PointEncoder | ImageEncoder) -> Read:
    """Read labelled points, or labelled pixels on a grid."""
    of = point_reader(encoder) if isinstance(encoder, PointEncoder) else image_reader(encoder)

    def read(frame: Frame) -> tuple[Tensor, Tensor]:
        batch = collate([frame])
        if isinstance(encoder, PointEncoder) and batch.labels is None:
            raise UsageError("the frames have no labels of points")
        if isinstance(encoder, ImageEncoder):
            batch.need("pixel_labels")
        features, labels, _ = of(batch.to(device_of(encoder)))
        return features[labels >= 0], labels[labels >= 0]

    return read
