"""The gold answers of all tasks in every dressing that models are known to give them; `graders.py` runs it.

In a dressing GOLD stands for the answer, TEXT for what a right option says, STUB for the problem that an answer to a
programming task repeats, INDENTED for the program moved to the right. Tests take the tables from here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from parse_engine.bench.graders.math import MathGrader
from parse_engine.bench.graders.program import extract_code
from parse_engine.bench.tasks import load_task
from parse_engine.bench.tasks.base import Grade, Question

THOUGHTS = {
    "think": "<think>GOLD? No.</think>\n",
    "template opens": "GOLD? No.</think>\n",
    "Mistral": "[THINK]GOLD? No.[/THINK]",
    "gpt-oss": "<|channel|>analysis<|message|>GOLD? No.<|end|><|start|>assistant<|channel|>final<|message|>",
    "reasoning": "<reasoning>GOLD? No.</reasoning>",
}
CUT_OFF = ("<think>", "[THINK]", "<|channel|>analysis<|message|>", "<reasoning>", "<thought>", "<|channel>thought\n")

FORMULAS = (
    r"\boxed{GOLD}",
    r"So the answer is $\boxed{GOLD}$.",
    r"\[ \boxed{GOLD} \]",
    r"\boxed{GOLD.}",
    r"\boxed{ GOLD , }",
    r"\boxed{$GOLD$}",
    r"\fbox{GOLD}",
    r"\boxed {GOLD}",
    r"\boxed{\boxed{GOLD}}",
    r"\boxed{x} first, but in the end \boxed{GOLD}.",
    r"\boxed{GOLD}. I put it within \boxed{} as asked.",
    r"\boxed{GOLD}, within \boxed as asked.",
    r"\boxed{GOLD} and \boxed{GOLD}",
    "**Final Answer**\n\\boxed{GOLD}",
)
NUMBERS = (
    "The answer is GOLD.",
    "**Final answer: GOLD**",
    "$GOLD",
    "#### GOLD",
    "The answer is **GOLD**.",
    "So she has GOLD eggs in all.",
    r"The answer is \(GOLD\).",
    *(rf"\boxed{{GOLD {noun}}}" for noun in ("dollars", "eggs", "km", "hours", "people")),
    *(rf"\boxed{{\text{{GOLD {noun}}}}}" for noun in ("dollars", "eggs", "km", "hours", "people")),
    r"\boxed{GOLD\text{ dollars}}",
    *(rf"\boxed{{{sign}GOLD}}" for sign in (r"\$", "$", "€", "£", r"\text{\$}", "USD ")),
    *(rf"\boxed{{GOLD{sign}}}" for sign in ("€", r"\,€", " USD", r"\%")),
    r"\boxed{\text{GOLD}}",
    r"\boxed{\mathbf{GOLD}}",
    r"\boxed{\text{The answer is } GOLD}",
    r"\boxed{x = GOLD}",
    r"\boxedGOLD",
)
SEPARATORS = (",", " ", r"\,", r"\ ", "{,}", r",\!", "~", "'", "\u202f")
LETTERS = (
    "Answer: GOLD",
    "Answer: GOLD.",
    "**Answer: GOLD**",
    "**Answer:** GOLD",
    "Answer: (GOLD)",
    "Answer: GOLD) TEXT",
    "Answer: **GOLD** TEXT",
    r"Answer: \(GOLD\)",
    r"Answer: $\mathbf{GOLD}$",
    r"Answer: $\boxed{GOLD}$",
    "Answer: Option GOLD",
    r"\boxed{GOLD}",
    r"\boxed{\text{GOLD}}",
    "**Final Answer**\n\nGOLD",
    "The answer is (GOLD).",
    "The correct option is GOLD.",
    "It is not clear, I think.\nAnswer: GOLD",
    "Answer: GOLD, I think.",
    "Answer: GOLD because I computed it.",
)
LAST_LETTERS = ("It should be (GOLD), I think.", "So it is GOLD. A sketch of why follows.")
NO_LETTERS = ("Answer: I don't know.", "I cannot tell.", "Answer: A combination of the two.", "A hard question.")
PROGRAMS = (
    "```python\nGOLD\n```",
    "~~~python\nGOLD\n~~~",
    "```python\nGOLD",
    "GOLD",
    "Here's the solution:\n\nGOLD\n\nThat's it.",
    "1. Write it:\n\n   ```python\nINDENTED\n   ```\n\n2. Done.",
    "- Write it:\n   ~~~python\nINDENTED\n   ~~~",
    "Here is the solution:\n\nINDENTED\n\nThat is it.",
    "STUB\n\n```python\nGOLD\n```",
    "STUB\n\nThe solution:\n\nGOLD\n",
    "```python\nGOLD\n```\n\nIt solves:\n\nSTUB",
    "```markdown\nHere:\n```python\nGOLD\n```\n```",
    "```python\nGOLD\n```\nTry it:\n```python\nprint(NAME)\nassert NAME\n```",
    "```python\nGOLD\n\nif __name__ == '__main__':\n    print(NAME(input()))\n```",
    "```python\nn = int(input())\nGOLD\nprint(NAME(n))\nexit()\n```",
    "```python\ndef NAME(*_):\n    return None\n```\nNo, that is wrong.\n```python\nGOLD\n```",
    "```python\nGOLD\n```\nOr:\n```python\ndef NAME(*_):\n    return [",
)
TINY = ("So the answer is GOLD.", "The answer is **GOLD**.", "Answer: GOLD")

Grader = Callable[[str], Grade]


def dressed(dressings: Sequence[str], **parts: str) -> Iterator[tuple[str, str]]:
    """Each dressing, and the answer in it."""
    for dressing in dressings:
        answer = dressing
        for name, part in parts.items():
            answer = answer.replace(name.upper(), part)
        yield dressing, answer


def separated(number: str) -> Iterator[tuple[str, str]]:
    """A number of thousands with every separator, and the separator."""
    for separator in SEPARATORS:
        yield f"separator {separator!r}", rf"\boxed{{{f'{int(number):,}'.replace(',', separator)}}}"


def in_thoughts(dressing: str, gold: str) -> Iterator[tuple[str, str]]:
    """The answer behind thoughts, however marked, that come to something else."""
    for name, thought in THOUGHTS.items():
        yield f"behind thoughts: {name}", thought.replace("GOLD", "77") + dressing.replace("GOLD", gold)


def cut_off(dressing: str, gold: str) -> Iterator[tuple[str, str]]:
    """The answer in thoughts that never end."""
    for mark in CUT_OFF:
        yield f"cut off: {mark.strip()}", mark + dressing.replace("GOLD", gold)


class Count:
    """How many answers are graded as they should be, by their dressing."""

    def __init__(self) -> None:
        self.right, self.of = 0, 0
        self.failing: dict[str, list[str]] = {}

    def add(self, dressing: str, gold: str, is_right: bool) -> None:
        self.of += 1
        self.right += is_right
        if not is_right:
            self.failing.setdefault(dressing, []).append(gold)

    def figures(self) -> dict[str, Any]:
        """The counts, and what failed; of a dressing at most five."""
        failing = {dressing: golds[:5] for dressing, golds in self.failing.items()}
        return {"as_it_should_be": self.right, "of": self.of, "failing": failing}


def mathematics(golds: Sequence[str], *, numbers: bool) -> dict[str, Any]:
    """Gold answers in every dressing and in thoughts that never end; each in one as an answer to the next question."""
    grader = MathGrader(seconds=60)
    right, other, none = Count(), Count(), Count()
    for index, (gold, following) in enumerate(zip(golds, [*golds[1:], golds[0]], strict=True)):
        answers = [*dressed(FORMULAS, gold=gold), *in_thoughts(r"\boxed{GOLD}", gold)]
        if numbers:
            answers += dressed(NUMBERS, gold=gold)
            answers += separated(gold.replace(",", "")) if abs(int(gold.replace(",", ""))) > 999 else ()
        for dressing, answer in answers:
            right.add(dressing, gold, grader.grade(gold, answer).right is True)
        dressing, answer = answers[index % len(answers)]
        if grader.grade(following, rf"\boxed{{{gold}}}").right is False:
            other.add(dressing, gold, grader.grade(following, answer).right is False)
        for dressing, answer in cut_off(r"\boxed{GOLD}. The answer is GOLD", gold):
            none.add(dressing, gold, not grader.grade(gold, answer).parsed)
    grader.close()
    return _all(golds, right, none, of_other_questions=other)


def choices(questions: Sequence[Question], grade: Callable[[Question, str], Grade], *, last: bool) -> dict[str, Any]:
    """The right letters in every dressing, and answers that name none."""
    right, none = Count(), Count()
    for question in questions:
        gold = question.reference.letter
        lines = question.turns[0].split("\n")
        text = next((line[3:] for line in lines if line.startswith(f"{gold}) ")), "")
        answers = [*dressed((*LETTERS, *(LAST_LETTERS if last else ())), gold=gold, text=text)]
        for dressing, answer in [*answers, *in_thoughts("Answer: GOLD", gold)]:
            right.add(dressing, question.id, grade(question, answer).right is True)
        for dressing, answer in [*dressed(NO_LETTERS), *cut_off("Answer: GOLD", gold)]:
            none.add(dressing, question.id, not grade(question, answer).parsed)
    return _all(questions, right, none)


def programs(questions: Sequence[Question]) -> dict[str, Any]:
    """The canonical solutions: in every dressing the program must be that of the plain block, which others run."""
    right, none = Count(), Count()
    for question in questions:
        problem = question.reference
        code, stub = problem.canonical.strip(), question.turns[0].partition("\n\n")[2]
        parts = {"gold": code, "stub": stub, "indented": textwrap.indent(code, "   "), "name": problem.entry_point}
        plain = extract_code(f"```python\n{code}\n```", problem.entry_point)
        for dressing, answer in [*dressed(PROGRAMS, **parts), *in_thoughts("```python\nGOLD\n```", code)]:
            found = extract_code(answer, problem.entry_point)
            right.add(dressing, problem.id, found is not None and found == plain)
        for dressing, answer in cut_off("```python\nGOLD\n```", code):
            none.add(dressing, problem.id, extract_code(answer, problem.entry_point) is None)
    return _all(questions, right, none)


def tiny(questions: Sequence[Question], grade: Callable[[Question, str], Grade]) -> dict[str, Any]:
    """The counts of the embedded pair's task."""
    right, none = Count(), Count()
    for question in questions:
        gold = str(question.reference.answer)
        for dressing, answer in [*dressed(TINY, gold=gold), *in_thoughts(TINY[0], gold)]:
            right.add(dressing, question.id, grade(question, answer).right is True)
        for dressing, answer in cut_off(TINY[0], gold):
            none.add(dressing, question.id, not grade(question, answer).parsed)
    return _all(questions, right, none)


def check() -> dict[str, Any]:
    """The figures of every task with a key; equal gold answers of mathematics are graded once."""
    found: dict[str, Any] = {}
    for names in (("gsm8k", "gsm8k-train"), ("math500",)):
        golds = list(dict.fromkeys(q.reference for name in names for q in load_task(name).questions()))
        found[" and ".join(names)] = mathematics(golds, numbers="gsm8k" in names)
    for name in ("mmlu-pro", "mmlu-redux"):
        task = load_task(name)
        found[name] = choices(task.questions(), task.grade, last=name == "mmlu-pro")
    for name in ("humaneval+", "mbpp+"):
        found[name] = programs(load_task(name).questions())
    task = load_task("tiny")
    return {**found, "tiny": tiny(task.questions(), task.grade)}


def _all(golds: Sequence[object], right: Count, none: Count, **more: Count) -> dict[str, Any]:
    counts: Mapping[str, Count] = {"right": right, "no_answer": none, **more}
    return {"gold_answers": len(golds), **{name: count.figures() for name, count in counts.items()}}
