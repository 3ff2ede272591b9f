"""Finds what spoils labels: floaters, crumbs, strays and haze. Scores once; a strength then takes milliseconds.

The Gaussians of a label that touch are a piece (`touching.py`). A piece that is small against the largest piece of its
label is proposed. What lies round it decides what it is:

- a **stray** lies in another label. It belongs there.
- a **floater** is a piece of at most `FEW` Gaussians in the air, a **crumb** a larger one.
- **haze** is a Gaussian that is large and faint compared with its label, and reaches out of it (`haze.py`).

Nothing here depends on the scene's unit or on the order of the Gaussians.
"""

from dataclasses import dataclass

import numpy as np

from bgs_engine.cutouts.haze import haze_strengths, typical
from bgs_engine.cutouts.loose_parts import SOLID
from bgs_engine.cutouts.surroundings import hosts_of_pieces
from bgs_engine.cutouts.touching import touching
from bgs_engine.io.gaussians import Gaussians

FLOATER, CRUMB, STRAY, HAZE = 1, 2, 3, 4  # kinds; 0 is none
NAMES = {FLOATER: "floaters", CRUMB: "crumbs", STRAY: "strays", HAZE: "haze"}
FEW = 8  # Gaussians of the largest floater
# A piece is proposed if it holds less than this share of its label's largest piece: at strength 0, and at strength 1.
SHARE_AT_0, SHARE_AT_1 = 1e-4, 1e-1
FEWEST = 50.0  # Gaussians: smaller labels are measured as if they had so many, else each of their pieces were large
USUAL = 0.8  # mean opacity of solid things; that of a fainter label is raised to it, so that glass holds together
FULLY_SIZED = 4.0  # times the typical size: no Gaussian counts for a larger area, else haze would be a large piece
LEAST_TRUST, MOST_TRUST = 0.25, 1.5  # limits of how much the confidence of a piece counts


@dataclass(frozen=True)
class Crumbs:
    """What was found among N Gaussians.

    kinds: uint8 [N], one of FLOATER, CRUMB, STRAY, HAZE, or 0. strengths: float32 [N], 0..1: a Gaussian is proposed at
    strengths above this one; infinite where the kind is 0. hosts: int64 [N], for strays the row of a Gaussian of the
    label that surrounds them, else -1.
    """

    kinds: np.ndarray
    strengths: np.ndarray
    hosts: np.ndarray

    def at(self, strength: float) -> np.ndarray:
        """The kind of each Gaussian that is proposed at a strength in 0..1, else 0; uint8 [N].

        A larger strength proposes all that a smaller one does. Strength 0 proposes nothing.
        """
        return np.where(self.strengths < strength, self.kinds, np.uint8(0))


def find_crumbs(
    gaussians: Gaussians, labels: np.ndarray, confidence: np.ndarray | None = None, apart: np.ndarray | None = None
) -> Crumbs:
    """Score every Gaussian of a labelled splat. Those that are not valid are floaters.

    Args:
        gaussians: N Gaussians. Colours are not needed.
        labels: int or uint [N], the labels of one level.
        confidence: [N] in 0..1, or None. Pieces that are less sure than their label need less strength.
        apart: bool [N] or None: Gaussians that were accepted as crumbs before. They count for nothing.
    """
    count = len(gaussians)
    apart = np.zeros(count, bool) if apart is None else apart
    kinds = np.where(apart, 0, FLOATER).astype(np.uint8)
    strengths = np.where(apart, np.inf, 0).astype(np.float32)
    hosts = np.full(count, -1, np.int64)
    rows = np.flatnonzero(gaussians.valid & (gaussians.scales > 0).all(1) & ~apart)
    if len(rows):
        some = gaussians if len(rows) == count else gaussians.take(rows)
        found = _score(some, labels[rows], None if confidence is None else confidence[rows])
        kinds[rows], strengths[rows] = found.kinds, found.strengths
        hosts[rows] = np.where(found.hosts < 0, -1, rows[found.hosts])
    return Crumbs(kinds, strengths, hosts)


def _score(gaussians: Gaussians, labels: np.ndarray, confidence: np.ndarray | None) -> Crumbs:
    ids, label = np.unique(labels, return_inverse=True)
    label, count = label.reshape(-1), len(ids)
    weights = np.maximum(gaussians.opacities.astype(np.float64), 1e-6)
    ordered = np.sort(gaussians.scales, axis=1).astype(np.float64)
    sizes = np.sqrt(ordered[:, 2] * ordered[:, 1])  # of a disc its width; of a needle between its length and its width
    mean = np.bincount(label, weights) / np.bincount(label)
    touch = touching(gaussians.means, sizes, weights * np.maximum(1, USUAL / mean)[label], label, count, SOLID)
    numbers, piece = np.unique(touch.pieces[touch.nodes], return_inverse=True)
    piece = piece.reshape(-1)
    strength = _strengths(piece, label, weights, sizes, confidence, count)
    host = hosts_of_pieces(touch, numbers, piece, strength < 1, gaussians.means, sizes)
    kind = np.where(host >= 0, STRAY, np.where(np.bincount(piece) > FEW, CRUMB, FLOATER)).astype(np.uint8)

    kinds, strengths, hosts = kind[piece], strength[piece], host[piece]
    haze = haze_strengths(gaussians, label, weights, touch)
    hazy = haze < np.minimum(strengths, 1)
    kinds[hazy], strengths[hazy], hosts[hazy] = HAZE, haze[hazy], -1
    none = strengths >= 1
    kinds[none], strengths[none], hosts[none] = 0, np.inf, -1
    return Crumbs(kinds, strengths.astype(np.float32), hosts)


def _strengths(
    piece: np.ndarray, label: np.ndarray, weights: np.ndarray, sizes: np.ndarray, confidence: np.ndarray | None,
    count: int,
) -> np.ndarray:  # fmt: skip
    """The strength from which each piece is proposed, float64 [P]; 1 and more means never."""
    label_of_piece = np.zeros(int(piece.max()) + 1, np.int64)
    label_of_piece[piece] = label
    area = weights * np.minimum(sizes / typical(label, weights, sizes)[label], FULLY_SIZED) ** 2
    share = np.zeros(len(label_of_piece))
    for amount in (weights, area):
        held = np.bincount(piece, amount, minlength=len(label_of_piece))
        most = np.zeros(count)
        np.maximum.at(most, label_of_piece, held)
        mean = np.bincount(label, amount, minlength=count) / np.bincount(label, minlength=count)
        share = np.maximum(share, held / np.maximum(most, FEWEST * mean)[label_of_piece])
    if confidence is not None:
        sure = weights * confidence
        trust = np.bincount(piece, sure) / np.bincount(piece, weights)
        usual = np.bincount(label, sure) / np.bincount(label, weights)
        share *= (trust / np.maximum(usual[label_of_piece], 1e-6)).clip(LEAST_TRUST, MOST_TRUST)
    strength = np.log(np.maximum(share, 1e-12) / SHARE_AT_0) / np.log(SHARE_AT_1 / SHARE_AT_0)
    return strength.clip(0, 2)


def in_words(kinds: np.ndarray) -> str:
    """How many Gaussians there are of each kind, for example "15 Gaussians: 12 in floaters, 3 in strays"."""
    count = int((kinds > 0).sum())
    found = [f"{int((kinds == kind).sum()):,} in {name}" for kind, name in NAMES.items() if (kinds == kind).any()]
    return f"{count:,} Gaussian{'' if count == 1 else 's'}{': ' if found else ''}{', '.join(found)}"
