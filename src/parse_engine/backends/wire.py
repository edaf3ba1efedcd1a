"""What goes over the wire to an OpenAI-compatible server: what it understands of completions, and what its replies say.

Pure: nothing here opens a connection. Functions that read a reply raise KeyError, IndexError, TypeError, ValueError or
AttributeError when it is not what it should be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from parse_engine.backends.base import Scores, VerifyRequest, run_of
from parse_engine.backends.events import read_finish
from parse_engine.config import SamplingParams
from parse_engine.text import Codec

Json = dict[str, Any]

# vLLM's own fields. Without them the sampling defaults of the model's folder would apply on the server.
_PLAIN_SAMPLING = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
_MOST_STOPS = 4  # stop texts that OpenAI's API takes, and many servers after it
_WORD = "▁"  # how SentencePiece writes the space before a word
_PROBE = "Two and two are four, and"


@dataclass(frozen=True)
class Dialect:
    """What a server understands of `/completions`, from the best way to the next best."""

    ids_in: bool = True
    """Prompts are token ids; else text."""
    extras: bool = True
    """vLLM's own fields are accepted; some servers refuse what they do not know."""
    top: int | None = 20
    """Most probable tokens that it reports; None: no probabilities."""
    chosen: bool = True
    """It reports the probabilities of chosen ids (`logprob_token_ids`) rather than of the most probable."""
    id_keys: bool = True
    """Its probabilities are by token id; else by the token's text."""
    ids_out: bool = True
    """It tells the ids that it generates (`return_token_ids`); else text alone."""
    prompt_logprobs: bool = True
    """It tells the log-probabilities of the prompt's tokens."""

    @property
    def sampled_logprobs(self) -> bool:
        """It tells the log-probability of each token that it generates, beside the token's id."""
        return self.top is not None and self.ids_out


def ladder(role: str, chosen: bool) -> list[Dialect]:
    """The ways to ask, best first. A target must report probabilities, a drafter need not."""
    tops = (20, 5) if role == "target" else (1, None)
    chosen = chosen and role == "target"
    return [
        Dialect(ids_in, extras, top, chosen=chosen and extras, prompt_logprobs=extras)
        for ids_in in (True, False)
        for extras in (True, False)
        for top in tops
    ]


@dataclass(frozen=True)
class Piece:
    """A chunk of a streamed answer."""

    tokens: tuple[int, ...] = ()
    text: str = ""
    finish: str | None = None
    logprobs: tuple[float, ...] = ()
    """Of its tokens, where they were asked for."""
    cached: int | None = None
    """Rows of the prompt that came from the prefix cache; reported once, at the end, and not by every server."""


