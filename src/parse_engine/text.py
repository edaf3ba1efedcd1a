"""Between text and tokens: encoding, chat templates, character offsets, and exact stop strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers.decoders import DecodeStream
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from parse_engine.errors import UnsupportedModelError

Message = dict[str, str]


class Codec:
    """A model's tokenizer as the engine uses it.

    Raises:
        UnsupportedModelError: the tokenizer is not a fast one.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        if not isinstance(tokenizer, PreTrainedTokenizerFast):
            raise UnsupportedModelError(
                f"the tokenizer of {tokenizer.name_or_path} has no fast version (tokenizer.json), which is needed for "
                "character offsets. Convert it with transformers and save it next to the model."
            )
        self._tokenizer = tokenizer
        self.backend = tokenizer.backend_tokenizer

    @property
    def has_chat_template(self) -> bool:
        return self._tokenizer.chat_template is not None

    @property
    def size(self) -> int:
        """Token ids that have a meaning; a model may have room for more."""
        return len(self._tokenizer)

    def encode(self, text: str, *, special: bool = False, literal: bool = False) -> list[int]:
        """Token ids.

        Args:
            special: add what the model expects around a raw text, a begin-of-text token for instance.
            literal: the names of control tokens in the text are text, as in an answer about chat templates.
        """
        options = {"add_special_tokens": special, "split_special_tokens": literal}
        return list(self._tokenizer.encode(text, **options, verbose=False))  # how long it may be is checked by us

    def encode_after(self, text: str, after: Sequence[int] = ()) -> list[int]:
        """Token ids of an answer, or a part of one, that continues `after`: `read` gives its text again.

        Tokenizers of SentencePiece's kind put a space before whatever they encode, as if it began a text. Where that
        shows, the text is encoded behind a character that does not merge with it, which is taken off again.
        """
        alone = self.encode(text, literal=True)
        if self.read(alone, after)[0] == text:
            return alone
        for anchor in ("\n", "."):
            taken = self.encode(anchor, literal=True)
            tokens = self.encode(anchor + text, literal=True)
            if tokens[: len(taken)] == taken and self.read(tokens[len(taken) :], after)[0] == text:
                return tokens[len(taken) :]
        return alone

    def render(self, messages: Sequence[Message], *, thinking: bool | None = None) -> str:
        """The conversation as text, ready for the assistant's turn.

        Args:
            thinking: passed to the template as `enable_thinking`; None leaves the template's default.

        Raises:
            UnsupportedModelError: the template refuses the messages.
        """
        options: dict[str, Any] = {} if thinking is None else {"enable_thinking": thinking}
        try:
            text = self._tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True, **options
            )
        except Exception as error:  # jinja's own errors, and whatever the template raises
            roles = ", ".join(message["role"] for message in messages)
            raise UnsupportedModelError(
                f"the chat template of {self._tokenizer.name_or_path} refuses a conversation of ({roles}): {error}"
            ) from error
        return str(text)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`, special tokens left out."""
        return self.read(tokens)[0]

    def read(self, tokens: Sequence[int], after: Sequence[int] = ()) -> tuple[str, list[int | None]]:
        """The text, and for each token the character offset at which it ends; None where that is inside a character.

        `after`: tokens of a raw text that `tokens` continue; some tokenizers write the first word by them.
        """
        stream = self.stream(after)
        text, ends = "", list[int | None]()
        for token in tokens:
            piece = stream.step(self.backend, token)
            text += piece or ""
            ends.append(len(text) if piece is not None else None)
        return text, ends

    def stream(self, after: Sequence[int] = ()) -> DecodeStream:
        """An incremental decoder that stands behind `after`; special tokens are left out."""
        stream = DecodeStream(skip_special_tokens=True)
        for token in after:
            stream.step(self.backend, token)
        return stream

    def same_tokens_as(self, other: Codec) -> bool:
        """Whether both map every text to the same ids, so that ids can be handed over unchanged."""
        return self is other or self._tokenizer.get_vocab() == other._tokenizer.get_vocab()


class Writer:
    """Grows an answer token by token and ends it exactly where a stop string begins.

    `text` never contains a stop string. `stable` is the part that no later token can take back.
    """

    def __init__(self, codec: Codec, stops: Sequence[str], after: Sequence[int] = ()):
        """`after`: tokens of a raw text that the answer continues, as in `Codec.read`."""
        self._stream = codec.stream(after)
        self._backend = codec.backend
        self._stops = stops
        self._held = max((len(stop) for stop in stops), default=1) - 1
        self.text = ""
        self.tokens: list[int] = []
        self.stopped = False

    def push(self, token: int) -> None:
        """Add a token; sets `stopped` and cuts the text when a stop string is complete. Then nothing is added."""
        if self.stopped:
            return
        piece = self._stream.step(self._backend, token) or ""
        self.tokens.append(token)
        seen = max(0, len(self.text) - self._held)
        self.text += piece
        hits = [at for stop in self._stops if (at := self.text.find(stop, seen)) >= 0]
        if hits:
            self.text, self.stopped = self.text[: min(hits)], True

    @property
    def stable(self) -> str:
        """Text that is final: all of it once stopped, else what cannot be the start of a stop string."""
        return self.text if self.stopped or not self._held else self.text[: max(0, len(self.text) - self._held)]
