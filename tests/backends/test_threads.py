"""One thread for small models, unless the user has chosen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from parse_engine.backends import threads
from parse_engine.backends.threads import choose_threads
from tests.conftest import tiny_model

SMALL, LARGE = 4_000_000, 1_000_000_000


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine of eight cores whose user has said nothing."""
    before = torch.get_num_threads()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(threads, "_cores", lambda: 8)
    monkeypatch.setattr(threads, "_TORCHS_OWN", 8)
    monkeypatch.setattr(threads, "_not_the_users", 8)
    torch.set_num_threads(8)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("own", [4, 8], ids=["one for two logical cores", "all"])
def test_a_small_model_takes_one_thread_and_a_large_one_those_of_torch(
    own: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one thread per core an answer of the embedded pair took 10 s beside one busy process, instead of 0.5."""
    monkeypatch.setattr(threads, "_TORCHS_OWN", own)
    monkeypatch.setattr(threads, "_not_the_users", own)
    torch.set_num_threads(own)
    chosen = []
    for parameters in (SMALL, LARGE, SMALL):
        choose_threads(parameters)
        chosen.append(torch.get_num_threads())
    assert chosen == [1, own, 1]


def test_every_loaded_model_chooses() -> None:
    tiny_model()
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("parameters", [SMALL, LARGE])
@pytest.mark.parametrize("first", [SMALL, LARGE])
@pytest.mark.parametrize("chosen", [1, 3, 4, 6, 8])
def test_what_the_user_chose_after_a_model_was_loaded_stays(parameters: int, first: int, chosen: int) -> None:
    """One thread was taken for a choice of ours, and half the cores or more for torch's."""
    choose_threads(first)
    before = torch.get_num_threads()
    torch.set_num_threads(chosen)
    choose_threads(parameters)
    assert torch.get_num_threads() == chosen or chosen == before


@pytest.mark.parametrize("parameters", [SMALL, LARGE])
@pytest.mark.parametrize("chosen", [1, 3])
def test_few_threads_that_the_user_chose_before_stay(
    parameters: int, chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_TORCHS_OWN", chosen)
    monkeypatch.setattr(threads, "_not_the_users", chosen)
    torch.set_num_threads(chosen)
    choose_threads(parameters)
    assert torch.get_num_threads() == chosen


@pytest.mark.parametrize("parameters", [SMALL, LARGE])
@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_what_the_environment_says_stays(parameters: int, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "8")
    choose_threads(parameters)
    assert torch.get_num_threads() == 8
