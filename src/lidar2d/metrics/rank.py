"""How many directions features use."""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-7


def rank_me(features: Tensor) -> float:
    """Return RankMe of features (P, C): exp of the entropy of their normalised singular values, 1..C.

    Garrido et al. (arXiv 2210.02885), equation 1; the features are not centred there.
    """
    values = torch.linalg.svdvals(features.double())
    share = values / values.sum().clamp_min(_TINY) + _TINY
    return float(torch.exp(-(share * share.log()).sum()))


def effective_rank(features: Tensor) -> float:
    """Return exp of the entropy of the variances along the principal axes of features (P, C) (Roy and Vetterli, 2007).

    Features are centred, so that a constant has rank 1 whatever it is.
    """
    centred = features.double() - features.double().mean(0)
    values = torch.linalg.eigvalsh(centred.T @ centred).clamp_min(0)
    share = values / values.sum().clamp_min(_TINY)
    return float(torch.exp(torch.special.entr(share).sum()))