class Wire:
    """Requests to one model and their replies, in the dialect of its server."""

    def __init__(self, model: str, codec: Codec, eos: frozenset[int], dialect: Dialect):
        self.codec, self.eos, self.dialect = codec, eos, dialect
        self._model = model

    def probe(self) -> Json:
        """A request for one token that uses all that the dialect has."""
        tokens = self.codec.encode(_PROBE, special=True)
        body = self._completion(self._prompt(tokens), max_tokens=1, temperature=0.0)
        if self.dialect.top is not None:
            body |= self._labels(tokens[-2:])
        if self.dialect.extras:
            body |= {"return_token_ids": True, "stop_token_ids": sorted(self.eos), "prompt_logprobs": 0}
        return body

    def heard(self, reply: Json) -> Dialect | str:
        """The dialect that the reply to `probe` is in, or why it will not do."""
        asked, choice = self.dialect, reply["choices"][0]
        tokens = self.codec.encode(_PROBE, special=True)
        counted = (reply.get("usage") or {}).get("prompt_tokens", len(tokens))
        if counted != len(tokens):
            return f"it counts {counted} tokens in a prompt of {len(tokens)}, so it has another tokenizer"
        listed = (choice.get("logprobs") or {}).get("top_logprobs") or [{}]
        keys = set(listed[0]) if asked.top is not None else set()
        if asked.top is not None and not keys:
            return "it reports no probabilities of tokens (logprobs), which a target needs"
        return Dialect(
            ids_in=asked.ids_in,
            extras=asked.extras,
            top=asked.top,
            # The chosen ones and the generated one, no others.
            chosen=asked.chosen and {_key(id) for id in tokens[-2:]} <= keys and len(keys) <= 3,
            id_keys=any(key.startswith("token_id:") for key in keys),
            ids_out=isinstance(choice.get("token_ids"), list),
            prompt_logprobs=isinstance(choice.get("prompt_logprobs"), list),
        )

    def decoding(
        self, tokens: Sequence[int], params: SamplingParams, max_tokens: int, *, logprobs: bool = False
    ) -> Json:
        """A streamed continuation; `logprobs`: with the log-probability of each of its tokens."""
        body = self._completion(
            self._prompt(tokens), max_tokens=max_tokens, temperature=params.temperature, top_p=params.top_p
        )
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        if params.seed is not None:
            body["seed"] = params.seed
        if logprobs:
            body["logprobs"] = 1
        if params.stop and not self.dialect.ids_out:  # such an answer is read as a whole, when it is at its end
            body |= {"stop": sent} if (sent := sent_stops(params.stop)) else {}
        if self.dialect.extras:
            ends = self.eos | {id for id, name in self.codec.special.items() if name in params.stop}
            body |= {"return_token_ids": True, "stop_token_ids": sorted(ends)}
            if self.codec.marks and not self.dialect.ids_out:
                body["skip_special_tokens"] = False  # or thoughts could not be told from the answer
        return body

    def unheard(self, stops: Sequence[str]) -> list[str]:
        """The stop texts that no answer can end with: they name special tokens, and the server tells text alone."""
        if self.dialect.ids_out:
            return []
        names = {id: name for id, name in self.codec.special.items() if id not in self.eos}
        heard = set(names.values()) if self.dialect.extras else set()  # as ids
        return [stop for stop in stops if stop not in heard and any(name in stop for name in names.values())]

    def verdicts(self, prompts: Sequence[Sequence[int]], labels: Sequence[Sequence[int]]) -> Json:
        """The next token of each prompt, with the probabilities of the labels."""
        body = self._completion([self._prompt(prompt) for prompt in prompts], max_tokens=1, temperature=0.0)
        return body | self._labels(sorted({*labels[0], *labels[1]}))

    def likelihood(self, tokens: Sequence[int]) -> Json:
        """The log-probabilities of the tokens themselves."""
        return self._completion(self._prompt(tokens), max_tokens=1, temperature=0.0, prompt_logprobs=0)

    def masses(self, choice: Json, labels: Sequence[Sequence[int]]) -> tuple[float, float]:
        """The probabilities of Correct and of Incorrect; a token that was not reported counts nothing."""
        top = choice["logprobs"]["top_logprobs"][0]
        keys = [{key for id in ids for key in self._keys(id, top)} for ids in labels]
        right, wrong = (sum(math.exp(top[key]) for key in side) for side in keys)
        return right, wrong

    def _keys(self, id: int, top: Json) -> list[str]:
        """The keys by which a server reports a token: by its id, or by its text.

        Servers write the text of a token that begins a word with its space, without it, or as the vocabulary has it.
        """
        if self.dialect.id_keys:
            return [key for key in (_key(id),) if key in top]
        raw, text = self.codec.name_of(id), self._text([id])
        spaced = text if text.startswith(" ") or not raw.startswith(_WORD) else f" {text}"
        exact = [key for key in dict.fromkeys((spaced, raw, raw.replace(_WORD, " "))) if key in top]
        return exact or [key for key in (spaced.strip(), f" {spaced.strip()}") if key in top]

    def _completion(self, prompt: Any, **fields: Any) -> Json:
        return {"model": self._model, "prompt": prompt, **(_PLAIN_SAMPLING if self.dialect.extras else {}), **fields}

    def _labels(self, ids: Sequence[int]) -> Json:
        fields: Json = {"logprobs": self.dialect.top}
        if self.dialect.extras:
            fields["return_tokens_as_token_ids"] = True
        if self.dialect.chosen:
            fields["logprob_token_ids"] = list(ids)
        return fields

    def _prompt(self, tokens: Sequence[int]) -> list[int] | str:
        if self.dialect.ids_in:
            return list(tokens)
        begin = self.codec.encode("", special=True)  # the server adds it itself
        return self._text(tokens[len(begin) :] if list(tokens[: len(begin)]) == begin else tokens)

    def _text(self, tokens: Sequence[int]) -> str:
        return self.codec.backend.decode(list(tokens), skip_special_tokens=False)


