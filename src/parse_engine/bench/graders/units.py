"""Units of measure behind numbers, however they are spelled: those that make 5 hours another answer than 5 minutes.

What is merely counted, as in 47 apples, is no unit: there are too many words for it.
"""

from __future__ import annotations

import re

Unit = tuple[str, ...]
"""A unit, and what it is per: `("km", "h")`. Empty where none is named."""

_SPELLED = {
    "ms": "ms milliseconds? msecs?",
    "s": "s secs? seconds?",
    "min": "mins? minutes?",
    "h": "h hrs? hours?",
    "day": "days?",
    "week": "weeks? wks?",
    "month": "months?",
    "year": "years? yrs?",
    "mm": "mm millimet(?:er|re)s?",
    "cm": "cm centimet(?:er|re)s?",
    "m": "m met(?:er|re)s?",
    "km": "km kms kilomet(?:er|re)s?",
    "inch": r"inch(?:es)? in(?=\.?\s*\Z)",
    "foot": "foot feet ft",
    "yard": "yards? yds?",
    "mile": "miles? mi",
    "mg": "mg milligrams?",
    "g": "g grams?",
    "kg": "kg kgs kilograms? kilos?",
    "ounce": "ounces? oz",
    "pound": "pounds? lbs?",
    "ton": "tons? tonnes?",
    "ml": "ml millilit(?:er|re)s?",
    "l": "l lit(?:er|re)s?",
    "gallon": "gallons? gals?",
    "quart": "quarts?",
    "pint": "pints?",
    "cup": "cups?",
    "dollar": r"dollars? usd \$",
    "cent": "cents? ¢",
    "euro": "euros? eur €",
    "pound sterling": "gbp £",
    "yen": "yen ¥",
    "celsius": "celsius",
    "fahrenheit": "fahrenheit",
    "watt": "w watts?",
    "kw": "kw kilowatts?",
}
_WHOLE = {"mph": ("mile", "h"), "kph": ("km", "h"), "kmh": ("km", "h")}
_NAMES = {spelling: name for name, spellings in _SPELLED.items() for spelling in spellings.split()}
_WORD = "|".join(sorted([*_NAMES, *_WHOLE], key=len, reverse=True))
_ONE = rf"(?:{_WORD})(?![A-Za-z])"
UNIT = re.compile(
    rf"[\s-]{{0,2}}(?:(?:square|cubic|sq\.?|cu\.?|degrees?)\s)?(?P<one>{_ONE})(?:\s?(?:/|\bper\b|\ban?\b)\s?(?P<per>{_ONE}))?"
    r"|\s{0,2}(?:degrees?\s)?(?P<scale>[CF])(?![A-Za-z])",
    re.IGNORECASE,
)
"""A unit that follows a number."""
CURRENCIES = {"$": "dollar", "€": "euro", "£": "pound sterling", "¥": "yen"}


def unit_behind(text: str, at: int) -> tuple[Unit, int]:
    """The unit that stands in a text behind a number that ends there, and where it ends."""
    match = UNIT.match(text, at)
    if match is None:
        return (), at
    if match["scale"]:
        scales = {"C": "celsius", "F": "fahrenheit"}
        return ((scales[match["scale"]],), match.end()) if match["scale"] in scales else ((), at)
    if (whole := _WHOLE.get(match["one"].lower())) is not None:
        return whole, match.end()
    return tuple(_name(match[part]) for part in ("one", "per") if match[part]), match.end()


def differ(one: Unit, other: Unit) -> bool:
    """Whether both are named and are not the same; a rate is compared as far as both name it."""
    return any(mine != theirs for mine, theirs in zip(one, other, strict=False))


def _name(spelling: str) -> str:
    return next(name for pattern, name in _NAMES.items() if re.match(rf"(?:{pattern})\Z", spelling, re.IGNORECASE))
