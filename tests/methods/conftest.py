import pytest
import torch
from plain import PlainImages, PlainPoints, make_frame

from lidar2d.frame import collate


@pytest.fixture
def batch():
    frames = [make_frame(0), make_frame(1, "fog"), make_frame(2), make_frame(3, "night", points=150)]
    return collate(frames, seeds=[10, 11, 12, 13], clear=["day"])


@pytest.fixture
def encoders():
    torch.manual_seed(0)
    return PlainPoints(), PlainImages()
