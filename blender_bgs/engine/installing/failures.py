"""What went wrong with pip, uv, npm or venv, in a sentence: their own output is long and for other readers."""

import re
from collections.abc import Sequence

# (what the output holds, what is wrong, what to do); the first that fits counts. pip also says "no matching
# distribution" when it could not reach the index, so the network comes before it.
REASONS = (
    (
        r"No space left on device|Errno 28|ENOSPC|not enough space|disk full",
        "The disk is full.",
        "Free some space, or choose another Install Folder.",
    ),
    (
        r"DO NOT MATCH THE HASHES|[Hh]ash mismatch|EINTEGRITY",
        "A downloaded package is not the one that this version was tested with. Nothing of it was used.",
        "Try again. If it happens again, ask who runs your network or package index, and report it.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError|certificate verify failed|UnknownIssuer|SELF_SIGNED_CERT",
        "The certificate of the package index is not trusted on this machine.",
        "Set PIP_CERT or SSL_CERT_FILE to the certificates of your network, and start Blender again.",
    ),
    (
        r"ProxyError|Tunnel connection failed|Cannot connect to proxy|407 Proxy",
        "The proxy does not let the installer through.",
        "Check the proxy that HTTPS_PROXY or pip's configuration names.",
    ),
    (
        r"NewConnectionError|NameResolutionError|name resolution|Max retries exceeded|Connection refused|"
        r"Network is unreachable|[Tt]imed out|TimeoutError|ConnectionReset|RemoteDisconnected|IncompleteRead|"
        r"Connection broken|error sending request|dns error|ENOTFOUND|ECONNRE|EAI_AGAIN",
        "The package index cannot be reached.",
        "Check the connection, then press Install Engine again.",
    ),
    (
        r"ensurepip is not available|No module named '?(ensurepip|venv)|python3-venv",
        "This Python cannot make environments: its package python3-venv is missing.",
        "Install that package, or set Base Python to another Python.",
    ),
    (
        r"No matching distribution found|is not a supported wheel|has no wheels|No solution found",
        "A package has no build for this Python on this system.",
        "Set Base Python to a Python from 3.11 to 3.14, or tick Untested Versions in the preferences.",
    ),
    (
        r"Permission denied|Errno 13|Read-only file system|Errno 30|Access is denied",
        "The Install Folder cannot be written.",
        "Choose another Install Folder.",
    ),
)
OTHERWISE = "Copy the details: they hold the log."
MOST = 200  # characters of the output's last line


class CommandFailed(Exception):  # noqa: N818 - the name says what happened
    """A program ended with an error. `output` are its last lines."""

    def __init__(self, program: str, code: int, output: Sequence[str]) -> None:
        super().__init__(f"{program} ended with exit code {code}")
        self.program, self.code, self.output = program, code, list(output)


def in_words(failure: CommandFailed | OSError) -> tuple[str, str]:
    """(what is wrong, what to do)."""
    text = "\n".join(failure.output) if isinstance(failure, CommandFailed) else str(failure)
    for pattern, sentence, hint in REASONS:
        if re.search(pattern, text):
            return sentence, hint
    if isinstance(failure, OSError):
        return f"{failure}.", OTHERWISE
    errors = [line for line in failure.output if "error" in line.lower()] or failure.output or [""]
    last = errors[-1].strip().removeprefix("ERROR: ").rstrip(".")[:MOST]
    return f"{failure}{': ' if last else ''}{last}.", OTHERWISE
