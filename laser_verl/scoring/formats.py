r"""The shape of a response: think tags, then a `\boxed{}` answer. Linear scans only, whatever the text."""

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

Thinking = Literal["deepseek", "boxed"]

THINKING: Final[tuple[Thinking, ...]] = get_args(Thinking)

OPEN: Final = "<think>"
CLOSE: Final = "</think>"

_BOX: Final = r"\boxed{"

# Each alternative has a fixed width, so the scan cannot backtrack. Escaped braces (`\{`) do not count as braces; `\\`
# is taken as a pair so that `\\}` closes, except before a box, which models also write with two backslashes.
_BRACES = re.compile(r"\\boxed\{|\\[{}]|\\\\(?!boxed\{)|[{}]")


@dataclass(frozen=True)
class Parsed:
    """Format and answer of one response.

    Args:
        well_formed: The response has the required shape.
        answer: Text inside the box that counts, stripped; None where there is no box or a blank one.
    """

    well_formed: bool
    answer: str | None


def prompt_opens_think(prompt_text: str) -> bool:
    r"""Say whether a prompt already opens the thought, as some chat templates do.

    Args:
        prompt_text: The prompt as the model sees it, template applied.

    Returns:
        True when the prompt ends with the opening think tag; white space may follow it. E.g. "...<think>\n": True.
    """
    return prompt_text.rstrip().endswith(OPEN)


def last_boxed(text: str) -> str | None:
    r"""Return the content of the last closed box of a text.

    "Last" is the box that starts last, so of nested boxes the inner one counts. Boxes that are never closed are passed
    over.

    Args:
        text: Any text.

    Returns:
        Content of the box, stripped, possibly empty; None without a closed box. E.g. `\boxed{1} \boxed{\frac{1}{2}}`:
        `\frac{1}{2}`.
    """
    first = text.find(_BOX)
    if first < 0:
        return None
    found: tuple[int, int] | None = None
    opened: list[int | None] = []  # where each open box starts, None for any other open brace
    for match in _BRACES.finditer(text, first):
        token = match.group()
        if token == "{":
            opened.append(None)
        elif token == "}":
            start = opened.pop() if opened else None
            if start is not None and (found is None or start > found[0]):
                found = (start, match.start())
        elif token == _BOX:
            opened.append(match.end())
    return None if found is None else text[found[0] : found[1]].strip()


def parse(response: str, thinking: Thinking, prompt_opens_think: bool = False) -> Parsed:
    r"""Split a response into format and answer.

    "deepseek" is well formed = one `<think>` (from prompt or response), one `</think>` after it, a filled `\boxed{}`
    after that. "boxed" (no thinking asked) is well formed = a filled `\boxed{}`. In both, only text after the last
    `</think>` is searched for the answer, or all of it where the thought never closes.

    Source: arXiv 2505.15612, section 2 (base reward).

    Args:
        response: Text of the response.
        thinking: "deepseek" or "boxed".
        prompt_opens_think: The prompt ended with `<think>`, so the response must not open it again.

    Returns:
        Format and answer. E.g. `<think> so \boxed{7} but wait`: not well formed, answer "7".
    """
    thought, closed, rest = response.rpartition(CLOSE)
    boxed = last_boxed(rest)
    answer = boxed or None
    if thinking == "boxed":
        return Parsed(answer is not None, answer)
    opens = response.count(OPEN) + prompt_opens_think
    in_order = bool(closed) and CLOSE not in thought and (prompt_opens_think or OPEN in thought)
    return Parsed(answer is not None and opens == 1 and in_order, answer)
