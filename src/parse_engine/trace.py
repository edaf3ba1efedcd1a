"""What an answer carries: its text and a trace of how it came about; and the events of a streamed answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

FinishReason = Literal["stop", "length"]
Method = Literal["target", "draft", "parse"]


@dataclass(frozen=True)
class BoundaryVerdict:
    """One judged prefix."""

    end: int
    """Draft tokens in the prefix, counted in the target's tokens."""
    p: float
    """Confidence that the prefix is right, in [0, 1]."""
    label_mass: float | None
    """Probability that the target gave to the labels together; None for judges without labels."""
    accepted: bool
    """Whether the prefix lies within what was committed by verdict."""


@dataclass(frozen=True)
class Seconds:
    """Wall-clock seconds by phase; `total` covers everything from the prompt to the finished answer."""

    draft: float = 0.0
    """The drafter wrote."""
    verify: float = 0.0
    """The target judged."""
    continue_: float = 0.0
    """The target went on (for method `draft`: the drafter)."""
    total: float = 0.0
    """From the prompt to the finished answer."""
    first: float = 0.0
    """To the first final text: for `parse` what is committed, else the first token."""

    def to_dict(self) -> dict[str, float]:
        return {
            "draft": self.draft,
            "verify": self.verify,
            "continue": self.continue_,
            "total": self.total,
            "first": self.first,
        }


@dataclass(frozen=True)
class Trace:
    """How an answer came about. All token counts are in the target's tokens (the drafter's for method `draft`)."""

    method: str
    """The loop: `parse`, `target` or `draft`; the bench has more."""
    draft_text: str
    """What the drafter wrote; what it thought stands in its marks."""
    draft_tokens: int
    """Its length."""
    committed_tokens: int
    """Draft tokens kept: by verdict, and after the boundary by equality with the target's own greedy choice."""
    committed_text: str
    """The part of the draft that is in the answer."""
    target_tokens: int
    """Tokens that the target wrote itself."""
    verify_passes: int
    """Forward passes of the target that judged (on vLLM: scheduler steps)."""
    boundaries: tuple[BoundaryVerdict, ...]
    """The judged prefixes, by increasing length."""
    boundary_offsets: tuple[int, ...]
    """The boundaries as character offsets into `draft_text`."""
    computed_tokens: int
    """Token rows that went through the target, suffix rows included."""
    seconds: Seconds
    """How long each phase took."""
    warnings: tuple[str, ...] = ()
    """What did not go as it should, in sentences for people."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "draft_text": self.draft_text,
            "draft_tokens": self.draft_tokens,
            "committed_tokens": self.committed_tokens,
            "committed_text": self.committed_text,
            "target_tokens": self.target_tokens,
            "verify_passes": self.verify_passes,
            "boundaries": [
                {"end": b.end, "p": b.p, "label_mass": b.label_mass, "accepted": b.accepted} for b in self.boundaries
            ],
            "boundary_offsets": list(self.boundary_offsets),
            "computed_tokens": self.computed_tokens,
            "seconds": self.seconds.to_dict(),
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        seconds = {"continue_" if phase == "continue" else phase: spent for phase, spent in values["seconds"].items()}
        return cls(
            **{
                **values,
                "boundaries": tuple(BoundaryVerdict(**boundary) for boundary in values["boundaries"]),
                "boundary_offsets": tuple(values["boundary_offsets"]),
                "seconds": Seconds(**seconds),
                "warnings": tuple(values["warnings"]),
            }
        )


@dataclass(frozen=True)
class Answer:
    """A finished answer. `str` gives its text, and a notebook shows how it came about."""

    text: str
    """What was answered, without the stop text or the token that ended it, and without what was thought before it."""
    finish_reason: FinishReason
    """`stop`: it was finished, or came to a stop text; `length`: it was cut off at `max_tokens`."""
    prompt_tokens: int
    """Tokens of the prompt, chat template included."""
    completion_tokens: int
    """Tokens of the answer."""
    trace: Trace
    """How it came about."""
    thinking: str | None = None
    """What was thought before the answer, without its marks; None where nothing was."""

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """Show drafted, judged, kept and rewritten text in a notebook."""
        from parse_engine.render.html import frame

        return frame(self)

    def to_dict(self) -> dict[str, Any]:
        """The object that `parse-engine generate --json` prints."""
        return {
            "text": self.text,
            "thinking": self.thinking,
            "finish_reason": self.finish_reason,
            "usage": {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens},
            "trace": self.trace.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; further keys are left alone, and older objects have no `thinking`."""
        return cls(
            text=values["text"],
            thinking=values.get("thinking"),
            finish_reason=values["finish_reason"],
            **values["usage"],
            trace=Trace.from_dict(values["trace"]),
        )


# Events, in the order in which `Engine.stream` yields them.


@dataclass(frozen=True)
class Drafting:
    """More draft text from the drafter; nothing of it is decided yet."""

    text: str
    """What is new; what is thought stands in its marks."""


@dataclass(frozen=True)
class Verified:
    """The verdicts on the draft."""

    draft_text: str
    """The whole draft."""
    boundaries: tuple[BoundaryVerdict, ...]
    """Its judged prefixes, by increasing length."""
    boundary_offsets: tuple[int, ...]
    """The boundaries as character offsets into `draft_text`."""


@dataclass(frozen=True)
class Committed:
    """The part of the draft that is kept; it is final."""

    text: str
    """What of the answer is in it."""
    thinking: str = ""
    """What of the thought before the answer is in it."""
    end: int = 0
    """Where it ends, in characters of the draft."""


@dataclass(frozen=True)
class Continuing:
    """More final text from the model that finishes the answer (the only model of `target` and `draft`)."""

    text: str
    """What is new in the answer."""
    thinking: str = ""
    """What is new in the thought before it."""


@dataclass(frozen=True)
class Done:
    """The finished answer."""

    answer: Answer
    """With its trace."""


Event = Drafting | Verified | Committed | Continuing | Done
