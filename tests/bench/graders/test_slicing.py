"""What a function needs of a program is kept, what only tries it out is not."""

from __future__ import annotations

import pytest

from parse_engine.bench.graders.program import extract_code
from tests.bench.graders.programs import GOOD, block, cases, result

NEEDED = cases("""
# lambda
double = lambda n: 2 * n
# another name
def twice(n):
    return 2 * n
double = twice
# partial
from functools import partial
from operator import mul
double = partial(mul, 2)
# decorated
from functools import lru_cache
@lru_cache(maxsize=None)
def double(n):
    return 2 * n
# decorated by hand
import functools
def double(n):
    return 2 * n
double = functools.lru_cache(double)
# under if
import sys
if sys.version_info >= (3,):
    def double(n):
        return 2 * n
# under try
try:
    from math import prod
except ImportError:
    prod = None
def double(n):
    return prod([2, n])
# constant
FACTOR = 2
def double(n):
    return FACTOR * n
# typed constant
FACTOR: int = 2
def double(n):
    return FACTOR * n
# two constants
FACTOR, OTHER = 2, 3
def double(n):
    return FACTOR * n
# counted
FACTOR = 1
FACTOR += 1
def double(n):
    return FACTOR * n
# appended
FACTORS = []
FACTORS.append(2)
def double(n):
    return FACTORS[0] * n
# appended behind
FACTORS = []
def double(n):
    return FACTORS[0] * n
FACTORS.append(2)
# set item
FACTORS = {}
FACTORS['n'] = 2
def double(n):
    return FACTORS['n'] * n
# deleted item
FACTORS = [1, 2]
del FACTORS[0]
def double(n):
    return FACTORS[0] * n
# loop
TABLE = []
for k in range(50):
    TABLE.append(2 * k)
def double(n):
    return TABLE[n]
# while
TABLE = [0]
while len(TABLE) < 50:
    TABLE.append(TABLE[-1] + 2)
def double(n):
    return TABLE[n]
# if
FACTOR = 1
if FACTOR == 1:
    FACTOR = 2
def double(n):
    return FACTOR * n
# with
from contextlib import suppress
with suppress(ValueError):
    FACTOR = 2
def double(n):
    return FACTOR * n
# filled by a function
TABLE = {}
def fill():
    for k in range(50):
        TABLE[k] = 2 * k
fill()
def double(n):
    return TABLE[n]
# global
FACTOR = 1
def set_up():
    global FACTOR
    FACTOR = 2
set_up()
def double(n):
    return FACTOR * n
# attribute of the function
def double(n):
    return double.factor * n
double.factor = 2
# class
class Doubler:
    factor = 2
    def of(self, n):
        return self.factor * n
def double(n):
    return Doubler().of(n)
# helper behind
def double(n):
    return twice(n)
def twice(n):
    return 2 * n
# recursion
import sys
sys.setrecursionlimit(5000)
def double(n, deep=3000):
    return 2 * n if not deep else double(n, deep - 1)
# recursion, by name
from sys import setrecursionlimit
setrecursionlimit(5000)
def double(n, deep=3000):
    return 2 * n if not deep else double(n, deep - 1)
# precision
from decimal import getcontext
getcontext().prec = 50
def double(n):
    return 2 * n if getcontext().prec == 50 else None
# everything of a module
from math import *
def double(n):
    return int(floor(2 * n))
# the future
from __future__ import annotations
def double(n: Unknown) -> Unknown:
    return 2 * n
# eval
FACTOR = 2
def double(n):
    return eval('FACTOR * n')
# type variable
from typing import TypeVar
T = TypeVar('T')
def double(n: T) -> T:
    return 2 * n
""")


@pytest.mark.parametrize("code", NEEDED.values(), ids=NEEDED)
def test_statements_that_the_function_needs_are_kept(code: str) -> None:
    assert result(block(code)) == 42
    assert result("Here it is.\n\n" + code + "\n\nThat's it.") == 42


TOGETHER = cases("""
# an import of the problem
from typing import List
def double(n):
    '''Twice n.

    >>> double(2)
    4
    '''
---
def double(n: List[int]):
    return 2 * n
# a helper before
def twice(n):
    return 2 * n
---
def double(n):
    return twice(n)
# a helper behind
def double(n):
    return twice(n)
---
def twice(n):
    return 2 * n
# an import for a helper
import operator
---
F = 2
def twice(n):
    return operator.mul(F, n)
---
def double(n):
    return twice(n)
# a constant that is given anew
F = 1
def twice(n):
    return F * n
---
F = 2
def double(n):
    return twice(n)
# a list that is filled, and another of its name
T = []
T.append(2)
---
def double(n):
    return T[0] * n
---
T = [3]
print(double(2))
# a helper that is corrected
def twice(n):
    return 3 * n
---
def twice(n):
    return 2 * n
---
def double(n):
    return twice(n)
# the future twice
from __future__ import annotations
F = 2
---
from __future__ import division
def double(n: int):
    return F * n
# a table that is changed
TABLE = {}
---
TABLE[1] = 2
def double(n):
    return TABLE[1] * n
""")


@pytest.mark.parametrize("blocks", TOGETHER.values(), ids=TOGETHER)
def test_blocks_are_put_together(blocks: str) -> None:
    assert result("\nand\n".join(block(code) for code in blocks.split("\n---\n"))) == 42
    assert result("\n\nand with it\n\n".join(blocks.split("\n---\n"))) == 42


def test_what_is_not_needed_is_left_out() -> None:
    code = extract_code(block("import os\nn = int(input())\nprint(n)\n" + GOOD + "\nassert double(2) == 4"), "double")
    assert code == GOOD
