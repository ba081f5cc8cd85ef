"""Chance that can be repeated: the same seed and the same words always draw the same."""

import random


def draw(seed: int, *words: object) -> random.Random:
    """Return a generator of its own for `words`, so that no draw depends on the order in which requests arrive."""
    return random.Random("|".join(map(str, (seed, *words))))  # noqa: S311 -- decides stories, keeps no secrets
