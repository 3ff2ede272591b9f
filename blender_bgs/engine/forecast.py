"""How far a whole job is and how long it will still take, without numbers that jump back. No bpy."""

from .progress import Progress

EARLY_SECONDS, EARLY_SHARE = 4.0, 0.03  # before both have passed, an estimate of the whole time is a guess
LATE_FACTOR, LATE_SECONDS = 1.5, 15.0  # an estimate this much above what was shown cannot be passed over


class Forecast:
    """Is told the state of one job again and again.

    `fraction` is the share of the whole job that is done, in 0..1. `left` is the number of seconds to its end, or None
    while it is unknown. Neither jumps back: if a job turns out to be slower, `left` stays until it is right again.
    `late` says that it is much slower.
    """

    def __init__(self) -> None:
        self.fraction = 0.0
        self.left: float | None = None
        self.late = False
        self._seconds = 0.0

    def update(self, state: Progress) -> None:
        """Take the present state of the job."""
        if not state.plan:  # a job that does not say what is to come, for example Install Engine
            self.fraction, self.left = state.fraction, state.eta
            return
        passed, self._seconds = state.seconds - self._seconds, state.seconds
        self.fraction = max(self.fraction, state.overall)
        if state.seconds < EARLY_SECONDS or self.fraction < EARLY_SHARE:
            return
        estimate = state.seconds * (1 - self.fraction) / self.fraction
        if self.left is None:
            self.left = estimate
            return
        self.late = estimate > LATE_FACTOR * self.left + LATE_SECONDS
        self.left = min(self.left, max(estimate, self.left - passed))

    def in_words(self) -> str:
        """The time left as people say it, for example "about 3 min left"; "" while it is unknown."""
        if self.left is None:
            return ""
        if self.late:
            return "longer than usual"
        if self.left < 55:
            return f"about {max(5, 5 * round(self.left / 5))} s left"
        return f"about {max(1, round(self.left / 60))} min left"
