"""The engine: draft -> verify -> commit -> continue."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, Self, Unpack

from parse_engine.backends.base import Model, check_open
from parse_engine.backlog import Backlog, cancel
from parse_engine.clock import Clock, Phase
from parse_engine.config import ParseConfig, SamplingParams
from parse_engine.errors import (
    BackendError,
    ClosedError,
    ConfigError,
    DeviceError,
    OverloadedError,
    ParseEngineError,
    PromptError,
    UnsupportedModelError,
)
from parse_engine.flight import Flight, read
from parse_engine.loadable import EngineOptions, Loadable, check_engine_options, read_profile
from parse_engine.prefix.draft import NO_DRAFT, Draft, Drafted
from parse_engine.prefix.verifier import Verdict, Verifier
from parse_engine.prompt import Prompt
from parse_engine.request import Params, Request, RequestOptions
from parse_engine.text import Writer
from parse_engine.thinking import Telling, split
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

CUT_OFF = "the answer was cut off while the model was thinking, so there is none. Raise max_tokens."

CLOSED = "the engine was closed. Make another one."


class AsyncEngine(Loadable):
    """Answers prompts with a target and a drafter, many at a time where the models can. For servers.

    Use it in one event loop, as a context manager (`async with`) or with `close` at the end. Cancelling a call ends its
    answer and stops the models' work on it. `Engine` is the same for ordinary code.
    """

    def __init__(
        self,
        target: Model,
        drafter: Model | None,
        config: ParseConfig | Mapping[str, Any] | None = None,
        **options: Unpack[EngineOptions],
    ):
        """Use two loaded models; `drafter` may be None for method `target`.

        Raises:
            ConfigError: an option is unknown, of the wrong type or out of range, or the profile is of other models.
            UnsupportedModelError: the target's tokenizer or template cannot carry the judge.
            ClosedError: a model was closed, with another engine for instance.
        """
        check_engine_options(options)
        self.target = target
        self.drafter = drafter
        for model in self._models:
            check_open(model)
        self.profile = profile = read_profile(options.get("profile"))
        if profile is not None:
            profile.check(target, drafter)
        self._falls_back = profile is not None and config is None and profile.config is None
        self.config = ParseConfig.of(config if config is not None or profile is None else profile.config)
        self.verifier = Verifier(target, self.config, profile.fits if profile else None) if drafter else None
        if drafter and self.verifier and self.verifier.wants_drafter and "sampled" not in drafter.signals:
            raise UnsupportedModelError(
                f"judge '{self.config.judge}' reads the log-probabilities of the drafter {drafter.name}, which its "
                "back end does not tell. Use another judge or back end."
            )
        self.draft_timeout = options.get("draft_timeout")
        self._same_tokens = drafter is not None and drafter.codec.same_tokens_as(target.codec)
        most = min(model.concurrency for model in (target, drafter) if model is not None)
        if (wanted := options.get("concurrency") or most) > most:
            many = "one answer" if most == 1 else f"{most} answers"
            warnings.warn(f"these models give {many} at a time, so concurrency {wanted} is {most}", stacklevel=2)
        self.concurrency = min(wanted, most)
        self._turn = asyncio.Semaphore(self.concurrency)
        self._max_waiting = options.get("max_waiting")
        self._waiting = 0
        self._under_way: set[asyncio.Task[Answer]] = set()
        self._closed = False
        self._closing = asyncio.Lock()
        self._owned = AsyncExitStack()  # closes all, even if one of them fails
        for model in self._models:
            self._owned.push_async_callback(model.close)

    async def generate(self, prompt: Prompt, params: Params = None, **options: Unpack[RequestOptions]) -> Answer:
        """Answer a prompt: a question, a list of chat messages, or with `raw` a text to be continued as it stands.

        Raises:
            PromptError: the prompt is empty or too long.
            ConfigError: an option is not allowed, or the method needs a drafter and there is none.
            OverloadedError: more than `max_waiting` answers are waiting already.
            BackendError: the target failed; the error names the phase and has the text so far.
            ClosedError: the engine was closed, before or meanwhile.
        """
        return await self._result(self._start(self._request(prompt, params, options)))

    def check(self, prompt: Prompt, params: Params = None, **options: Unpack[RequestOptions]) -> None:
        """Refuse what `generate` would refuse before the models are asked, with the same errors."""
        self.begin(self._as_promised(self._request(prompt, params, options)))

    def stream(self, prompt: Prompt, params: Params = None, **options: Unpack[RequestOptions]) -> AsyncGenerator[Event]:
        """The same, as it is decided: events of trace.py, the last of them `Done`. Closing it ends the answer.

        What is wrong with the options (ConfigError, ClosedError) is raised by the call itself, the rest where the
        events are read.
        """
        return self._events(self._request(prompt, params, options))

    def map(
        self, prompts: Iterable[Prompt], params: Params = None, **options: Unpack[RequestOptions]
    ) -> AsyncGenerator[Answer | ParseEngineError]:
        """Answer many prompts, `concurrency` at a time; answers come in the order of the prompts.

        In the place of a prompt that cannot be answered stands the error, which names its number; the others are
        answered. What is wrong with all of them (ConfigError, ClosedError) is raised, by the call itself where it can
        be seen there. Prompts are taken as there is room for them: behind a slow answer at most twice `concurrency`.
        """
        return self.backlog(prompts, params, **options).answers(prompts)

    def backlog(self, prompts: object, params: Params = None, **options: Unpack[RequestOptions]) -> Backlog:
        """What `map` keeps its answers in. The prompts are for the caller to add.

        Raises:
            PromptError: they are one text, or no iterable.
            ConfigError, ClosedError: as `map`.
        """
        if isinstance(prompts, str) or not isinstance(prompts, Iterable):
            raise PromptError(f"prompts is of type {type(prompts).__name__}; it must be a list, or another iterable.")
        asked = self._request("", params, options)

        async def answer(prompt: Prompt, number: int) -> Answer | ParseEngineError:
            try:
                return await self._result(self._start(replace(asked, prompt=prompt)))
            except (ConfigError, ClosedError):
                raise
            except ParseEngineError as error:
                error.prompt_number = number
                return error

        return Backlog(answer, self.concurrency)

    async def forget(self) -> bool:
        """Empty the models' prefix caches; for measuring, where no answer may profit from the one before.

        Whether all could be emptied: servers may keep theirs.
        """
        self._check_open()
        return all([await model.forget() for model in self._models])

    async def close(self) -> None:
        """End the answers under way, whose callers get ClosedError, and free the models. A second call does nothing."""
        self._closed = True
        async with self._closing:
            await cancel(self._under_way)
            await self._owned.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def _models(self) -> list[Model]:
        """Target and drafter, which may be one."""
        return [self.target] if self.drafter is None or self.drafter is self.target else [self.target, self.drafter]

    @property
    def longest_suffix(self) -> int:
        """Most tokens that the target reads behind a judged answer."""
        return self.verifier.longest_suffix if self.verifier else 0

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(CLOSED)
        for model in self._models:  # another engine may have had them too
            check_open(model)

    def _start(self, request: Request, listener: Callable[[Event], None] = lambda event: None) -> asyncio.Task[Answer]:
        """An answer under way, until it is done or `close` ends it."""
        self._check_open()
        task = asyncio.create_task(self._admitted(request, listener))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _result(self, task: asyncio.Task[Answer]) -> Answer:
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self._closed and caller is not None and not caller.cancelling():
                raise ClosedError("the engine was closed before the answer was finished.") from None
            raise

    async def _events(self, request: Request) -> AsyncGenerator[Event]:
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        task = self._start(request, events.put_nowait)
        task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            yield Done(await self._result(task))
        finally:
            await cancel([task])

    def _request(self, prompt: Prompt, params: Params, options: Mapping[str, Any]) -> Request:
        """What is asked by the arguments of a call.

        Raises:
            ConfigError: an option is not allowed, or the method needs a drafter and there is none.
            ClosedError: the engine was closed.
        """
        self._check_open()
        request = Request.of(prompt, params, options)
        self._model_of(self._as_promised(request).method)
        return request

    def _as_promised(self, request: Request) -> Request:
        """The target answers alone where a profile promises nothing."""
        return replace(request, method="target") if self._falls_back and request.method == "parse" else request

    async def _admitted(self, request: Request, listener: Callable[[Event], None]) -> Answer:
        async with self._room():
            flight = self.begin(self._as_promised(request), listener)
            if self.verifier and self.verifier.wants_drafter:
                flight.drafter.logprobs = []
            if flight.request.method != request.method:
                flight.warnings.append(NO_PROMISE)
            elif request.method == "parse" and self.profile is not None:
                params = replace(request.params, max_tokens=flight.max_tokens)
                departures = self.profile.departures(
                    self.config, params, request.prompt, raw=request.raw, thinking=request.thinking
                )
                flight.warnings.extend(f"the profile promises nothing for {each}." for each in departures)
            return await self._answer(flight)

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

    async def _answer(self, flight: Flight) -> Answer:
        """The loop."""
        request, context, clock = flight.request, flight.context, flight.clock
        method, model = request.method, self._model_of(request.method)
        answer = Writer(model.codec, request.params.stop, after=context if request.raw else ())
        draft, verdict = NO_DRAFT, Verdict()
        opened = model.codec.opened(context)
        telling = Telling(opened)
        finish: FinishReason | None = None
        try:
            if method == "parse":
                assert self.verifier is not None
                draft = await self.draft(flight)
                judging = self.verifier.verify(context, draft, flight.target, greedy=request.params.greedy)
                verdict = await clock.timed("verify", judging)
                flight.emit(Verified(draft.text, verdict.boundaries, verdict.offsets(draft)))
                for token in draft.tokens[: verdict.committed]:
                    answer.push(token)
                finish = "stop" if answer.stopped else _finish_of_kept(draft, verdict, flight.max_tokens)
                kept = answer.text if finish else answer.stable
                new = telling.more(kept, whole=finish is not None)
                flight.emit(Committed(new.text, new.thinking or "", len(kept)))
            committed, committed_text = len(answer.tokens), answer.text
            if finish is None:
                phase: Phase = "draft" if method == "draft" else "continue"
                finish = await _write(flight, phase, model, context, answer, telling)
        except BackendError as error:
            error.phase, error.text = clock.phase, split(answer.stable, opened).text
            raise
        parts = split(answer.text, opened)
        if parts.thinking and not parts.text and finish == "length":
            flight.warnings.append(CUT_OFF)
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
        return Answer(parts.text, finish, len(context), len(answer.tokens), trace, parts.thinking)

    async def draft(self, flight: Flight) -> Draft:
        """The drafter's answer in the target's tokens: all of it, or what it has when the drafter fails or is slow."""
        drafter, codec, raw = self._model_of("draft"), self.target.codec, flight.request.raw
        after = flight.drafters_context if raw else ()
        written = Writer(drafter.codec, flight.request.params.stop, after)
        try:
            async with asyncio.timeout(self.draft_timeout):
                finish = await _write(flight, "draft", drafter, flight.drafters_context, written)
        except (BackendError, DeviceError, TimeoutError) as error:
            why = str(error) or f"the draft took longer than {self.draft_timeout:g} s."
            if not written.tokens:
                flight.warnings.append(f"there is no draft, the target answered alone: {why}")
                return NO_DRAFT
            flight.warnings.append(f"the draft is unfinished, and judged as far as it had come: {why}")
            if held := written.text[len(written.stable) :]:
                flight.emit(Drafting(held))
            finish = "length"
        # A stop string may end inside a token, and another tokenizer has other tokens: then the text is what counts.
        keep_ids = self._same_tokens and not written.stopped and max(written.tokens, default=0) < codec.size
        tokens, lost = written.tokens, ""
        if not keep_ids:
            tokens, lost = codec.carry(written.text, flight.context if raw else ())
        if lost.strip(" "):
            kept, where = ("is cut", "goes on") if tokens else ("is not kept", "begins")
            flight.warnings.append(
                f"the draft {kept}: the target's tokens cannot write {lost[:20]!r}, with which it {where}."
            )
        # What ends an answer of the target ends its draft, even where the drafter would have gone on.
        end = next((at for at, token in enumerate(tokens) if token in self.target.eos), None)
        told, drafted = flight.drafter.logprobs, None
        if told is not None:
            drafted = Drafted(told[: len(written.tokens)], drafter.codec.read(written.tokens, after)[1])
        return Draft.of(
            tokens[:end],
            codec,
            complete=(finish == "stop" and not lost) or end is not None,
            max_tokens=flight.max_tokens,
            after=flight.context if raw else (),
            drafted=drafted,
        )

    def _model_of(self, method: Method) -> Model:
        """The model whose tokens the answer is counted in."""
        if method != "target" and self.drafter is None:
            raise ConfigError(
                f"method '{method}' needs a drafter and none was loaded. Give one, or use method 'target'."
            )
        return self.drafter if method == "draft" and self.drafter else self.target

    def begin(self, request: Request, listener: Callable[[Event], None] = lambda event: None) -> Flight:
        """Put a prompt into the models' tokens, and see how long its answer may get.

        Raises:
            PromptError: the prompt is empty or too long.
            ConfigError: the method needs a drafter and there is none.
        """
        clock, judged = Clock(), request.method == "parse"
        context, room = read(request, self._model_of(request.method), self.longest_suffix if judged else 0)
        drafters_context, drafters_room = read(request, self._model_of("draft")) if judged else ([], room)
        return Flight(request, context, drafters_context, min(room, drafters_room), listener, clock)


async def _write(
    flight: Flight,
    phase: Phase,
    model: Model,
    context: Sequence[int],
    writer: Writer,
    telling: Telling | None = None,
) -> FinishReason:
    """Let `model` go on where `writer` stands, up to its end-of-turn token, a stop string or `max_tokens`.

    `telling` tells the parts of what is final; a draft, which is not, is shown as it comes.
    """
    shown = len(writer.stable)
    remaining = flight.max_tokens - len(writer.tokens)
    params = _reseeded(flight.request.params) if phase == "continue" else flight.request.params
    usage = flight.drafter if phase == "draft" else flight.target
    finish: FinishReason = "length"

    def show(text: str, *, whole: bool = False) -> None:
        nonlocal shown
        if telling is not None and any(new := telling.more(text, whole=whole)):
            flight.emit(Continuing(new.text, new.thinking or ""))
        elif telling is None and len(text) > shown:
            flight.emit(Drafting(text[shown:]))
        shown = len(text)

    async with aclosing(model.decode([*context, *writer.tokens], params, remaining, usage)) as tokens:
        while (token := await flight.clock.timed(phase, anext(tokens, None))) is not None:
            if token not in model.eos:
                writer.push(token)
                show(writer.stable)
            if token in model.eos or writer.stopped:
                finish = "stop"
                break
    show(writer.text, whole=True)
    return finish


def _reseeded(params: SamplingParams) -> SamplingParams:
    """Another random stream for the target, or it would draw the rejected draft again."""
    return params if params.seed is None else replace(params, seed=params.seed ^ 0x5DEECE66D)


def _finish_of_kept(draft: Draft, verdict: Verdict, max_tokens: int) -> FinishReason | None:
    """Why the answer ends with what was kept of the draft; None when it goes on."""
    if draft.complete and draft.tokens and verdict.accepted == len(draft.tokens):
        return "stop"
    return "length" if verdict.committed >= max_tokens else None
