"""What the embedded pair learns from: each line of a draft stands beside the one that would have been right.

Answers in both models' words teach only one's own.
"""

from __future__ import annotations

import itertools
import random

import pytest
from transformers import AutoTokenizer

from drafts import as_draft
from packing import Packer
from parse_engine.bench.tasks import tiny
from parse_engine.models.store import embedded_folder
from tests.test_examples import needs_models
from train import JUDGE
from wordings import (
    DRAFTER,
    MISTAKES,
    TARGET,
    Draft,
    Wording,
    draft_with_mistakes,
    lines_of,
    solution,
    taking_turns,
    wording_of,
)

PROBLEMS = list(itertools.islice(tiny.problems("train", seed=3), 40))


def test_a_faultless_draft_has_no_wrong_line() -> None:
    for problem in PROBLEMS:
        lines = lines_of(problem, DRAFTER)
        draft = as_draft(problem, "".join(lines))
        assert draft is not None
        assert draft.lines == draft.expected == lines
        assert draft_with_mistakes(problem, random.Random(0), 0.0).expected == lines


@pytest.mark.parametrize("mended", [0.0, 0.5])
@pytest.mark.parametrize("kind", MISTAKES)
def test_mistakes_of_every_kind_are_found_again_in_the_text(kind: str, mended: float) -> None:
    """What was made up is known when it is made; of the drafter's own drafts only the text is."""
    rng, seen = random.Random(1), 0
    for problem in PROBLEMS:
        made_up = draft_with_mistakes(problem, rng, 0.3, kinds=(kind,), mended=mended)
        read = as_draft(problem, "".join(made_up.lines))
        assert read is not None
        assert read.first_wrong == made_up.first_wrong
        assert read.expected == made_up.expected
        seen += made_up.first_wrong < len(made_up.lines)
    assert seen > 2


@pytest.mark.parametrize("text", ["", "We begin.\n", "We begin at some.\nThen nothing.\n"])
def test_what_is_no_draft_is_left_out(text: str) -> None:
    assert as_draft(PROBLEMS[0], text) is None


def test_the_two_take_turns_and_agree_in_the_counts() -> None:
    for problem in PROBLEMS:
        writers = taking_turns(len(problem.events) + 2, random.Random(problem.question))
        lines = solution(problem, writers)
        assert [wording_of(line) for line in lines] == writers
        assert tiny.grade(problem, "".join(lines))


@needs_models
@pytest.mark.parametrize("own", [TARGET, DRAFTER], ids=["target", "drafter"])
def test_answers_in_turns_teach_own_lines_alone(own: Wording) -> None:
    """Every token of one's own lines is learned where it stands, none of the other's."""
    tokenizer = AutoTokenizer.from_pretrained(embedded_folder("target"))
    packer = Packer(tokenizer, JUDGE, random.Random(2))
    for problem in PROBLEMS:
        row = packer.answer_row(problem, own)
        text = tokenizer.decode(row.tokens).partition("<|assistant|>")[2].partition("<|end|>")[0]
        lines = text.splitlines(keepends=True)
        learned = [token for _, token, _ in row.tasks]
        ends = [packer.end] if wording_of(lines[-1]) is own else []
        assert learned == [*packer.encode("".join(line for line in lines if wording_of(line) is own)), *ends]
        assert all(row.tokens[at + 1] == token for at, token, _ in row.tasks if token != packer.end)


@needs_models
def test_a_continuation_stands_behind_right_lines_only() -> None:
    """Behind a draft with a mistake the target practises going on from before it."""
    tokenizer = AutoTokenizer.from_pretrained(embedded_folder("target"))
    packer = Packer(tokenizer, JUDGE, random.Random(2))
    wrong = [draft for problem in PROBLEMS if (draft := _wrong(problem)) is not None]
    assert len(wrong) > 10
    for problem, draft in wrong:
        row = packer.judged_row(problem, draft)
        if packer.end not in [token for _, token, _ in row.tasks]:
            continue  # no continuation this time
        start, _, after = row.ancestors[-1]
        kept = tokenizer.decode([token for token, seen in zip(row.tokens, row.visible()[after], strict=True) if seen])
        assert kept.endswith(tuple("".join(draft.expected[:count]) for count in range(1, draft.first_wrong + 1)))
        assert tokenizer.decode(row.tokens[start:]).startswith(("In ", "So "))


def _wrong(problem: tiny.Problem) -> tuple[tiny.Problem, Draft] | None:
    draft = draft_with_mistakes(problem, random.Random(problem.question), 0.3)
    return (problem, draft) if 0 < draft.first_wrong < len(draft.lines) else None
