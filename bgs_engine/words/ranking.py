"""Ranks labels for a text, by the contrast of their pictures with other texts (LERF, Kerr et al. 2023, section 3.3)."""

from collections.abc import Sequence

import numpy as np

CANONICAL = ("object", "things", "stuff", "texture")  # of LERF: what any picture shows
SHARPNESS = 10.0  # of LERF's softmax, for vectors of length 1
FOUND = 0.5  # a label is found if its picture is nearer to the text than to every contrast


def relevancy(vectors: np.ndarray, wanted: np.ndarray, contrasts: np.ndarray) -> np.ndarray:
    """How much each picture shows what a text says, float64 [K] in 0..1; above `FOUND` it is nearer than all contrasts.

    The lowest of exp(s v·w) / (exp(s v·w) + exp(s v·c)) over the contrasts c, with s = `SHARPNESS`.

    Args:
        vectors: float [K, D], of the pictures, of length 1; zeros where there is no picture, which gives 0.
        wanted: float [D], of the text, of length 1.
        contrasts: float [C, D], of the canonical and the unwanted texts, C at least 1.
    """
    pictures = vectors.astype(np.float64)
    gap = pictures @ wanted.astype(np.float64) - (pictures @ contrasts.astype(np.float64).T).max(1)
    return np.where(pictures.any(1), 1 / (1 + np.exp(-SHARPNESS * gap)), 0)


def best_words(vectors: np.ndarray, words: np.ndarray, contrasts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of the word that fits each picture best, int64 [K], and its relevancy, float64 [K].

    Args:
        vectors: float [K, D], as for `relevancy`.
        words: float [W, D], of the vocabulary.
        contrasts: float [C, D].
    """
    scores = np.stack([relevancy(vectors, word, contrasts) for word in words], 1)
    return scores.argmax(1), scores.max(1)


def ordered(scores: np.ndarray, names: Sequence[int]) -> list[int]:
    """Places of the scores [K], highest first; equal ones in the order of their numbers."""
    return sorted(range(len(scores)), key=lambda k: (-float(scores[k]), names[k]))
