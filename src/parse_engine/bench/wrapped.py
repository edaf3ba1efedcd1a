"""A model around a model, for what the bench changes about one."""

from __future__ import annotations

from parse_engine.backends.base import Model, Scores, Usage, VerifyRequest


class WrappedModel:
    """All of another model but `decode`, which is for the class below to say."""

    def __init__(self, model: Model):
        self.name = model.name
        self.fingerprint = model.fingerprint
        self.signals = model.signals
        self.codec = model.codec
        self.context_length = model.context_length
        self.eos = model.eos
        self.concurrency = model.concurrency
        self.block_size = model.block_size
        self._model = model

    @property
    def closed(self) -> bool:
        return self._model.closed

    async def verify(self, request: VerifyRequest, usage: Usage) -> Scores:
        return await self._model.verify(request, usage)

    async def forget(self) -> bool:
        return await self._model.forget()

    async def close(self) -> None:
        await self._model.close()