def sent_stops(stops: Sequence[str]) -> list[str]:
    """The stop texts that a server is told: all, or four of them where there are more, which servers refuse.

    A server leaves out the text that it stops at. So with one that is told, another that is not must not be cut in two:
    an overlapping one is not told either, and the engine, which looks for all of them, finds it.
    """
    texts = list(dict.fromkeys(stops))
    if len(texts) <= _MOST_STOPS:
        return texts
    return [stop for stop in texts if not any(_cuts(stop, other) for other in texts if other != stop)][:_MOST_STOPS]


def _cuts(stop: str, other: str) -> bool:
    """Whether `other` may begin before `stop`, and end in or with it; or may be found before all of `stop` is there."""
    tails = (other[at:] for at in range(1, len(other)))
    return other in stop[1:-1] or any(stop.startswith(tail) or tail.startswith(stop) for tail in tails)


def read_models(reply: Json) -> list[Json]:
    """The models that a server serves; every one has an `id`."""
    return [{**entry, "id": str(entry["id"])} for entry in reply["data"]]


def read_piece(reply: Json) -> Piece:
    """A chunk of a stream."""
    choice: Json = next(iter(reply.get("choices") or ()), {})  # none where it only tells the usage
    return Piece(
        tuple(int(id) for id in choice.get("token_ids") or ()),
        str(choice.get("text") or ""),
        read_finish(choice),
        tuple(float(value) for value in (choice.get("logprobs") or {}).get("token_logprobs") or ()),
        read_cached(reply),
    )


def read_cached(reply: Json) -> int | None:
    """Rows of the (last) prompt that came from the prefix cache; None where the server does not tell."""
    cached = ((reply.get("usage") or {}).get("prompt_tokens_details") or {}).get("cached_tokens")
    return None if cached is None else int(cached)


def read_choices(reply: Json, number: int) -> list[Json]:
    """One choice per prompt, in the order of the prompts."""
    choices = sorted(reply["choices"], key=lambda choice: choice["index"])
    if [choice["index"] for choice in choices] != [*range(number)]:
        raise ValueError(f"{len(choices)} choices for {number} prompts")
    return choices


def read_likelihood(reply: Json, draft: Sequence[int]) -> Scores:
    """The log-probabilities of the draft's tokens, which end the prompt, and which are the model's greedy choice."""
    entries = reply["choices"][0]["prompt_logprobs"][-len(draft) :]
    chosen = [entry[str(token)] for entry, token in zip(entries, draft, strict=True)]
    agrees = tuple(one["rank"] == 1 for one in chosen)
    return Scores(logprobs=tuple(float(one["logprob"]) for one in chosen), agrees=agrees, agreeing=run_of(agrees))


def computed_rows(request: VerifyRequest, cached: int | None, block_size: int) -> int:
    """The rows that a batch of prefixes took, the longest first.

    Of a batch, servers report the cached rows of the last prompt alone, here of the shortest prefix. Where these are
    all its full blocks, the longer ones found theirs as well; what it missed beyond (speculative decoding drops a
    block), they missed too. Where it found nothing, nothing was shared. The longest counts in full.
    """
    prompt, shortest = len(request.prompt), len(request.prompt) + request.boundaries[0]
    prefixes = [*zip(request.boundaries, request.suffixes, strict=True)]
    missed = shortest - shortest % block_size - (cached or 0)
    if len(prefixes) == 1:
        return shortest + len(request.suffixes[0]) - (cached or 0)
    if cached is None or (missed and not cached):
        return sum(prompt + end + len(suffix) for end, suffix in prefixes)
    shorter = sum((prompt + end) % block_size + missed + len(suffix) for end, suffix in prefixes[:-1])
    return shorter + prompt + len(request.draft) + len(request.suffixes[-1])


def _key(id: int) -> str:
    return f"token_id:{id}"
