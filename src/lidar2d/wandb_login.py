"""wandb, and whether it has a login: found out without asking for one. Imports wandb only when it is called."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from lidar2d.errors import UsageError

INSTALL = "wandb is not installed; pip install 'lidar2d[wandb]'"
_OWN_HOST = "api.wandb.ai"  # where logins stand that are older than the host's other names


def load() -> ModuleType:
    """Return wandb.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise UsageError(INSTALL if error.name == "wandb" else f"wandb does not start: {error}") from None
    return wandb


def has_login() -> bool:
    """Tell whether wandb would find a key: in the environment, in its settings, or in the .netrc file."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    wandb = load()
    settings = wandb.setup(wandb.Settings(silent=True)).settings
    if settings.api_key:
        return True
    hosts = {urlsplit(settings.base_url).netloc} | (set() if os.environ.get("WANDB_BASE_URL") else {_OWN_HOST})
    return any(_in_netrc(host) for host in hosts)


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
