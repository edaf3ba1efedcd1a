"""A model behind an OpenAI-compatible server: `vllm serve`, or whatever has `/v1/completions` and logprobs.

What the server understands is found out once, at connection (wire.py). Verification is one batched request, the longest
prefix first: a server with a prefix cache computes the prompt and the draft once.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import httpx

from parse_engine.backends.base import Scores, Signal, Usage, VerifyRequest, check_open
from parse_engine.backends.events import body, read_event
from parse_engine.backends.folder import Ends, read_codec, read_config, read_ends, united
from parse_engine.backends.server import Server, ServerError
from parse_engine.backends.wire import (
    Dialect,
    Json,
    Wire,
    computed_rows,
    ladder,
    read_cached,
    read_choices,
    read_likelihood,
    read_models,
    read_piece,
)
from parse_engine.config import SamplingParams
from parse_engine.errors import ConfigError, ModelError, UnsupportedModelError
from parse_engine.models.fingerprint import fingerprint
from parse_engine.models.resolve import resolve
from parse_engine.text import Codec

_IN_FLIGHT = 256
_SENTENCE = "Are the server's tokens ours? <|end|> 12 + 34 = 46, naïve."


class HTTPModel:
    """A model of a server, behind the engine's protocol (see backends/base.py)."""

    concurrency = _IN_FLIGHT

    def __init__(self, server: Server, wire: Wire, entry: Json, folder: Path, ends: Ends, cache: dict[str, str]):
        self.name = str(entry["id"])
        self.codec = wire.codec
        # What the server really loaded is not told: its name for it, and the tokenizer and template that are here.
        self.fingerprint = f"{self.name} {fingerprint(folder)}"
        self.ends, self.eos = ends, wire.eos
        self.context_length = _context_length(entry, folder)
        size = cache.get("block_size", "")
        self.block_size = int(size) if size.isdigit() else 1
        caching = cache.get("enable_prefix_caching")
        self.prefix_caching = None if caching is None else caching == "True"
        told: dict[Signal, bool] = {"logprobs": wire.dialect.prompt_logprobs, "sampled": wire.dialect.sampled_logprobs}
        self.signals = frozenset(signal for signal, known in told.items() if known)
        self.closed = False
        self._server = server
        self._wire = wire

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        name: str | None = None,
        role: str = "target",
        connect_timeout: float = 5.0,
        read_timeout: float = 60.0,
        chosen_labels: bool = True,
    ) -> HTTPModel:
        """Ask a server what it serves and what it understands.

        The API key comes from PARSE_ENGINE_TARGET_API_KEY or PARSE_ENGINE_DRAFT_API_KEY, else from OPENAI_API_KEY.

        Args:
            url: http://HOST:PORT, with or without /v1.
            name: which of several models; and whose tokenizer it has, where the server's own names do not tell: a
                catalog name, a folder or a hub id.
            role: target or draft.
            connect_timeout, read_timeout: most seconds for a connection, and between two pieces of an answer.
            chosen_labels: False reads the labels from among the most probable tokens, for vLLM servers that decode
                speculatively (vLLM issue 42592).

        Raises:
            ConfigError: this is no address, or the server serves several models and not this one.
            UnsupportedModelError: the tokenizer is unknown or another, or the server lacks what is needed.
            BackendError: the server does not answer.
        """
        server = Server(url, role, connect_timeout, read_timeout)
        with httpx.Client(**server.settings) as client:
            models = server.understood(read_event, body(server.ask(client, "GET", "/models")))
            entry = _pick(server.understood(read_models, models), name, server)
            folder = _folder_of(entry, name, server)
            codec = read_codec(folder)
            eos = united(ends := read_ends(folder, codec))
            _check_tokens(client, server, entry["id"], codec)
            wires = [Wire(entry["id"], codec, eos, dialect) for dialect in ladder(role, chosen_labels)]
            wire = Wire(entry["id"], codec, eos, _settle(client, server, wires))
            return cls(server, wire, entry, folder, ends, _cache_settings(client, server))

    async def decode(
        self, tokens: Sequence[int], params: SamplingParams, max_tokens: int, usage: Usage
    ) -> AsyncGenerator[int]:
        check_open(self)
        server = self._server
        if unheard := self._wire.unheard(params.stop):
            raise ConfigError(
                f"the stop text {unheard[0]!r} names a special token, and the server at {server.url} tells the text of "
                "its answers alone, which special tokens are no part of. Use another stop text, or vllm serve."
            )
        text, number, cached = "", 0, 0
        finish: str | None = None
        end: int | None = None
        ids_out = self._wire.dialect.ids_out
        request = self._wire.decoding(tokens, params, max_tokens, logprobs=usage.logprobs is not None)
        try:
            async with aclosing(server.replies(request)) as replies:
                async for reply in replies:
                    piece = server.understood(read_piece, reply)
                    text += piece.text
                    finish, cached = piece.finish or finish, piece.cached or cached
                    if usage.logprobs is not None:
                        if len(piece.logprobs) != len(piece.tokens):
                            raise server.error(
                                f"told {len(piece.logprobs)} log-probabilities for {len(piece.tokens)} tokens; there "
                                "must be one for each. Use a judge that does not read the drafter, or another server."
                            )
                        usage.logprobs += piece.logprobs
                    for token in piece.tokens:
                        number += 1
                        if token in self.eos:
                            end = token
                            break
                        yield token
                    stopped = not ids_out and any(stop in text for stop in params.stop)
                    if finish is None and (end is not None or stopped):  # the server does not know that it ends here
                        finish = "stop"
                        break
            if finish not in ("stop", "length"):
                raise server.error(f"left the answer unfinished ({finish or 'the stream ends'}). See its log.")
            if not ids_out:
                written, lost = self.codec.carry(text, tokens)
                for token in written[:max_tokens]:
                    number += 1
                    yield token
                if lost and len(written) < max_tokens:
                    raise server.error(
                        f"told a text that the tokenizer found here cannot write from {lost[:20]!r} on. "
                        f"Name the model that it serves with --{server.role}."
                    )
            if finish == "stop" and end is None and number < max_tokens:
                end = min(self.eos, default=None)
            # It comes last: whoever gets it reads no further, and the cached rows are told after it.
            if end is not None:
                yield end
        finally:
            if number:
                usage.computed_tokens += len(tokens) - cached + number - 1

    async def verify(self, request: VerifyRequest, usage: Usage) -> Scores:
        check_open(self)
        server, wire = self._server, self._wire
        base = [*request.prompt, *request.draft]
        usage.verify_passes += 1
        scores = Scores()
        if request.signals:
            if not wire.dialect.prompt_logprobs:
                raise server.error("does not tell the probabilities of a prompt's tokens. Use --judge prompt.")
            # On its own and first: it reads nothing from the prefix cache, and the prefixes find its blocks there.
            likelihood = await server.reply(wire.likelihood(base))
            scores = server.understood(read_likelihood, likelihood, request.draft)
            usage.computed_tokens += len(base) - (read_cached(likelihood) or 0)
        if not request.suffixes:
            return scores
        prompts = [
            [*base[: len(request.prompt) + end], *suffix]
            for end, suffix in zip(request.boundaries, request.suffixes, strict=True)
        ]
        verdicts = await server.reply(wire.verdicts(prompts[::-1], request.labels))
        choices = server.understood(read_choices, verdicts, len(prompts))
        labels = tuple(server.understood(wire.masses, choice, request.labels) for choice in reversed(choices))
        usage.computed_tokens += computed_rows(request, read_cached(verdicts), self.block_size)
        return replace(scores, labels=labels)

    async def forget(self) -> bool:
        """Only vLLM servers in development mode (VLLM_SERVER_DEV_MODE=1) can; elsewhere nothing happens."""
        check_open(self)
        return await self._server.reset_cache()

    async def close(self) -> None:
        self.closed = True
        await self._server.close()


