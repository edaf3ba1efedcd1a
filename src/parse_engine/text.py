"""Between text and tokens: encoding, chat templates, character offsets, and exact stop strings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from parse_engine.decoding import Decoding, common_start
from parse_engine.errors import UnsupportedModelError
from parse_engine.thinking import is_mark, opened_by

Message = dict[str, str]

SENTINEL = "4f1c9aSENTINEL7be2"  # stands for a text in a template, and in no text
_LONGEST_OPENING = 32  # tokens


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
        self.special = {id: token.content for id, token in tokenizer.added_tokens_decoder.items() if token.special}
        """Tokens without text of their own, and how the vocabulary writes them."""
        names = set(self.special.values())
        self.marks = {id: name for id, name in self.special.items() if is_mark(name, names)}
        """Those that mark thoughts, which are text."""
        self._ids_of_marks = {name: id for id, name in self.marks.items()}
        self._parts: dict[str, bool] = {}
        self._added = {id: token.content for id, token in tokenizer.added_tokens_decoder.items()}

    @property
    def has_chat_template(self) -> bool:
        return self._tokenizer.chat_template is not None

    @property
    def size(self) -> int:
        """Token ids that have a meaning; a model may have room for more."""
        return len(self._tokenizer)

    @property
    def eos(self) -> int | None:
        """The tokenizer's own end-of-text token."""
        id: int | None = self._tokenizer.eos_token_id
        return id

    @cached_property
    def turn_end(self) -> int | None:
        """The token by which the chat template ends an answer; None where it has no template, or no such token."""
        if not self.has_chat_template:
            return None
        asked, answered = (
            self._in_form({"role": role, "content": content})
            for role, content in (("user", "?"), ("assistant", SENTINEL))
        )
        try:
            text = self._tokenizer.apply_chat_template([asked, answered], tokenize=False)
        except Exception:  # jinja's own errors, and whatever the template raises
            return None
        behind = str(text).partition(SENTINEL)[2].lstrip()
        ends = [id for id, token in self._added.items() if behind.startswith(token)]
        return max(ends, key=lambda id: len(self._added[id]), default=None)

    def name_of(self, id: int) -> str:
        """A token as the vocabulary writes it."""
        return self.backend.id_to_token(id) or f"token {id}"

    def is_text(self, id: int) -> bool:
        """Whether an id is an ordinary token rather than one that was added to the vocabulary for a purpose."""
        return id not in self._added

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
        shows, the text is encoded behind a character that does not merge with it, which is taken off again. The marks
        of thoughts become the tokens that they are here.
        """
        tokens: list[int] = []
        for part in self._at_marks(text):
            mark = self._ids_of_marks.get(part)
            tokens += self._encode_after(part, [*after, *tokens]) if mark is None else [mark]
        return tokens

    def _at_marks(self, text: str) -> list[str]:
        """A text cut at the marks of thoughts that are special tokens; they are parts of their own."""
        if not self._ids_of_marks:
            return [text]
        names = "|".join(map(re.escape, self._ids_of_marks))
        return [part for part in re.split(f"({names})", text) if part]

    def _encode_after(self, text: str, after: Sequence[int]) -> list[int]:
        alone = self.encode(text, literal=True)
        if self.read(alone, after)[0] == text:
            return alone
        for anchor in ("\n", "."):
            taken = self.encode(anchor, literal=True)
            tokens = self.encode(anchor + text, literal=True)
            if tokens[: len(taken)] == taken and self.read(tokens[len(taken) :], after)[0] == text:
                return tokens[len(taken) :]
        return alone

    def carry(self, text: str, after: Sequence[int] = ()) -> tuple[list[int], str]:
        """Token ids as of `encode_after`, and the rest of the text, from where they cannot write it.

        Vocabularies without byte fallback have no token for some characters, and normalisers write others in their
        place. Spaces that begin an answer may go.
        """
        start, end = 0, len(text)
        while start < end:
            part = text[start:end]
            tokens = self.encode_after(part, after)
            back = self.read(tokens, after)[0]
            if back == part:
                return tokens, text[end:]
            same = common_start(back, part)
            if not after and part.startswith(" ") and not part[:same].strip(" "):
                start += len(part) - len(part.lstrip(" "))
            else:
                end = start + min(same, len(part) - 1)
        return [], text[start:]

    def render(self, messages: Sequence[Message], *, thinking: bool | None = None) -> str:
        """The conversation as text, ready for the assistant's turn.

        Args:
            thinking: passed to the template as `enable_thinking`; None leaves the template's default.

        Raises:
            UnsupportedModelError: the template refuses the messages.
        """
        options: dict[str, Any] = {} if thinking is None else {"enable_thinking": thinking}
        in_form = [self._in_form(message) for message in messages]
        try:
            text = self._tokenizer.apply_chat_template(in_form, tokenize=False, add_generation_prompt=True, **options)
        except Exception as error:  # jinja's own errors, and whatever the template raises
            roles = ", ".join(message["role"] for message in messages)
            raise UnsupportedModelError(
                f"the chat template of {self._tokenizer.name_or_path} refuses a conversation of ({roles}): {error}"
            ) from error
        return str(text)

    def _in_form(self, message: Message) -> dict[str, Any]:
        """A message as the template takes it: its content is a list of parts where the template shows no text."""
        if not self._takes_parts(message["role"]):
            return dict(message)
        return {**message, "content": [{"type": "text", "text": message["content"]}]}

    def _takes_parts(self, role: str) -> bool:
        """Whether the chat template shows the contents of a role as parts, and not as a text."""
        if role not in self._parts:
            self._parts[role] = not self._shows(role, SENTINEL) and self._shows(
                role, [{"type": "text", "text": SENTINEL}]
            )
        return self._parts[role]

    def _shows(self, role: str, content: object) -> bool:
        said: list[Any] = [{"role": role, "content": content}]
        if role != "user":
            asked = self._in_form({"role": "user", "content": "?"})
            said = {"assistant": [asked, *said, asked], "tool": [asked, *said]}.get(role, [*said, asked])
        try:
            text = self._tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        except Exception:  # jinja's own errors, and whatever the template raises
            return False
        return SENTINEL in str(text)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`; of special tokens only the marks of thoughts have one."""
        return self.read(tokens)[0]

    def read(self, tokens: Sequence[int], after: Sequence[int] = ()) -> tuple[str, list[int | None]]:
        """The text, and for each token the character offset at which it ends; None where that is inside a character.

        `after`: tokens of a raw text that `tokens` continue; some tokenizers write the first word by them.
        """
        stream = self.stream(after)
        text, ends = "", list[int | None]()
        for token in tokens:
            piece = stream.step(token)
            text += piece or ""
            ends.append(len(text) if piece is not None else None)
        return text, ends

    def opened(self, context: Sequence[int]) -> str:
        """The kind of thought that a prompt has opened; empty where it has opened none."""
        return opened_by(self.decode(context[-_LONGEST_OPENING:]))

    def stream(self, after: Sequence[int] = ()) -> Decoding:
        """An incremental decoder that stands behind `after`; special tokens are left out but for marks of thoughts."""
        stream = Decoding(self.backend, self.marks)
        for token in after:
            stream.step(token)
        stream.settle()
        return stream

    def same_tokens_as(self, other: Codec) -> bool:
        """Whether both map every text to the same ids, so that ids can be handed over unchanged."""
        return self is other or self._tokenizer.get_vocab() == other._tokenizer.get_vocab()


