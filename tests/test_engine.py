"""The loop, with models that write what they are told to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from parse_engine import Engine, ParseConfig, SamplingParams
from parse_engine.errors import ConfigError, ParseEngineError, PromptError
from parse_engine.text import Codec
from parse_engine.trace import Committed, Continuing, Done, Drafting, Method, Verified
from tests.conftest import byte_tokenizer, tiny_model
from tests.scripted import ScriptedModel

DRAFT = "Two and two are four.\nFour and two are six.\nSo it is six.\n"
TARGET = "Two plus two is four.\nFour plus two is six.\nThe answer is 6.\n"


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(byte_tokenizer())


def make(
    codec: Codec,
    believes: Callable[[str], float],
    *,
    draft: str = DRAFT,
    target: str = TARGET,
    draft_ends: bool = True,
    config: ParseConfig | None = None,
) -> Engine:
    return Engine(
        ScriptedModel(codec, target, believes),
        ScriptedModel(codec, draft, ends=draft_ends),
        config or ParseConfig(delta=22),
    )


def test_an_accepted_draft_is_the_answer_and_the_target_writes_nothing(codec: Codec) -> None:
    engine = make(codec, lambda prefix: 0.9)
    answer = engine.generate("How many?")
    assert (answer.text, answer.finish_reason) == (DRAFT, "stop")
    assert answer.trace.committed_tokens == answer.completion_tokens == len(DRAFT)
    assert (answer.trace.target_tokens, answer.trace.verify_passes) == (0, 1)
    assert engine.target.decoded == []  # type: ignore[attr-defined]


def test_the_maximal_valid_prefix_is_kept_and_the_target_goes_on(codec: Codec) -> None:
    engine = make(codec, lambda prefix: 0.9 if prefix.count("\n") <= 1 else 0.1)
    answer = engine.generate("How many?")
    first = "Two and two are four.\n"
    assert answer.text == first + TARGET[len(first) :]
    assert answer.trace.committed_text == first
    assert [b.accepted for b in answer.trace.boundaries] == [True, False, False]
    assert answer.trace.target_tokens == len(TARGET) - len(first)


def test_a_rejected_draft_leaves_the_targets_own_answer(codec: Codec) -> None:
    answer = make(codec, lambda prefix: 0.1).generate("How many?")
    plain = make(codec, lambda prefix: 0.1).generate("How many?", method="target")
    assert answer.text == plain.text == TARGET
    assert answer.trace.committed_tokens == 0


def test_the_methods_run_the_plain_models(codec: Codec) -> None:
    engine = make(codec, lambda prefix: 0.9)
    drafted, plain = (engine.generate("How many?", method=m) for m in ("draft", "target"))
    assert (drafted.text, plain.text) == (DRAFT, TARGET)
    assert (drafted.trace.target_tokens, plain.trace.target_tokens) == (0, len(TARGET))
    assert drafted.trace.verify_passes == plain.trace.verify_passes == 0


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
@pytest.mark.parametrize("limit", [1, 10, 22, 23, 44, 50, 60])
def test_max_tokens_is_exact_in_every_phase(codec: Codec, kept: int, limit: int) -> None:
    engine = make(codec, lambda prefix: 0.9 if len(prefix) <= 22 * kept else 0.1)
    answer = engine.generate("How many?", SamplingParams(max_tokens=limit))
    assert answer.completion_tokens == len(codec.encode(answer.text)) <= limit
    assert (answer.finish_reason == "length") == (answer.completion_tokens == limit)


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
@pytest.mark.parametrize("stop", ["four.", ".\nF", "six", "answer", "it is"])
def test_stop_strings_are_exact_in_every_phase(codec: Codec, kept: int, stop: str) -> None:
    engine = make(codec, lambda prefix: 0.9 if len(prefix) <= 22 * kept else 0.1)
    unstopped = engine.generate("How many?").text
    answer = engine.generate("How many?", SamplingParams(stop=(stop,)))
    assert stop not in answer.text
    if kept == 0:
        assert answer.text == unstopped.partition(stop)[0]
    assert answer.finish_reason == "stop"


def test_a_stop_string_across_draft_and_continuation_cuts_the_draft(codec: Codec) -> None:
    """The draft ends with `X`, the target goes on with `Y`: the stop string `X Y` lies in both."""
    engine = make(
        codec,
        lambda prefix: 0.9 if len(prefix) <= 10 else 0.1,
        draft="abcdefgh X no",
        target="abcdefgh X YES",
        config=ParseConfig(delta=10),
    )
    assert engine.generate("?", SamplingParams(stop=("X Y",))).text == "abcdefgh "


def test_a_draft_that_was_cut_off_is_continued(codec: Codec) -> None:
    """A drafter that runs into the limit has not ended its answer: the last boundary is judged as a prefix."""
    engine = make(codec, lambda prefix: 0.6, draft_ends=False, config=ParseConfig(full_threshold=0.9, delta=22))
    answer = engine.generate("How many?", SamplingParams(max_tokens=30))
    assert (answer.finish_reason, answer.completion_tokens) == ("length", 30)
    assert answer.trace.committed_tokens == 30


def test_an_empty_draft_is_no_draft(codec: Codec) -> None:
    answer = make(codec, lambda prefix: 0.9, draft="").generate("How many?")
    assert (answer.text, answer.trace.verify_passes, answer.trace.boundaries) == (TARGET, 0, ())


def test_another_tokenizer_drafts_as_well() -> None:
    """The drafter has longer tokens; boundaries are the target's tokens and cut no character."""
    drafter_codec = Codec(byte_tokenizer(merged=("and two", "are four.\nFour", "é and")))
    target_codec = Codec(byte_tokenizer())
    text = "Café and two are four.\nFour and two are six.\nDone.\n"
    engine = Engine(
        ScriptedModel(target_codec, TARGET, lambda prefix: 0.9 if prefix.count("\n") < 2 else 0.0),
        ScriptedModel(drafter_codec, text),
        ParseConfig(delta=22),
    )
    answer = engine.generate("How many?")
    assert answer.trace.committed_text == "Café and two are four.\n"
    assert answer.trace.draft_tokens == len(text.encode())
    assert "\ufffd" not in answer.text


