"""The engine: draft -> verify -> commit -> continue."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from parse_engine.backends.base import Model
from parse_engine.clock import Clock, Phase
from parse_engine.config import EMBEDDED_TARGET, Attention, ParseConfig, SamplingParams, drafter_of
from parse_engine.errors import ConfigError, PromptError
from parse_engine.prefix.verifier import Draft, Verdict, Verifier
from parse_engine.text import Message, Writer
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

Prompt = str | Sequence[Message]


class Engine:
    """Answers prompts with a target and a drafter.

    One answer at a time: the models keep the last sequence in their prefix caches, which the next turn of a
    conversation re-uses.
    """

    def __init__(
        self, target: Model, drafter: Model | None, config: ParseConfig | None = None, *, thinking: bool | None = None
    ):
        """Use two loaded models; `drafter` may be None for method `target`.

        Raises:
            UnsupportedModelError: the target's tokenizer or template cannot carry the judge.
        """
        self.target = target
        self.drafter = drafter
        self.config = config or ParseConfig()
        self.thinking = thinking
        self.verifier = Verifier(target, self.config) if drafter else None
        self._same_tokens = drafter is not None and drafter.codec.same_tokens_as(target.codec)

    @classmethod
    def load(
        cls,
        target: str | Path = EMBEDDED_TARGET,
        draft: str | Path | None = None,
        *,
        config: ParseConfig | None = None,
        device: str = "auto",
        dtype: str = "auto",
        thinking: bool | None = None,
        attention: Attention = "sdpa",
    ) -> Engine:
        """Load a target and a drafter by catalog name, hub id or folder.

        Args:
            draft: the embedded target brings its own; for any other None loads the target alone, for method `target`.
            device: auto, cpu, cuda or cuda:N.
            dtype: auto (as the checkpoint says), float32, bfloat16 or float16.
            thinking: `enable_thinking` of the chat templates that know it; None leaves their default.
            attention: of the target: sdpa with a dense mask, or flex_attention with a block mask.

        Raises:
            ModelError: a model is unknown, absent or unsuited.
            DeviceError: CUDA was asked for and is absent.
        """
        from parse_engine.backends.hf import HFModel, check_target
        from parse_engine.models.resolve import resolve

        draft = drafter_of(target, draft)
        folders = {name: resolve(name) for name in (target, draft) if name is not None}
        if draft is not None:
            check_target(folders[target])
        big = HFModel.load(folders[target], device=device, dtype=dtype, attention=attention, name=str(target))
        small = big if draft == target else None
        if draft is not None and small is None:
            small = HFModel.load(folders[draft], device=device, dtype=dtype, name=str(draft))
        return cls(big, small, config, thinking=thinking)

    def generate(
        self, prompt: Prompt, params: SamplingParams | None = None, *, method: Method = "parse", raw: bool = False
    ) -> Answer:
        """Answer a prompt: a question, a list of chat messages, or with `raw` a text to be continued as it stands.

        Raises:
            PromptError: the prompt is empty or too long.
            ConfigError: the method needs a drafter and there is none.
        """
        for event in self.stream(prompt, params, method=method, raw=raw):
            if isinstance(event, Done):
                return event.answer
        raise AssertionError("a stream ends with Done")

    def stream(
        self, prompt: Prompt, params: SamplingParams | None = None, *, method: Method = "parse", raw: bool = False
    ) -> Iterator[Event]:
        """The same, as it is decided: events of trace.py, the last of them `Done`."""
        params = params or SamplingParams()
        clock = Clock()
        model = self._model_of(method)
        context = self._tokens(model, prompt, params, raw, judged=method == "parse")
        answer = Writer(model.codec, params.stop, after=context if raw else ())
        draft, verdict = None, None
        computed = self.target.computed_tokens
        finish: FinishReason | None = None
        if method == "parse":
            assert self.verifier is not None
            draft = yield from self._draft(clock, prompt, params, raw)
            with clock.phase("verify"):
                verdict = self.verifier.verify(context, draft, greedy=params.greedy)
            yield Verified(draft.text, verdict.boundaries, verdict.ends(draft))
            for token in draft.tokens[: verdict.committed]:
                answer.push(token)
            finish = "stop" if answer.stopped else _finish_of_kept(draft, verdict, params)
            yield Committed(answer.text if finish else answer.stable)
        committed, committed_text = len(answer.tokens), answer.text
        if finish is None:
            phase: Phase = "draft" if method == "draft" else "continue"
            own = _reseeded(params) if method == "parse" else params
            finish = yield from _write(clock, phase, model, context, answer, own, Continuing)
        trace = Trace(
            method=method,
            draft_text=draft.text if draft else answer.text if method == "draft" else "",
            draft_tokens=len(draft.tokens) if draft else len(answer.tokens) if method == "draft" else 0,
            committed_tokens=committed,
            committed_text=committed_text,
            target_tokens=0 if method == "draft" else len(answer.tokens) - committed,
            verify_passes=verdict.passes if verdict else 0,
            boundaries=verdict.boundaries if verdict else (),
            boundary_offsets=verdict.ends(draft) if verdict and draft else (),
            computed_tokens=self.target.computed_tokens - computed,
            seconds=clock.seconds(),
            warnings=verdict.warnings if verdict else (),
        )
        yield Done(Answer(answer.text, finish, len(context), len(answer.tokens), trace))

    def forget(self) -> None:
        """Empty the models' prefix caches; for measuring, where no answer may profit from the one before."""
        for model in (self.target, self.drafter):
            if model is not None:
                model.forget()

    def _draft(self, clock: Clock, prompt: Prompt, params: SamplingParams, raw: bool) -> Generator[Event, None, Draft]:
        """The drafter's whole answer, in the target's tokens."""
        drafter = self._model_of("draft")
        context = self._tokens(drafter, prompt, params, raw)
        written = Writer(drafter.codec, params.stop, after=context if raw else ())
        finish = yield from _write(clock, "draft", drafter, context, written, params, Drafting)
        # A stop string may end inside a token, and another tokenizer has other tokens: then the text is what counts.
        codec = self.target.codec
        keep_ids = self._same_tokens and not written.stopped and max(written.tokens, default=0) < codec.size
        tokens = written.tokens if keep_ids else codec.encode(written.text, literal=True)
        # What ends an answer of the target ends its draft, even where the drafter would have gone on.
        length = next((at for at, token in enumerate(tokens) if token in self.target.eos), None)
        complete = finish == "stop" or length is not None
        return Draft.of(tokens[:length], codec, complete=complete, max_tokens=params.max_tokens)

    def _model_of(self, method: Method) -> Model:
        """The model whose tokens the answer is counted in."""
        if method != "target" and self.drafter is None:
            raise ConfigError(
                f"method '{method}' needs a drafter and none was loaded. Give one, or use method 'target'."
            )
        return self.drafter if method == "draft" and self.drafter else self.target

    def _tokens(
        self, model: Model, prompt: Prompt, params: SamplingParams, raw: bool, *, judged: bool = False
    ) -> list[int]:
        """The prompt in a model's tokens, checked for room, that of the judge's suffix included."""
        tokens = self._encode(model, prompt, raw)
        suffix = self.verifier.longest_suffix if self.verifier and judged else 0
        room = model.context_length - len(tokens) - suffix
        if room < params.max_tokens:
            parts = f"{len(tokens)} tokens" + (f" and the judge's suffix {suffix}" if suffix else "")
            advice = f"Set max_tokens to {room} or less." if room > 0 else "Shorten the prompt."
            raise PromptError(
                f"the prompt has {parts}, and with max_tokens {params.max_tokens} that is beyond the "
                f"{model.context_length} tokens of context of {model.name}. {advice}"
            )
        return tokens

    def _encode(self, model: Model, prompt: Prompt, raw: bool) -> list[int]:
        if not isinstance(prompt, str) and not all({"role", "content"} <= message.keys() for message in prompt):
            raise PromptError("a chat message lacks its role or its content. Give both in every message.")
        text = prompt if isinstance(prompt, str) else "".join(message["content"] for message in prompt)
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise PromptError("the prompt is not valid Unicode: it has half a surrogate pair. Give it as UTF-8 text.")
        if not text.strip():
            raise PromptError("the prompt is empty. Give a question, a list of messages, or a text to continue.")
        if isinstance(prompt, str):
            if raw or not model.codec.has_chat_template:
                return model.codec.encode(prompt, special=True)
            prompt = [{"role": "user", "content": prompt}]
        if raw or not model.codec.has_chat_template:
            why = "raw was asked for" if raw else f"{model.name} has no chat template"
            raise PromptError(f"chat messages were given and {why}. Give the prompt as one text.")
        return model.codec.encode(model.codec.render(prompt, thinking=self.thinking))


