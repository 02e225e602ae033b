"""t-SNE: places in the plane where features that are near each other stay so (van der Maaten and Hinton, JMLR 2008).

Exact, of some thousand features at most: each step looks at every pair of them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lidar2d.errors import within

STEPS = 750
_EXAGGERATED = 250  # steps at the beginning, in which groups gather
_EXAGGERATION = 12.0  # of the attraction in those
_BISECTIONS = 64


@torch.no_grad()
def tsne(
    features: Tensor,
    seed: int,
    perplexity: float = 30.0,
    steps: int = STEPS,
    advance: Callable[[], None] = lambda: None,
) -> Tensor:
    """Return places (P, 2) in the plane of features (P, C), on their device; their scale and turn mean nothing.

    Args:
        features: compared by their Euclidean distance.
        seed: of the first places.
        perplexity: how many neighbours each feature has, softly.
        steps: of gradient descent with momentum.
        advance: is called after each step.

    Raises:
        SettingError: if the perplexity is not between 1 and P - 1.
    """
    count = len(features)
    within(1, count - 1, perplexity=perplexity)
    nearness = affinities(torch.cdist(features.double(), features.double()).square(), perplexity)
    slope = _Gradient(((nearness + nearness.T) / (2 * count)).to(features.dtype))
    generator = torch.Generator().manual_seed(seed)
    places = 1e-4 * torch.randn(count, 2, generator=generator, dtype=features.dtype).to(features.device)
    rate = max(count / (4 * _EXAGGERATION), 50.0)  # as scikit-learn has it, after Belkina et al. (2019)
    velocity, gains = torch.zeros_like(places), torch.ones_like(places)
    for step in range(steps):
        early = step < _EXAGGERATED
        gradient = slope(places, _EXAGGERATION if early else 1.0)
        # a rate for each coordinate: larger while it keeps its direction (Jacobs, 1988)
        gains = torch.where(gradient * velocity < 0, gains + 0.2, gains * 0.8).clamp_min(0.01)
        velocity = (0.5 if early else 0.8) * velocity - rate * gains * gradient
        places = places + velocity
        advance()
    return places - places.mean(0)


def affinities(distances: Tensor, perplexity: float) -> Tensor:
    """Return how near each other row is to a row (P, P), as shares of 1, with the asked perplexity of every row.

    Equation (1) of the paper; the width of each row's Gaussian is found by bisection.

    Args:
        distances: (P, P) squared.
        perplexity: exp of the entropy of a row; one whose nearest rows are more than that, all as near, keeps them all.
    """
    distances = distances.clone().fill_diagonal_(torch.inf)
    distances = distances - distances.min(1, keepdim=True).values  # what all have in common cancels out
    target = torch.tensor(perplexity, dtype=distances.dtype).log()
    low = distances.new_zeros(len(distances), 1)
    high, precision = torch.full_like(low, torch.inf), torch.ones_like(low)
    for _ in range(_BISECTIONS):
        wide = torch.special.entr(torch.softmax(-precision * distances, 1)).sum(1, keepdim=True) > target
        low, high = torch.where(wide, precision, low), torch.where(wide, high, precision)
        precision = torch.where(high.isinf(), 2 * precision, (low + high) / 2)
    return torch.softmax(-precision * distances, 1)


class _Gradient:
    """The gradient of the Kullback-Leibler divergence, equation (5) of the paper, in memory that every step uses again.

    Args:
        joint: (P, P) how near pairs of features are, as shares of 1.
    """

    def __init__(self, joint: Tensor) -> None:
        self.joint, self.student, self.pull = joint, torch.empty_like(joint), torch.empty_like(joint)

    def __call__(self, places: Tensor, exaggeration: float) -> Tensor:
        """Return the gradient (P, 2) at places (P, 2), with attraction exaggerated so many times."""
        length = places.square().sum(1)
        torch.mm(places, places.T, out=self.student)
        self.student.mul_(-2).add_(length[:, None]).add_(length).add_(1).reciprocal_().fill_diagonal_(0)
        torch.mul(self.student, -1 / self.student.sum(), out=self.pull)
        self.pull.add_(self.joint, alpha=exaggeration).mul_(self.student)
        return 4 * (self.pull.sum(1, keepdim=True) * places - self.pull @ places)
