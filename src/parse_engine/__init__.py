"""parse-engine: semantic speculation for large language models.

A small drafter writes a whole answer; the large target judges many prefixes of it in one forward pass, keeps the
maximal valid prefix and finishes the answer itself (PARSE, arXiv 2605.04263).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from parse_engine.blocking import Engine
    from parse_engine.config import ParseConfig, SamplingParams
    from parse_engine.engine import AsyncEngine
    from parse_engine.errors import ParseEngineError
    from parse_engine.profile import Profile
    from parse_engine.trace import Answer, BoundaryVerdict, Seconds, Trace

_HOMES = {
    "Answer": "trace",
    "AsyncEngine": "engine",
    "BoundaryVerdict": "trace",
    "Engine": "blocking",
    "ParseConfig": "config",
    "ParseEngineError": "errors",
    "Profile": "profile",
    "SamplingParams": "config",
    "Seconds": "trace",
    "Trace": "trace",
}
__all__ = [
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


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that importing the package does not import torch."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"parse_engine.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'parse_engine' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