def test_streamed_text_is_the_answer(codec: Codec) -> None:
    for kept in range(4):
        for stop in ((), ("answer",), ("six.\nT",)):
            engine = make(codec, lambda prefix, kept=kept: 0.9 if prefix.count("\n") <= kept else 0.1)  # type: ignore[misc]
            events = list(engine.stream("How many?", SamplingParams(stop=stop)))
            final = "".join(e.text for e in events if isinstance(e, Committed | Continuing))
            assert isinstance(events[-1], Done)
            assert final == events[-1].answer.text
            drafted = "".join(e.text for e in events if isinstance(e, Drafting))
            verified = next(e for e in events if isinstance(e, Verified))
            assert verified.draft_text == drafted == events[-1].answer.trace.draft_text
            assert verified.boundary_offsets == events[-1].answer.trace.boundary_offsets


def test_times_add_up_to_the_total(codec: Codec) -> None:
    seconds = make(codec, lambda prefix: 0.1).generate("How many?").trace.seconds
    assert 0 < seconds.draft + seconds.verify + seconds.continue_ <= seconds.total


def test_greedy_choices_after_the_boundary_are_kept() -> None:
    """A drafter with the target's weights drafts its greedy answer: all of it is kept, whatever the verdicts."""
    engine = Engine(tiny_model(1), tiny_model(1), ParseConfig(threshold=1.0, full_threshold=1.0))
    params = SamplingParams(max_tokens=40)
    parse, plain = (engine.generate("Hello", params, method=m) for m in ("parse", "target"))
    assert parse.text == plain.text
    assert parse.trace.committed_tokens == parse.completion_tokens
    assert not any(b.accepted for b in parse.trace.boundaries)


@pytest.mark.parametrize("method", ["parse", "target"])
def test_rejecting_everything_gives_the_targets_answer(method: Method) -> None:
    engine = Engine(tiny_model(1), tiny_model(2), ParseConfig(threshold=1.0, full_threshold=1.0, judge="likelihood"))
    fresh = Engine(tiny_model(1), None)
    for prompt in ("Hello", "How many bolts?", "x"):
        params = SamplingParams(max_tokens=30)
        assert (
            engine.generate(prompt, params, method=method).text == fresh.generate(prompt, params, method="target").text
        )


