"""Many prompts at a time: how far they are taken ahead of the answers that are given out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from typing import Any

from parse_engine.errors import ParseEngineError
from parse_engine.prompt import Prompt
from parse_engine.trace import Answer


class Backlog:
    """Answers to many prompts, under way or done, that come out in the order of the prompts."""

    def __init__(
        self, answer: Callable[[Prompt, int], Coroutine[Any, Any, Answer | ParseEngineError]], concurrency: int
    ):
        """`answer` answers a prompt, whose number it is told as well; at most `concurrency` of its calls run."""
        self._answer = answer
        self._concurrency = concurrency
        self._taken = 0
        self._started: deque[asyncio.Task[Answer | ParseEngineError]] = deque()

    async def add(self, prompt: Prompt) -> None:
        """Start an answer, and wait until there is room for another one."""
        self._taken += 1
        self._started.append(asyncio.create_task(self._answer(prompt, self._taken)))
        while len(running := [task for task in self._started if not task.done()]) >= self._concurrency:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)

    def __len__(self) -> int:
        return len(self._started)

    @property
    def is_due(self) -> bool:
        """Whether the first answer comes before another prompt: it is there, or twice `concurrency` are kept."""
        return bool(self._started) and (self._started[0].done() or len(self) >= 2 * self._concurrency)

    async def first(self) -> Answer | ParseEngineError:
        """The first answer, which leaves the backlog."""
        answer = await self._started[0]
        self._started.popleft()
        return answer

    async def close(self) -> None:
        """End the answers that are under way."""
        await cancel(self._started)

    async def answers(self, prompts: Iterable[Prompt]) -> AsyncGenerator[Answer | ParseEngineError]:
        """Take prompts as there is room for them, and close at the end."""
        try:
            for prompt in prompts:
                await self.add(prompt)
                while self.is_due:
                    yield await self.first()
            while self:
                yield await self.first()
        finally:
            await self.close()


async def cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """End tasks that nobody waits for any more, and wait until they have cleaned up."""
    ended = list(tasks)
    for task in ended:
        task.cancel()
    await asyncio.gather(*ended, return_exceptions=True)
