"""Where one block or stage of a timm backbone ends and the next begins."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


def stages(backbone: nn.Module, ends: Sequence[str]) -> list[list[nn.Module]] | None:
    """Return the modules of each block or stage, in the order in which they run.

    What comes before the first (a patch embedding, a stem) is not among them, nor are stages without weights.

    Args:
        backbone: registers its modules in the order in which they run, as timm's do.
        ends: the name of the module that gives out each level, as in ``feature_info``.

    Returns:
        None if the names do not tell the stages apart.
    """
    units: dict[str, nn.Module] = {}
    for name, child in backbone.named_children():
        parts = dict(child.named_children()) if isinstance(child, (nn.Sequential, nn.ModuleList)) else {}
        units |= {f"{name}.{key}": part for key, part in parts.items()} or {name: child}
    names = list(units)
    found: list[list[nn.Module]] = []
    begin = None
    for end in ends:
        inside = [place for place, name in enumerate(names) if _holds(end, name) or _holds(name, end)]
        if not inside or (begin is not None and inside[-1] < begin):
            return None
        found.append([units[name] for name in names[inside[0] if begin is None else begin : inside[-1] + 1]])
        begin = inside[-1] + 1
    return [stage for stage in found if any(list(module.parameters()) for module in stage)]


def _holds(outer: str, inner: str) -> bool:
    return f"{inner}.".startswith(f"{outer}.")
