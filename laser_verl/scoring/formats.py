r"""The shape of a response and the answer in it. Linear scans only, whatever the text.

Shipped formats are `deepseek`, `boxed` and `answer_tag`. A package adds one of its own through the entry-point group
`laser_verl.formats`: a name and a function of (response, prompt_opens_think) that returns a `Parsed`, e.g. in its
pyproject.toml

    [project.entry-points."laser_verl.formats"]
    final_line = "my_package.formats:final_line"

It is called once for every response, in the reward workers, on whatever the model wrote.
"""

import difflib
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Final, TypeGuard

ENTRY_POINTS: Final = "laser_verl.formats"

OPEN: Final = "<think>"
CLOSE: Final = "</think>"

_ANSWER_OPEN: Final = "<answer>"
_ANSWER_CLOSE: Final = "</answer>"

_UNSAID: Final = " \t\r\n.\u2026"

_BOX: Final = r"\boxed{"

# Each alternative has a fixed width, so the scan cannot backtrack. Escaped braces (`\{`) do not count as braces; `\\`
# is taken as a pair so that `\\}` closes, except before a box, which models also write with two backslashes.
_BRACES = re.compile(r"\\boxed\{|\\[{}]|\\\\(?!boxed\{)|[{}]")


@dataclass(frozen=True)
class Parsed:
    """Format and answer of one response.

    Args:
        well_formed: The response has the required shape.
        answer: Text inside the box or tag that counts, stripped; None where there is none or a blank one.
    """

    well_formed: bool
    answer: str | None


Reader = Callable[[str, bool], Parsed]


def prompt_opens_think(prompt_text: str) -> bool:
    r"""Say whether a prompt already opens the thought, as some chat templates do.

    Args:
        prompt_text: The prompt as the model sees it, template applied.

    Returns:
        True when the prompt ends with the opening think tag; white space and dots may follow it, which leave it open
        whether the model will think (arXiv 2505.10832). E.g. "...<think>\n": True.
    """
    return prompt_text.rstrip(_UNSAID).endswith(OPEN)


def thinks(response: str, prompt_opens_think: bool = False) -> bool:
    r"""Say whether a response thinks before it answers.

    Args:
        response: Text of the response.
        prompt_opens_think: The prompt ended with the opening think tag.

    Returns:
        True when something stands in the thought, closed or not. E.g. `<think>\n\n</think> 7`: False.
    """
    before, opened, after = response.partition(OPEN)
    if not opened and not prompt_opens_think:
        return False
    thought = after if opened else before
    return bool(thought.partition(CLOSE)[0].strip())


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


def known() -> tuple[str, ...]:
    """Name the formats: the shipped ones, then those that installed packages add.

    Returns:
        Names. E.g. with nothing added: ("deepseek", "boxed", "answer_tag").
    """
    added = sorted(entry.name for entry in metadata.entry_points(group=ENTRY_POINTS))
    return tuple(dict.fromkeys([*THINKING, *added]))


def reader(name: str) -> Reader:
    """Find what reads a format.

    Args:
        name: A name of `known()`.

    Returns:
        A function of (response, prompt_opens_think) that gives a `Parsed`. Around a package's own function it raises
        ValueError where that function raises or returns anything else: its fault, not a wrong answer.

    Raises:
        ValueError: If the name is unknown, taken twice, or its package's function cannot be loaded.
    """
    if not isinstance(name, str):
        raise _unknown(name)
    return _find(name)


def parse(response: str, thinking: str, prompt_opens_think: bool = False) -> Parsed:
    r"""Split a response into format and answer.

    "deepseek" is well formed = one `<think>` (from prompt or response), one `</think>` after it, a filled `\boxed{}`
    after that. "boxed" (no thinking asked) is well formed = a filled `\boxed{}`. "answer_tag" asks for the thought of
    "deepseek" and then for one filled `<answer>…</answer>`; a box in the tag holds the answer, else all of the tag.
    Other text may stand between and after them. In all three, only text after the last `</think>` is searched for the
    answer, or all of it where the thought never closes; of several boxes or tags the last closed one counts.

    Source: arXiv 2505.15612, section 2 (base reward); arXiv 2501.12948, table 1 (`<answer>` tags).

    Args:
        response: Text of the response.
        thinking: A name of `known()`.
        prompt_opens_think: The prompt ended with `<think>`, so the response must not open it again.

    Returns:
        Format and answer. E.g. `<think> so \boxed{7} but wait` as "deepseek": not well formed, answer "7".

    Raises:
        ValueError: If there is no such format, or a package's own reader fails.
    """
    return reader(thinking)(response, prompt_opens_think)


