"""Strategies of answers as models write them: a value, written in one of its notations, right or nearly right."""

from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

SMALL = st.integers(-30, 30)
POSITIVE = st.integers(1, 40)
FRACTION_COMMANDS = st.sampled_from([r"\frac", r"\dfrac", r"\tfrac"])
VARIABLES = st.sampled_from("xyzabnk")


@st.composite
def fraction_text(draw: DrawFn, value: Fraction) -> str:
    scale = draw(st.sampled_from([1, 1, 1, 2, 3]))
    over, under = value.numerator * scale, value.denominator * scale
    command = draw(FRACTION_COMMANDS)
    forms = [rf"{command}{{{over}}}{{{under}}}", f"{over}/{under}", f"{over} / {under}"]
    if over < 0:
        forms.append(rf"-{command}{{{-over}}}{{{under}}}")
    if under == 1:
        forms += [str(over)] * 3
    if value > 1 and value.denominator > 1 and scale == 1:
        whole, rest = divmod(value.numerator, value.denominator)
        forms.append(rf"{whole}\frac{{{rest}}}{{{value.denominator}}}")
    if 0 < over < 10 and 0 < under < 10:
        forms.append(rf"\frac{over}{under}")
    return draw(st.sampled_from(forms))


@st.composite
def decimal_text(draw: DrawFn, value: Fraction) -> str:
    places = draw(st.integers(1, 8))
    scaled = value * 10**places
    rounded = round(scaled)
    digits = str(abs(rounded)).rjust(places + 1, "0")
    return ("-" if rounded < 0 else "") + digits[:-places] + "." + digits[-places:]


@st.composite
def whole_text(draw: DrawFn, value: int) -> str:
    forms = [str(value), f"{value:,}", f"{value:,}".replace(",", "{,}"), f"{value}.0", rf"\${value}", f"({value})"]
    return draw(st.sampled_from(forms))


@st.composite
def with_noise(draw: DrawFn, text: str) -> str:
    forms = [text] * 6
    forms += [
        rf"{text}\text{{ cm}}",
        rf"{text} \text{{ hours}}",
        rf"{text}\ \mathrm{{m}}^2",
        f"x = {text}",
        f"n={text}",
    ]
    forms += [rf"\left({text}\right)", rf"\displaystyle {text}", f"${text}$", f" {text} ", f"{text}.", rf"{text}\\"]
    forms += [
        f"{text}^\\circ",
        rf"{text}\%",
        f"{text} cm",
        f"{text} units",
        rf"\text{{{text}}}",
        f"{text}!",
        f"+{text}",
    ]
    return draw(st.sampled_from(forms))


@st.composite
def numbers(draw: DrawFn) -> tuple[Fraction, str]:
    """A number and one way to write it."""
    if draw(st.booleans()):
        value = draw(st.one_of(SMALL, st.integers(-(10**7), 10**7)))
        return Fraction(value), draw(st.one_of(whole_text(value), fraction_text(Fraction(value))))
    value = Fraction(draw(SMALL), draw(POSITIVE))
    return value, draw(st.one_of(fraction_text(value), decimal_text(value)))


@st.composite
def number_texts(draw: DrawFn) -> str:
    return draw(with_noise(draw(numbers())[1]))


@st.composite
def surds(draw: DrawFn) -> str:
    a, b, c, d = draw(SMALL), draw(POSITIVE), draw(st.integers(2, 30)), draw(st.integers(2, 12))
    root = draw(st.sampled_from([rf"\sqrt{{{c}}}", rf"\sqrt{{{c * b * b}}}", r"\pi", rf"\sqrt{{\frac{{{c}}}{{{d}}}}}"]))
    forms = [
        rf"{b}{root}", rf"\frac{{{b}{root}}}{{{d}}}", rf"{root}/{d}", rf"{a}+{b}{root}", rf"\frac{{{a}-{root}}}{{{d}}}",
        rf"\frac{{{b}}}{{{root}}}", rf"\frac{{{b}}}{{{d}}}{root}", rf"{b}/{d}{root}", rf"-{root}", rf"({a}+{root})^2",
        rf"\frac{{1}}{{{d}+{root}}}", rf"{root}\cdot {b}", rf"{root}{b}", rf"{root}^2", rf"{b}{root} - {root}",
    ]  # fmt: skip
    return draw(st.sampled_from(forms))


