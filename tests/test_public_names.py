"""The public names, pinned: a change here is a change that users see and the changelog names."""

from __future__ import annotations

import subprocess
import sys

import parse_engine


def test_public_names() -> None:
    assert parse_engine.__all__ == [
        "Answer",
        "AsyncEngine",
        "BoundaryVerdict",
        "Engine",
        "ParseConfig",
        "ParseEngineError",
        "Profile",
        "SamplingParams",
        "Seconds",
        "Trace",
        "__version__",
    ]


def test_every_public_name_can_be_had() -> None:
    for name in parse_engine.__all__:
        assert getattr(parse_engine, name) is not None


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, parse_engine; assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
