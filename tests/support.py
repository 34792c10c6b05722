"""What several test modules share: policies from text, whole conversations through a Session, made-up secrets."""
from __future__ import annotations

import importlib.util
import io
import json
import os
import py_compile
import random
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

if not os.environ.get("PYTHONPYCACHEPREFIX"):       # what a test starts need not compile the module anew each time
    _compiled = tempfile.TemporaryDirectory(prefix="mcpwall-code-")
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = _compiled.name
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import mcpwall  # noqa: E402

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
MODULE = os.path.abspath(mcpwall.__file__)
# Two ways to start the wall in a process of its own, in which its PYTHONPATH is TOP. A script is compiled anew each time, which takes ten times
# as long as all else; what a test that is not about the start itself starts comes from the code that was compiled once for all of them.
TOP = os.path.dirname(MODULE)
SCRIPT = [sys.executable, MODULE]
WALL = [sys.executable, "-S", "-m", "mcpwall"]
ALONE = [sys.executable, "-I", "-S", "-X", f"pycache_prefix={sys.pycache_prefix}"]      # a Python that knows no PYTHONPATH, and that code
# Put together here, so that no scanner of repositories takes them for real ones.
AWS_KEY = "AKIA" + "2E7GTQ3NVBXW5KLM"
GITHUB_TOKEN = "ghp_" + "x7Kd2QmZt9Wb4LsV" + "c8RyN1fHj6PaE3uGo5Tk"


ENDS_S = 60     # of processor time: what a hostile text must not take. How fast things are, `make bench` says, and no test.


def keep_code(cache: str | None, module: str = MODULE) -> None:
    """Lay the compiled code to where Python looks for that of *module*, a copy of ours with its time: in *cache*, else beside it."""
    kept = sys.pycache_prefix
    try:
        ours = importlib.util.cache_from_source(MODULE)
        if not os.path.exists(ours):
            py_compile.compile(MODULE, ours)
        sys.pycache_prefix = cache
        place = importlib.util.cache_from_source(module)
    finally:
        sys.pycache_prefix = kept
    os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)
    shutil.copyfile(ours, place)


def seed() -> int:
    """The seed of this run's random tests: MCPWALL_SEED, else a new one for the fuzzers and always the same for plain tests.

    It is printed when a test fails with it.
    """
    return int(os.environ.get("MCPWALL_SEED") or (random.SystemRandom().randrange(1 << 32) if "MCPWALL_FUZZ" in os.environ else 1))


def fuzz_seconds(short: float = 0.3) -> float:
    """How long a fuzzer may run."""
    return float(os.environ.get("MCPWALL_FUZZ") or short)


def rounds(count: int) -> int:
    """How many times a random test goes round: *count*, and as many times more often as a fuzzer has seconds."""
    return count * max(1, int(fuzz_seconds(1)))


def context(home: str = "/home/u", cwd: str = "/home/u/proj", project: str | None = "/home/u/proj") -> mcpwall.PathContext:
    """A Linux machine without symbolic links, whatever this one is."""
    return mcpwall.PathContext(home, cwd, project, False, False, lambda path: path)


def policy(text: str | dict, where: mcpwall.PathContext | None = None) -> mcpwall.Policy:
    """A compiled policy of YAML text (or data)."""
    text = json.dumps(text) if isinstance(text, dict) else text
    return mcpwall.compile_policy([mcpwall.parse_policy(text, "policy.yml")], where or context(), "test")