def _pick(entries: list[Json], name: str | None, server: Server) -> Json:
    """The named model; the only one, when the name is not among the server's own."""
    named = [entry for entry in entries if name in (entry["id"], entry.get("root"))]
    if not named and len(entries) != 1:
        known = ", ".join(entry["id"] for entry in entries) or "no model"
        raise ConfigError(f"the server at {server.url} serves {known}. Name one of its models with --{server.role}.")
    return (named or entries)[0]


def _folder_of(entry: Json, name: str | None, server: Server) -> Path:
    """Where on this machine the model's tokenizer is."""
    own = [entry[key] for key in ("root", "id") if entry.get(key)]
    served = name is None or name in own
    reason = ""
    for known in dict.fromkeys([*([] if name is None else [name]), *(own if served else [])]):
        try:
            return resolve(known, weights=False)
        except ModelError as error:
            reason = str(error)
    where = f"the server at {server.url} serves {entry['id']}, and"
    if not served:
        raise UnsupportedModelError(f"{where} not '{name}', and there is no such model here either: {reason}")
    raise UnsupportedModelError(
        f"{where} its tokenizer is not on this machine. Name the same model with --{server.role}: a known model, a "
        "folder with its configuration and tokenizer, or a hub id."
    )


def _context_length(entry: Json, folder: Path) -> int:
    served = entry.get("max_model_len")
    if served is not None:
        return int(served) - 1  # a verdict is one more token
    length = getattr(read_config(folder), "max_position_embeddings", None)
    if length is None:
        raise UnsupportedModelError(
            f"neither its server nor {folder / 'config.json'} tells the context length of {entry['id']}. Add "
            "max_position_embeddings there."
        )
    return int(length)


