"""Ways of writing numbers and formulas that math-verify does not know, written in those that it does."""

from __future__ import annotations

import re
import unicodedata

_SPACES = "\u00a0\u2000-\u200a\u202f\u205f\u3000"
_SIGNS = {
    "∞": r"\infty ",
    "±": r"\pm ",
    "·": r"\cdot ",
    "⋅": r"\cdot ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "∅": r"\emptyset ",
    "°": r"^\circ ",
    "⁄": "/",
    "∕": "/",
    "。": ".",
    "、": ",",
}
_SIGN = re.compile("|".join(_SIGNS))
_WIDE = re.compile("[！-～]")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_ROOT = re.compile(r"([√∛])\s?(?:\(([^()]*)\)|(\d+(?:\.\d+)?|[a-z]))")
_VULGAR = re.compile("(?:(\\d{1,4})\\s?)?([½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒])")
_WHOLE, _PART = r"(?<![\w.,/^}\\])(\d{1,4})", r"([1-9]\d{0,8})"
_MIXED = re.compile(
    rf"{_WHOLE}(?:\s|~|\\[,;: ])+{_PART}\s?/\s?{_PART}(?![\d/]|[.,]\d)"
    rf"|{_WHOLE}(?:\s|~|\\[,;: ])*\\[dt]?frac\s?(?:\{{{_PART}\}}\s?\{{{_PART}\}}|([1-9])([1-9]))"
    rf"|{_WHOLE}\s(?:and|&)\s{_PART}/{_PART}(?=\s(?!and\b|or\b)[a-z]{{2}})"  # 1 and 5/6 hours
)
_SCIENTIFIC = re.compile(r"(?<=\d)(?:[eE]([+-]?\d+)\Z|\s?[x×*]\s?10\s?\^\s?(\{?[+-]?\d))")
_SEPARATED = re.compile(r"(?<![\d.,])\d{1,3}(?:(?:\{,\}|,\\!\s?|\\[,;:! ]\s?|[ ~'’])\d{3})+(?!\d)")
_BASE = re.compile(r"(?<=\d)(?:\s|\\text\{)*\(?(?:in\s)?base[\s-]{0,2}(\w+)\)?\}?")
_DASH = re.compile("[−‒–—‑﹣]")
_MINUS = re.compile(r"(?<![\w)])[−‒–—‑﹣](?=\s?[\d.$€£\\(])")
_END = re.compile(r"(?:\\[,;:! ]|[\s.,;:*`\"”]|\\?\$){1,40}(?=\}{0,9}\Z)")
_BEGIN = re.compile(r"\A(?:\\[,;:! ]|[\s*`\"“]|\$(?!\s?\d))+")
_MATHS = re.compile(r"\A\\[(\[](.*)\\[)\]]\Z|\A\$+([^$]+)\$+\Z", re.DOTALL)

_TEXT = re.compile(
    r"\\(?:text\w*|math(?:rm|bf|it|sf)|[mh]box|operatorname|boldsymbol|bm|underline)\s?\{([^{}]*)\}"
    r"|\\(?:rm|bf|displaystyle|[lL]arge)\b"
)
_SPACE = re.compile(r"\\[,;:! ]|\\q?quad\b|~")
_CURRENCY = (
    r"(?:US|AU|CA?|HK)?\\?[$€£¥₹₩₽₪฿円元원]|\\(?:pounds|euro|texteuro|yen)\b|(?:USD|EUR|GBP|INR|Rs\.?)(?![A-Za-z])"
)
_MEASURED = re.compile(
    r"(?:[A-Za-z,' ]*(?:\b(?:is|are|about|approximately|roughly|nearly|exactly|only|around)\b|[A-Za-z]\s?[:=])"
    r"|(?P<before>(?:(?!USD|EUR|GBP|INR|Rs)[A-Za-z,']{2,}\s)+)(?!-)|(?:[A-Za-z]\s?)?(?:\\approx|\\sim|[≈~=]))?\s*"
    rf"(?P<sign>-?)\s?(?:{_CURRENCY})?\s?(?P<minus>-?)\s?"
    r"(?P<number>\\[dt]?frac\s?(?:\{-?[\d.]+\}|\d)\s?(?:\{[\d.]+\}|\d)|(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+)?)"
    rf"\s?(?P<percent>\\?%)?\s?(?:{_CURRENCY})?\s?(?P<words>(?:[^\W\d_]|[\s'’.,()/*{{}}-]|\\[dt]?frac|\^\s?\\circ\s?[CF]\b|\^\{{?-?\d\}}?)*)"
)
_UNIT = re.compile(
    r"(?:[kcmdµn]?m|[kmµ]?g|[mkc]?l|[kmM]?[wW]h?|k?[JNV]|hr?s?|min|sec|s|in|ft|yd|mi|lbs?|oz|mph|kph|m[lL]|th|st|nd|rd)"
    r"(?![A-Za-z])"
)
_WORD = re.compile(r"\s[(/]?\s?[^\W\d_]{3,}")
_MATHEMATICAL = re.compile(
    r"\b(?:sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|pi|mod|choose|max|min|gcd|lcm|and|or|to|than|plus|minus|times|over"
    r"|not|no|never|wrong|if|where|when|unless|negative|least|most|less|more|fewer|greater|below|above|under|between)\b",
    re.IGNORECASE,
)
_TIMES = re.compile(r"\s?(dozen|hundred|thousand|million|billion|trillion)\b")
_COMMA = re.compile(r"\s?[,;]\s?(?:and|or)\s|\s?[,;]\s?|\s(?:and|or)\s")
_LIST = re.compile(r"-?[\d./]+(?:(?:\s?[,;]\s|\s?[,;]\s?(?:and|or)\s|\s(?:and|or)\s)-?[\d./]+)*\s(?:and|or)\s-?[\d./]+")
_LONGEST = 200  # characters of a number with its unit
_POWERS = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}


