"""A bonus for right answers that is worth half as much with every so many tokens more."""

from dataclasses import dataclass

from laser_verl.core import MethodBase, Need, Rollouts, Shaped, register


@register("half_price", needs={Need.RESPONSE}, formula="C + [solved] * 2^(-L / half_length)", source="this package")
@dataclass(kw_only=True, eq=False)
class HalfPrice(MethodBase):
    """A bonus for right answers; at `half_length` 1000, a solved response of 2000 tokens gets 1 + 0.25.

    Attributes:
        half_length: Tokens that halve the bonus, 1 or more.
    """

    half_length: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.half_length < 1:
            raise ValueError(f"half_length={self.half_length} must be 1 token or more; give e.g. 1000")

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Add the bonus."""
        return Shaped(self.scores.of(rollouts), rollouts.solved * 0.5 ** (rollouts.length / self.half_length))

    def metrics(self) -> dict[str, float]:
        """Log the option, so that runs can be told apart."""
        return {"laser/half_price/half_length": float(self.half_length)}
