"""What could never be trained is refused before anything is written."""

import pytest
import tiny_source
import torch

from lidar2d.data.labels import ModelLabels
from lidar2d.data.module import LidarData
from lidar2d.data.regions import Superpixels
from lidar2d.errors import UsageError
from lidar2d.fit import TrainerOptions, rehearse
from lidar2d.methods.base import Stage
from lidar2d.methods.clusters import ClusterLabels
from lidar2d.methods.hvdistill import HVDistill
from lidar2d.methods.olivine import Olivine
from lidar2d.methods.photometric import Photometric
from lidar2d.methods.ppkt import PPKT
from lidar2d.methods.slidr import SLidR
from lidar2d.methods.supervised import Supervised
from lidar2d.nets.rangeview import RangeView
from lidar2d.nets.small import SmallConv


@pytest.fixture
def refused(tmp_path):
    """Returns what is said against a method and settings of the data; nothing where they go together."""
    card = tmp_path / "tiny.yaml"
    card.write_text(tiny_source.CARD)

    def refused(method, reader="Tiny", **data):
        card.write_text(tiny_source.CARD.replace("Tiny", reader).replace("probe: probe\ntest: test\n", ""))
        try:
            rehearse(method, LidarData(str(card), **data), TrainerOptions(accelerator="cpu"))
        except UsageError as error:
            return str(error)
        return ""

    return refused


def encoders():
    torch.manual_seed(0)
    return RangeView(width=8, columns=64, hidden=16), SmallConv(width=8, channels=8)


STAGE = Stage(steps=1)


def test_what_a_method_wants_of_pixels_must_be_given(refused):
    assert refused(PPKT(*encoders(), STAGE)) == ""
    for method in (SLidR(*encoders(), STAGE), HVDistill(*encoders(), STAGE)):
        assert "no superpixels; give --data.superpixels.kind slic" in refused(method)
        assert refused(method, superpixels=Superpixels(segments=4)) == ""
    assert "no weak labels; give --data.weak_labels" in refused(Olivine(*encoders(), STAGE))
    assert refused(Olivine(*encoders(), STAGE), weak_labels=ClusterLabels(SmallConv(width=8, channels=8))) == ""
    assert refused(Olivine(*encoders(), STAGE, labels="clusters")) == ""


def test_labels_of_pixels_are_looked_for_in_the_frames(refused):
    method = Supervised(*encoders(), classes=2, learn=STAGE)
    assert refused(method) == ""
    assert "no labels of pixels" in refused(method, reader="Unlabelled")


def test_what_a_method_has_no_use_for_is_refused(refused):
    assert "--data.superpixels is given, but PPKT" in refused(PPKT(*encoders(), STAGE), superpixels=Superpixels())
    clustered = Olivine(*encoders(), STAGE, labels="clusters")
    assert "--data.weak_labels is given, but Olivine" in refused(
        clustered, weak_labels=ClusterLabels(SmallConv(width=8, channels=8))
    )
    assert "--data.label_folder is given" in refused(clustered, label_folder="nowhere")


def test_a_folder_of_labels_is_looked_into(refused, tmp_path):
    assert "no image files" in refused(Olivine(*encoders(), STAGE), label_folder=str(tmp_path))


def test_a_model_that_is_not_there_is_told(refused, tmp_path):
    pytest.importorskip("transformers")
    labels = ModelLabels(str(tmp_path / "nowhere"))
    assert "no segmentation model" in refused(Olivine(*encoders(), STAGE), weak_labels=labels)


def test_frames_without_what_a_method_looks_at_are_refused(refused):
    assert "have no image, and PPKT needs them" in refused(PPKT(*encoders(), STAGE), reader="Blind")
    assert "have no image, and Photometric needs them" in refused(Photometric(*encoders(), STAGE), reader="Blind")
    assert "have no point, and PPKT needs them" in refused(PPKT(*encoders(), STAGE), reader="Flat")
    assert refused(Photometric(*encoders(), STAGE), reader="Flat") == ""
