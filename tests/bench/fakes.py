"""A fake line-up and a fake task: answers, tokens and seconds known in advance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

from parse_engine.bench.tasks import Grade, Question
from parse_engine.config import SamplingParams
from parse_engine.errors import PromptError
from parse_engine.text import Message
from parse_engine.trace import Answer, BoundaryVerdict, Seconds, Trace

PHASES = {
    "target": Seconds(continue_=4.0, total=4.0, first=0.5),
    "draft": Seconds(draft=1.0, total=1.0, first=0.1),
    "parse": Seconds(draft=1.0, verify=0.2, continue_=0.6, total=2.0, first=1.2),
}
COMMITTED = {"target": 0, "draft": 0, "parse": 15}


class FakeLineup:
    """Answers with a text of its own for each method; remembers what it was asked. Its clock counts the seconds that
    the answers are said to take."""

    def __init__(self, texts: Mapping[str, str], warnings: tuple[str, ...] = ()) -> None:
        self.texts = texts
        self.warnings = warnings
        self.asked: list[tuple[str, str | None]] = []
        self.conversations: list[list[Message]] = []
        self.now = 0.0
        self.forgets = True
        self.target = SimpleNamespace(name="big", fingerprint="of big")
        self.drafter = SimpleNamespace(name="small", fingerprint="of small")

    def perf_counter(self) -> float:
        return self.now

    def check(self, method: str, messages: Sequence[Message], params: SamplingParams) -> None:
        if "too long" in messages[0]["content"]:
            raise PromptError("the prompt is too long")

    async def forget(self) -> bool:
        self.asked.append(("forget", None))
        return self.forgets

    async def close(self) -> None: ...

    async def similarity(self, messages: Sequence[Message], text: str) -> float:
        return -float(len(messages))

    async def answer(self, method: str, messages: Sequence[Message], params: SamplingParams) -> Answer:
        self.asked.append((messages[-1]["content"], method))
        self.conversations.append(list(messages))
        self.now += PHASES[method].total
        parse = method == "parse"
        trace = Trace(
            method=method,
            draft_text="",
            draft_tokens=20 if parse else 0,
            committed_tokens=COMMITTED[method],
            committed_text="",
            target_tokens=20 - COMMITTED[method],
            verify_passes=1 if parse else 0,
            boundaries=(BoundaryVerdict(end=15, p=0.9, label_mass=1.0, accepted=True),) if parse else (),
            boundary_offsets=(40,) if parse else (),
            computed_tokens=30,
            seconds=PHASES[method],
            warnings=self.warnings if parse else (),
        )
        return Answer(self.texts[method], "stop", prompt_tokens=5, completion_tokens=20, trace=trace)


class FakeTask:
    """Questions of one turn or several; an answer is right when it is `right`. Without a key nothing is."""

    version = "1"

    def __init__(self, name: str = "fake", size: int = 6, turns: int = 1, *, keyed: bool = True) -> None:
        self.name = name
        self.size = size
        self.turns = turns
        self.keyed = keyed

    def questions(self, limit: int | None = None) -> list[Question]:
        count = self.size if limit is None else min(limit, self.size)
        return [
            Question(f"{self.name}/{n}", tuple(f"turn {t} of {self.name} {n}" for t in range(self.turns)), "right")
            for n in range(count)
        ]

    def grade(self, question: Question, text: str) -> Grade:
        return Grade(text == question.reference if self.keyed else None)
