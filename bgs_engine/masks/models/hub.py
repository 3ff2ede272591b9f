"""Opens files of the Hugging Face hub at one revision. HF_ENDPOINT names a mirror, as for the hub's own library."""

import contextlib
import importlib
import os
import ssl
import urllib.error
import urllib.request
from typing import BinaryIO, cast

import bgs_engine
from bgs_engine.core.errors import EnvironmentLacksError
from bgs_engine.core.mask_models import BetterModel, ModelFile

HUB = "https://huggingface.co"
TIMEOUT = 30.0  # seconds without a byte
REFUSED = (401, 403, 404, 410)  # answers that another try does not change


def open_at(model: BetterModel, file: ModelFile, skip: int) -> tuple[BinaryIO, int]:
    """See `fetching.Opener`. A server that cannot skip sends the file from its beginning."""
    hub = os.environ.get("HF_ENDPOINT", "").rstrip("/") or HUB
    address = f"{hub}/{model.repository}/resolve/{model.revision}/{file.name}"
    if not address.startswith(("https://", "http://")):
        raise EnvironmentLacksError(f"HF_ENDPOINT is no web address: {hub}.", "Write it like https://huggingface.co.")
    headers = {"User-Agent": f"bgs-engine/{bgs_engine.__version__}", "Accept-Encoding": "identity"}
    if skip:
        headers["Range"] = f"bytes={skip}-"
    request = urllib.request.Request(address, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT, context=_certificates())
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in REFUSED:
            raise EnvironmentLacksError(
                f"{hub} does not give {file.name} of {model.repository} (answer {error.code}).",
                "It may have moved. minisam works without it.",
            ) from None
        raise OSError(f"answer {error.code}") from None
    return cast(BinaryIO, answer), skip if answer.status == 206 else 0


def _certificates() -> ssl.SSLContext:
    """The system's certificates, and those of certifi, which pip has too: some Pythons on macOS find no others."""
    context = ssl.create_default_context()
    if not os.environ.get("SSL_CERT_FILE"):
        for name in ("certifi", "pip._vendor.certifi"):
            with contextlib.suppress(ImportError, OSError):
                context.load_verify_locations(importlib.import_module(name).where())
                break
    return context