def plain(text: str) -> str:
    """The text with numbers and signs as LaTeX and math-verify have them; prose stays as it is."""
    text = re.sub("[\u200b-\u200d\u2060\ufeff]", "", re.sub(f"[{_SPACES}]", " ", text))
    text = _WIDE.sub(lambda match: chr(ord(match[0]) - 0xFEE0), text)
    text = _VULGAR.sub(lambda match: _fraction(match[1] or "0", *_parts(match[2])), text)
    text = _RAISED.sub(lambda match: f"^{{{unicodedata.normalize('NFKC', match[0]).replace('−', '-')}}}", text)
    text = _LOWERED.sub(lambda match: f"_{{{unicodedata.normalize('NFKC', match[0])}}}", text)
    text = _ROOT.sub(lambda match: rf"\sqrt{'[3]' * (match[1] == '∛')}{{{match[2] or match[3]}}}", text)
    text = _MINUS.sub("-", _SIGN.sub(lambda match: _SIGNS[match[0]], text))
    return _MIXED.sub(_mixed, text).replace("{,}", ",")


def readings(content: str) -> list[str]:
    """How the content of a box may be read: as it is, as the list or the number that it is without currency and words,
    and of so many dozens, millions or percent as what they come to."""
    formula = _formula(content)
    bare = re.sub(r"\s+", " ", _SPACE.sub(" ", _TEXT.sub(r" \1 ", _TEXT.sub(r" \1 ", formula)))).strip()
    if len(bare) > _LONGEST:
        return [formula]
    if is_list(bare):
        return [", ".join(_COMMA.split(bare))]
    match = _MEASURED.fullmatch(bare)
    in_text = bool(_TEXT.search(formula))
    if (
        not match
        or not _are_words(match["words"], in_text=in_text)
        or not _leads(match["before"] or "", in_text=in_text)
    ):
        return [formula]
    number = (match["sign"] or match["minus"]) + match["number"]
    found = [formula, number, f"{number}\\%"] if match["percent"] else [formula, number]
    if times := _TIMES.match(match["words"]):
        found.append(rf"{number} \cdot " + ("12" if times[1] == "dozen" else f"10^{{{_POWERS[times[1]]}}}"))
    return list(dict.fromkeys(found))


def is_list(text: str) -> bool:
    """Whether a text is numbers with `and` or `or` between them."""
    return bool(_LIST.fullmatch(text.strip(" .")))


def _formula(content: str) -> str:
    """Without marks around it, the full stop above all, and with separated digits put together."""
    text = _END.sub("", _BEGIN.sub("", _DASH.sub("-", plain(content))))
    if maths := _MATHS.match(text):
        text = _END.sub("", maths[1] or maths[2])
    text = _SCIENTIFIC.sub(
        lambda match: r"\cdot 10^" + (f"{{{match[1]}}}" if match[1] else match[2]), _BASE.sub(r"_{\1}", text)
    )
    return _SEPARATED.sub(lambda match: re.sub(r"\D", "", match[0]), text).strip()


def _are_words(words: str, *, in_text: bool) -> bool:
    """Whether these are words or units, rather than factors as in 18xy."""
    return (
        not words.strip(" .")
        or in_text
        or "\\circ" in words
        or bool(_UNIT.match(words.strip()) or _WORD.match(f" {words}"))
    )


def _leads(words: str, *, in_text: bool) -> bool:
    """Whether these are words before a number that leave it as it is, rather than factors or `at least`."""
    return not words or (not _MATHEMATICAL.search(words) and (in_text or len(words.split()) > 1))


def _mixed(match: re.Match[str]) -> str:
    """A mixed number as a fraction; `4 10/3` is none, nor is it 4 or 10."""
    whole, numerator, denominator = filter(None, match.groups())
    if int(numerator) < int(denominator):
        return _fraction(whole, numerator, denominator)
    return match[0] if len(numerator) == 3 or "frac" in match[0] else "?"  # 10 500/3 is written with a separator


def _fraction(whole: str, numerator: str, denominator: str) -> str:
    return rf"\frac{{{int(whole) * int(denominator) + int(numerator)}}}{{{denominator}}}"


def _parts(vulgar: str) -> tuple[str, str]:
    numerator, _, denominator = unicodedata.normalize("NFKC", vulgar).partition("⁄")
    return numerator, denominator