@st.composite
def polynomials(draw: DrawFn) -> str:
    x, y = draw(VARIABLES), draw(VARIABLES)
    a, b, c, n = draw(SMALL), draw(POSITIVE), draw(st.integers(2, 9)), draw(st.integers(2, 4))
    signed = f"+{a}" if a >= 0 else str(a)
    forms = [
        f"{x}{signed}", f"{b}{x}{signed}", f"{x}^2+{b}{x}{signed}", f"({x}{signed})({x}+{b})", f"({x}+{b})^{n}",
        f"{x}^{{{n}}}{y}", f"{b}{x}{y}", f"{x}/{c}", rf"\frac{{{x}}}{{{c}}}", rf"\frac{{{b}}}{{{c}}}{x}", f"{b}/{c}{x}",
        rf"\frac{{{x}+{b}}}{{{c}}}", f"{x}-{y}", f"-{x}", f"{c}^{x}", rf"{c}({x}{signed})", f"{x}{c}",
        f"{x.upper()}+{b}", rf"{b}\cdot {x}", f"{b}*{x}", f"{x} + {b} {y}", rf"\frac{{1}}{{{x}}}", f"{x}^{{-{n}}}",
        f"{c}^{n}", f"{c}^{{{n}}}{x}",
    ]  # fmt: skip
    return draw(st.sampled_from(forms))


@st.composite
def collections(draw: DrawFn) -> str:
    item = st.one_of(SMALL.map(str), numbers().map(lambda n: n[1]), surds(), VARIABLES)
    items = draw(st.lists(item, min_size=1, max_size=4))
    left, right = draw(st.sampled_from(["()", "[]", "(]", "[)", "{}", "  ", ("\\{", "\\}"), ("\\left(", "\\right)")]))
    if draw(st.integers(0, 9)) == 0:
        items[-1] = draw(st.sampled_from([r"\infty", r"-\infty", "1,234"]))
    separator = draw(st.sampled_from([",", ", ", ", ", r" \text{ and } ", " or ", ";"]))
    return f"{left}{separator.join(items)}{right}".strip()


WORDS = st.sampled_from(
    [
        *("A", "B", "C", "E", "e", "(A)", r"\text{A}", r"\text{(B)}", r"\textbf{C}", "x", "ab", r"\text{yes}", "yes"),
        *(r"\text{No}", r"\mathrm{even}", r"\text{ab}", "i", r"\infty", r"\emptyset", "", "-", r"\pi"),
    ]
)
ANSWERS = st.one_of(number_texts(), surds(), polynomials(), collections(), WORDS)


@st.composite
def pairs(draw: DrawFn) -> tuple[str, str]:
    """A gold and an answer: of the same value in two notations, of close values, or of anything."""
    which = draw(st.integers(0, 9))
    if which < 3:
        value = Fraction(draw(SMALL), draw(st.sampled_from([1, 1, 2, 3, 4, 5, 7, 8])))
        write = st.one_of(fraction_text(value), decimal_text(value))
        return draw(write), draw(with_noise(draw(write)))
    if which < 7:
        return draw(same_kind())
    gold = draw(ANSWERS)
    return gold, draw(st.one_of(st.just(gold), ANSWERS, with_noise(gold)))


def same_kind() -> SearchStrategy[tuple[str, str]]:
    kinds = [number_texts(), surds(), polynomials(), collections(), WORDS]
    return st.one_of([st.tuples(kind, kind) for kind in kinds])
