"""Which extra of the package brings a library that is not installed."""

from __future__ import annotations

import re
from importlib import metadata
from importlib.util import find_spec

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+).*extra == ['\"](?P<extra>\w+)['\"]")


def explain_missing(error: ModuleNotFoundError) -> str | None:
    """One line that names the extra to install; None where no extra brings the missing library."""
    module = (error.name or "").partition(".")[0]
    extra = _extra_of(module.replace("_", "-").lower())
    if extra is None:
        return None
    return (
        f"{module}: this library is not installed, and is needed here; run `pip install 'vividface[{extra}]'`"
    )


def require(*modules: str) -> None:
    """`ModuleNotFoundError` unless these modules, which other processes need as well, are installed."""
    for module in modules:
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def _extra_of(distribution: str) -> str | None:
    for requirement in metadata.requires("vividface") or []:
        match = _REQUIREMENT.match(requirement)
        if match and match["name"].replace("_", "-").lower() == distribution:
            return match["extra"]
    return None
