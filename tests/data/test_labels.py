"""Weak labels: of somebody's files, of models of transformers, and clusters of features."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lidar2d.data.annotations import Annotated
from lidar2d.data.card import load_card
from lidar2d.data.labels import ModelLabels, WithLabelFiles
from lidar2d.errors import DataError, SettingError, UsageError
from lidar2d.frame import Frame
from lidar2d.methods.clusters import ClusterLabels
from lidar2d.nets.encoder import ImageEncoder

FILES = [Path("samples/LEFT/a.jpg"), Path("samples/RIGHT/a.jpg")]


class Pictures:
    """Frames of two cameras: halves of two colours."""

    def __init__(self, count=3):
        self.card = load_card("synthetic")
        self.tokens = [f"frame-{index}" for index in range(count)]
        self.conditions = ["day"] * count

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        images = torch.zeros(2, 3, 32, 48)
        images[0, 0, :, : 16 + 4 * index] = 1
        images[1, 2, :, 16 + 4 * index :] = 1
        none = torch.zeros(2, 3, 3).double()
        return Frame(torch.zeros(0, 4), images, none, torch.eye(4).double().expand(2, 4, 4), token=self.tokens[index])

    def check(self):
        return iter(())


class Filed(Pictures):
    image_size = None

    def unread(self, index):
        return super().__getitem__(index)

    def image_files(self, index):  # noqa: ARG002
        return FILES

    def image_root(self, index):  # noqa: ARG002
        return Path()


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LIDAR2D_CACHE", str(tmp_path / "cache"))


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.mark.parametrize("below", ["samples", ""])
def test_files_are_found_below_the_folder_and_read_at_the_nearest_pixels(tmp_path, below):
    large = np.arange(6, dtype=np.uint8).reshape(2, 3).repeat(32, 0).repeat(32, 1)  # 64 x 96, blocks of 32
    save(tmp_path / below / "LEFT" / "a.png", large)
    save(tmp_path / below / "RIGHT" / "a.png", 5 - large)
    labels = WithLabelFiles(Filed(), tmp_path)[0].weak_labels
    blocks = torch.arange(6).view(2, 3).repeat_interleave(16, 0).repeat_interleave(16, 1)
    assert torch.equal(labels, torch.stack([blocks, 5 - blocks]))


def test_label_files_that_are_not_there_or_no_labels_are_named(tmp_path):
    with pytest.raises(UsageError, match="no image files"):
        WithLabelFiles(Pictures(), tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        WithLabelFiles(Filed(), tmp_path / "nowhere")
    source = WithLabelFiles(Filed(), tmp_path)
    with pytest.raises(DataError, match=r"samples/LEFT/a.png and .*LEFT/a.png are missing"):
        source[0]
    save(tmp_path / "LEFT" / "a.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match="mode RGB"):
        source[0]
    (tmp_path / "LEFT" / "a.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a\.png: unreadable image"):
        source[0]


class Colours(ImageEncoder):
    """Each cell's own colour."""

    channels, stride = 3, 4

    def forward(self, images):
        return torch.nn.functional.avg_pool2d(images, 4)


def test_clusters_are_the_colours_that_there_are():
    labels = ClusterLabels(Colours(), classes=3, survey=3)
    found = Annotated(Pictures(), labels)[0].weak_labels
    assert found.shape == (2, 32, 48)
    left, right = found
    assert len({int(left[0, 0]), int(left[0, 40]), int(right[0, 40])}) == 3  # red, black, blue
    assert int(left[0, 40]) == int(right[0, 0])
    assert len(left[:, :14].unique()) == 1


def test_clusters_are_kept_with_what_they_were_sought_with(tmp_path):
    first = Annotated(Pictures(), ClusterLabels(Colours(), classes=3, survey=3))
    labels = [first[index].weak_labels for index in range(3)]
    kept = sorted((tmp_path / "cache").rglob("clusters.pt"))
    assert len(kept) == 1
    again = Annotated(Pictures(), ClusterLabels(Colours(), classes=3, survey=3))
    assert all(torch.equal(again[index].weak_labels, labels[index]) for index in range(3))
    Annotated(Pictures(), ClusterLabels(Colours(), classes=2, survey=3))[0]
    Annotated(Pictures(2), ClusterLabels(Colours(), classes=3, survey=3))[0]
    assert len(sorted((tmp_path / "cache").rglob("clusters.pt"))) == 3


def test_too_few_cells_for_the_clusters_are_told():
    with pytest.raises(UsageError, match="too few for 1000 clusters"):
        Annotated(Pictures(), ClusterLabels(Colours(), classes=1000, survey=3))[0]


# models: small ones of random weights, saved as released ones are