def _check_tokens(client: httpx.Client, server: Server, model: str, codec: Codec) -> None:
    """Compare tokenizers where the server lets us: ids of another one would be answered with nonsense."""
    request = {"model": model, "prompt": _SENTENCE, "add_special_tokens": False}
    try:
        reply = server.ask(client, "POST", f"{server.root}/tokenize", request).json()
    except ServerError as error:
        if error.status is None:
            raise
        return
    except ValueError:
        return
    tokens = reply.get("tokens") if isinstance(reply, dict) else None
    if tokens and tokens != codec.encode(_SENTENCE):
        raise UnsupportedModelError(
            f"the server at {server.url} cuts a text into other tokens than the tokenizer found here for {model}. "
            f"Name the model that it serves with --{server.role}."
        )


def _settle(client: httpx.Client, server: Server, wires: Sequence[Wire]) -> Dialect:
    """The best dialect that the server understands."""
    reason = ""
    for wire in wires:
        try:
            response = server.ask(client, "POST", "/completions", wire.probe())
        except ServerError as error:
            if error.status in (404, 405):
                reason = "it has no /completions, without which no text can be continued or judged"
                break
            if error.status not in (400, 422, 501):
                raise
            reason = str(error)
            continue
        heard = server.understood(wire.heard, server.understood(read_event, body(response)))
        if isinstance(heard, Dialect):
            return heard
        reason = heard
    raise UnsupportedModelError(
        f"the server at {server.url} cannot serve a {server.role} model: {reason}. Use vllm serve, or another back end."
    )


def _cache_settings(client: httpx.Client, server: Server) -> dict[str, str]:
    """The settings of the prefix cache, which vLLM tells among its metrics; empty where nothing is told."""
    try:
        metrics = server.ask(client, "GET", f"{server.root}/metrics").text
    except ServerError as error:
        if error.status is None:
            raise
        return {}
    told = re.search(r"^vllm:cache_config_info\{(.*)\}", metrics, re.MULTILINE)
    return dict(re.findall(r'(\w+)="([^"]*)"', told[1])) if told else {}
