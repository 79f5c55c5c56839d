r"""Prompt templates: what is said to the model around a problem. One entry of `TEMPLATES` is one template.

The chat template of the model comes on top of it, and so does, with L1 and the like, the sentence that names a budget.
"""

from __future__ import annotations

from dataclasses import dataclass

_PROBLEM = "{problem}"


@dataclass(frozen=True)
class Template:
    """The messages of a prompt.

    Attributes:
        user: Text of the user's message, with `{problem}`.
        system: Text of a system message before it, None for none.
        about: Whose it is, in a few words.
    """

    user: str
    about: str
    system: str | None = None

    def messages(self, problem: str) -> list[dict[str, str]]:
        """The prompt of a problem, as chat messages."""
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*system, {"role": "user", "content": self.user.replace(_PROBLEM, problem)}]

    def problem(self, text: str) -> str | None:
        """The problem of a user's message, None where the template adds nothing or another text stands around it."""
        before, _, after = self.user.partition(_PROBLEM)
        is_ours = (before or after) and text.startswith(before) and text.endswith(after)
        return text.removeprefix(before).removesuffix(after) if is_ours else None


TEMPLATES: dict[str, Template] = {
    "paper": Template(
        user=_PROBLEM + "\nPlease reason step by step, and put your final answer within \\boxed{}.",
        about="LASER (arXiv 2505.15612, Figure 8) and DeepSeek-R1; what Qwen3's model cards recommend for mathematics",
    ),
    "deepscaler": Template(
        user=_PROBLEM + " Let's think step by step and output the final answer within \\boxed{}.",
        about="DeepScaleR, L1 and the released preprocessing of LASER",
    ),
    "qwen": Template(
        system="Please reason step by step, and put your final answer within \\boxed{}.",
        user=_PROBLEM,
        about="Qwen2.5-Math: the same sentence as a system message",
    ),
    "plain": Template(user=_PROBLEM, about="the problem alone"),
}
"""By name."""
