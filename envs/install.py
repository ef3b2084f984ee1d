"""`pip install` by uv, several times faster, into the environment of the Python that runs this.

uv reads none of pip's settings: it is handed them. Where it is not there or fails, pip installs.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# Where the Makefile puts it: not on the path, so that only what is installed here is by it.
UV = Path(sys.prefix, "uv/bin/uv")
PIP = [sys.executable, "-m", "pip"]


def main(arguments: list[str]) -> int:
    """Do what `pip install ARGUMENTS` does.

    Args:
        arguments: requirements, and options that pip and uv share.

    Returns:
        Exit status of the program that installed.
    """
    if UV.exists():
        listed = subprocess.run([*PIP, "config", "list"], stdout=subprocess.PIPE, text=True, check=True)
        settings = pip_settings(listed.stdout)
        command = [str(UV), "pip", "install", "--python", sys.executable, *uv_options(settings), *arguments]
        if subprocess.run(command, env={**os.environ, **uv_variables(settings)}, check=False).returncode == 0:
            return 0
        print("uv could not install, as it says above: pip tries", file=sys.stderr)
    return subprocess.run([*PIP, "install", *arguments], check=False).returncode


def pip_settings(listing: str) -> dict[str, str]:
    """Settings of `pip install`, by name, from pip's files and the environment variables PIP_*.

    Args:
        listing: output of `pip config list`.
    """
    found = re.findall(r"^(global|install|:env:)\.([\w-]+)=(.+)$", listing, re.MULTILINE)
    # As in pip, the last counts.
    sections = ("global", "install", ":env:")
    found.sort(key=lambda setting: sections.index(setting[0]))
    return {name: ast.literal_eval(value) for _, name, value in found}


def uv_options(settings: Mapping[str, str]) -> list[str]:
    """Options of uv for those of pip's settings that no environment variable hands over.

    Args:
        settings: pip's settings, by name.
    """
    options = [f"--find-links={place}" for place in settings.get("find-links", "").split()]
    if settings.get("no-index", "").lower() in ("1", "on", "t", "true", "y", "yes"):
        options.append("--no-index")
    return options


def uv_variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that hand pip's settings to uv; passwords in them show in no list of processes.

    Args:
        settings: pip's settings, by name.
    """
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), settings.get("proxy"))
    keyring = "subprocess" if settings.get("keyring-provider") == "subprocess" else None
    variables = {
        "UV_DEFAULT_INDEX": settings.get("index-url"),
        "UV_INDEX": " ".join(settings.get("extra-index-url", "").split()),
        # As pip does: the best file of all indexes, not of the first that has the package.
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": settings.get("trusted-host"),
        "UV_HTTP_TIMEOUT": settings.get("timeout", settings.get("default-timeout")),
        "UV_KEYRING_PROVIDER": keyring,
        "UV_SYSTEM_CERTS": "true",
        "SSL_CERT_FILE": settings.get("cert"),
        "SSL_CLIENT_CERT": settings.get("client-cert"),
        **proxies,
    }
    return {name: value for name, value in variables.items() if value}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
