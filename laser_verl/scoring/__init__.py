"""Is the answer right? Format, extraction, fast equality, math-verify in processes that can be killed, loop detection.

Importing this package imports neither math_verify nor torch nor verl: math-verify lives in the worker processes only.
"""

from laser_verl.scoring.scorer import Scorer
from laser_verl.scoring.verdict import LAYERS, STATUSES, Verdict

__all__ = ["LAYERS", "STATUSES", "Scorer", "Verdict"]
