"""What scoring says about one response."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Status = Literal["equal", "different", "timeout", "unparseable", "error"]

STATUSES: Final[tuple[Status, ...]] = get_args(Status)

Layer = Literal["format", "guard", "text", "number", "expression", "structure", "cache", "math_verify", "task"]

LAYERS: Final[tuple[Layer, ...]] = get_args(Layer)


@dataclass(frozen=True)
class Verdict:
    """The verdict on one response. Format and truth are independent of each other.

    A cut thought that already names the boxed gold is `correct=True, well_formed=False`: its task score is that of a
    malformed response, yet the prompt's pass rate may still look at the answer alone.

    Args:
        correct: The extracted answer equals a gold answer; true exactly when `status` is "equal".
        well_formed: The response has the shape its thinking mode asks for (`formats.parse`).
        status: "equal", "different", "timeout" (judging was stopped at the limit), "unparseable" (no answer, or none
            that math-verify can read) or "error" (the judging process failed twice).
        extracted: Text of the box that counted, None where there is none.
        milliseconds: Wall time from call to verdict, waiting for a free worker included.
        truncated: As the caller said: generation stopped at the length limit.
        repetitive: The tail of the response is a degenerate loop (`loops.is_repetitive`).
        layer: What decided: "format" (no answer to judge), "guard" (refused unread), the fast layers "text", "number",
            "expression", "structure", the "cache", "math_verify", or "task" (another scorer than mathematics).
    """

    correct: bool
    well_formed: bool
    status: Status
    extracted: str | None
    milliseconds: float
    truncated: bool
    repetitive: bool
    layer: Layer = "text"