def _deepseek(response: str, prompt_opens_think: bool) -> Parsed:
    answer = last_boxed(_after_thought(response)) or None
    return Parsed(answer is not None and _has_one_thought(response, prompt_opens_think), answer)


def _boxed(response: str, prompt_opens_think: bool) -> Parsed:
    answer = last_boxed(_after_thought(response)) or None
    return Parsed(answer is not None, answer)


def _answer_tag(response: str, prompt_opens_think: bool) -> Parsed:
    rest = _after_thought(response)
    content = _last_tagged(rest)
    boxed = last_boxed(content)
    answer = (content if boxed is None else boxed) or None
    has_one_tag = rest.count(_ANSWER_OPEN) == rest.count(_ANSWER_CLOSE) == 1
    return Parsed(answer is not None and has_one_tag and _has_one_thought(response, prompt_opens_think), answer)


def _after_thought(response: str) -> str:
    return response.rpartition(CLOSE)[2]


def _has_one_thought(response: str, prompt_opens_think: bool) -> bool:
    thought, closed, _ = response.rpartition(CLOSE)
    opens = response.count(OPEN) + prompt_opens_think
    return bool(closed) and opens == 1 and CLOSE not in thought and (prompt_opens_think or OPEN in thought)


def _last_tagged(text: str) -> str:
    """Content of the closed answer tag that starts last, stripped; empty without one."""
    start = text.rfind(_ANSWER_OPEN, 0, max(text.rfind(_ANSWER_CLOSE), 0))
    if start < 0:
        return ""
    start += len(_ANSWER_OPEN)
    return text[start : text.find(_ANSWER_CLOSE, start)].strip()


_SHIPPED: Final[dict[str, Reader]] = {"deepseek": _deepseek, "boxed": _boxed, "answer_tag": _answer_tag}

THINKING: Final = tuple(_SHIPPED)


@functools.cache
def _find(name: str) -> Reader:
    entries = tuple(metadata.entry_points(group=ENTRY_POINTS, name=name))
    if name in _SHIPPED and entries:
        raise ValueError(
            f"thinking={name!r} is a format of laser_verl, and {_source(entries[0])} takes its name; give that another"
        )
    if len(entries) > 1:
        raise ValueError(f"thinking={name!r} is given by {' and by '.join(map(_source, entries))}; uninstall one")
    if entries:
        return _load(entries[0])
    if name not in _SHIPPED:
        raise _unknown(name)
    return _SHIPPED[name]


def _unknown(name: object) -> ValueError:
    names = known()
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return ValueError(f"thinking={name!r} is unknown; known: {', '.join(names)}{hint}")


def _load(entry: metadata.EntryPoint) -> Reader:
    where = f"thinking={entry.name!r}: {_source(entry)}"
    try:
        read = entry.load()
    except Exception as error:  # whatever importing it does
        raise ValueError(f"{where} cannot be loaded: {_reason(error)}; correct or uninstall it") from error
    if not callable(read):
        raise ValueError(f"{where} is no function: {read!r:.80}; give one of (response, prompt_opens_think)")

    def checked(response: str, prompt_opens_think: bool) -> Parsed:
        try:
            parsed = read(response, prompt_opens_think)
        except Exception as error:
            raise ValueError(f"{where} raised {_reason(error)}; correct it") from error
        if not _is_sound(parsed):
            raise ValueError(
                f"{where} returned {parsed!r:.80}; return a laser_verl.scoring.formats.Parsed of true or false and a "
                "text or None"
            )
        return parsed

    return checked


def _is_sound(parsed: object) -> TypeGuard[Parsed]:
    return (
        isinstance(parsed, Parsed)
        and isinstance(parsed.well_formed, bool)
        and (parsed.answer is None or isinstance(parsed.answer, str))
    )


def _source(entry: metadata.EntryPoint) -> str:
    package = entry.dist.name if entry.dist else "a package without metadata"
    return f"{package} (entry point {entry.name} = {entry.value})"


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