def test_sampled_answers_repeat_with_a_seed() -> None:
    engine = Engine(tiny_model(1), tiny_model(2))
    params = SamplingParams(temperature=1.0, top_p=0.95, seed=3, max_tokens=30)
    assert engine.generate("Hello", params).text == engine.generate("Hello", params).text


def test_raw_prompts_are_continued_as_they_stand(codec: Codec) -> None:
    engine = Engine(tiny_model(1), tiny_model(2))
    assert engine.generate("abc", SamplingParams(max_tokens=4), raw=True).prompt_tokens == 3


def test_a_base_model_takes_texts_and_refuses_messages() -> None:
    base = tiny_model(1, tokenizer=byte_tokenizer(template=None))
    engine = Engine(base, tiny_model(2, tokenizer=byte_tokenizer(template=None)))
    assert engine.generate("abc", SamplingParams(max_tokens=4)).prompt_tokens == 3
    with pytest.raises(PromptError, match="no chat template"):
        engine.generate([{"role": "user", "content": "abc"}])


def test_small_label_mass_rejects_with_a_warning() -> None:
    engine = Engine(tiny_model(1), tiny_model(2), ParseConfig(min_label_mass=1.0, threshold=0.0, full_threshold=0.0))
    params = SamplingParams(max_tokens=10)
    answer = engine.generate("Hello", params)
    assert answer.text == engine.generate("Hello", params, method="target").text
    assert not any(boundary.accepted for boundary in answer.trace.boundaries)
    assert any("count as rejected" in warning for warning in answer.trace.warnings)


