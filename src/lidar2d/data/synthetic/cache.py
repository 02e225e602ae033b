"""Scenes on disk: one file each, written whole or not at all, and remade when it is bad."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from lidar2d.data.synthetic.render import Arrays, render
from lidar2d.errors import DataError


@lru_cache(maxsize=1)
def fingerprint() -> str:
    """Return twelve letters that change with any line of the generator, and with numpy."""
    digest = hashlib.sha256(np.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class Cache:
    """The folder of scenes made by this very generator."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "synthetic" / fingerprint()

    def path(self, seed: int) -> Path:
        """Return a scene's file."""
        return self.folder / f"{seed:06d}.npz"

    def read(self, seed: int, names: tuple[str, ...]) -> Arrays:
        """Return some arrays of a scene, which is made now if there is no whole file of it."""
        found = self._load(seed, names)
        if found is None:
            made = self.make(seed)
            found = {name: made[name] for name in names}
        return found

    def whole(self, seed: int) -> bool:
        """Tell whether a scene's file is there and every byte of it is right."""
        try:
            with zipfile.ZipFile(self.path(seed)) as file:
                return file.testzip() is None
        except (OSError, zipfile.BadZipFile, ValueError):
            return False

    def make(self, seed: int) -> Arrays:
        """Make a scene and keep it.

        Raises:
            DataError: if it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)  # a bad folder is told before the work, not after it
            arrays = render(seed)
            self._write(seed, arrays)
        except OSError as error:
            raise DataError(
                f"cannot keep the town's scenes in {self.folder}: {error.strerror}\n"
                "make room there, or set LIDAR2D_CACHE to another folder"
            ) from error
        return arrays

    def _write(self, seed: int, arrays: Arrays) -> None:
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=f".{seed:06d}-", delete=False) as file:
            try:
                np.savez(file, **arrays)
                file.flush()
                Path(file.name).replace(self.path(seed))
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

    def _load(self, seed: int, names: tuple[str, ...]) -> Arrays | None:
        try:
            with np.load(self.path(seed), allow_pickle=False) as file:
                return {name: file[name] for name in names}
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
            return None  # missing, cut short or overwritten: it is made again
