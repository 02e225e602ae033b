"""Weak labels of pixels: from a folder of somebody's files, or from a segmentation model of transformers."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as member
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lidar2d.data.annotations import WeakLabels
from lidar2d.data.pixels import read_numbers, read_pixels
from lidar2d.data.source import FromFiles, Preparable, Problem, Source
from lidar2d.data.windows import resize
from lidar2d.errors import DataError, SettingError, UsageError, nearest
from lidar2d.frame import Frame


class WithLabelFiles:
    """A source whose frames have the weak labels of PNG files, one an image, a pixel's value its label.

    A file has its image's path below the folder, ending in ``.png``; the path's first part may be missing, as in the
    folder that OLIVINE's authors offer. Files of another size than the frame's images are read at the nearest pixels.

    Args:
        source: the frames.
        folder: of the files.

    Raises:
        UsageError: if the folder does not exist, or the source's images are not files.
    """

    def __init__(self, source: Source, folder: Path) -> None:
        if not isinstance(source, FromFiles):
            raise UsageError(f"{source.card.name} has no image files that label files could belong to")
        if not folder.is_dir():
            raise UsageError(f"no folder {folder} to read weak labels from")
        self.source: FromFiles = source
        self.image_files, self.image_root = source.image_files, source.image_root
        self.image_size = source.image_size
        self.path = folder
        self.card, self.tokens, self.conditions = source.card, source.tokens, source.conditions

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Frame:
        """Read one frame.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        return read_pixels(resize(self.unread(index), self.image_size))

    def unread(self, index: int) -> Frame:
        """Read all of a frame but its pixels; its labels have the resolution of their files.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        names = self.image_files(index)
        found = [self._read(name) for name in names]
        if len({labels.shape for labels in found}) > 1:
            raise DataError(f"the weak labels for {names[0]} and for the frame's other images differ in size")
        return replace(self.source.unread(index), weak_labels=torch.stack(found) if found else None)

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each frame's token with its problems."""
        return self.source.check()

    def prepare(self, workers: int, progress: bool) -> None:
        """Make what the source makes."""
        if isinstance(self.source, Preparable):
            self.source.prepare(workers, progress)

    def _read(self, name: Path) -> Tensor:
        png = name.with_suffix(".png")
        places = [self.path / png, self.path.joinpath(*png.parts[1:])]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise DataError(f"no weak labels for {name}: {places[0]} and {places[1]} are missing")
        found = read_numbers(path, ("L", "P", "I", "I;16"), "one number a pixel is needed")
        return torch.from_numpy(found if found.dtype == np.uint8 else found.astype(np.int32))  # bytes stay bytes


@dataclass
class ModelLabels(WeakLabels):
    """What a model of the transformers library calls each pixel: OneFormer, Mask2Former, CLIPSeg and others.

    Args:
        model: its name on the hub, or a folder.
        classes: the names that count, in the order of their numbers; what the model calls otherwise has no label. For
            models without names of their own (CLIPSeg) these are the prompts. Empty takes the model's own numbers.
    """

    model: str
    classes: list[str] = member(default_factory=list)
    _loaded: tuple[Any, Any, Any] | None = member(default=None, init=False, repr=False, compare=False)

    def key(self) -> Mapping[str, object]:
        """Return the model's version, the names, and the library's version."""
        transformers = _transformers()
        config = self._config()
        kept = Path(self.model)
        stamp = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(kept.glob("*")) if p.is_file()]
        commit = stamp or getattr(config, "_commit_hash", None)
        return {
            "model": self.model,
            "version": commit,
            "classes": self.classes,
            "transformers": transformers.__version__,
        }

    @torch.inference_mode()
    def of(self, images: Tensor) -> NDArray[np.int32]:
        """Return the label (V, H, W) of each pixel of images (V, 3, H, W) uint8; -1 for none."""
        processor, model, numbers = self._load()
        pictures = [Image.fromarray(image) for image in images.permute(0, 2, 3, 1).numpy()]
        size = images.shape[-2], images.shape[-1]
        if model.config.model_type == "clipseg":
            return np.stack([self._prompted(processor, model, picture, size) for picture in pictures])
        words = {"task_inputs": ["semantic"] * len(pictures)} if model.config.model_type == "oneformer" else {}
        given = processor(images=pictures, return_tensors="pt", **words).to(model.device)
        found = processor.post_process_semantic_segmentation(model(**given), target_sizes=[size] * len(pictures))
        labels = torch.stack([part.cpu() for part in found]).numpy()
        return np.asarray(numbers[labels], dtype=np.int32)

    def _prompted(self, processor: Any, model: Any, picture: Image.Image, size: tuple[int, int]) -> NDArray[np.int32]:
        prompts = self.classes
        given = processor(text=prompts, images=[picture] * len(prompts), padding=True, return_tensors="pt")
        scores = model(**given.to(model.device)).logits.float()  # (prompts, h, w); of one prompt without the first
        scores = scores.reshape(len(prompts), 1, *scores.shape[-2:])
        large = F.interpolate(scores, size, mode="bilinear", align_corners=False)[:, 0]
        return large.argmax(0).cpu().numpy().astype(np.int32)

    def _config(self) -> Any:
        """Read what kind of model it is.

        Raises:
            UsageError: if there is no such model.
        """
        try:
            return _transformers().AutoConfig.from_pretrained(self.model)
        except (OSError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0][:150]
            raise UsageError(f"no segmentation model {self.model}: {reason}") from None

    def _load(self) -> tuple[Any, Any, Any]:
        """Return the processor, the model, and the label of each of its classes, once."""
        if self._loaded is None:
            transformers, config = _transformers(), self._config()
            numbers = None if config.model_type == "clipseg" else _numbers(config.id2label, self.classes)
            if numbers is None and not self.classes:
                raise SettingError("classes", "[]", f"{self.model} has no names of its own; give prompts")
            kind = {
                "clipseg": "CLIPSegForImageSegmentation",
                "oneformer": "AutoModelForUniversalSegmentation",
                "mask2former": "AutoModelForUniversalSegmentation",
                "maskformer": "AutoModelForUniversalSegmentation",
            }.get(config.model_type, "AutoModelForSemanticSegmentation")
            try:
                worded = config.model_type in ("clipseg", "oneformer")
                reader = transformers.AutoProcessor if worded else transformers.AutoImageProcessor
                processor = reader.from_pretrained(self.model)
                model = getattr(transformers, kind).from_pretrained(self.model).eval()
            except (OSError, ValueError) as error:
                reason = str(error).strip().partition("\n")[0][:150]
                raise UsageError(f"{self.model} cannot be used as a segmentation model: {reason}") from None
            self._loaded = processor, model.to("cuda" if torch.cuda.is_available() else "cpu"), numbers
        return self._loaded


def _numbers(names: Mapping[int, str], classes: Sequence[str]) -> NDArray[np.int32]:
    """Return the label of each class of a model.

    Raises:
        SettingError: if the model has no class of a name.
    """
    known = {name.lower(): number for number, name in names.items()}
    if not classes:
        return np.arange(max(names) + 1, dtype=np.int32)
    found = np.full(max(names) + 1, -1, dtype=np.int32)
    for label, name in enumerate(classes):
        if name.lower() not in known:
            raise SettingError("classes", name, f"the model has no such class; {nearest(name.lower(), known)}")
        found[known[name.lower()]] = label
    return found


def _transformers() -> Any:
    """Import transformers, which is an extra.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        return importlib.import_module("transformers")
    except ModuleNotFoundError:
        raise UsageError("weak labels of a model need transformers: pip install 'lidar2d[labels]'") from None
