"""Segments of the scene, and the candidate that shows each of them in each view.

Two steps alternate. A Gaussian is in a segment if most of its weight lies in the segment's candidates, counted over
the views that have one. In every view a segment takes the candidate that fits it best, or none. So a candidate that
was grouped wrongly is exchanged, and views that were missed are found. Segments may overlap here.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from bgs_engine.masks.agreement.members import INSIDE, Members

ROUNDS = 5
LEAST_FIT = 0.5  # IoU of a candidate with its segment, in its view
LEAST_OF_BEST = 0.6  # of the fit that the candidate has with the segment it fits best: it shows that one, not its half
LEAST_VIEWS = 2  # one view alone confirms nothing


@dataclass(frozen=True)
class Segments:
    """S segments of G drawn Gaussians, and how K candidates fit them.

    share: float32 [G, S]: the share of a Gaussian's weight that lies in the candidates of the segment, 0..1.
    fit: float32 [S, K]: IoU of each candidate with each segment in the candidate's view.
    candidate: int32 [S, V]: the candidate that shows the segment in a view, -1 = none.
    """

    share: np.ndarray
    fit: np.ndarray
    candidate: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """Bool [G, S]."""
        return self.share > INSIDE

    @property
    def views(self) -> np.ndarray:
        """How many views show each segment, int [S]."""
        return (self.candidate >= 0).sum(1)


def settled(members: Members, group: np.ndarray) -> Segments:
    """The segments on which the views agree.

    Args:
        members: of all candidates.
        group: int32 [K], the first segment of each candidate, -1 = none.
    """
    pairs = _several_views(members, group)
    count = int(pairs[0].max(initial=-1)) + 1
    sums = np.asarray(members.shared.sum(0)).ravel()
    by_candidate = members.shared.T.tocsr()
    for _ in range(ROUNDS):
        inside = (_shares(members, *pairs, count) > INSIDE).astype(np.float32)
        common = np.asarray(by_candidate @ inside, np.float32).T  # [S, K]
        of_view = inside.T @ members.weight  # [S, V]
        fit = common / np.maximum(sums + of_view[:, members.view] - common, np.float32(1e-6))
        candidate = _best_of_views(fit, members)
        segment, view = np.nonzero(candidate >= 0)
        pairs = segment, candidate[segment, view]
    return Segments(_shares(members, *pairs, count), fit, candidate)


def _several_views(members: Members, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Segment, candidate), int [E] each, of the groups that have candidates in `LEAST_VIEWS` views."""
    number = np.flatnonzero(group >= 0)
    met = np.unique(np.stack([group[number], members.view[number]], 1), axis=0)
    views = np.bincount(met[:, 0], minlength=int(group.max(initial=-1)) + 1)
    kept = np.flatnonzero(views >= min(LEAST_VIEWS, members.views))
    segment = np.full(len(views), -1)
    segment[kept] = np.arange(len(kept))
    found = segment[group[number]]
    return found[found >= 0], number[found >= 0]


def _shares(members: Members, segment: np.ndarray, candidate: np.ndarray, count: int) -> np.ndarray:
    """`Segments.share`, float32 [G, S]; several candidates of one view count together as one."""
    view = members.view[candidate]
    times = np.zeros((count, members.views), np.float32)
    np.add.at(times, (segment, view), 1)
    fold = sp.csr_matrix((1 / times[segment, view], (candidate, segment)), (len(members.view), count))
    lies_in = np.asarray((members.shared @ fold).todense(), np.float32)
    could = members.weight @ (times > 0).T.astype(np.float32)
    return lies_in / np.maximum(could, np.float32(1e-6))


def _best_of_views(fit: np.ndarray, members: Members) -> np.ndarray:
    """The best fitting candidate of each segment in each view, int32 [S, V]; -1 where none fits."""
    result = np.full((len(fit), members.views), -1, np.int32)
    if not len(fit):
        return result
    fit = np.where(fit >= LEAST_OF_BEST * fit.max(0), fit, 0)
    for view in range(members.views):
        own = np.flatnonzero(members.view == view)
        if len(own):
            best = fit[:, own].argmax(1)
            fits = fit[np.arange(len(fit)), own[best]] >= LEAST_FIT
            result[fits, view] = own[best[fits]]
    return result
