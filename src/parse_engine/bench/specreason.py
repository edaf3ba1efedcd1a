"""The SpecReason baseline (Pan et al., arXiv 2504.07891): drafted and scored step by step, one call after another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from parse_engine.backends.base import Model
from parse_engine.bench.methods import Score, StepEnd
from parse_engine.clock import Phase
from parse_engine.config import ParseConfig, SamplingParams
from parse_engine.engine import AsyncEngine
from parse_engine.errors import BackendError
from parse_engine.flight import Flight
from parse_engine.prefix.draft import Draft
from parse_engine.prefix.judges import Confidence
from parse_engine.prefix.suffix import suffix_text
from parse_engine.prefix.verifier import prompt_judge
from parse_engine.text import Writer
from parse_engine.thinking import Telling, split
from parse_engine.trace import Answer, BoundaryVerdict, Continuing, FinishReason, Trace

STEP_ENDS: dict[StepEnd, str] = {"blank-line": "\n\n", "line": "\n"}
BEST, THRESHOLD = 9, 7
STEPS_BEFORE_A_REPEAT = 2
# The published question, and the published start of the target's reply, which the score's one token follows.
QUESTION = (
    "Evaluate the last reasoning step solely based on factual correctness and logical validity. Ignore style, "
    "phrasing, or overall usefulness—only judge whether the step is objectively correct and logically follows from "
    "prior steps. Assign a score from 0 to 9."
)
REPLY = "I think the quality score is: "


@dataclass(frozen=True)
class _Step:
    tokens: list[int]
    """In the tokens of the model that wrote it, an end-of-turn token excluded."""
    text: str
    ended: bool
    """Whether the model ended its turn with it."""


class SpecReason(AsyncEngine):
    """The drafter writes a step; the target scores it from 0 to 9, and below 7 writes the step itself.

    As published, a step ends with a blank line, the score is one greedy token (what is no digit counts as 0), and a
    step said twice ends the answer. For models that know neither, a step may be a line, and its score P(Correct) of
    PARSE's own question against PARSE's own threshold. Everything before a call is in the models' prefix caches. What
    differs from the published code: tasks keep their own prompts, which do not ask for blank lines; an answer ends when
    a model ends its turn, not with its first box; `max_tokens` is the only limit of a step. In the trace a boundary is
    a scored step: its end in drafted tokens, and its score over 9, or P(Correct).
    """

    def __init__(
        self,
        target: Model,
        drafter: Model,
        config: ParseConfig | None = None,
        *,
        step: StepEnd = "blank-line",
        score: Score = "digit",
        **options: Any,
    ):
        super().__init__(target, drafter, config, **options)
        self._step_end = STEP_ENDS[step]
        self._ends_on_repeat = step == "blank-line"  # lines of code may well be the same
        self._least = self.config.threshold if score == "labels" else THRESHOLD / BEST
        self._judge = prompt_judge(target.codec, ParseConfig()) if score == "labels" else None
        render = (
            (lambda messages: target.codec.render(messages, thinking=False)) if target.codec.has_chat_template else None
        )
        self._question = target.codec.encode(suffix_text(render, QUESTION) + REPLY)

    @property
    def longest_suffix(self) -> int:
        return len(self._question) if self._judge is None else self._judge.longest_suffix

    async def _answer(self, flight: Flight) -> Answer:
        target, drafter, request = self.target, self._model_of("draft"), flight.request
        context, drafters_context = flight.context, flight.drafters_context
        answer = Writer(target.codec, request.params.stop, after=context if request.raw else ())
        telling = Telling(opened := target.codec.opened(context))
        drafted: list[int] = []  # the answer in the drafter's tokens
        scored: list[BoundaryVerdict] = []
        kept = draft_tokens = number = 0
        last, finish = "", None
        try:
            while finish is None:
                room, number = flight.max_tokens - len(answer.tokens), number + 1
                step = await self._step(flight, "draft", drafter, [*drafters_context, *drafted], room, number)
                before = [*context, *answer.tokens]
                for_drafter, accepted = step.tokens, False
                shared = self._are_shared(step.tokens, target)
                for_target, lost = (step.tokens, "") if shared else target.codec.carry(step.text, before)
                if lost:
                    flight.warnings.append(
                        f"step {number} is not kept: the target's tokens cannot write it as drafted."
                    )
                for_target = for_target[:room]
                if step.text and not lost:  # a drafter that has nothing more to say does not end the answer
                    draft_tokens += len(for_target)
                    score = await self._score(flight, context, [*answer.tokens, *for_target])
                    accepted = score.counted(self.config.min_label_mass) >= self._least
                    scored.append(BoundaryVerdict(draft_tokens, score.p, score.label_mass, accepted))
                if accepted:
                    kept += len(for_target)
                else:
                    step = await self._step(flight, "continue", target, [*context, *answer.tokens], room, number)
                    for_target = for_drafter = step.tokens
                    if not self._are_shared(step.tokens, drafter):
                        for_drafter = drafter.codec.encode_after(step.text, [*drafters_context, *drafted])
                drafted += for_drafter
                for token in for_target:
                    answer.push(token)
                new = telling.more(answer.stable)
                flight.emit(Continuing(new.text, new.thinking or ""))
                repeats = self._ends_on_repeat and number > STEPS_BEFORE_A_REPEAT and step.text == last
                finish = _finish(answer, flight.max_tokens, ended=step.ended or repeats or not step.tokens)
                last = step.text
        except BackendError as error:
            error.phase, error.text = flight.clock.phase, split(answer.stable, opened).text
            raise
        kept = min(kept, len(answer.tokens))  # a stop text may cut the last step
        trace = Trace(
            method="specreason",
            draft_text="",
            draft_tokens=draft_tokens,
            committed_tokens=kept,
            committed_text="",
            target_tokens=len(answer.tokens) - kept,
            verify_passes=len(scored),
            boundaries=tuple(scored),
            boundary_offsets=(),
            computed_tokens=flight.target.computed_tokens,
            seconds=flight.clock.seconds(),
            warnings=tuple(flight.warnings),
        )
        parts = split(answer.text, opened)
        return Answer(parts.text, finish, len(context), len(answer.tokens), trace, parts.thinking)

    async def _step(
        self, flight: Flight, phase: Phase, model: Model, tokens: Sequence[int], most: int, number: int
    ) -> _Step:
        """A model's next step: up to and with the end of a step behind some text, or to the end of its turn."""
        params = flight.request.params
        if params.seed is not None:  # a random stream for each step of each model
            params = replace(params, seed=hash((params.seed, phase == "draft", number)) % 2**63)
        usage = flight.drafter if phase == "draft" else flight.target
        written = Writer(model.codec, (), after=tokens)
        async with aclosing(model.decode(tokens, params, most, usage)) as generated:
            while (token := await flight.clock.timed(phase, anext(generated, None))) is not None:
                if token in model.eos:
                    return _Step(written.tokens, written.text, ended=True)
                written.push(token)
                if self._step_end in written.text.lstrip("\n"):
                    break
        return _Step(written.tokens, written.text, ended=False)

    async def _score(self, flight: Flight, context: Sequence[int], answer: Sequence[int]) -> Confidence:
        """The target's score of the last step of an answer."""
        target = self.target
        if self._judge is not None:
            ends, draft = [len(answer)], Draft("", tuple(answer), (), complete=False)
            request = self._judge.request(context, draft, ends)
            scores = await flight.clock.timed("verify", target.verify(request, flight.target))
            return self._judge.confidences(draft, ends, scores)[0]
        once = SamplingParams(max_tokens=1)
        tokens = [*context, *answer, *self._question]
        async with aclosing(target.decode(tokens, once, 1, flight.target)) as generated:
            token = await flight.clock.timed("verify", anext(generated, None))
        text = target.codec.decode([token]).strip() if token is not None else ""
        return Confidence(int(text) / BEST if text in set("0123456789") else 0.0)

    def _are_shared(self, tokens: Sequence[int], model: Model) -> bool:
        """Whether another model's tokens are those of `model` as well."""
        return self._same_tokens and max(tokens, default=0) < model.codec.size


def _finish(answer: Writer, max_tokens: int, *, ended: bool) -> FinishReason | None:
    if ended or answer.stopped:
        return "stop"
    return "length" if len(answer.tokens) >= max_tokens else None
