"""wandb, and whether it has a login: found out without asking for one. Imports wandb only when it is called."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from lidar2d.errors import UsageError

_OWN_HOST = "api.wandb.ai"  # where logins stand that are older than the host's other names


def load() -> ModuleType:
    """Return wandb.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        import wandb
    except ModuleNotFoundError as error:
        if error.name == "wandb":
            raise UsageError("wandb is not installed; pip install 'lidar2d[wandb]'") from None
        raise UsageError(f"wandb does not start: {error}; pip install 'lidar2d[wandb]'") from None
    return wandb


def quiet() -> Any:
    """Return wandb's settings; from here on it says nothing on the screen.

    Raises:
        UsageError: if one of them is wrong, in the environment or in a file of wandb's.
    """
    wandb = load()
    try:
        return wandb.setup(wandb.Settings(silent=True)).settings
    except (wandb.errors.Error, ValueError) as error:
        raise UsageError(f"wandb does not take its settings: {wrong(error)}") from None


def has_login() -> bool:
    """Tell whether wandb would find a key: in the environment, in its settings, or in the .netrc file.

    Raises:
        UsageError: if wandb is not installed, or its settings are wrong.
    """
    settings = quiet()
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE") or settings.api_key:
        return True
    hosts = {urlsplit(settings.base_url).netloc} | (set() if os.environ.get("WANDB_BASE_URL") else {_OWN_HOST})
    return any(_in_netrc(host) for host in hosts)


def wrong(error: Exception) -> str:
    """Say in a line what wandb holds against something."""
    listed = getattr(error, "errors", None)  # of pydantic, whose own words are many
    if callable(listed):
        first = listed()[0]
        return f"{'.'.join(map(str, first['loc']))} is '{first['input']}': {first['msg']}"
    return " ".join(str(error).split())[:300] or type(error).__name__


def _in_netrc(host: str) -> bool:
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path("~/.netrc"), Path("~/_netrc")]:
        try:
            entry = netrc.netrc(str(path.expanduser())).authenticators(host)
        except (OSError, netrc.NetrcParseError, RuntimeError):  # none, none that can be read, or no home
            continue
        if entry is not None and entry[2]:
            return True
    return False