class Talk:
    """A conversation through one Session; keeps what reached each side."""

    def __init__(self, rules: str | dict | mcpwall.Policy = "version: 1", server: str = "", **more: object) -> None:
        made = rules if isinstance(rules, mcpwall.Policy) else policy(rules)
        self.now = 1000.0       # of the monotonic clock
        self.wall_clock = 1_800_000_000.25
        self.session = mcpwall.Session(mcpwall.Wall(made), server, clock=lambda: self.wall_clock, session_id="test",
                                       monotonic=lambda: self.now, salt=b"salt", **more)
        self.records: list[dict] = []
        self.effects: list[mcpwall.Record] = []
        self.notes: list[str] = []
        self.others: list = []      # Approvable, Pinned

    def feed(self, peer: str, data: bytes) -> dict[str, bytes]:
        """What *data* leads to: the bytes for each peer."""
        return self.take(self.session.receive(peer, data))

    def take(self, effects: list) -> dict[str, bytes]:
        """What *effects* say: the bytes for each peer."""
        out = {"client": b"", "server": b""}
        for effect in effects:
            if isinstance(effect, mcpwall.Send):
                out[effect.peer] += effect.data
            elif isinstance(effect, mcpwall.Record):
                self.records.append(json.loads(effect.line))
                self.effects.append(effect)
            elif isinstance(effect, mcpwall.Note):
                self.notes.append(effect.text)
            elif isinstance(effect, (mcpwall.Approvable, mcpwall.Pinned)):
                self.others.append(effect)
        return out

    def client(self, body: object) -> dict[str, bytes]:
        return self.feed("client", line(body))

    def server(self, body: object) -> dict[str, bytes]:
        return self.feed("server", line(body))

    def call(self, tool: str, arguments: object = None, ident: object = 1) -> dict[str, bytes]:
        params = {"name": tool} if arguments is None else {"name": tool, "arguments": arguments}
        return self.client(request("tools/call", params, ident))

    def passes(self, tool: str, arguments: object = None) -> bool:
        """Does the call reach the server as it is? (Else it must be refused.)"""
        out = self.call(tool, arguments)
        if out["server"]:
            assert not out["client"], out
            return True
        assert "error" in json.loads(out["client"]), out
        return False

    def answer(self, result: object, tool: str = "read_file", method: str = "tools/call", ident: int = 7) -> dict:
        """What the client gets when the server answers a call with *result* (the parsed message)."""
        params = {"name": tool} if method in ("tools/call", "prompts/get") else {}
        if method == "resources/read":
            params = {"uri": "file:///home/u/proj/x"}
        sent = self.client(request(method, params, ident))
        assert sent["server"], sent
        return json.loads(self.server({"jsonrpc": "2.0", "id": ident, "result": result})["client"])


def request(method: str, params: object = None, ident: object = 1) -> dict:
    body = {"jsonrpc": "2.0", "id": ident, "method": method}
    return body if params is None else {**body, "params": params}


def line(body: object) -> bytes:
    return (body if isinstance(body, bytes) else json.dumps(body).encode()) + b"\n"


def text_result(*texts: str) -> dict:
    return {"content": [{"type": "text", "text": text} for text in texts]}


def run_main(words: tuple[str, ...], text: str = "", environ: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """What the command line does with *words*, and *text* on stdin, in this process and its working directory."""
    stdin = io.TextIOWrapper(io.BytesIO(text.encode("utf-8", "surrogateescape")), "utf-8")
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with mock.patch.dict(os.environ, environ or {}), mock.patch.multiple(sys, stdin=stdin, stdout=stdout, stderr=stderr):
        status = mcpwall.main(words)
    return subprocess.CompletedProcess(words, status, stdout.buffer.getvalue(), stderr.buffer.getvalue())


class InEmptyHome(unittest.TestCase):
    """A test with a HOME and a working directory of its own."""

    def setUp(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mcpwall-test-")
        self.addCleanup(self._folder.cleanup)
        self.home = os.path.join(os.path.realpath(self._folder.name), "home")
        self.project = os.path.join(os.path.realpath(self._folder.name), "proj")
        os.makedirs(self.home)
        os.makedirs(self.project)
        self.environ = {**os.environ, "HOME": self.home, "USERPROFILE": self.home, "NO_COLOR": "1", "PYTHONPATH": TOP}

    def write(self, name: str, text: str) -> str:
        path = os.path.join(self.project, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        os.chmod(path, 0o644)
        return path

    def start_quickly(self, module: str = MODULE) -> None:
        """Have launchers and scripts in this home go on from code that is compiled already, as at each start but the first."""
        folder = os.path.join(self.home, ".mcpwall")
        for place in (folder, os.path.join(folder, "cache")):
            os.makedirs(place, 0o700, exist_ok=True)
        keep_code(os.path.join(folder, "cache"), module)

    def run_here(self, *words: str, text: str = "") -> subprocess.CompletedProcess:
        """What the command line does with *words* and *text* on stdin, in this process: a new one takes a while to start."""
        before = os.getcwd()
        os.chdir(self.project)
        try:
            return run_main(words, text, self.environ)
        finally:
            os.chdir(before)