def ask(codec: Codec, prompt: object, **settings: object) -> None:
    make(codec, lambda prefix: 0.9).generate(prompt, SamplingParams(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("run", "kind", "message"),
    [
        (lambda c: ask(c, "  "), PromptError, "empty"),
        (lambda c: ask(c, []), PromptError, "empty"),
        (lambda c: ask(c, "x" * 3000), PromptError, "Shorten"),
        (lambda c: ask(c, "x" * 1000, max_tokens=1020), PromptError, "max_tokens to"),
        (lambda c: Engine(tiny_model(1), None).generate("x"), ConfigError, "needs a drafter"),
    ],
)
def test_bad_input_gets_a_clear_error(
    codec: Codec, run: Callable[[Codec], None], kind: type[ParseEngineError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        run(codec)


def test_a_later_turn_re_uses_the_conversation_until_told_to_forget() -> None:
    engine = Engine(tiny_model(1), tiny_model(2))
    params = SamplingParams(max_tokens=12)
    first = engine.generate("How many bolts does it take?", params, method="target")
    turns = [
        {"role": "user", "content": "How many bolts does it take?"},
        {"role": "assistant", "content": first.text},
        {"role": "user", "content": "Sure?"},
    ]
    again = engine.generate(turns, params, method="target")
    engine.forget()
    afresh = engine.generate(turns, params, method="target")
    assert again.text == afresh.text
    assert afresh.trace.computed_tokens - again.trace.computed_tokens >= first.prompt_tokens


def test_a_seed_does_not_make_the_target_draw_the_rejected_draft_again() -> None:
    engine = Engine(tiny_model(1), tiny_model(1), ParseConfig(threshold=1.0, full_threshold=1.0))
    params = SamplingParams(temperature=1.5, seed=3, max_tokens=20)
    answer = engine.generate("Hello", params)
    assert answer.trace.committed_tokens == 0
    assert answer.text != answer.trace.draft_text


def test_the_targets_end_of_turn_ends_a_draft(codec: Codec) -> None:
    """A drafter that ends otherwise writes on; what follows was once committed as text."""
    engine = make(codec, lambda prefix: 0.9)
    drafter = ScriptedModel(codec, "It is six.<|end|>And more")
    drafter.eos = frozenset([-1])
    engine.inner.drafter = drafter
    answer = engine.generate("How many?", SamplingParams(max_tokens=40))
    assert (answer.text, answer.finish_reason, answer.completion_tokens) == ("It is six.", "stop", 10)


def test_control_tokens_written_out_by_another_tokenizer_stay_text() -> None:
    tokenizer = byte_tokenizer(merged=("tag ",))
    foreign = Codec(tokenizer)
    text = "The tag <|end|> closes."
    drafter = ScriptedModel(foreign, "x")
    drafter.answer = foreign.encode(text, literal=True)
    engine = Engine(ScriptedModel(Codec(byte_tokenizer()), TARGET, lambda prefix: 0.9), drafter)
    assert engine.generate("How many?").text == text


def test_drafter_ids_that_the_target_does_not_know_are_encoded_again(codec: Codec) -> None:
    engine = make(codec, lambda prefix: 0.9)
    drafter = ScriptedModel(codec, "abc")
    drafter.answer = [*codec.encode("abc"), codec.size + 5, *codec.encode("def")]
    engine.inner.drafter = drafter
    assert engine.generate("How many?").text == "abcdef"


@pytest.mark.parametrize("limit", [5, 22, 25, 30, 44, 60])
@pytest.mark.parametrize("stop", [(), ("Four",), ("six",)])
def test_limits_and_stops_hold_for_tokens_kept_by_agreement(codec: Codec, limit: int, stop: tuple[str, ...]) -> None:
    draft = "Two plus two is four.\nFour plus two is seven.\n"
    engine = Engine(
        ScriptedModel(codec, TARGET, lambda prefix: 0.1, agrees=True),
        ScriptedModel(codec, draft),
        ParseConfig(delta=22),
    )
    params = SamplingParams(max_tokens=limit, stop=stop)
    parse, plain = (engine.generate("How many?", params, method=m) for m in ("parse", "target"))
    assert (parse.text, parse.finish_reason) == (plain.text, plain.finish_reason)
    assert parse.trace.committed_tokens > 0


def test_the_plain_target_needs_no_room_for_a_suffix(codec: Codec) -> None:
    engine = make(codec, lambda prefix: 0.9)
    room = engine.target.context_length - engine.generate("?", method="target").prompt_tokens
    assert engine.generate("?", SamplingParams(max_tokens=room), method="target").finish_reason == "stop"
    with pytest.raises(PromptError, match="suffix"):
        engine.generate("?", SamplingParams(max_tokens=room))


def test_max_tokens_that_nobody_gave_shrinks_to_the_room_that_is_left(codec: Codec) -> None:
    """A prompt of more than the context less 512 was refused."""
    endless, drafter = ScriptedModel(codec, TARGET, ends=False), ScriptedModel(codec, DRAFT, ends=False)
    engine = Engine(endless, drafter, ParseConfig(delta=22))
    long = "x" * 1900
    for method, suffix in (("target", 0), ("draft", 0), ("parse", engine.inner.longest_suffix)):
        answer = engine.generate(long, method=method)  # type: ignore[call-overload]
        room = 2048 - answer.prompt_tokens - suffix
        assert (answer.finish_reason, answer.completion_tokens) == ("length", room)
        with pytest.raises(PromptError, match=f"Set max_tokens to {room} or less"):
            engine.generate(long, max_tokens=room + 1, method=method)  # type: ignore[call-overload]
    assert engine.generate("x").completion_tokens == 512
    with pytest.raises(PromptError, match=r"with room for an answer .* Shorten the prompt"):
        engine.generate("x" * 2048)
    drafter.context_length = answer.prompt_tokens + 7
    assert engine.generate(long).completion_tokens == 7  # draft and answer have one limit


def test_prompts_that_are_no_text_get_a_clear_error(codec: Codec) -> None:
    with pytest.raises(PromptError, match="Unicode"):
        ask(codec, "a\udcff")
    for message in ({"role": "user"}, {"role": "user", "content": None}, {"role": 3, "content": "x"}, "text", 7):
        with pytest.raises(PromptError, match="chat message 2 has no text"):
            ask(codec, [{"role": "user", "content": "Hello"}, message])
    for prompt, kind in ((7, "int"), (None, "NoneType"), (b"Hello", "bytes"), ({"role": "user"}, "dict")):
        with pytest.raises(PromptError, match=f"of type {kind}"):
            ask(codec, prompt)