def _write(
    clock: Clock,
    phase: Phase,
    model: Model,
    context: Sequence[int],
    writer: Writer,
    params: SamplingParams,
    event: type[Drafting] | type[Continuing],
) -> Generator[Event, None, FinishReason]:
    """Let `model` go on where `writer` stands, up to its end-of-turn token, a stop string or `max_tokens`."""
    shown = len(writer.stable)
    remaining = params.max_tokens - len(writer.tokens)
    finish: FinishReason = "length"
    for token in clock.timed(phase, model.decode([*context, *writer.tokens], params, remaining)):
        if token not in model.eos:
            writer.push(token)
            if len(writer.stable) > shown:
                yield event(writer.stable[shown:])
                shown = len(writer.stable)
        if token in model.eos or writer.stopped:
            finish = "stop"
            break
    if len(writer.text) > shown:
        yield event(writer.text[shown:])
    return finish


def _reseeded(params: SamplingParams) -> SamplingParams:
    """Another random stream for the target, or it would draw the rejected draft again."""
    return params if params.seed is None else dataclasses.replace(params, seed=params.seed ^ 0x5DEECE66D)


def _finish_of_kept(draft: Draft, verdict: Verdict, params: SamplingParams) -> FinishReason | None:
    """Why the answer ends with what was kept of the draft; None when it goes on."""
    if draft.complete and draft.tokens and verdict.accepted == len(draft.tokens):
        return "stop"
    return "length" if verdict.committed >= params.max_tokens else None
