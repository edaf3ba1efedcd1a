"""The engine: draft -> verify -> commit -> continue."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from parse_engine.backends.base import Model, Usage
from parse_engine.clock import Clock, Phase
from parse_engine.config import ParseConfig, SamplingParams
from parse_engine.errors import (
    BackendError,
    ConfigError,
    DeviceError,
    OverloadedError,
    PromptError,
    UnsupportedModelError,
)
from parse_engine.loadable import Loadable
from parse_engine.prefix.draft import NO_DRAFT, Draft, Drafted
from parse_engine.prefix.verifier import Verdict, Verifier
from parse_engine.profile import Profile
from parse_engine.prompt import Prompt, encode
from parse_engine.text import Writer
from parse_engine.trace import (
    Answer,
    Committed,
    Continuing,
    Done,
    Drafting,
    Event,
    FinishReason,
    Method,
    Trace,
    Verified,
)

NO_PROMISE = "the profile promises nothing for any setting, so the target answers alone."


@dataclass(frozen=True)
class Flight:
    """One answer under way: how it is decoded, who hears of it, and what it has taken so far."""

    params: SamplingParams
    raw: bool
    listener: Callable[[Event], None]
    clock: Clock = field(default_factory=Clock)
    target: Usage = field(default_factory=Usage)
    drafter: Usage = field(default_factory=Usage)
    warnings: list[str] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        if isinstance(event, Committed | Continuing) and event.text:
            self.clock.first()
        self.listener(event)


class AsyncEngine(Loadable):
    """Answers prompts with a target and a drafter, many at a time where the models can. For servers.

    Use it in one event loop. Cancelling a call ends its answer and stops the models' work on it. `Engine` is the same
    for ordinary code.
    """

    def __init__(
        self,
        target: Model,
        drafter: Model | None,
        config: ParseConfig | None = None,
        *,
        thinking: bool | None = None,
        concurrency: int | None = None,
        max_waiting: int | None = None,
        draft_timeout: float | None = None,
        profile: Profile | None = None,
    ):
        """Use two loaded models; `drafter` may be None for method `target`. The options are `EngineOptions`.

        Raises:
            ConfigError: the profile is of other models.
            UnsupportedModelError: the target's tokenizer or template cannot carry the judge.
        """
        self.target = target
        self.drafter = drafter
        if profile is not None:
            profile.check(target, drafter)
        self.profile = profile
        self._falls_back = profile is not None and config is None and profile.config is None
        self.config = config or (profile and profile.config) or ParseConfig()
        self.thinking = thinking
        self.verifier = Verifier(target, self.config, profile.fits if profile else None) if drafter else None
        if drafter and self.verifier and self.verifier.wants_drafter and "sampled" not in drafter.signals:
            raise UnsupportedModelError(
                f"judge '{self.config.judge}' reads the log-probabilities of the drafter {drafter.name}, which its "
                "back end does not tell. Use another judge or back end."
            )
        self.draft_timeout = draft_timeout
        self._same_tokens = drafter is not None and drafter.codec.same_tokens_as(target.codec)
        most = min(model.concurrency for model in (target, drafter) if model is not None)
        self.concurrency = most if concurrency is None else min(concurrency, most)
        self._turn = asyncio.Semaphore(self.concurrency)
        self._max_waiting = max_waiting
        self._waiting = 0

    async def generate(
        self, prompt: Prompt, params: SamplingParams | None = None, *, method: Method = "parse", raw: bool = False
    ) -> Answer:
        """Answer a prompt: a question, a list of chat messages, or with `raw` a text to be continued as it stands.

        Raises:
            PromptError: the prompt is empty or too long.
            ConfigError: the method needs a drafter and there is none.
            OverloadedError: more than `max_waiting` answers are waiting already.
            BackendError: the target failed; the error names the phase and has the text so far.
        """
        return await self._admitted(prompt, params, method, raw, lambda event: None)

    def check(
        self, prompt: Prompt, params: SamplingParams | None = None, *, method: Method = "parse", raw: bool = False
    ) -> None:
        """Refuse what `generate` would refuse before the models are asked.

        Raises:
            PromptError: the prompt is empty or too long.
            ConfigError: the method needs a drafter and there is none.
        """
        flight = Flight(params or SamplingParams(), raw, lambda event: None)
        self.tokens(self._model_of(method), prompt, flight, judged=method == "parse")
        if method == "parse":
            self.tokens(self._model_of("draft"), prompt, flight)

    async def stream(
        self, prompt: Prompt, params: SamplingParams | None = None, *, method: Method = "parse", raw: bool = False
    ) -> AsyncGenerator[Event]:
        """The same, as it is decided: events of trace.py, the last of them `Done`. Closing it ends the answer."""
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        task = asyncio.create_task(self._admitted(prompt, params, method, raw, events.put_nowait))
        task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            yield Done(task.result())
        finally:
            await cancel([task])

    async def map(
        self,
        prompts: Iterable[Prompt],
        params: SamplingParams | None = None,
        *,
        method: Method = "parse",
        raw: bool = False,
    ) -> AsyncGenerator[Answer]:
        """Answer many prompts, `concurrency` at a time; answers come in the order of the prompts.

        An error comes in its prompt's turn and ends the rest. Prompts are taken as there is room for them.
        """
        started: deque[asyncio.Task[Answer]] = deque()
        try:
            for prompt in prompts:
                started.append(asyncio.create_task(self.generate(prompt, params, method=method, raw=raw)))
                while len(running := [task for task in started if not task.done()]) >= self.concurrency:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                while started and started[0].done():
                    yield started.popleft().result()
            while started:
                yield await started[0]
                started.popleft()
        finally:
            await cancel(started)

    async def forget(self) -> bool:
        """Empty the models' prefix caches; for measuring, where no answer may profit from the one before.

        Whether all could be emptied: servers may keep theirs.
        """
        models = [model for model in (self.target, self.drafter) if model is not None]
        return all([await model.forget() for model in models])

    async def close(self) -> None:
        """Free the models; no call may follow."""
        for model in (self.target, self.drafter):
            if model is not None:
                await model.close()

    async def _admitted(
        self,
        prompt: Prompt,
        params: SamplingParams | None,
        method: Method,
        raw: bool,
        emit: Callable[[Event], None],
    ) -> Answer:
        async with self._room():
            flight = Flight(params or SamplingParams(), raw, emit)
            if self.verifier and self.verifier.wants_drafter:
                flight.drafter.logprobs = []
            if method == "parse" and self._falls_back:
                flight.warnings.append(NO_PROMISE)
                method = "target"
            return await self._answer(prompt, flight, method)

    @asynccontextmanager
    async def _room(self) -> AsyncIterator[None]:
        """Wait for a turn in the queue."""
        if self._max_waiting is not None and self._turn.locked() and self._waiting >= self._max_waiting:
            raise OverloadedError(f"{self._waiting} answers are waiting, which is all that may. Try again later.")
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    async def _answer(self, prompt: Prompt, flight: Flight, method: Method) -> Answer:
        """The loop."""
        params, clock = flight.params, flight.clock
        model = self._model_of(method)
        context = self.tokens(model, prompt, flight, judged=method == "parse")
        if method == "parse" and self.profile is not None:
            departures = self.profile.departures(self.config, params, prompt, raw=flight.raw, thinking=self.thinking)
            flight.warnings.extend(f"the profile promises nothing for {each}." for each in departures)
        answer = Writer(model.codec, params.stop, after=context if flight.raw else ())
        draft, verdict = NO_DRAFT, Verdict()
        finish: FinishReason | None = None
        try:
            if method == "parse":
                assert self.verifier is not None
                draft = await self.draft(prompt, context, flight)
                judging = self.verifier.verify(context, draft, flight.target, greedy=params.greedy)
                verdict = await clock.timed("verify", judging)
                flight.emit(Verified(draft.text, verdict.boundaries, verdict.offsets(draft)))
                for token in draft.tokens[: verdict.committed]:
                    answer.push(token)
                finish = "stop" if answer.stopped else _finish_of_kept(draft, verdict, params)
                flight.emit(Committed(answer.text if finish else answer.stable))
            committed, committed_text = len(answer.tokens), answer.text
            if finish is None:
                phase: Phase = "draft" if method == "draft" else "continue"
                finish = await _write(flight, phase, model, context, answer, Continuing)
        except BackendError as error:
            error.phase, error.text = clock.phase, answer.stable
            raise
        alone = method == "draft"  # then the whole answer is a draft
        trace = Trace(
            method=method,
            draft_text=answer.text if alone else draft.text,
            draft_tokens=len(answer.tokens) if alone else len(draft.tokens),
            committed_tokens=committed,
            committed_text=committed_text,
            target_tokens=0 if alone else len(answer.tokens) - committed,
            verify_passes=flight.target.verify_passes,
            boundaries=verdict.boundaries,
            boundary_offsets=verdict.offsets(draft),
            computed_tokens=flight.target.computed_tokens,
            seconds=clock.seconds(),
            warnings=(*flight.warnings, *verdict.warnings),
        )
        return Answer(answer.text, finish, len(context), len(answer.tokens), trace)

    async def draft(self, prompt: Prompt, context: Sequence[int], flight: Flight) -> Draft:
        """The drafter's whole answer, in the target's tokens; none when the drafter fails or is too slow.

        `context` is the prompt in the target's tokens.
        """
        drafter, codec = self._model_of("draft"), self.target.codec
        drafters_context = self.tokens(drafter, prompt, flight)
        after = drafters_context if flight.raw else ()
        written = Writer(drafter.codec, flight.params.stop, after)
        try:
            async with asyncio.timeout(self.draft_timeout):
                finish = await _write(flight, "draft", drafter, drafters_context, written, Drafting)
        except (BackendError, DeviceError, TimeoutError) as error:
            why = str(error) or f"the draft took longer than {self.draft_timeout:g} s."
            flight.warnings.append(f"there is no draft, the target answered alone: {why}")
            return NO_DRAFT
        # A stop string may end inside a token, and another tokenizer has other tokens: then the text is what counts.
        keep_ids = self._same_tokens and not written.stopped and max(written.tokens, default=0) < codec.size
        tokens = written.tokens if keep_ids else codec.encode(written.text, literal=True)
        # What ends an answer of the target ends its draft, even where the drafter would have gone on.
        end = next((at for at, token in enumerate(tokens) if token in self.target.eos), None)
        told, drafted = flight.drafter.logprobs, None
        if told is not None:
            drafted = Drafted(told[: len(written.tokens)], drafter.codec.read(written.tokens, after)[1])
        return Draft.of(
            tokens[:end],
            codec,
            complete=finish == "stop" or end is not None,
            max_tokens=flight.params.max_tokens,
            after=context if flight.raw else (),
            drafted=drafted,
        )

    def _model_of(self, method: Method) -> Model:
        """The model whose tokens the answer is counted in."""
        if method != "target" and self.drafter is None:
            raise ConfigError(
                f"method '{method}' needs a drafter and none was loaded. Give one, or use method 'target'."
            )
        return self.drafter if method == "draft" and self.drafter else self.target

    def tokens(self, model: Model, prompt: Prompt, flight: Flight, *, judged: bool = False) -> list[int]:
        """The prompt in a model's tokens, checked for room, that of the judge's suffix included."""
        tokens = encode(model, prompt, raw=flight.raw, thinking=self.thinking)
        suffix = self.verifier.longest_suffix if self.verifier and judged else 0
        room = model.context_length - len(tokens) - suffix
        if room < flight.params.max_tokens:
            parts = f"{len(tokens)} tokens" + (f" and the judge's suffix {suffix}" if suffix else "")
            advice = f"Set max_tokens to {room} or less." if room > 0 else "Shorten the prompt."
            raise PromptError(
                f"the prompt has {parts}, and with max_tokens {flight.params.max_tokens} that is beyond the "
                f"{model.context_length} tokens of context of {model.name}. {advice}"
            )
        return tokens


async def _write(
    flight: Flight,
    phase: Phase,
    model: Model,
    context: Sequence[int],
    writer: Writer,
    event: type[Drafting] | type[Continuing],
) -> FinishReason:
    """Let `model` go on where `writer` stands, up to its end-of-turn token, a stop string or `max_tokens`."""
    shown = len(writer.stable)
    remaining = flight.params.max_tokens - len(writer.tokens)
    params = _reseeded(flight.params) if phase == "continue" else flight.params
    usage = flight.drafter if phase == "draft" else flight.target
    finish: FinishReason = "length"
    async with aclosing(model.decode([*context, *writer.tokens], params, remaining, usage)) as tokens:
        while (token := await flight.clock.timed(phase, anext(tokens, None))) is not None:
            if token not in model.eos:
                writer.push(token)
                if len(writer.stable) > shown:
                    flight.emit(event(writer.stable[shown:]))
                    shown = len(writer.stable)
            if token in model.eos or writer.stopped:
                finish = "stop"
                break
    if len(writer.text) > shown:
        flight.emit(event(writer.text[shown:]))
    return finish


async def cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """End tasks that nobody waits for any more, and wait until they have cleaned up."""
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def _reseeded(params: SamplingParams) -> SamplingParams:
    """Another random stream for the target, or it would draw the rejected draft again."""
    return params if params.seed is None else dataclasses.replace(params, seed=params.seed ^ 0x5DEECE66D)


def _finish_of_kept(draft: Draft, verdict: Verdict, params: SamplingParams) -> FinishReason | None:
    """Why the answer ends with what was kept of the draft; None when it goes on."""
    if draft.complete and draft.tokens and verdict.accepted == len(draft.tokens):
        return "stop"
    return "length" if verdict.committed >= params.max_tokens else None
