"""Judges on their own: confidences for every step of solutions whose first wrong step is known."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.progress import track

from parse_engine.backends.base import Model, Signal, Usage, VerifyRequest
from parse_engine.bench.graders.math import INSTRUCTION
from parse_engine.bench.judging.processbench import Solution
from parse_engine.config import ParseConfig
from parse_engine.errors import ConfigError, DataError
from parse_engine.files import write_atomically
from parse_engine.prefix.draft import Draft, Drafted
from parse_engine.prefix.judges import Fit, Judge
from parse_engine.prefix.verifier import check_told, make_judge
from parse_engine.text import Codec

STEP_END = "\n\n"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One solution after one pass. A prefix is a number of steps; lists have an entry per prefix."""

    id: str
    steps: int
    valid: int
    """Steps before the first wrong one; `steps` when none is wrong."""
    prompt_tokens: int
    ends: tuple[int, ...]
    """Tokens of the solution in each prefix."""
    suffix_tokens: int
    """Tokens that the `prompt` judge added, all prefixes together."""
    computed_tokens: int
    seconds: float
    """Of the pass that served all judges."""
    confidences: Mapping[str, Sequence[float]]
    label_mass: tuple[float | None, ...]

    @property
    def truth(self) -> list[bool]:
        """Whether each prefix is without a wrong step."""
        return [count <= self.valid for count in range(1, self.steps + 1)]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(**{**values, "ends": tuple(values["ends"]), "label_mass": tuple(values["label_mass"])})


@dataclass(frozen=True)
class Panel:
    """Judges that read the same pass, and the models that they ask."""

    target: Model
    judges: Mapping[str, Judge]
    drafter: Model | None = None
    """Asked for its own log-probabilities of a solution, where a judge reads them."""

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        config: ParseConfig,
        target: Model,
        drafter: Model | None = None,
        fits: Mapping[str, Fit] | None = None,
    ) -> Panel:
        """The named judges.

        Raises:
            ConfigError: a judge is not fitted, or reads the drafter and there is none.
            UnsupportedModelError: a judge reads what the back end of the target or of the drafter does not tell.
        """
        judges = {name: make_judge(target.codec, replace(config, judge=name), fits) for name in names}  # type: ignore[arg-type]
        for name, judge in judges.items():
            check_told(name, judge.signals, target.name, target.signals)
            if not judge.wants_drafter:
                continue
            if drafter is None:
                raise ConfigError(f"judge '{name}' reads the drafter's own probabilities. Add --draft NAME.")
            # It has not written the solutions: it is asked for them in a pass, as a target is.
            check_told(name, frozenset({"logprobs"}), drafter.name, drafter.signals)
        return cls(target, judges, drafter)


async def judge_solutions(panel: Panel, solutions: Sequence[Solution], file: Path | None = None) -> list[Judged]:
    """Judge every solution in one pass, at the ends of its steps; progress goes to stderr.

    Args:
        file: gets a line per solution as soon as it is judged; what is there already is not judged again.

    Raises:
        DataError: `file` is not of this data.
    """
    done: dict[str, Judged] = {}
    if file is not None and file.exists():
        done = _read(file, [*panel.judges])
        write_atomically(file, "".join(_line(each) for each in done.values()))  # without a cut-off line
    for solution in track(solutions, "judging", console=Console(stderr=True)):
        if solution.id in done:
            continue
        done[solution.id] = await judge_solution(panel, solution)
        if file is not None:
            with file.open("a", encoding="utf-8") as lines:
                lines.write(_line(done[solution.id]))
    return [done[solution.id] for solution in solutions]


async def judge_solution(panel: Panel, solution: Solution) -> Judged:
    """One solution, one pass; the caches are emptied first."""
    target, codec, judges = panel.target, panel.target.codec, panel.judges
    question = f"{solution.problem}\n{INSTRUCTION}"
    prompt = codec.encode(_prompt(codec, question))
    tokens, ends = step_ends(codec, solution.steps)
    drafted = await _drafted(panel, question, codec.decode(tokens))
    draft = Draft.of(tokens, codec, complete=True, max_tokens=len(tokens), drafted=drafted)
    requests = {name: judge.request(prompt, draft, ends) for name, judge in judges.items()}
    request = max(requests.values(), key=lambda each: len(each.suffixes))
    request = replace(request, signals=frozenset[Signal]().union(*(each.signals for each in requests.values())))
    usage = Usage()
    await target.forget()
    began = time.perf_counter()
    scores = await target.verify(request, usage)
    seconds = time.perf_counter() - began
    confidences = {name: judge.confidences(draft, ends, scores) for name, judge in judges.items()}
    masses = next((own for each in confidences.values() if None not in (own := [c.label_mass for c in each])), [])
    return Judged(
        id=solution.id,
        steps=len(solution.steps),
        valid=solution.valid,
        prompt_tokens=len(prompt),
        ends=tuple(ends),
        suffix_tokens=sum(map(len, request.suffixes)),
        computed_tokens=usage.computed_tokens,
        seconds=seconds,
        confidences={name: [confidence.p for confidence in each] for name, each in confidences.items()},
        label_mass=tuple(masses),
    )


async def _drafted(panel: Panel, question: str, text: str) -> Drafted | None:
    """The drafter's log-probabilities of a solution that it has not written."""
    drafter = panel.drafter
    if drafter is None or not any(judge.wants_drafter for judge in panel.judges.values()):
        return None
    tokens = drafter.codec.encode(text, literal=True)
    prompt = tuple(drafter.codec.encode(_prompt(drafter.codec, question)))
    await drafter.forget()
    request = VerifyRequest(prompt, tuple(tokens), (len(tokens),), signals=frozenset({"logprobs"}))
    scores = await drafter.verify(request, Usage())
    assert scores.logprobs is not None
    return Drafted(scores.logprobs, drafter.codec.read(tokens)[1])


def step_ends(codec: Codec, steps: Sequence[str]) -> tuple[list[int], list[int]]:
    """The solution's tokens, and how many of them each prefix of steps takes.

    A token that holds the end of one step and the start of the next counts to the first; a step within it has no token
    of its own, which is refused.

    Raises:
        ConfigError: two steps end in one token.
    """
    tokens = codec.encode(STEP_END.join(steps), literal=True)
    _, offsets = codec.read(tokens)
    ends: list[int] = []
    wanted = -len(STEP_END)
    for step in steps:
        wanted += len(STEP_END) + len(step)
        ends.append(next((at + 1 for at, end in enumerate(offsets) if end is not None and end >= wanted), len(tokens)))
    if len(set(ends)) < len(ends):
        raise ConfigError("two steps end in one token of the target. Use a target with smaller tokens.")
    return tokens, ends


def _line(judged: Judged) -> str:
    return json.dumps(asdict(judged)) + "\n"


def _prompt(codec: Codec, question: str) -> str:
    return codec.render([{"role": "user", "content": question}]) if codec.has_chat_template else question


def _read(file: Path, judges: Sequence[str]) -> dict[str, Judged]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")[:-1]
        judged = [Judged.from_dict(json.loads(line)) for line in lines]
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{file} is not a file of judged solutions. Give another directory.") from None
    if any(set(each.confidences) != set(judges) for each in judged):
        raise DataError(f"{file} has other judges than {', '.join(judges)}. Give another directory.")
    return {each.id: each for each in judged}
