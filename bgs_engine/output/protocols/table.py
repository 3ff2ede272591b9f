"""The list of all protocols. Add a new one here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bgs_engine.core.cameras import Camera
from bgs_engine.output.protocols import lerf_mask, nvos, spin_nerf
from bgs_engine.output.protocols.annotation import Annotation


@dataclass(frozen=True)
class Protocol:
    """A protocol.

    read: lists the objects of a folder, for the given cameras. claimed: the highest mean IoU over all scenes that a
    paper claims, as far as we know.
    """

    name: str
    read: Callable[[Path, Sequence[Camera]], list[Annotation]]
    claimed: float


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("lerf-mask", lerf_mask.read, 0.921),
        Protocol("spin-nerf", spin_nerf.read, 0.952),
        Protocol("nvos", nvos.read, 0.941),
    )
}
