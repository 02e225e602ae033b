"""Twins: frames of one scene under several conditions."""

from __future__ import annotations

from collections.abc import Sequence

from lidar2d.data.source import InScenes, Source


def scene_of(token: str, condition: str) -> str:
    """Return what the tokens of twins share: all but the condition at their end."""
    return token.removesuffix(f"-{condition}")


def scenes(source: Source) -> list[list[int]]:
    """Return the rows of each scene's frames, those in clear conditions first; a frame without twins is one alone.

    Tokens of twins differ in the condition alone, which stands at their end: ``town-000007-day``, ``town-000007-fog``.
    """
    found: dict[str, list[int]] = {}
    for row, (token, condition) in enumerate(zip(source.tokens, source.conditions, strict=True)):
        found.setdefault(scene_of(token, condition), []).append(row)
    return [sorted(rows, key=lambda row: source.conditions[row] not in source.card.clear) for rows in found.values()]


def scene_names(source: Source) -> Sequence[str]:
    """Return the scene of each frame; a frame whose source names no scenes is one with its twins."""
    if isinstance(source, InScenes):
        return source.scenes
    return [scene_of(*each) for each in zip(source.tokens, source.conditions, strict=True)]
