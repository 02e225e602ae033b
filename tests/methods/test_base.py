import math
from dataclasses import replace

import pytest
import torch

from lidar2d.errors import DataError, UsageError
from lidar2d.geometry import pairs
from lidar2d.methods.base import Stage
from lidar2d.methods.collab import Collab
from lidar2d.methods.olivine import Olivine
from lidar2d.methods.photometric import Photometric
from lidar2d.methods.ppkt import PPKT
from lidar2d.methods.supervised import Supervised


def test_a_stage_takes_steps_or_epochs():
    assert Stage(steps=7).total_steps(100) == 7
    assert Stage(epochs=3).total_steps(100) == 300
    for stage in (Stage(), Stage(steps=1, epochs=1)):
        with pytest.raises(UsageError, match="either steps or epochs"):
            stage.total_steps(10)


def test_cosine_falls_from_one_to_zero_after_the_warm_up():
    stage = Stage(steps=110, warmup=10)
    rates = [stage.rate(step, 110, 5) for step in range(110)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(1)
    assert rates[60] == pytest.approx(0.5)
    assert rates[109] == pytest.approx(0, abs=1e-3)


def test_cosine_by_epoch_is_constant_within_an_epoch():
    stage = Stage(epochs=4, decay="cosine-by-epoch")
    rates = [stage.rate(step, 40, 10) for step in range(40)]
    for epoch in range(4):
        expected = 0.5 * (1 + math.cos(math.pi * epoch / 4))
        assert rates[10 * epoch : 10 * epoch + 10] == pytest.approx([expected] * 10)


def test_photometric_is_zero_where_nothing_is_distorted(encoders, batch):
    method = Photometric(*encoders, tune=Stage(steps=1), distorted=0.0)
    method.begin("tune", 1)
    assert method.losses(batch)["consistency"].item() == pytest.approx(0, abs=1e-10)
    method.distorted = 1.0
    assert method.losses(batch)["consistency"].item() > 0.01


def test_a_loss_that_is_not_finite_stops_with_its_name(encoders, batch):
    method = Photometric(*encoders, tune=Stage(steps=1), distorted=1.0)
    method.begin("tune", 1)
    with torch.no_grad():
        next(method.images.parameters()).fill_(math.nan)
    with pytest.raises(UsageError, match="consistency nan"):
        method.training_step(batch, 0)


def test_a_method_that_does_not_say_what_it_teaches_is_refused(encoders):
    class Silent(Photometric):
        student = None

    with pytest.raises(UsageError, match="Silent does not say what it teaches: add student"):
        Silent(*encoders, tune=Stage(steps=1))


def test_pairs_are_counted_and_a_calibration_that_never_shows_a_point_is_told(encoders, batch):
    method = Photometric(*encoders, tune=Stage(steps=1))
    logged = {}
    method.log = lambda name, value, **_: logged.__setitem__(name, value)
    method.log_dict = lambda *_, **__: None
    away = replace(batch, points=batch.points + torch.tensor([0.0, 0, 1000, 0]))
    method.losses = lambda given: {"none": torch.zeros(()) * len(method.paired(given))}
    method.training_step(batch, 0)
    assert logged["pairs"] == len(pairs(batch)) > 0
    for step in range(19):
        method.training_step(away, step)
        assert logged["pairs"] == 0
    with pytest.raises(DataError, match=r"20 steps.*frame-0"):
        method.training_step(away, 19)
    method.training_step(batch, 20)
    method.training_step(away, 21)  # counted anew


def test_points_that_the_network_does_not_see_are_no_pairs(encoders, batch):
    method = PPKT(*encoders, Stage(steps=1))
    every = method.paired(batch)
    method.points.sees = lambda points: points[:, 0] < 10
    some = method.paired(batch)
    assert 0 < len(some) < len(every)
    assert torch.equal(some.point, every.point[batch.points[every.point, 0] < 10])


class Elsewhere:
    """A batch that can only be moved to where the method is."""

    def __init__(self, batch):
        self.batch = batch

    def to(self, device):
        assert device == torch.device("cpu")
        return self.batch


@pytest.mark.parametrize("kind", ["collab", "olivine"])
def test_what_is_looked_at_before_the_first_step_is_moved_to_the_method(encoders, batch, kind):
    stage = Stage(steps=1)
    method = {
        "collab": lambda: Collab(*encoders, align=stage, anchor=stage, codes=3),
        "olivine": lambda: Olivine(*encoders, stage, labels="clusters", classes=3),
    }[kind]()
    method.look([Elsewhere(batch)])
    assert method.codes.found


def test_supervised_goes_on_where_no_pixel_is_labelled(encoders, batch):
    method = Supervised(*encoders, classes=3, learn=Stage(steps=1)).train()
    loss = method.losses(replace(batch, pixel_labels=torch.full((len(batch.images), 32, 48), -1)))["cross_entropy"]
    assert loss.item() == 0
