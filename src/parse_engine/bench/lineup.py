"""The methods of a run on their models: every method has the same drafter, and a target that decodes its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Unpack

from parse_engine.backends.base import Model, Usage, VerifyRequest
from parse_engine.backends.load import LoadOptions, closed_on_error, load_pair
from parse_engine.bench.methods import Decoder, Method
from parse_engine.bench.shared import SharedModel
from parse_engine.bench.specreason import SpecReason
from parse_engine.config import Judge, ParseConfig, SamplingParams
from parse_engine.engine import AsyncEngine
from parse_engine.errors import ConfigError
from parse_engine.profile import Profile
from parse_engine.text import Message
from parse_engine.trace import Answer

UNFITTED: tuple[Judge, ...] = ("prompt", "likelihood")  # judges that a method can have without a profile
PROPOSED = 5  # tokens that vLLM's speculation proposes at a time


@dataclass(frozen=True)
class Lineup:
    """Engines by the names of their methods, and the models that they share."""

    engines: Mapping[str, tuple[AsyncEngine, Method]]
    models: Sequence[Model]
    target: Model
    """The plain target."""
    drafter: Model | None

    def check(self, method: str, messages: Sequence[Message], params: SamplingParams) -> None:
        """Refuse a conversation that does not fit the method's models.

        Raises:
            PromptError: so it is.
        """
        engine, way = self.engines[method]
        engine.check(messages, params, method=way.runs_as)

    async def answer(self, method: str, messages: Sequence[Message], params: SamplingParams) -> Answer:
        engine, way = self.engines[method]
        return await engine.generate(messages, params, method=way.runs_as)

    async def similarity(self, messages: Sequence[Message], text: str) -> float | None:
        """The plain target's mean log-likelihood of an answer in nats per token; None where there is no room for it."""
        codec = self.target.codec
        context = codec.encode(codec.render(messages))
        answer = codec.encode(text, literal=True)[: self.target.context_length - len(context)]
        if not answer:
            return None
        request = VerifyRequest(tuple(context), tuple(answer), (len(answer),), signals=frozenset({"logprobs"}))
        scores = await self.target.verify(request, Usage())
        return None if scores.logprobs is None else fmean(scores.logprobs)

    async def forget(self) -> bool:
        """Empty all prefix caches; whether all could be emptied."""
        return all([await model.forget() for model in self.models])

    async def close(self) -> None:
        for model in self.models:
            await model.close()


def load_lineup(
    methods: Sequence[Method],
    target: str,
    draft: str | None,
    config: ParseConfig,
    concurrency: int,
    profile: Profile | None = None,
    given: Mapping[str, Any] | None = None,
    share: bool = False,
    **options: Unpack[LoadOptions],
) -> Lineup:
    """Load the models that the methods need; `check_methods` says beforehand whether they can be had.

    With `share` they write once what several methods have in common, so that times say nothing.

    Raises:
        ConfigError: the models take fewer answers at a time than `concurrency`, or the profile is of others.
        ModelError, DeviceError, BackendError: as `AsyncEngine.load`.
    """
    with closed_on_error() as loaded:
        plain, drafter = load_pair(target, draft, **options)
        loaded += [plain] if drafter is None else [plain, drafter]
        targets: dict[Decoder, Model] = {"plain": plain}
        # n-grams last: vLLM 0.32 on CPUs starts no engine after one that speculates with them.
        speculative: tuple[Decoder, ...] = ("draft-model", "ngram")
        for decoder in speculative:
            if any(method.decoder == decoder for method in methods):
                own: LoadOptions = {**options}
                speculation = {"speculative_config": _speculation(decoder, draft)}
                own["target_options"] = {**(options.get("target_options") or {}), **speculation}
                targets[decoder], _ = load_pair(target, None, **own)
                loaded.append(targets[decoder])
        if share:
            targets = {decoder: SharedModel(model) for decoder, model in targets.items()}
            drafter = drafter and SharedModel(drafter)
        for model in loaded:
            if model.concurrency < concurrency:
                raise ConfigError(
                    f"concurrency is {concurrency}, and {model.name} takes {model.concurrency} answer"
                    f"{'s' * (model.concurrency != 1)} at a time. Use --backend vllm or http, or a smaller number."
                )
        return assemble(methods, targets, drafter, config, concurrency, profile, given or {})


def check_methods(methods: Sequence[Method], draft: str | None, options: LoadOptions) -> None:
    """Refuse methods that the models and the back end do not allow, before anything is loaded."""
    for method in methods:
        if method.needs_drafter and draft is None:
            raise ConfigError(f"method '{method.name}' needs a drafter. Add --draft NAME or --draft-url URL.")
        if method.decoder != "plain" and (options.get("backend") != "vllm" or options.get("target_url")):
            raise ConfigError(f"method '{method.name}' speculates inside vLLM. Use --backend vllm, or leave it out.")
        if method.decoder == "draft-model" and (draft is None or options.get("draft_url")):
            raise ConfigError(f"method '{method.name}' needs the drafter's weights. Give --draft a name or a folder.")


def assemble(
    methods: Sequence[Method],
    targets: Mapping[Decoder, Model],
    drafter: Model | None,
    config: ParseConfig,
    concurrency: int,
    profile: Profile | None = None,
    given: Mapping[str, Any] | None = None,
) -> Lineup:
    """Engines for the methods on loaded models.

    Args:
        config: of all methods, but for their own settings.
        profile: where calibrated methods take their judges and settings from, and the others a judge that has to be
            fitted. With `judge` given, or as `parse:judge=NAME`, settings are the best that were promised for that
            judge.
        given: what was set for the whole run, and wins over the profile.
    """
    engines: dict[str, tuple[AsyncEngine, Method]] = {}
    for method in methods:
        target = targets[method.decoder]
        own, known = _calibrated(method, config, profile, given or {})
        if method.loop == "specreason":
            assert drafter is not None
            engine: AsyncEngine = SpecReason(
                target, drafter, own, concurrency=concurrency, profile=known, **method.settings
            )
        else:
            used = drafter if method.loop != "target" else None
            engine = AsyncEngine(target, used, own, concurrency=concurrency, profile=known if used else None)
        engines[method.name] = engine, method
    models = list({id(model): model for model in (*targets.values(), drafter) if model is not None}.values())
    return Lineup(engines, models, targets["plain"], drafter)


def _calibrated(
    method: Method, config: ParseConfig, profile: Profile | None, given: Mapping[str, Any]
) -> tuple[ParseConfig | None, Profile | None]:
    """The settings and the profile of a method's engine; no settings where the profile decides.

    Raises:
        ConfigError: the profile does not have the judge that is asked for.
    """
    if profile is None or not method.calibrated:
        own = config if method.loop == "specreason" else replace(config, **method.settings)
        return own, None if profile is None or own.judge in UNFITTED else profile.only(own.judge)
    judge = method.settings.get("judge")
    asked = judge or given.get("judge")
    known = profile.only(asked) if asked else profile
    more = {key: value for key, value in method.settings.items() if key != "judge"}
    chosen = known.config_on(config, {**given, **more})
    return chosen if chosen is None or judge is None else replace(chosen, judge=judge), known


def _speculation(decoder: Decoder, draft: str | None) -> dict[str, Any]:
    """vLLM's speculative_config."""
    if decoder == "ngram":
        return {"method": "ngram", "num_speculative_tokens": PROPOSED, "prompt_lookup_min": 2, "prompt_lookup_max": 4}
    from parse_engine.models.resolve import resolve

    assert draft is not None
    return {"method": "draft_model", "model": str(resolve(draft)), "num_speculative_tokens": PROPOSED}
