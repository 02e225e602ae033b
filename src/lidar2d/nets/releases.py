"""How released files name weights: which prefixes, whose words, and what stands beside the network that is wanted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lidar2d.errors import UsageError


@dataclass(frozen=True)
class Naming:
    """How a project names what lidar2d, after MinkowskiEngine and OpenPCDet, names otherwise."""

    title: str  # empty where the names are the same
    rename: Callable[[str], str]  # a name of lidar2d's, into the project's


def spconv_name(name: str) -> str:
    """Name a weight as a network of spconv's layers does: no kernels, and norms not wrapped."""
    return name.replace(".kernel", ".weight").replace(".bn.", ".")


def mmdet3d_name(name: str) -> str:
    """Name a weight of VoxelNet as MMDetection3D's SparseEncoder does."""
    return re.sub(r"^conv(\d)\.", r"encoder_layers.encoder_layer\1.", spconv_name(name))


def obow_name(name: str) -> str:
    """Name a weight of a ResNet as OBoW's feature extractor does, whose blocks are numbered."""
    name = re.sub(r"^layer(\d)\.", r"_feature_blocks.\1.", name)
    return re.sub(r"^bn1\.", "_feature_blocks.0.bn.", re.sub(r"^conv1\.", "_feature_blocks.0.Conv.", name))


# of those that fit equally many names the first counts
NAMINGS = (
    Naming("", lambda name: name),
    Naming("HVDistill", lambda name: re.sub(r"^final\.", "final_1.", name)),
    Naming("spconv", spconv_name),
    Naming("MMDetection3D", mmdet3d_name),
    Naming("OBoW", obow_name),
)

# settings in the ``config`` of SLidR's and its successors' files; here, and there
CONFIG = {"voxel_size": "voxel_size", "cylindrical": "cylindrical_coordinates"}
# beginnings of names that stand beside a network and are no part of it: what it was once trained with
BESIDE = {
    "final_2.": "HVDistill's branch seen from above",
    "final_class_level.": "OLIVINE's second head",
    "fc.": "a classifier or projection",
    "head.": "a classifier or projection",
    "heads.": "a classifier",
    "head_dist.": "a classifier of distilled tokens",
    "last_linear.": "a classifier",
    "classifier.": "a classifier",
    "projection_head.": "SwAV's and DeepCluster's projection",
    "prototypes.": "SwAV's and DeepCluster's prototypes",
    "mask_token": "what masked patches are replaced by",
}
# what training keeps beside a network, such as its average; the network itself comes first
_LESSER = ("teacher", "student", "encoder_k", "key", "momentum", "avg", "average", "swa", "ema")


def is_count(name: str) -> bool:
    """Tell a norm's count of batches, which older files lack and nothing here reads."""
    return name.endswith("num_batches_tracked")


def what_beside(name: str) -> str:
    """Say what a name beside a network belongs to; an empty text means that it is not known."""
    if ".low_rank." in name:
        return "a low-rank update"
    return next((what for start, what in BESIDE.items() if name.startswith(start)), "")


@dataclass(frozen=True)
class Found:
    """Where in a file a network's weights stand."""

    naming: Naming
    place: str  # the prefix
    names: dict[str, str]  # of the network, and in the file

    def there(self, tensors: Iterable[str]) -> dict[str, str]:
        """Return the names that stand in this place, without the prefix and with it; counts are left out."""
        names = (name for name in tensors if name.startswith(self.place) and not is_count(name))
        return {name.removeprefix(self.place): name for name in names}


def flatten(content: Any, prefix: str = "") -> dict[str, Tensor]:
    """Return the tensors in nested dictionaries under their names, joined by dots; optimisers are left out."""
    found: dict[str, Tensor] = {}
    if isinstance(content, dict):
        for name, value in content.items():
            if not isinstance(name, str) or (isinstance(value, dict) and name.startswith("optim")):
                continue
            if isinstance(value, Tensor):
                found[f"{prefix}{name}"] = value
            else:
                found |= flatten(value, f"{prefix}{name}.")
    return found


def recognise(own: Iterable[str], tensors: Mapping[str, Tensor], network: str) -> Found:
    """Find under which prefix, and in whose naming, most names of a network stand.

    Raises:
        UsageError: if less than half of them stand anywhere.
    """
    own = [name for name in own if not is_count(name)]
    best = Found(NAMINGS[0], "", {})
    for naming in NAMINGS:
        renamed = {naming.rename(name): name for name in own}
        places = Counter(place for name in tensors for place, rest in _cuts(name) if rest in renamed)
        if places and max(places.values()) > len(best.names):
            place = min(places, key=lambda place: (-places[place], *_rank(place)))
            names = {name: place + there for there, name in renamed.items() if place + there in tensors}
            best = Found(naming, place, names)
    if 2 * len(best.names) < len(own):
        raise UsageError(
            f"it holds {len(best.names)} of the {len(own)} weights of {network}; it is another network's\n"
            f"found: {contents(tensors)}"
        )
    return best


def contents(tensors: Mapping[str, Tensor]) -> str:
    """Name the groups of weights in a file, the largest first, by where their names begin to differ."""
    parts = [name.split(".") for name in tensors]
    depth = 0
    while len({tuple(part[: depth + 1]) for part in parts}) == 1 and all(len(part) > depth + 1 for part in parts):
        depth += 1
    groups = Counter(".".join(part[: depth + 1]) for part in parts)
    shown = [f"{name} ({count})" for name, count in groups.most_common(5)]
    more = f" and {len(groups) - 5} more" if len(groups) > 5 else ""
    return (", ".join(shown) or "no tensors") + more


def _cuts(name: str) -> list[tuple[str, str]]:
    """Return every way to cut a name into a prefix, which is empty or ends in a dot, and the rest."""
    cuts = [0, *(match.end() for match in re.finditer(r"\.", name))]
    return [(name[:cut], name[cut:]) for cut in cuts]


def _rank(place: str) -> tuple[int, int, str]:
    """Order prefixes that hold equally many names."""
    words = set(re.split(r"[._]", place))
    lesser = [index for index, word in enumerate(_LESSER, 1) if word in words or f"{word}." in place]
    return max(lesser, default=0), len(place), place
