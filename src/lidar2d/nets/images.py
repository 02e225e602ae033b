"""Any backbone of timm as an image encoder: patch tokens of a ViT, feature maps of a convolutional network."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import timm
import torch
from torch import Tensor, nn

from lidar2d.errors import UsageError, nearest
from lidar2d.nets.checkpoints import match_images, open_file
from lidar2d.nets.encoder import ImageEncoder, whole_cells


class TimmEncoder(ImageEncoder):
    """One level of a timm backbone, with the normalisation that its weights were trained with.

    Images may have any size: where it is no multiple of the stride, they are resized to the nearest multiple, so
    that the map covers them from border to border.

    Args:
        name: of the backbone in timm, such as ``vit_small_patch14_dinov2.lvd142m`` or ``resnet50``.
        weights: ``hub`` (timm's own, downloaded once); a file of the same backbone, from a run or released by others
            (docs/weights.md); or None for random weights.
        level: which block of a ViT, or which stage of a convolutional network; -1 is the last.
        norm: whether a ViT's final norm is applied to its tokens. Convolutional networks have none here.
        class_token: a ViT's class token is put beside every patch's, doubling the channels.
        output_stride: 4, 8 or 16 replaces a convolutional network's later strides by dilation; None keeps them. 4 is
            for ResNets alone; it is SLidR's.
        frozen: the network stays in evaluation mode and receives no gradient.

    Raises:
        UsageError: if timm has no such backbone or level, or the weights cannot be had or do not fit.
    """

    def __init__(
        self,
        name: str,
        weights: str | None = "hub",
        level: int = -1,
        norm: bool = True,
        class_token: bool = False,
        output_stride: Literal[4, 8, 16, 32] | None = None,
        frozen: bool = True,
    ) -> None:
        super().__init__()
        self.frozen = frozen
        self.norm = norm
        self.class_token = class_token
        self.backbone = _backbone(name, weights == "hub", output_stride)
        info = _levels(self.backbone)
        if not -len(info) <= level < len(info):
            raise UsageError(f"{name} has levels 0 to {len(info) - 1} (or -1 for the last), not {level}")
        self.level = level % len(info)
        if class_token and getattr(self.backbone, "cls_token", None) is None:
            raise UsageError(f"{name} has no class token; leave class_token at false")
        self.channels = int(info[self.level]["num_chs"]) * (2 if class_token else 1)
        self.stride = int(info[self.level]["reduction"])
        if output_stride == 4:
            _dilate(self.backbone, name)
            self.stride = min(self.stride, 4)
        # what comes after the level would cost time, memory and unused weights
        whole = set(self.backbone.state_dict())
        self.backbone.prune_intermediate_layers([self.level], prune_norm=not norm, prune_head=True)
        if weights not in (None, "hub"):
            pruned = whole.difference(self.backbone.state_dict())
            values, self.loaded = match_images(self.backbone, open_file(Path(str(weights)).expanduser()), pruned)
            self.backbone.load_state_dict(values, strict=False)

        trained = self.backbone.pretrained_cfg
        for key in ("mean", "std"):
            self.register_buffer(f"_{key}", torch.tensor(trained[key]).view(1, 3, 1, 1), persistent=False)
        if frozen:
            self.requires_grad_(False)
            self.eval()

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; a frozen network stays in evaluation."""
        return super().train(mode and not self.frozen)

    def forward(self, images: Tensor) -> Tensor:
        """Return maps (V, channels, h, w) for images (V, 3, H, W), RGB 0..1."""
        x = (whole_cells(images, self.stride) - self.get_buffer("_mean")) / self.get_buffer("_std")
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            prefix = {"return_prefix_tokens": True} if self.class_token else {}
            (features,) = self.backbone.forward_intermediates(
                x, indices=[self.level], norm=self.norm, output_fmt="NCHW", intermediates_only=True, **prefix
            )
            if self.class_token:
                patches, others = features  # the class token comes first, registers after it
                features = torch.cat([patches, others[:, 0, :, None, None].expand_as(patches)], dim=1)
        found: Tensor = features
        return found


def _dilate(backbone: Any, name: str) -> None:
    """Turn every stride of a ResNet's stages into dilation, so that its maps keep a quarter of the image's size.

    The first 3x3 convolution of a stage keeps the dilation that it is handed, the later ones take the stage's, as
    torchvision's ``replace_stride_with_dilation`` does.

    Raises:
        UsageError: if it is no ResNet of bottlenecks with plain short cuts.
    """
    stages = [getattr(backbone, f"layer{index}", None) for index in (2, 3, 4)]
    dilation = 1
    for stage in stages:
        if stage is None or not all(hasattr(block, "conv3") for block in stage):
            raise UsageError(f"{name} takes no output_stride of 4: only ResNets of bottlenecks do, such as resnet50")
        for index, block in enumerate(stage):
            inner = dilation if index == 0 else 2 * dilation
            block.conv2.stride, block.conv2.dilation, block.conv2.padding = (1, 1), (inner, inner), (inner, inner)
            if index == 0:
                for part in block.downsample:
                    if hasattr(part, "stride"):
                        part.stride = (1, 1) if isinstance(part, nn.Conv2d) else 1
        dilation *= 2


def _backbone(name: str, pretrained: bool, output_stride: Literal[4, 8, 16, 32] | None) -> Any:
    """Make a timm model without its classifier.

    Raises:
        UsageError: if there is no such model, it takes no such stride, or its weights cannot be had.
    """
    if not timm.is_model(name):
        raise UsageError(f"timm has no backbone '{name}'; {nearest(name.split('.')[0], timm.list_models())}")
    options: dict[str, Any] = {}
    try:
        known = timm.models.get_pretrained_cfg(name)
    except RuntimeError:
        base, _, tag = name.partition(".")
        tags = [other.partition(".")[2] for other in timm.list_pretrained(f"{base}.*")]
        raise UsageError(f"timm has no weights '{tag}' of backbone {base}; {nearest(tag, tags)}") from None
    if known is not None and known.fixed_input_size:
        options["dynamic_img_size"] = True  # a ViT: position embeddings are resampled to the size of each image
    if output_stride not in (None, 4):
        options["output_stride"] = output_stride
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    except TypeError as error:  # timm hands options on to the model's class, which refuses those it does not know
        fault = (
            "takes no output_stride: leave it out"
            if output_stride is not None
            else "takes images of one size only: choose another"
        )
        raise UsageError(f"backbone {name} {fault}") from error
    except Exception as error:  # download errors come from three libraries with no common class
        if not pretrained:
            raise
        reason = str(error).splitlines()[0][:150]
        raise UsageError(
            f"timm could not load trained weights for {name}: {reason}\n"
            "give a local file (weights: PATH.safetensors) or none (weights: null)"
        ) from error


def _levels(backbone: Any) -> list[dict[str, Any]]:
    info = backbone.feature_info
    return list(getattr(info, "info", info))