transformers = pytest.importorskip("transformers", reason="transformers is an extra: pip install 'lidar2d[labels]'")
NAMES = {0: "road", 1: "car", 2: "sky"}


def segformer(folder: Path) -> None:
    config = transformers.SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[1, 1],
        hidden_sizes=[8, 8],
        patch_sizes=[3, 3],
        strides=[2, 2],
        num_attention_heads=[1, 1],
        mlp_ratios=[1, 1],
        decoder_hidden_size=8,
        id2label=NAMES,
    )
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder)
    transformers.SegformerImageProcessor(size={"height": 32, "width": 48}).save_pretrained(folder)


def swin():
    return transformers.SwinConfig(
        image_size=32,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def mask2former(folder: Path) -> None:
    config = transformers.Mask2FormerConfig(
        backbone_config=swin(),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        dim_feedforward=16,
        encoder_feedforward_dim=16,
        num_queries=4,
        id2label=NAMES,
    )
    transformers.Mask2FormerForUniversalSegmentation(config).save_pretrained(folder)
    transformers.Mask2FormerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)


def oneformer(folder: Path) -> None:
    config = transformers.OneFormerConfig(
        backbone_config=swin(),
        hidden_dim=32,
        conv_dim=32,
        mask_dim=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        dim_feedforward=16,
        encoder_feedforward_dim=16,
        num_queries=4,
        use_task_norm=True,
        task_seq_len=77,
        text_encoder_width=32,
        text_encoder_num_layers=1,
        text_encoder_vocab_size=190,
        is_training=False,
        id2label=NAMES,
    )
    transformers.OneFormerForUniversalSegmentation(config).save_pretrained(folder)
    classes = {str(number): {"name": name, "isthing": 0} for number, name in NAMES.items()}
    (folder / "classes.json").write_text(json.dumps(classes))
    pictures = transformers.OneFormerImageProcessor(
        size={"height": 64, "width": 64}, repo_path=str(folder), class_info_file="classes.json", num_text=4
    )
    transformers.OneFormerProcessor(pictures, tokenizer(folder)).save_pretrained(folder)


def tokenizer(folder: Path):
    """CLIP's, whose words are letters."""
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))


def clipseg(folder: Path) -> None:
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPSegConfig(
        text_config={**small, "vocab_size": 190, "max_position_embeddings": 24, "eos_token_id": 189},
        vision_config={**small, "image_size": 32, "patch_size": 8},
        projection_dim=16,
        reduce_dim=8,
        extract_layers=[0, 1],
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )
    transformers.CLIPSegForImageSegmentation(config).save_pretrained(folder)
    pictures = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    transformers.CLIPSegProcessor(pictures, tokenizer(folder)).save_pretrained(folder)


@pytest.mark.parametrize("make", [segformer, mask2former, oneformer])
def test_a_models_labels_are_its_own_or_those_of_the_names_that_count(tmp_path, make):
    torch.manual_seed(0)
    folder = tmp_path / "model"
    folder.mkdir()
    make(folder)
    found = Annotated(Pictures(), ModelLabels(str(folder)))[0].weak_labels
    assert found.shape == (2, 32, 48)
    assert set(found.unique().tolist()) <= {0, 1, 2}
    named = Annotated(Pictures(), ModelLabels(str(folder), classes=("sky", "Car")))[0].weak_labels
    assert torch.equal(named, torch.tensor([-1, 1, 0])[found])
    with pytest.raises(SettingError, match="did you mean 'car'"):
        Annotated(Pictures(), ModelLabels(str(folder), classes=("cart",)))[0]


def test_prompts_take_the_place_of_names(tmp_path):
    torch.manual_seed(0)
    folder = tmp_path / "model"
    folder.mkdir()
    clipseg(folder)
    found = Annotated(Pictures(), ModelLabels(str(folder), classes=("road", "car", "sky")))[0].weak_labels
    assert found.shape == (2, 32, 48)
    assert set(found.unique().tolist()) <= {0, 1, 2}
    assert Annotated(Pictures(), ModelLabels(str(folder), classes=("road",)))[0].weak_labels.max() == 0
    with pytest.raises(SettingError, match="give prompts"):
        Annotated(Pictures(), ModelLabels(str(folder)))[0]


def test_labels_of_another_model_are_kept_apart(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    segformer(folder)
    first = ModelLabels(str(folder)).folder()
    assert ModelLabels(str(folder)).folder() == first
    assert ModelLabels(str(folder), classes=("car",)).folder() != first
    segformer(folder)  # other weights, written later
    assert replace(ModelLabels(str(folder))).folder() != first


def test_a_model_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match="no segmentation model"):
        ModelLabels(str(tmp_path)).folder()
