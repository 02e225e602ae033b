"""Feature quality at a glance: nearest neighbours, rank, and how steady features stay from clear to adverse."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from lidar2d.bench.neighbours import Bank, Read, draw, fill
from lidar2d.bench.protocol import ALL, Look, Protocol, Reads, Session, Splits, Verdict, by_condition
from lidar2d.bench.tsne import STEPS, tsne
from lidar2d.data.card import Card
from lidar2d.data.twins import scenes
from lidar2d.errors import UsageError, within
from lidar2d.frame import Frame, collate
from lidar2d.metrics.rank import effective_rank, rank_me
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.tasks.kept import device_of
from lidar2d.tasks.probing import image_reader, point_reader
from lidar2d.tasks.segmentation import Scores

_SHOWN = 1000  # features of the map
_PERPLEXITY = 30.0


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

    def __init__(self, of: Reads, neighbours: int = 20, bank: int = 20000, rows: int = 512) -> None:
        within(1, neighbours=neighbours, bank=bank, rows=rows)
        self.of, self.neighbours, self.bank, self.rows = of, neighbours, bank, rows

    def reads(self, card: Card) -> Reads:  # noqa: ARG002 as of every data set
        """Return whose features are looked at."""
        return self.of

    @torch.no_grad()
    def judge(self, encoder: PointEncoder | ImageEncoder, splits: Splits, session: Session) -> list[Verdict]:
        """Look at the features under each condition of the test frames.

        Raises:
            UsageError: if frames have no labels.
        """
        encoder = session.remembering(encoder.eval())
        test = splits.test
        read = _reader(encoder)
        bank = fill(splits.learn, read, self.bank, session)
        centre = bank.features.mean(0)
        scores = {name: Scores(test.card.classes) for name in by_condition(test)}
        cosines: dict[str, list[float]] = defaultdict(list)
        seen: list[_Seen] = []
        advance = session.progress("test", len(test))
        for rows in scenes(test):
            clear: Tensor | None = None  # features of the scene's frame in clear weather
            for row in rows:
                frame, condition = test[row], test.conditions[row]
                features, labels = read(frame)
                drawn = draw(frame, len(features), self.rows, session.seed)
                seen.append(_Seen(condition, features[drawn], labels[drawn].cpu()))
                vote = self._vote(bank, seen[-1].features, len(test.card.classes)).cpu()
                names = {condition, ALL} & set(scores)
                for name in names:
                    scores[name].update(vote, seen[-1].labels)
                if condition in test.card.clear:
                    clear = features
                elif clear is not None and len(clear) == len(features) and self.of == "images":
                    cosine = float(cosine_similarity(features - centre, clear - centre).mean())
                    for name in names:
                        cosines[name].append(cosine)
                advance()
        if session.look is not None:
            self._show(seen, session, session.look)
        found = {name: [each for each in seen if name in (each.condition, ALL)] for name in scores}
        return [
            Verdict(name, _numbers(scores[name], own, cosines[name]), len(own), "none") for name, own in found.items()
        ]

    def _vote(self, bank: Bank, queries: Tensor, classes: int) -> Tensor:
        cosine, row = bank.nearest(queries, self.neighbours)
        votes = queries.new_zeros(len(queries), classes)
        return votes.scatter_add(1, bank.truth[row], (cosine / 0.07).exp()).argmax(1)

    def _show(self, seen: Sequence[_Seen], session: Session, look: Look) -> None:
        """Show a map of features, by t-SNE of their cosines, condition after condition."""
        order = list(dict.fromkeys(each.condition for each in seen))
        seen = sorted(seen, key=lambda each: order.index(each.condition))
        features, labels = torch.cat([each.features for each in seen]), torch.cat([each.labels for each in seen])
        conditions = [each.condition for each in seen for _ in each.labels]
        chosen = _balanced(conditions, labels, session.seed)
        perplexity = min(_PERPLEXITY, (len(chosen) - 1) / 3)
        if perplexity < 1:
            return
        advance = session.progress("t-SNE", STEPS)
        places = tsne(normalize(features[chosen], dim=1), session.seed, perplexity, advance=advance)
        what = "pixels" if self.of == "images" else "points"
        about = (
            f"Features of {len(chosen)} {what} of the test frames in two dimensions, by t-SNE of their cosines "
            f"(perplexity {perplexity:.0f}, seed {session.seed}); as many of each condition and class, where there are "
            "enough. What lies together is alike; how far apart groups lie, and how large they are, says little."
        )
        look.features(places.cpu(), labels[chosen], [conditions[row] for row in chosen.tolist()], about)


def _balanced(conditions: Sequence[str], labels: Tensor, seed: int) -> Tensor:
    """Draw rows of features to be shown: as many of each condition and class (P,), where there are enough."""
    order = np.random.default_rng(seed).permutation(len(labels))
    counts: Counter[tuple[str, int]] = Counter()
    turn = []  # how many of the same kind came before each
    for row in order:
        kind = conditions[row], int(labels[row])
        turn.append(counts[kind])
        counts[kind] += 1
    return torch.from_numpy(order[np.argsort(turn, kind="stable")[:_SHOWN]]).sort().values


@dataclass(frozen=True)
class _Seen:
    """What was drawn of a frame."""

    condition: str
    features: Tensor  # (P, C)
    labels: Tensor  # (P,) on the CPU


def _numbers(scores: Scores, seen: Sequence[_Seen], cosines: list[float]) -> dict[str, float]:
    knn, features = scores.compute(), torch.cat([each.features for each in seen])
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
