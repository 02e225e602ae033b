"""The browser that pages are looked at with: a Chromium that is on the machine, without a window."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# a browser that is not somebody's own talks to nobody
QUIET = (
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
    "--no-first-run",
)


def installed() -> str | None:
    """Return the browser's program: $LIDAR2D_BROWSER, or what is found under its usual names."""
    given = os.environ.get("LIDAR2D_BROWSER")
    return given or next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def opened(program: str) -> Iterator[Any]:
    """Start the browser and end it."""
    from playwright.sync_api import sync_playwright

    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as driver:
        # Chromium's sandbox does not work for root, and the pages are our own
        flags = [*QUIET, "--disable-gpu", *(["--no-sandbox"] if root else [])]
        browser = driver.chromium.launch(executable_path=program, args=flags)
        try:
            yield browser
        finally:
            browser.close()
