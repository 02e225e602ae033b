"""Any backbone of timm as an image encoder: patch tokens of a ViT, feature maps of a convolutional network."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidar2d.errors import SettingError, UsageError, nearest, within
from lidar2d.nets import lora
from lidar2d.nets.checkpoints import File, Loaded, match_images
from lidar2d.nets.encoder import ImageEncoder, whole_cells, whole_size
from lidar2d.nets.stages import stages


class TimmEncoder(ImageEncoder):
    """Levels of a timm backbone, with the normalisation that its weights were trained with.

    Images may have any size: where it is no multiple of the coarsest level's stride, they are resized to the nearest
    multiple, so that every map covers them from border to border.

    Args:
        name: of the backbone in timm, such as ``vit_small_patch14_dinov2.lvd142m`` or ``resnet50``.
        weights: ``hub`` (timm's own, downloaded once); a file of the same backbone, from a run or released by others
            (docs/weights.md); or None for random weights.
        level: which block of a ViT, or which stage of a convolutional network; -1 is the last. Of several the channels
            are concatenated in the order given, after coarser maps were enlarged to the finest's size, bilinearly.
        norm: whether a ViT's final norm is applied to the tokens of each level. Convolutional networks have none here.
        class_token: a ViT's class token is put beside every patch's of the same level, doubling the channels.
        output_stride: 4, 8 or 16 replaces a convolutional network's later strides by dilation; None keeps them. 4 is
            for ResNets alone; it is SLidR's.
        frozen: the network stays in evaluation mode and receives no gradient.
        tune_last: how many blocks of a ViT or stages of a convolutional network train, counted back from the last
            that is run; a ViT's final norm trains with them. None trains everything, patch embedding or stem included.
        lora_rank: of the updates of attention's projections that train in place of the weights (Hu et al., arXiv
            2106.09685), in the blocks that ``tune_last`` names or in all; 0 trains the weights.
        lora_alpha: those updates are multiplied by ``lora_alpha / lora_rank``.

    Raises:
        UsageError: if timm has no such backbone or level, the weights cannot be had or do not fit, or there is nothing
            of the kind that is to be tuned.
    """

    def __init__(
        self,
        name: str,
        weights: str | None = "hub",
        level: int | tuple[int, ...] = -1,
        norm: bool = True,
        class_token: bool = False,
        output_stride: Literal[4, 8, 16, 32] | None = None,
        frozen: bool = True,
        tune_last: int | None = None,
        lora_rank: int = 0,
        lora_alpha: float = 16.0,
    ) -> None:
        super().__init__()
        within(0, lora_rank=lora_rank, lora_alpha=lora_alpha)
        if frozen and (tune_last is not None or lora_rank):
            raise SettingError("frozen", True, "set it to false to tune a part, or leave tune_last and lora_rank out")
        self.frozen = frozen
        self.norm = norm
        self.class_token = class_token
        self.backbone = _backbone(name, weights == "hub", output_stride)
        info = _levels(self.backbone)
        self.levels = _chosen(level, len(info), name)
        if class_token and getattr(self.backbone, "cls_token", None) is None:
            raise UsageError(f"{name} has no class token; leave class_token at false")
        self.channels = sum(int(info[place]["num_chs"]) for place in self.levels) * (2 if class_token else 1)
        strides = [int(info[place]["reduction"]) for place in self.levels]
        if output_stride == 4:
            _dilate(self.backbone, name)
            strides = [min(stride, 4) for stride in strides]
        self.name, self._strides = name, strides
        self.stride, self._coarsest = min(strides), max(strides)
        # what comes after the last level would cost time, memory and unused weights
        whole = set(self.backbone.state_dict())
        self.backbone.prune_intermediate_layers(list(self.levels), prune_norm=not norm, prune_head=True)
        self._pruned = whole.difference(self.backbone.state_dict())
        trained = self.backbone.pretrained_cfg
        self._normalisation = {key: tuple(trained[key]) for key in ("mean", "std")}
        for key, value in self._normalisation.items():
            self.register_buffer(f"_{key}", torch.tensor(value).view(1, 3, 1, 1), persistent=False)
        self._hub = f"weights of timm's {name}" if weights == "hub" else ""
        if weights not in (None, "hub"):
            self.load(Path(str(weights)))
        self._parts = [self.backbone] if tune_last is None else self._last(tune_last, name)
        if lora_rank:
            self._parts = [pair for part in self._parts for pair in lora.add_low_rank(part, lora_rank, lora_alpha)]
            if not self._parts:
                raise SettingError("lora_rank", lora_rank, f"{name} has no attention that takes it; leave it at 0")
        self.requires_grad_(False)
        for part in self.tuned():
            part.requires_grad_(True)
        self.train()

    def _last(self, count: int, name: str) -> list[nn.Module]:
        """Return the modules of the last blocks or stages that are run, and the norm after them.

        Raises:
            UsageError: if there are not as many.
        """
        info, last = _levels(self.backbone), max(self.levels)
        run = stages(self.backbone, [entry["module"] for entry in info[: last + 1]])
        if run is None:
            raise SettingError("tune_last", count, f"{name} does not tell its blocks apart; leave it out")
        if not 1 <= count <= len(run):
            needs = f"{name} has {len(run)} blocks or stages up to level {last}; give 1 to {len(run)}, or null for all"
            raise SettingError("tune_last", count, needs)
        norm = getattr(self.backbone, "norm", None)
        return [part for stage in run[-count:] for part in stage] + ([norm] if isinstance(norm, nn.Module) else [])

    @property
    def origin(self) -> str:
        """Say where its first weights came from."""
        return self._hub or super().origin

    @property
    def multiple(self) -> int:
        """The stride of the coarsest level, pixels."""
        return self._coarsest

    def settings(self) -> dict[str, object]:
        """Return how the images were normalised that the weights were trained on."""
        return dict(self._normalisation)

    def match(self, file: File) -> tuple[dict[str, Tensor], Loaded]:
        """Find the backbone's weights in a file, and what becomes of every name in it.

        Raises:
            UsageError: if it holds another network, or was trained with other settings.
        """
        values, loaded = match_images(self.backbone, file, self._pruned, self.settings())
        return {f"backbone.{name}": value for name, value in values.items()}, loaded

    def tuned(self) -> list[nn.Module]:
        """Return the modules that training changes: the backbone, its last blocks, or low-rank updates in them."""
        return [] if self.frozen else list(self._parts)

    def merge(self) -> None:
        """Fold the low-rank updates into the weights that they stand beside."""
        lora.merge(self)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; a frozen network stays in evaluation."""
        super().train(False)
        self.training = mode and not self.frozen
        for part in self.tuned():
            part.train(self.training)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return maps (V, channels, h, w) for images (V, 3, H, W), RGB 0..1."""
        if not len(images):  # some backbones cannot
            height, width = whole_size(images, self._coarsest)
            return images.new_zeros(0, self.channels, height // self.stride, width // self.stride)
        x = (whole_cells(images, self._coarsest) - self.get_buffer("_mean")) / self.get_buffer("_std")
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            prefix = {"return_prefix_tokens": True} if self.class_token else {}
            found = self.backbone.forward_intermediates(
                x, indices=list(self.levels), norm=self.norm, output_fmt="NCHW", intermediates_only=True, **prefix
            )
            by_level = dict(zip(sorted(self.levels), found, strict=True))  # timm's order is the network's
            maps = [_beside(*by_level[place]) if self.class_token else by_level[place] for place in self.levels]
            self._check_cover(maps, x)
            size = max(tuple(part.shape[-2:]) for part in maps)
            return torch.cat([_enlarge(part, size) for part in maps], dim=1)

    def _check_cover(self, maps: list[Tensor], images: Tensor) -> None:
        """Refuse networks that cut the border of an image off: what is read from their maps would lie elsewhere.

        Raises:
            UsageError: with the sizes.
        """
        for part, stride in zip(maps, self._strides, strict=True):
            wanted = tuple(pixels // stride for pixels in images.shape[-2:])
            if tuple(part.shape[-2:]) != wanted:
                given = f"a map of {tuple(part.shape[-2:])} in place of {wanted} for {tuple(images.shape[-2:])} pixels"
                raise UsageError(f"{self.name} gives {given}: it does not reach the border; choose another backbone")


def _beside(patches: Tensor, others: Tensor) -> Tensor:
    """Put the class token, first of the others (V, n, C) and before registers, beside every patch (V, C, h, w)."""
    return torch.cat([patches, others[:, 0, :, None, None].expand_as(patches)], dim=1)


def _enlarge(part: Tensor, size: tuple[int, ...]) -> Tensor:
    if part.shape[-2:] == size:
        return part
    return F.interpolate(part, size=size, mode="bilinear", align_corners=False)


def _chosen(level: int | tuple[int, ...], count: int, name: str) -> tuple[int, ...]:
    """Return the levels, counted from the first.

    Raises:
        SettingError: if there is no such level, none is given, or one is given twice.
    """
    given = (level,) if isinstance(level, int) else tuple(level)
    if not given or not all(-count <= place < count for place in given):
        raise SettingError("level", level, f"{name} has levels 0 to {count - 1} (or -1 for the last)")
    places = tuple(place % count for place in given)
    if len(set(places)) < len(places):
        raise SettingError("level", level, "give each level once")
    return places


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
        reason = str(error).partition("\n")[0][:150] or type(error).__name__
        raise UsageError(
            f"timm could not load trained weights for {name}: {reason}\n"
            "give a local file (weights: PATH.safetensors) or none (weights: null)"
        ) from error


def _levels(backbone: Any) -> list[dict[str, Any]]:
    info = backbone.feature_info
    return list(getattr(info, "info", info))
