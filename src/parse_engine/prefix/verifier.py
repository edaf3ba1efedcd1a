"""One draft, one pass, one verdict: boundaries, judge and rule put together for a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parse_engine.backends.base import Model, Signal, Usage
from parse_engine.config import ParseConfig
from parse_engine.errors import ConfigError, UnsupportedModelError
from parse_engine.prefix.draft import Draft
from parse_engine.prefix.judges import Confidence, Fit, FittedJudge, Judge, LikelihoodJudge, PromptJudge
from parse_engine.prefix.segments import boundaries
from parse_engine.prefix.suffix import judge_prompt, label_ids, suffix_text
from parse_engine.prefix.verdict import accepted_prefixes
from parse_engine.text import Codec
from parse_engine.trace import BoundaryVerdict


@dataclass(frozen=True)
class Verdict:
    """What is kept of a draft."""

    boundaries: tuple[BoundaryVerdict, ...] = ()
    accepted: int = 0
    """Draft tokens up to the accepted boundary."""
    committed: int = 0
    """`accepted` and the tokens after it that equal the target's own greedy choice."""
    warnings: tuple[str, ...] = ()

    def offsets(self, draft: Draft) -> tuple[int, ...]:
        """The boundaries as character offsets into the draft's text."""
        return tuple(draft.ends[b.end - 1] or len(draft.text) for b in self.boundaries)


class Verifier:
    """Judges drafts with one target. Raises UnsupportedModelError where the target cannot carry the judge."""

    def __init__(self, target: Model, config: ParseConfig, fits: Mapping[str, Fit] | None = None):
        """`fits`: judges that were fitted to the pair of models, by their names."""
        self._target = target
        self._config = config
        self._judge = make_judge(target.codec, config, fits or {})
        check_told(config.judge, self._judge.signals, target.name, target.signals)

    @property
    def longest_suffix(self) -> int:
        """Most positions that a judged prefix takes beyond its own tokens."""
        return self._judge.longest_suffix

    @property
    def wants_drafter(self) -> bool:
        """Whether `verify` wants drafts with the drafter's own log-probabilities."""
        return self._judge.wants_drafter

    async def verify(self, context: Sequence[int], draft: Draft, usage: Usage, *, greedy: bool) -> Verdict:
        """Judge a draft in one pass; `greedy` also keeps what equals the target's own greedy choice (lossless)."""
        if not draft.tokens:
            return Verdict()
        config = self._config
        ends = boundaries(draft.text, draft.ends, config.delta, config.max_prefixes)
        request = self._judge.request(context, draft, ends)
        scores = await self._target.verify(request, usage)
        confidences = self._judge.confidences(draft, ends, scores)
        prefixes = accepted_prefixes(
            [c.counted(config.min_label_mass) for c in confidences],
            threshold=config.threshold,
            full_threshold=config.full_threshold,
            rule=config.boundary_rule,
            complete=draft.complete,
        )
        accepted = ends[prefixes - 1] if prefixes else 0
        committed = accepted + (scores.agreeing(accepted) if greedy and config.keep_agreeing else 0)
        verdicts = tuple(
            BoundaryVerdict(end, c.p, c.label_mass, accepted=end <= accepted)
            for end, c in zip(ends, confidences, strict=True)
        )
        return Verdict(verdicts, accepted, committed, _mass_warning(confidences, config.min_label_mass))


def check_told(judge: str, wanted: frozenset[Signal], model: str, told: frozenset[Signal]) -> None:
    """Refuse a judge that reads of a model's pass what the model's back end does not tell.

    Raises:
        UnsupportedModelError: not all that is wanted is told.
    """
    if lacking := sorted(wanted - told):
        raise UnsupportedModelError(
            f"judge '{judge}' reads {' and '.join(lacking)} of {model}, which its back end does not tell. It tells "
            f"{', '.join(sorted(told)) or 'nothing but verdicts'}. Use another judge or back end."
        )


def make_judge(codec: Codec, config: ParseConfig, fits: Mapping[str, Fit] | None = None) -> Judge:
    """The configured judge for a target's tokenizer and chat template: as fitted, where it was.

    Raises:
        ConfigError: the judge must be fitted and is not.
    """
    fit = (fits or {}).get(config.judge)
    if fit is not None:
        return FittedJudge(fit, prompt_judge(codec, config) if fit.asks else None)
    if config.judge == "prompt":
        return prompt_judge(codec, config)
    if config.judge == "likelihood":
        return LikelihoodJudge()
    raise ConfigError(
        f"judge '{config.judge}' has to be fitted to the two models. Make a profile with parse-engine calibrate and "
        "give it with --profile FILE, or use judge prompt or likelihood."
    )


def prompt_judge(codec: Codec, config: ParseConfig) -> PromptJudge:
    """The judge that asks, in the wording and with the suffix that are configured."""
    wording = judge_prompt(config.judge_prompt)
    # Thinking is switched off in the suffix, so that the next token is the verdict and not the start of a thought.
    render = (lambda messages: codec.render(messages, thinking=False)) if codec.has_chat_template else None
    full, prefix = (
        tuple(codec.encode(suffix_text(render, question) if config.judge_suffix is None else config.judge_suffix))
        for question in (wording.full, wording.prefix)
    )
    return PromptJudge(full, prefix, *label_ids(codec.encode, wording))


def _mass_warning(confidences: Sequence[Confidence], least: float) -> tuple[str, ...]:
    masses = [c.label_mass for c in confidences if c.label_mass is not None and c.label_mass < least]
    if not masses:
        return ()
    return (
        f"the target gave the labels Correct and Incorrect only {min(masses):.1%} of its probability, less than "
        f"{least:.1%}, for {len(masses)} of {len(confidences)} prefixes: it did not answer the judge's question there, "
        "and they count as rejected. Use another judge (--judge likelihood) if this goes on.",
    )
