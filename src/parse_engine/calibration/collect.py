"""The work of calibration on the models: answers, drafts, one pass each, and what the target makes of every prefix.

Questions go in batches through four stages, so that the seconds per token of each stage are those of `concurrency`
answers in flight. A batch that is done is kept; a run that was stopped goes on with the next one.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from parse_engine.backends.base import Scores, Signal, Usage
from parse_engine.backlog import cancel
from parse_engine.bench.run import progress_bar
from parse_engine.bench.tasks.base import Question, Task
from parse_engine.calibration.agreement import same_answer
from parse_engine.calibration.cases import Case, Cases, Outcome
from parse_engine.config import ParseConfig, SamplingParams
from parse_engine.engine import AsyncEngine
from parse_engine.errors import BackendError, ConfigError, PromptError
from parse_engine.flight import Flight
from parse_engine.prefix.draft import Draft
from parse_engine.prefix.segments import boundaries
from parse_engine.prefix.verifier import prompt_judge
from parse_engine.request import Request
from parse_engine.text import Writer
from parse_engine.thinking import split

COSTS_FILE = "costs.jsonl"
BATCHES = 2  # questions in a batch, by the answers in flight
TIMED = 8  # at least so many answers are written once more for their costs
DRAWN_AT = 0.7  # temperature of the answers beyond the greedy one
Key = tuple[str, str]
Written = list[tuple[str, int]]
"""Answers: their texts, and how many tokens were written."""
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Plan:
    """What is to be collected."""

    params: SamplingParams
    deltas: tuple[int, ...]
    max_prefixes: int = ParseConfig.max_prefixes
    answers: int = 1
    """Of every prefix, and of the target from scratch: the greedy one, and others that are drawn."""


@dataclass(frozen=True)
class _Asked:
    """A question on its way through the stages."""

    task: Task
    question: Question
    prompt: str
    context: list[int]

    @property
    def key(self) -> Key:
        return self.task.name, self.question.id


@dataclass(frozen=True)
class _Pass:
    """A draft and what one pass told of it."""

    draft: Draft
    ends: tuple[int, ...]
    cuts: Mapping[int, tuple[int, ...]]
    scores: Scores | None


def digest(task: Task, question: Question) -> str:
    """Of what is asked, and of what makes an answer right."""
    content = (task.version, question.turns, repr(question.reference))
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def usable(
    engine: AsyncEngine, questions: Sequence[tuple[Task, Question]], plan: Plan
) -> tuple[list[tuple[Task, Question]], list[str]]:
    """The questions that can be calibrated on, and what is said of those that cannot.

    Questions that are asked twice would count twice, and prompts without room would end the run.

    Raises:
        ConfigError: a task has several turns, whose key is for the last alone.
    """
    good: dict[str, tuple[Task, Question]] = {}
    twice = long = 0
    for task, question in questions:
        if len(question.turns) > 1:
            raise ConfigError(f"the task '{task.name}' has several turns; calibrate on tasks with one question each.")
        try:
            engine.check(question.turns[0], plan.params)
        except PromptError:
            long += 1
            continue
        twice += question.turns[0] in good
        good.setdefault(question.turns[0], (task, question))
    said = [f"{twice} questions are asked twice and count once"] if twice else []
    said += [f"{long} questions do not fit the models' context and are left out"] if long else []
    return list(good.values()), said


async def collect(
    engine: AsyncEngine, questions: Sequence[tuple[Task, Question]], plan: Plan, folder: Path
) -> list[Case]:
    """The cases of all questions, in their order; what `folder` holds already is not made again.

    Costs are of the engine's concurrency: where all cases were made with another, some answers are written once more.

    Raises:
        BackendError: a model failed.
    """
    kept = Cases(folder)

    def is_done(task: Task, question: Question) -> bool:
        case = kept.done.get((task.name, question.id))
        return case is not None and case.asked == digest(task, question)

    left = [(task, question) for task, question in questions if not is_done(task, question)]
    size = BATCHES * engine.concurrency
    with progress_bar() as progress:
        bar = progress.add_task("questions", total=len(questions), completed=len(questions) - len(left))
        batch = _Batch(engine, plan, folder / COSTS_FILE, lambda what: progress.update(bar, description=what))
        for start in range(0, len(left), size):
            for case in await batch.work(left[start : start + size]):
                kept.add(case)
                progress.advance(bar)
        if not {"target", "draft"} <= {line["stage"] for line in read_costs(folder, engine.concurrency)}:
            await batch.write(questions[: max(size, TIMED)])
    return [kept.done[task.name, question.id] for task, question in questions]


class _Batch:
    """The four stages for some questions at a time."""

    def __init__(self, engine: AsyncEngine, plan: Plan, costs: Path, tell: Callable[[str], None]):
        assert engine.drafter is not None
        self._engine, self._plan, self._costs, self._tell = engine, plan, costs, tell
        self._target, self._drafter = engine.target, engine.drafter
        self._asking = prompt_judge(self._target.codec, engine.config)
        self._signals: frozenset[Signal] = self._target.signals - {"sampled"}

    async def work(self, questions: Sequence[tuple[Task, Question]]) -> list[Case]:
        asked, answers, drafts = await self.write(questions)
        pairs = list(zip(asked, drafts, strict=True))
        passes = await self._timed("verify", pairs, self._verify, lambda read: len(read.draft.tokens))
        jobs = [(one, read, at) for one, read in zip(asked, passes, strict=True) for at in self._starts(read)]
        written = await self._timed("continue", jobs, self._continue, lambda texts: sum(n for _, n in texts))
        made = {(one.key, at): texts for (one, _, at), texts in zip(jobs, written, strict=True)}
        self._tell("grading")
        return [
            await asyncio.to_thread(self._case, one, answer, read, made)
            for one, answer, read in zip(asked, answers, passes, strict=True)
        ]

    async def write(
        self, questions: Sequence[tuple[Task, Question]]
    ) -> tuple[list[_Asked], list[Written], list[Draft]]:
        """The first two stages: both models' own answers."""
        for model in (self._target, self._drafter):
            await model.forget()
        asked = []
        for task, question in questions:
            prompt = question.turns[0]
            asked.append(_Asked(task, question, prompt, self._begin(prompt).context))
        answers = await self._timed("target", asked, self._answers, lambda written: sum(n for _, n in written))
        drafts = await self._timed("draft", asked, self._draft, lambda draft: len(draft.tokens))
        return asked, answers, drafts

    def _begin(self, prompt: str) -> Flight:
        return self._engine.begin(Request(prompt, self._plan.params))

    async def _timed(
        self, stage: str, items: Sequence[T], work: Callable[[T], Awaitable[R]], count: Callable[[R], int]
    ) -> list[R]:
        """All of a stage, `concurrency` at a time, and a line that tells how long it took."""
        self._tell(stage)
        room = asyncio.Semaphore(self._engine.concurrency)

        async def one(item: T) -> R:
            async with room:
                return await work(item)

        began = time.perf_counter()
        tasks = [asyncio.create_task(one(item)) for item in items]
        try:
            done = await asyncio.gather(*tasks)
        finally:
            await cancel(tasks)
        line = {"stage": stage, "seconds": time.perf_counter() - began, "tokens": sum(map(count, done))}
        with self._costs.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({**line, "calls": len(done), "concurrency": self._engine.concurrency}) + "\n")
        return done

    async def _answers(self, asked: _Asked) -> Written:
        """The target's own answers."""
        return await self._write_all(asked.context, ())

    async def _draft(self, asked: _Asked) -> Draft:
        flight = self._begin(asked.prompt)
        if "sampled" in self._drafter.signals:
            flight.drafter.logprobs = []
        draft = await self._engine.draft(flight)
        if flight.warnings:  # a question without its draft would count as one without a loss
            raise BackendError(f"question {asked.question.id} of {asked.task.name}: {flight.warnings[0]}")
        return draft

    async def _verify(self, pair: tuple[_Asked, Draft]) -> _Pass:
        asked, draft = pair
        if not draft.tokens:
            return _Pass(draft, (), dict.fromkeys(self._plan.deltas, ()), None)
        most = self._plan.max_prefixes
        cuts = {delta: boundaries(draft.text, draft.ends, delta, most) for delta in self._plan.deltas}
        ends = sorted({end for each in cuts.values() for end in each})
        request = replace(self._asking.request(asked.context, draft, ends), signals=self._signals)
        scores = await self._target.verify(request, Usage())
        places = {delta: tuple(ends.index(end) for end in each) for delta, each in cuts.items()}
        return _Pass(draft, tuple(ends), places, scores)

    def _starts(self, read: _Pass) -> list[int]:
        """The boundaries from which the target has to go on: not those from which it writes the draft itself up to a
        later one, and not that of a full answer."""
        ends = [*read.ends[:-1], *([] if read.draft.complete else read.ends[-1:])]
        return [end for end in ends if self._reached(read, end) == end]

    def _reached(self, read: _Pass, end: int) -> int:
        """The last boundary that the target's greedy answer from `end` runs through; a full answer's is never one."""
        if self._plan.answers > 1 or read.scores is None:
            return end
        upto = end + read.scores.agreeing(end)
        within = [
            each for each in read.ends if end <= each <= upto and (each < read.ends[-1] or not read.draft.complete)
        ]
        return within[-1] if within else end

    async def _continue(self, job: tuple[_Asked, _Pass, int]) -> Written:
        asked, read, end = job
        return await self._write_all(asked.context, read.draft.tokens[:end])

    async def _write_all(self, context: Sequence[int], kept: Sequence[int]) -> Written:
        """The greedy answer that begins with `kept`, and the drawn ones; their tokens behind `kept`."""
        drawn = [
            replace(self._plan.params, temperature=DRAWN_AT, top_p=0.95, seed=number)
            for number in range(1, self._plan.answers)
        ]
        return [await self._write(context, kept, params) for params in (self._plan.params, *drawn)]

    async def _write(self, context: Sequence[int], kept: Sequence[int], params: SamplingParams) -> tuple[str, int]:
        target, writer = self._target, Writer(self._target.codec, params.stop)
        for token in kept:
            writer.push(token)
        left = params.most_tokens - len(kept)
        if left > 0:
            async with aclosing(target.decode([*context, *kept], params, left, Usage())) as tokens:
                async for token in tokens:
                    if token in target.eos:
                        break
                    writer.push(token)
                    if writer.stopped:
                        break
        return split(writer.text, target.codec.opened(context)).text, len(writer.tokens) - len(kept)

    def _case(
        self, asked: _Asked, answers: list[tuple[str, int]], read: _Pass, made: Mapping[tuple[Key, int], Written]
    ) -> Case:
        graded: dict[str, bool] = {}
        own = answers[0][0]

        def right(text: str) -> bool:
            if text not in graded:
                grade = asked.task.grade(asked.question, text).right
                graded[text] = same_answer(text, own) if grade is None else grade
            return graded[text]

        def outcome(texts: Sequence[tuple[str, int]]) -> Outcome:
            (text, tokens), share = texts[0], sum(right(text) for text, _ in texts) / len(texts)
            return Outcome(right(text), tokens, share, same_answer(text, own))

        draft, scores = read.draft, read.scores or Scores()
        drafted = split(draft.text, self._target.codec.opened(asked.context)).text
        outcomes = []
        for end in read.ends:
            if draft.complete and end == read.ends[-1]:
                outcomes.append(outcome([(drafted, 0)]))
                continue
            from_there = self._reached(read, end)
            again = outcome(made[asked.key, from_there])
            outcomes.append(replace(again, tokens=again.tokens + from_there - end))
        return Case(
            task=asked.task.name,
            question=asked.question.id,
            asked=digest(asked.task, asked.question),
            prompt_tokens=len(asked.context),
            target=outcome(answers),
            draft=outcome([(drafted, len(draft.tokens))]),
            complete=draft.complete,
            ends=read.ends,
            cuts=read.cuts,
            outcomes=tuple(outcomes),
            suffix_tokens=self._asking.longest_suffix,
            labels=scores.labels,
            logprobs=scores.logprobs,
            agrees=scores.agrees,
            entropy=scores.entropy,
            drafted=draft.logprobs,
            hidden=scores.hidden,
        )


def read_costs(folder: Path, concurrency: int) -> list[dict[str, Any]]:
    """The lines of all batches of a directory that had so many answers in flight."""
    if not (folder / COSTS_FILE).exists():
        return []
    lines = [json.loads(line) for line in (folder / COSTS_FILE).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["concurrency"] == concurrency]
