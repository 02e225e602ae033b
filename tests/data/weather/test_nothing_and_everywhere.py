"""Weather of no strength is clear air; and a frame in bad weather is the same, whoever reads it and when."""

from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader

from lidar2d.data.card import load_card
from lidar2d.data.weather.camera import Exposure, MotionBlur
from lidar2d.data.weather.faults import BeamLoss, CrossSensor, Crosstalk
from lidar2d.data.weather.fog import Fog
from lidar2d.data.weather.frames import Bad, corrupt, fingerprint
from lidar2d.data.weather.lens import LensDirt
from lidar2d.data.weather.rain import Rain
from lidar2d.data.weather.snow import Snow
from lidar2d.data.weather.source import Weather, Weathered
from lidar2d.data.weather.table import Table
from lidar2d.data.weather.wet import WetGround
from lidar2d.data.wrapped import Part
from lidar2d.errors import DataError

CARD = load_card("synthetic")
NEXT_TO_NOTHING = {"fog": Fog(visibility=1e9), "rain": Rain(rate=1e-3), "snow": Snow(occupancy=1e-9)}
NOTHING = {
    "wet_ground": WetGround(film=0.0),
    "beam_loss": BeamLoss(share=0.0),
    "crosstalk": Crosstalk(share=0.0),
    "cross_sensor": CrossSensor(beams=1, fires=1),
    "motion_blur": MotionBlur(angle=0.0),
    "exposure": Exposure(stops=0.0),
    "lens_dirt": LensDirt(share=0.0),
}


@pytest.mark.parametrize("name", NOTHING)
def test_weather_of_no_strength_changes_nothing_and_is_told(day, name):
    """Night has no such strength, for its photons are counted in daylight too; and of lost cameras there is one."""
    corruption = NOTHING[name]
    for alone in sensors(day, corruption):
        with pytest.raises(DataError, match="as they were; it is no corruption of them"):
            corrupt(alone, bad(name, corruption), CARD)


@pytest.mark.parametrize("name", NEXT_TO_NOTHING)
def test_the_air_clears_without_a_leap(day, name):
    """There is no fog, rain or snow of strength 0; of the least that there is, next to nothing is left."""
    for alone in sensors(day, NEXT_TO_NOTHING[name]):
        try:
            found = corrupt(alone, bad(name, NEXT_TO_NOTHING[name]), CARD)
        except DataError:
            continue  # nothing at all
        assert float((found.images - alone.images).abs().mean()) < 0.05 / 255 if len(alone.images) else True
        if len(alone.points):
            marked = replace(alone, labels=torch.arange(len(alone.points)))
            source = corrupt(marked, bad(name, NEXT_TO_NOTHING[name]), CARD).labels
            kept = source >= 0
            assert int(kept.sum()) >= 0.999 * len(alone.points)
            torch.testing.assert_close(found.points[kept], alone.points[source[kept]], atol=5e-3, rtol=0)


def bad(name, corruption):
    return Bad(Table("own", 1, {name: (corruption,)}), name, 1)


def sensors(frame, corruption):
    """Yield the frame as each sensor saw it that the corruption is of."""
    if corruption.cameras:
        yield replace(frame, points=frame.points[:0], labels=frame.labels[:0])
    if corruption.lidar:
        views = ("images", "intrinsics", "cam_from_lidar", "pixel_labels", "depth")
        yield replace(frame, **{view: getattr(frame, view)[:0] for view in views})


class Fingerprints:
    """What a source's frames look like, for a loader's processes."""

    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return index, fingerprint(self.source[index])


def test_frames_are_the_same_from_any_number_of_processes_in_any_order(town):
    source = Weathered(Part(town, range(12)), Weather(corruptions=("rain", "crosstalk"), severities=(2, 5)), None)
    found = []
    for workers, order in ((0, list(range(10))), (2, [7, 0, 9, 3, 1, 8, 2, 6, 4, 5]), (1, list(range(9, -1, -1)))):
        loader = DataLoader(Fingerprints(source), batch_size=None, sampler=order, num_workers=workers)
        found.append(dict(loader))
    assert found[0] == found[1] == found[2]
    assert len(set(found[0].values())) == 10
    torch.manual_seed(5)  # nobody else's luck counts
    assert fingerprint(source[7]) == found[0][7]