class Writer:
    """Grows an answer token by token and ends it exactly where a stop string begins.

    `text` never contains a stop string. `stable` is the part that no later token can take back. Special tokens have no
    text, but a stop string may name them: `<|end|>`, or `one<|end|>`.
    """

    def __init__(self, codec: Codec, stops: Sequence[str], after: Sequence[int] = ()):
        """`after`: tokens of a raw text that the answer continues, as in `Codec.read`."""
        self._stream = codec.stream(after)
        self._special = codec.special
        self._stops = stops
        self._held = max((len(stop) for stop in stops), default=1) - 1
        self._named = ""  # the text with the names of special tokens
        self._names: list[tuple[int, int]] = []  # where these are
        self.text = ""
        self.tokens: list[int] = []
        self.stopped = False

    def push(self, token: int) -> None:
        """Add a token; sets `stopped` and cuts the text when a stop string is complete. Then nothing is added."""
        if self.stopped:
            return
        piece = self._stream.step(token) or ""
        self.tokens.append(token)
        name = "" if piece else self._special.get(token, "")
        seen, seen_named = (max(0, len(text) - self._held) for text in (self.text, self._named))
        self.text += piece
        self._named += piece + name
        if name:
            self._names.append((len(self._named) - len(name), len(self._named)))
        hits = [at for stop in self._stops if (at := self.text.find(stop, seen)) >= 0]
        hits += [self._in_text(at) for stop in self._stops if (at := self._named.find(stop, seen_named)) >= 0]
        if hits:
            self.text, self.stopped = self.text[: min(hits)], True

    def _in_text(self, at: int) -> int:
        """A place of the text with names as one of the text without."""
        return at - sum(min(end, at) - start for start, end in self._names if start < at)

    @property
    def stable(self) -> str:
        """Text that is final: all of it once stopped, else what cannot be the start of a stop string."""
        return self.text if self.stopped or not self._held else self.text[: max(0, len(self.text) - self._held)]
