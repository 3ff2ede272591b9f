"""The environment variables that a child process gets: those that it needs, by name, and no others.

Shells, launchers and build servers keep passwords and tokens in variables. Packages and programs of others have no use
for them. SECURITY.md lists what is passed on.
"""

import os
from collections.abc import Mapping

# What programs need to start, to find their files and to speak the user's language.
SYSTEM = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "LANG", "LANGUAGE", "LC_*", "TMPDIR", "TEMP", "TMP", "XDG_*",
    "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "USERNAME", "HOMEDRIVE", "HOMEPATH",
    "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432", "PUBLIC", "OS",
    "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "PROCESSOR_IDENTIFIER", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE",
    "PYENV_*", "LD_LIBRARY_PATH", "DYLD_*",
)  # fmt: skip
# The way to the network, as the user has set it up.
NETWORK = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "FTP_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
)  # fmt: skip
PACKAGE_INDEX = ("PIP_*", "UV_*")
NPM_REGISTRY = ("NPM_CONFIG_*",)
# The settings of the libraries that compute.
COMPUTE = (
    "BGS_*", "CUDA_*", "NVIDIA_*", "NUMBA_*", "WARP_*", "OMP_*", "MKL_*", "OPENBLAS_*",
    "KMP_*", "TORCH_*", "PYTORCH_*", "HF_*", "TRANSFORMERS_*", "CC", "CXX", "MAX_JOBS", "INCLUDE", "LIB", "LIBPATH",
)  # fmt: skip

ENGINE = (*SYSTEM, *NETWORK, *NPM_REGISTRY, *COMPUTE)
INSTALLER = (*SYSTEM, *NETWORK, *PACKAGE_INDEX, *NPM_REGISTRY)
NPM = (*SYSTEM, *NETWORK, *NPM_REGISTRY)

# No Python that a child starts searches its working folder for modules.
ALWAYS = {"PYTHONSAFEPATH": "1"}


def chosen(names: tuple[str, ...], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of these names, and `ALWAYS`.

    Args:
        names: upper and lower case are alike; `*` at the end stands for anything.
        environment: what to choose from; None: the environment of this process.
    """
    source = os.environ if environment is None else environment
    exact = {name for name in names if not name.endswith("*")}
    beginnings = tuple(name.removesuffix("*") for name in names if name.endswith("*"))
    kept = {
        name: value for name, value in source.items() if name.upper() in exact or name.upper().startswith(beginnings)
    }
    return kept | ALWAYS
