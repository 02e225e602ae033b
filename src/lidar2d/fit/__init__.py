"""What ``lidar2d fit`` does: run a method's stages in turn, each resumable, then show what it was worth."""

from lidar2d.fit.options import TrainerOptions
from lidar2d.fit.run import fit, prepare, rehearse

__all__ = ["TrainerOptions", "fit", "prepare", "rehearse"]
