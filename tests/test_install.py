"""`envs/install.py` hands pip's settings to uv; `tests/package/test_install.py` shows that it installs."""

import os
import subprocess
import sys

import pytest

from envs.install import pip_settings, uv_options, uv_variables

SETTINGS = """
[global]
index-url = https://reader:secret@packages.example/simple
extra-index-url =
    https://one.example/simple
    https://two.example/simple
trusted-host = packages.example one.example
find-links = /wheels
timeout = 20
no-index = false
proxy = http://proxy.example:3128
cert = /certificates.pem
client-cert = /client.pem
keyring-provider = subprocess

[install]
timeout = 40

[download]
timeout = 60
"""


@pytest.fixture
def settings(tmp_path):
    """What pip says of a file and of variables, some of which are set in both."""

    def read(file=SETTINGS, **variables):
        (tmp_path / "pip.conf").write_text(file)
        # Nothing of this machine's own.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        listing = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"],
            env={**clean, "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), **variables},
            capture_output=True,
            text=True,
            check=True,
        )
        return pip_settings(listing.stdout)

    return read


def test_uv_gets_the_indexes_of_a_file_with_their_passwords(settings):
    variables = uv_variables(settings())
    assert variables["UV_DEFAULT_INDEX"] == "https://reader:secret@packages.example/simple"
    assert variables["UV_INDEX"] == "https://one.example/simple https://two.example/simple"
    assert variables["UV_INSECURE_HOST"] == "packages.example one.example"
    assert variables["UV_KEYRING_PROVIDER"] == "subprocess"


def test_uv_gets_the_proxy_and_the_certificates(settings):
    variables = uv_variables(settings())
    assert {variables[name] for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")} == {
        "http://proxy.example:3128"
    }
    assert (variables["SSL_CERT_FILE"], variables["SSL_CLIENT_CERT"]) == ("/certificates.pem", "/client.pem")


def test_the_section_of_install_counts_before_the_global_one_and_a_variable_before_both(settings):
    assert uv_variables(settings())["UV_HTTP_TIMEOUT"] == "40"
    assert uv_variables(settings(PIP_TIMEOUT="50"))["UV_HTTP_TIMEOUT"] == "50"
    changed = uv_variables(settings(PIP_INDEX_URL="https://other.example/simple"))
    assert changed["UV_DEFAULT_INDEX"] == "https://other.example/simple"


def test_folders_of_wheels_become_options(settings):
    assert uv_options(settings(PIP_FIND_LINKS="/wheels https://pages.example/wheels")) == [
        "--find-links=/wheels",
        "--find-links=https://pages.example/wheels",
    ]


@pytest.mark.parametrize(("value", "options"), [("1", ["--no-index"]), ("True", ["--no-index"]), ("no", [])])
def test_no_index_becomes_an_option_where_it_is_set(settings, value, options):
    assert uv_options(settings("", PIP_NO_INDEX=value, PIP_FIND_LINKS="")) == options


def test_what_pip_does_not_set_is_left_to_uv():
    assert not set(uv_variables({})) & {"UV_DEFAULT_INDEX", "UV_INDEX", "SSL_CERT_FILE", "HTTPS_PROXY"}
