from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bench.load.scripted import Script
from tests.servers import Front


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def server(script: Script) -> Iterator[Front]:
    front = Front(script)
    yield front
    front.stop()
