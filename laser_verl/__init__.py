"""Length-adaptive rewards for reasoning models, as a plugin for verl.

The methods live in `laser_verl.core` (numpy only), the verification of answers in `laser_verl.scoring`, and everything
that touches verl in `laser_verl.verl_ext`, which verl loads by itself through the entry-point group `verl.plugins`.
Importing this package imports none of them.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
