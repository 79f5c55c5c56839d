"""Easy, medium and hard prompts in fixed shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from laser_verl.core.bands import BANDS, RATE_STEPS, band_of
from laser_verl.core.checks import Floats, Ints
from laser_verl.core.policies.base import register_policy
from laser_verl.core.policies.bins import NUM_BINS, OUT, UNSEEN
from laser_verl.core.policies.shares import checked_shares, exact_numbers
from laser_verl.core.policies.weighted import BinnedPolicy

_BAND_OF_BIN = band_of(np.arange(RATE_STEPS + 1), RATE_STEPS)


@register_policy("band_mix", source="ours", formula="a share of the batch for each difficulty band, exactly")
@dataclass(kw_only=True, eq=False)
class BandMix(BinnedPolicy):
    """Easy, medium and hard prompts in fixed shares of the batch, each drawn uniformly inside its band.

    Bands are LASER-D's, by tracked pass rate. The unseen share of a batch equals the unseen share of the pool, and
    `shares` divides the rest: with a fifth of the pool unseen, a batch of 100 has 20 unseen prompts and 20
    easy, 40 medium and 20 hard ones. What a band has too few prompts for goes to the other bands in proportion. Numbers
    that come out as fractions are rounded up or down at random.

    Attributes:
        shares: Share of each of easy, medium and hard, of sum 1.
    """

    shares: Mapping[str, float] = field(default_factory=lambda: {"easy": 0.25, "medium": 0.5, "hard": 0.25})

    def __post_init__(self) -> None:
        """Check the shares."""
        self._shares: Floats = checked_shares("shares", self.shares, BANDS)

    def choose(self, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
        """Draw by band."""
        with self._bins.set_aside(excluded):
            totals = self._bins.totals
            totals[OUT] = 0
            of_bin = np.zeros(NUM_BINS, dtype=np.int64)
            of_bin[UNSEEN], of_band = self._split(totals, count, rng)
            for band, number in enumerate(of_band.tolist()):
                bins = np.flatnonzero(np.equal(_BAND_OF_BIN, band))
                of_bin[bins] = rng.multivariate_hypergeometric(totals[bins], number, method="marginals")
            return self._bins.pick(of_bin, rng)

    def _split(self, totals: Ints, count: int, rng: np.random.Generator) -> tuple[int, Ints]:
        """How many prompts of a draw are unseen, and how many of each band, [3]."""
        room = np.bincount(_BAND_OF_BIN, totals[: RATE_STEPS + 1], minlength=len(BANDS)).astype(np.int64)
        unseen, wanted = int(totals[UNSEEN]), int(room[self._shares > 0].sum())
        parts = np.array([unseen, room.sum()], dtype=np.float64)
        num_unseen, num_seen = exact_numbers(parts, np.array([unseen, wanted]), count, rng).tolist()
        of_band = exact_numbers(self._shares, room, num_seen, rng)
        # Bands with share 0 help out where there is nothing else.
        missing = count - num_unseen - num_seen
        return num_unseen, of_band + exact_numbers((room - of_band).astype(np.float64), room - of_band, missing, rng)
