"""From questions to a profile and back into the engine, with models that write what they are told to."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from parse_engine import Profile, SamplingParams, loadable
from parse_engine.backends.base import Usage
from parse_engine.bench import lineup
from parse_engine.bench.provenance import hold
from parse_engine.cli import main
from parse_engine.text import Codec
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel

NUMBER = re.compile(r"double (\d+)")
CLAIM = re.compile(r"(\d+) and \1 are (\d+)")


def noise(text: str) -> float:
    return hashlib.sha256(text.encode()).digest()[0] / 256


def believes(prefix: str) -> float:
    """Surer of what is right, but not always."""
    claim = CLAIM.search(prefix)
    right = claim is None or int(claim[2]) == 2 * int(claim[1])
    return (0.5 if right else 0.2) + 0.45 * noise(prefix)


class Doubler(ScriptedModel):
    """Doubles the number in the prompt; every `wrong`-th time it is off by one."""

    def __init__(self, codec: Codec, wrong: int = 0, pause: float = 0.0) -> None:
        super().__init__(codec, "", believes)
        self.wrong, self.pause = wrong, pause

    async def decode(
        self, tokens: Sequence[int], params: SamplingParams, max_tokens: int, usage: Usage
    ) -> AsyncGenerator[int]:
        async with aclosing(super().decode(tokens, params, max_tokens, usage)) as generated:
            async for token in generated:
                await asyncio.sleep(self.pause)
                yield token

    def _script(self, tokens: Sequence[int]) -> list[int]:
        asked = NUMBER.search(self.codec.decode(tokens))
        assert asked is not None
        number = int(asked[1])
        double = 2 * number + bool(self.wrong and number % self.wrong == 0)
        self.answer = self.codec.encode(f"{number} and {number} are {double}.\nSo the double is {double}.\n")
        return super()._script(tokens)


@pytest.fixture
def questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two hundred of them, and models that answer them under any name."""
    rows = [{"prompt": f"double {n}", "answer": f"So the double is {2 * n}.", "grader": "contains"} for n in range(200)]
    (tmp_path / "doubles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def pair(target: str, draft: str | None, **_: Any) -> tuple[ScriptedModel, ScriptedModel]:
        codec = Codec(byte_tokenizer())
        models = Doubler(codec, pause=0.001), Doubler(codec, wrong=3)
        models[0].fingerprint, models[1].fingerprint = f"{target}", f"{draft}"
        return models

    monkeypatch.setattr(loadable, "load_pair", pair)
    monkeypatch.setattr(lineup, "load_pair", pair)
    return tmp_path / "doubles.jsonl"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--target", "big", "--draft", "small"] if "show" not in words else words)
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_a_profile_is_made_shown_and_used(questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.profile"
    options = ["--tasks", str(questions), "--deltas", "24", "--max-tokens", "100", "--output", str(file)]
    code, out, err = run(capsys, "calibrate", *options, "--max-loss", "0.1")
    assert code == 0, err
    assert "Promised with 95% confidence: at most 10% of such questions" in out
    profile = Profile.load(file)
    assert profile.choice is not None
    assert (profile.target, profile.fitted_on + profile.tested_on) == ("scripted", 200)
    assert profile.target_right == 1
    assert profile.provenance["models"]["target"] == {"name": "scripted", "fingerprint": "big", "origin": None}
    assert file.stat().st_size < 100_000
    assert run(capsys, "profile", "show", str(file))[1] == out

    with hold(tmp_path / "own.profile.cases"):  # two at once wrote each other's cases anew
        code, _, err = run(capsys, "calibrate", *options, "--max-loss", "0.1")
    assert (code, err.count("\n")) == (2, 1)
    assert f"another command is writing to {tmp_path / 'own.profile.cases'}" in err

    code, out, _ = run(capsys, "generate", "--profile", str(file), "--json", "double 4")
    assert (code, json.loads(out)["trace"]["method"]) == (0, "parse")
    methods = ["target", "draft", "cascade", "parse", "parse:calibrated=false", "parse:threshold=0.5"]
    asked = ["--tasks", str(questions), "--limit", "3", "--max-tokens", "100", "--json"]
    code, out, err = run(capsys, "bench", "run", "--profile", str(file), "--methods", ",".join(methods), *asked)
    assert code == 0, err
    assert list(json.loads(out)["doubles.jsonl"]) == methods
    with pytest.raises(SystemExit):
        main(["generate", "--profile", str(file), "--target", "other", "--draft", "small", "double 4"])
    err = capsys.readouterr().err
    assert (err.count("\n"), "the profile was made for the target scripted" in err) == (1, True)


def test_stop_texts_end_what_every_stage_writes(
    questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"prompt": f"double {n}", "answer": f"{n} and {n} are {2 * n}.", "grader": "contains"} for n in range(200)]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    file, lengths = tmp_path / "own.profile", [len(str(row["answer"])) for row in rows]
    options = ["--tasks", str(questions), "--stop", "\nSo", "--stop", "###"]
    code, _, err = run(capsys, "calibrate", *options, "--deltas", "24", "--output", str(file))
    assert code == 0, err
    profile = Profile.load(file)
    assert (profile.sampling["stop"], profile.target_right) == (["\nSo", "###"], 1)
    assert profile.sampling["max_tokens"] == 512  # a number, though nobody gave one
    cases = [json.loads(line) for line in (tmp_path / "own.profile.cases/cases.jsonl").read_text().splitlines()]
    assert [case["draft"]["tokens"] for case in cases] == lengths

    methods = ["target", "draft", "cascade", "specreason", "parse"]
    options += ["--limit", "3", "--methods", ",".join(methods), "--output", str(tmp_path / "run"), "--json"]
    for _ in range(2):  # the second time it goes on
        code, out, err = run(capsys, "bench", "run", *options)
        assert code == 0, err
        assert list(json.loads(out)["doubles.jsonl"]) == methods
    for line in (tmp_path / "run" / "answers.jsonl").read_text().splitlines():
        assert re.fullmatch(r"\d+ and \d+ are \d+\.", json.loads(line)["text"])


def test_nothing_is_promised_of_too_few_questions(
    questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.profile"
    options = ["--tasks", str(questions), "--deltas", "24", "--max-tokens", "100", "--output", str(file)]
    code, out, err = run(capsys, "calibrate", *options, "--json")
    assert code == 0, err
    assert "cannot be promised at 95% with fewer than 299" in err
    assert not any(tried["promised"] for tried in json.loads(out)["tried"])
    code, out, err = run(capsys, "generate", "--profile", str(file), "--json", "double 4")
    assert (code, json.loads(out)["trace"]["method"]) == (0, "target")
    assert "the target answers alone" in err


def test_a_folder_with_cases_of_others_is_refused(
    questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--tasks", str(questions), "--max-tokens", "100", "--output", str(tmp_path / "a")]
    assert run(capsys, "calibrate", *options, "--deltas", "24")[0] == 0
    code, _, err = run(capsys, "calibrate", *options, "--deltas", "32")
    assert (code, err.count("\n")) == (2, 1)
    assert "other settings: deltas is [24] there and [32] here" in err


def test_without_the_fitting_libraries_it_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(scipy=None, sklearn=None); from parse_engine.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, "calibrate", "--tasks", "tiny", "--output", str(tmp_path / "own.profile")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "pip install 'parse-engine[calibrate]'" in done.stderr
