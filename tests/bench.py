#!/usr/bin/env python3
"""The benchmark of mcpwall: what the wall costs next to no wall and next to a bare byte relay.

    python3 tests/bench.py [--quick] [--only NAME]     speed and memory as a Markdown table; growth with size
    python3 tests/bench.py --profile                   where the time of one message goes
    python3 tests/bench.py --soak [--calls N]          a million mixed calls through one wall

Every scenario runs against these targets in turn, round after round (A B C, A B C, …):

    direct    no wall: the host talks to the server
    pycat     two Python threads that copy bytes: the floor for any relay in Python
    mcpwall   the wall with its full default policy and its audit log on

Each session has an empty HOME. Figures are medians over the rounds, with the range beside them. Every answer is
checked: what is slow is only shown; a wrong, lost or doubled answer is FAIL and exit status 1. Memory and processor
time come from /proc and are left out elsewhere.
"""
from __future__ import annotations

import argparse
import base64
import contextlib
import functools
import inspect
import json
import math
import os
import queue
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from itertools import islice
from typing import Any, Callable, Dict, Iterable, Iterator, NamedTuple, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ON_LINUX = sys.platform == "linux"
PIPE_BYTES = 65536 if ON_LINUX else 4096     # what a pipe holds without a reader
PATIENCE_S = 60.0           # a session that takes longer is ended and has failed
SOAK_S = 300.0              # the soak sends nothing new after this time
MARKER = "[REDACTED BY MCPWALL]"
KEY = re.compile("AKIA[A-Z2-7]{16}")
INITIALIZE = (b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18",'
              b'"capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}\n')
INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
Figures = Dict[str, float]  # {"what it is UNIT": value}


class Broken(Exception):
    """Something went wrong, not merely slowly; the text says what."""


# -- small programs: these functions are written into files of their own, since a short file starts fast -----------

def write_all(fd, data):
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest):]


def copy_bytes(command):
    """Start *command* and copy bytes both ways with two threads."""
    import _thread

    def pump(source, sink):
        try:
            for data in iter(lambda: os.read(source, 1 << 20), b""):
                write_all(sink, data)
        finally:
            os.close(sink)

    if hasattr(os, "posix_spawnp"):     # without the time and memory of importing subprocess
        child_reads, to_child = os.pipe()
        from_child, child_writes = os.pipe()
        os.posix_spawnp(command[0], command, os.environ, file_actions=[
            (os.POSIX_SPAWN_DUP2, child_reads, 0), (os.POSIX_SPAWN_DUP2, child_writes, 1)])
        os.close(child_reads)
        os.close(child_writes)
    else:
        from subprocess import PIPE, Popen
        child = Popen(command, stdin=PIPE, stdout=PIPE, bufsize=0)
        to_child, from_child = child.stdin.fileno(), child.stdout.fileno()
    _thread.start_new_thread(pump, (0, to_child))
    pump(from_child, 1)
    os._exit(0)


def serve(words):
    """An MCP server that parses nothing. WORDS: a folder of answers, one file per tool, and seconds to stall at first.

    A file holds the member that answers a request, `"result":…` or `"error":…`. One file alone answers every tool; `#id#`
    in it is the request's id, so that no answer is like another.
    """
    answers = {}
    for name in os.listdir(words[0]):
        with open(os.path.join(words[0], name), "rb") as stream:
            answers[name.encode()] = b"," + stream.read() + b"}"
    head, tail = b'{"jsonrpc":"2.0","id":', answers.get(b"any", b"") + b"\n"
    varies = b"#id#" in tail
    notice = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"tick"}}\n'

    def answer(request):
        ident = request.split(b'"id":', 1)[1].split(b",", 1)[0]
        return head + ident + answers[request.split(b'"name":"', 1)[1].split(b'"', 1)[0]]

    def answer_line(line):
        if line.startswith(b"["):
            return b"[" + b",".join(map(answer, line.split(b'{"jsonrpc"')[1:])) + b"]\n"
        return answer(line) + b"\n" if b'"id":' in line else notice if b"list_changed" in line else b""

    def answer_block(block):
        if b"any" not in answers:
            write_all(1, b"".join(map(answer_line, block.split(b"\n"))))
            return
        idents = (part[:40].split(b",", 1)[0] for part in block.split(b'"id":')[1:])
        lines = (head + ident + (tail.replace(b"#id#", ident) if varies else tail) for ident in idents)
        for lump in lines if len(tail) > 65536 else (b"".join(lines),):     # big ones singly: hold little here
            write_all(1, lump)

    parts = []
    for data in iter(lambda: os.read(0, 1 << 20), b""):
        cut = data.rfind(b"\n") + 1
        parts.append(data[:cut] or data)
        if cut:
            block, parts = b"".join(parts), [data[cut:]]
            if b'"method":"initialize"' in block:
                write_all(1, head + b'0,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},'
                          b'"serverInfo":{"name":"bench","version":"1"}}}\n')
                block = block.partition(b"\n")[2]
                if float(words[1]):
                    import time
                    time.sleep(float(words[1]))
            answer_block(block)


# -- targets and conversations ------------------------------------------------------------------------------------

class Target(NamedTuple):
    """One thing to measure; its *command* is put before the server's."""
    name: str
    command: list[str]

    @property
    def is_wall(self) -> bool:
        return self.name not in ("direct", "pycat")


class Bench:
    """What all scenarios share: a scratch folder with the programs, the answers and a copy of the module."""

    def __init__(self, scratch: str, module: str, quick: bool) -> None:
        self.scratch, self.quick = scratch, quick
        self.programs = {}
        for program in (copy_bytes, serve):
            sources = map(inspect.getsource, (write_all, program))
            text = "\n\n".join(("import os, sys", *sources, f"{program.__name__}(sys.argv[1:])"))
            self.programs[program.__name__] = [sys.executable, "-I", "-S", self.write(f"{program.__name__}.py", text)]
        with open(module, encoding="utf-8", newline="") as stream:
            wall = self.write("mcpwall.py", stream.read())
        self.direct, self.pycat = Target("direct", []), Target("pycat", self.programs["copy_bytes"])
        self.wall = Target("mcpwall", [sys.executable, wall])
        self.as_module = Target("as a module", [sys.executable, "-m", "mcpwall"])

    def write(self, name: str, text: str) -> str:
        """The path of a file in the scratch folder that holds *text*."""
        path = os.path.join(self.scratch, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        return path

    def home(self) -> tuple[str, dict[str, str]]:
        """A new HOME, empty but for a folder `work`, and the environment to go with it."""
        home = tempfile.mkdtemp(prefix="home-", dir=self.scratch)
        os.mkdir(os.path.join(home, "work"))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "PYTHON", "MCPWALL"))}
        return home, {**kept, "HOME": home, "USERPROFILE": home, "PYTHONPATH": self.scratch}

    def talk(self, target: Target, answers: dict[str, str] | None = None, stall: float = 0.0,
             policy: dict[str, Any] | None = None, patience: float = PATIENCE_S) -> Conversation:
        """A new conversation with the server that gives *answers* ({tool: member}), behind *target*."""
        home, env = self.home()
        for tool, member in (answers or {"any": text_result(source_text(150) + " #id#")}).items():
            self.write(os.path.join(home, "answers", tool), member)
        ours = ["-c", self.write(os.path.join(home, "policy.json"), json.dumps(policy))] if policy else []
        command = [*target.command, *ours, "--"] if target.is_wall else target.command
        return Conversation([*command, *self.programs["serve"], os.path.join(home, "answers"), str(stall)], home, env, patience)


class Conversation:
    """A running target and the host's end of its pipes. Its process (`pid`) is the wall or the relay itself."""

    def __init__(self, command: list[str], home: str, env: dict[str, str], patience: float) -> None:
        self.home = home
        self.first_answer, self.started = 0.0, time.perf_counter()
        with open(os.path.join(home, "stderr"), "wb") as errors:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                             bufsize=0, env=env, cwd=os.path.join(home, "work"))
        assert self._process.stdin and self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self.pid = self._process.pid
        self._parts: list[bytes] = []
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()
        self._alarm = threading.Timer(patience, self._process.kill)
        self._alarm.daemon = True
        self._alarm.start()

    def __enter__(self) -> Conversation:
        """Initialize; `first_answer` is the seconds from the start of the process until the answer."""
        try:
            answer = self.ask(INITIALIZE)
        except BaseException:
            self.__exit__(Broken)
            raise
        if b'"result"' not in answer:
            raise Broken("initialize was refused")
        self.first_answer = time.perf_counter() - self.started
        self.send(INITIALIZED)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Close the input and wait for a clean exit; after a fault, just end it."""
        try:
            if kind:
                self._process.kill()
            self._outbox.put(None)
            self._writer.join()
            self._stdin.close()
            if (os.read(self._stdout.fileno(), 1) or self._process.wait()) and not kind:
                raise self.broken("the session did not end cleanly")
        finally:
            self._process.kill()
            self._process.wait()
            self._alarm.cancel()
            self._stdout.close()

    def _write(self) -> None:
        """In a thread of its own, so that host, wall and server never all wait for each other."""
        try:
            for block in iter(self._outbox.get, None):
                write_all(self._stdin.fileno(), block)
        except OSError:
            pass                    # the reading side sees that nobody is there

    def broken(self, problem: str) -> Broken:
        """*problem* with what the ended process left behind."""
        status = self._process.wait()
        with open(os.path.join(self.home, "stderr"), encoding="utf-8", errors="replace") as stream:
            return Broken(f"{problem} (exit status {status}{', took too long' if self._alarm.finished.is_set() else ''}) "
                          + stream.read().strip()[-200:])

    def send(self, block: bytes) -> None:
        """Have *block* written as fast as the target reads it; does not wait."""
        self._outbox.put(block)

    def lines(self) -> list[bytes]:
        """The lines that come next, one or more."""
        for data in iter(lambda: os.read(self._stdout.fileno(), 1 << 20), b""):
            cut = data.rfind(b"\n")
            if cut >= 0:
                block, self._parts = b"".join((*self._parts, data[:cut])), [data[cut + 1:]]
                return block.split(b"\n")
            self._parts.append(data)
        raise self.broken("the output ended")

    def ask(self, request: bytes) -> bytes:
        """The one line that answers *request*."""
        if len(request) > 4096:
            self.send(request)
        else:
            os.write(self._stdin.fileno(), request)
        answer, *more = self.lines()
        if more:
            raise Broken("more than one answer to one request")
        return answer

    def exchange(self, requests: Iterable[tuple[bytes, int]], window: int = 256) -> Iterator[list[bytes]]:
        """Send *requests* (line, number of lines that answer it), at most about *window* answers ahead of the reading."""
        source, due, more = iter(requests), 0, True
        while more or due:
            while more and due <= window // 2:
                some = list(islice(source, window - due))
                more = bool(some)
                due += sum(answers for _, answers in some)
                self.send(b"".join([line for line, _ in some]))
            if due:
                lines = self.lines()
                due -= len(lines)
                yield lines

    def pipelined(self, requests: Sequence[bytes]) -> tuple[float, list[bytes]]:
        """(seconds, answers) of requests that have one answer each."""
        start = time.perf_counter()
        answers = [line for lines in self.exchange((request, 1) for request in requests) for line in lines]
        return time.perf_counter() - start, answers

    def memory(self, key: str = "VmHWM", file: str = "status") -> float:
        """MB; VmHWM is the peak so far, VmRSS what is held now, Pss (in smaps_rollup) that with shared pages split up."""
        if not ON_LINUX:
            return math.nan
        with open(f"/proc/{self.pid}/{file}") as stream:
            return next(int(line.split()[1]) for line in stream if line.startswith(key + ":")) / 1024

    def cpu(self) -> float:
        """Processor seconds so far."""
        if not ON_LINUX:
            return math.nan
        with open(f"/proc/{self.pid}/stat") as stream:
            fields = stream.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def audit(self) -> Iterator[dict[str, Any]]:
        """The records of the audit log. Raises Broken unless their numbers run from 1 without a gap."""
        folder, seq = os.path.join(self.home, ".mcpwall", "logs"), 0
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as stream:
                for record in map(json.loads, stream):
                    seq += 1
                    if record["seq"] != seq:
                        raise Broken(f"audit record {seq} is number {record['seq']}")
                    yield record


# -- requests, answers, texts -------------------------------------------------------------------------------------

def call(ident: int, arguments: dict[str, Any], tool: str = "read_file") -> bytes:
    body = {"jsonrpc": "2.0", "id": ident, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def small_call(ident: int, tool: str = "read_file") -> bytes:
    """About 200 bytes, as when a host asks for a part of a file. No two are alike."""
    return call(ident, {"path": f"src/components/invoice-{ident % 97}/list-view-{ident}.tsx", "head": 120,
                        "reason": f"see which props list {ident} takes"}, tool)


def denied_call(ident: int) -> bytes:
    return call(ident, {"path": "/home/user/.ssh/id_rsa", "head": 120})


def big_call(ident: int, size: int) -> bytes:
    return call(ident, {"path": "notes/out.txt", "content": source_text(size)}, "write_file")


def result(value: Any) -> str:
    """The member that answers a request."""
    return '"result":' + json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def text_result(*texts: str) -> str:
    return result({"content": [{"type": "text", "text": text} for text in texts]})


def answer_line(ident: int, member: str) -> bytes:
    return f'{{"jsonrpc":"2.0","id":{ident},{member}}}'.encode()


@functools.lru_cache(maxsize=None)
def source_text(size: int) -> str:
    """*size* characters of made-up code and prose without secrets; always the same."""
    rng = random.Random(size)
    words = "account batch cache column cursor filter footer handler header index invoice layout order panel parser".split()
    shapes = ("def {}_{}(self, {}: int = {n}) -> str:", '    """The {} of one {}, or None when its {} is empty."""',
              "    return [{0} for {0} in self.{1} if {0}.{2} != {n}]", "import {{ {}, {} }} from './lib/{}.js';",
              "  if (!{}.ready && {} > {n}) {{ throw new RangeError(`{} is missing`); }}",
              "The {} goes before the {}, so that no {} has to wait for it.", '\t<li class="{}-{}">{} {n}</li>', "",
              "commit {h:040x}")
    lines, length = [], 0
    while length < size:
        lines.append(rng.choice(shapes).format(*rng.sample(words, 3), n=rng.randrange(1000), h=rng.getrandbits(160)))
        length += len(lines[-1]) + 1
    return "\n".join(lines)[:size]


def with_keys(text: str, count: int) -> str:
    """*text* with *count* made-up access keys, spread over its lines."""
    rng, lines = random.Random(count), text.split("\n")
    for number in range(count):
        letters = "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16))
        lines[(2 * number + 1) * len(lines) // (2 * count)] += f" # AKIA{letters}"
    return "\n".join(lines)


def check_ids(answers: Iterable[bytes], wanted: Iterable[int], denied: Iterable[int] = ()) -> None:
    """Raise Broken unless every id is answered once, with errors for exactly those in *denied*."""
    bodies = [json.loads(line) for line in answers]
    seen, wanted = Counter(body.get("id") for body in bodies), set(wanted)
    if seen != Counter(wanted):
        raise Broken(f"{len(wanted - set(seen))} answers lost, {len(bodies) - len(wanted & set(seen))} doubled or unknown")
    if {body["id"] for body in bodies if "error" in body} != set(denied):
        raise Broken("other calls were refused than should be")


def share(values: Sequence[float], part: float) -> float:
    """The percentile."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


# -- scenarios: each takes (bench, target, …) and gives figures ---------------------------------------------------

def startup(bench: Bench, target: Target) -> Figures:
    with bench.talk(target) as talk:
        return {"first answer ms": talk.first_answer * 1e3, "peak memory MB": talk.memory()}


def in_turn(talk: Conversation, requests: Iterable[bytes]) -> tuple[list[float], list[bytes]]:
    """(milliseconds, answers) of *requests*, one after the other."""
    times, answers = [], []
    for request in requests:
        start = time.perf_counter()
        answers.append(talk.ask(request))
        times.append((time.perf_counter() - start) * 1e3)
    return times, answers


def rtt_small(bench: Bench, target: Target) -> Figures:
    count = 500 if bench.quick else 2000
    with bench.talk(target) as talk:
        times, answers = in_turn(talk, map(small_call, range(150 + count)))
    check_ids(answers, range(150 + count))
    first, warm = times[:50], times[150:]
    return {"p50 µs": share(warm, .5) * 1e3, "p99 µs": share(warm, .99) * 1e3, "p50 of the first 50 µs": share(first, .5) * 1e3}


def throughput_small(bench: Bench, target: Target) -> Figures:
    count = 3000 if bench.quick else 12000
    with bench.talk(target) as talk:
        _, warm = talk.pipelined(list(map(small_call, range(1000))))
        before = talk.cpu()
        took, answers = talk.pipelined(list(map(small_call, range(1000, 1000 + count))))
        spent = talk.cpu() - before
    check_ids(warm + answers, range(1000 + count))
    if target.is_wall and sum(1 for _ in talk.audit()) != 2 * (1000 + count) + 3:
        raise Broken("the audit log is not complete")
    return {"calls /s": count / took, "processor time per 1,000 calls ms": spent * 1e6 / count}


def mixed_denied(bench: Bench, target: Target) -> Figures:
    ids = range(2000 if bench.quick else 6000)
    with bench.talk(target) as talk:
        took, answers = talk.pipelined([(small_call if ident % 10 else denied_call)(ident) for ident in ids])
    check_ids(answers, ids, ids[::10] if target.is_wall else ())
    return {"10 % denied /s": len(ids) / took}


def big_response(bench: Bench, target: Target, kind: str, size: int, calls: int) -> Figures:
    if kind == "image":
        data = base64.b64encode(random.Random(size).getrandbits(size * 6).to_bytes(size * 3 // 4, "big")).decode()
        sent = wanted = result({"content": [{"type": "image", "data": data, "mimeType": "image/png"}]})
    else:
        text = with_keys(source_text(size), {"text": 0, "secret": 1, "secrets": 1000}[kind])
        sent, wanted = text_result(text), text_result(KEY.sub(MARKER, text) if target.is_wall else text)
    ids = range(1, 1 + (2 if bench.quick else calls))
    with bench.talk(target, {"any": sent}) as talk:
        times, answers = in_turn(talk, map(small_call, ids))
    for ident, answer in zip(ids, answers):
        if answer != answer_line(ident, wanted):
            raise Broken(f"altered: {len(answer)} bytes, {len(KEY.findall(answer.decode()))} keys left, "
                         f"{answer.count(MARKER.encode())} redacted, begins {answer[:120]!r}")
    return {"ms": statistics.median(times)}


def big_request(bench: Bench, target: Target, size: int, calls: int) -> Figures:
    ids = range(1, 1 + (2 if bench.quick else calls))
    with bench.talk(target) as talk:
        times, answers = in_turn(talk, [big_call(ident, size) for ident in ids])
    check_ids(answers, ids)
    return {"ms": statistics.median(times)}


RULE_SHAPES = (r"reserved-{}/[a-z]+\.(key|pem)", r"\bdrop{}\s+--now\b", r"(north|south){}\.example", r"^/srv/box/{}/.*\.json$")


def regex_policy(*regexes: str) -> dict[str, Any]:
    """A policy whose rules deny what one of *regexes* is found in."""
    return {"version": 1, "rules": [
        {"name": f"rule-{number}", "match": {"method": "tools/call", "arguments": {"_any_value": {"regex": regex}}},
         "action": "deny"} for number, regex in enumerate(regexes)]}


def many_regexes(count: int) -> dict[str, Any]:
    return regex_policy(*(RULE_SHAPES[number % 4].format(number) for number in range(count)))


def many_rules(bench: Bench, target: Target, count: int) -> Figures:
    ids = range(1, 300 if bench.quick else 800)
    with bench.talk(target, policy=many_regexes(count)) as talk:
        times, answers = in_turn(talk, (call(0, {"path": "reserved-0/a.key"}), *map(small_call, ids)))
    check_ids(answers, (0, *ids), (0,) if target.is_wall else ())
    return {"round trip p50 µs": share(times[100:], .5) * 1e3, "first answer ms": talk.first_answer * 1e3}


def slow_reader(bench: Bench, target: Target, count: int) -> Figures:
    """Answers of 1 MB pile up while the host does not read."""
    sent = text_result(source_text(1_000_000))
    wanted, body = {answer_line(ident, "")[:-1] for ident in range(count)}, sent.encode() + b"}"
    with bench.talk(target, {"any": sent}, patience=2 * PATIENCE_S) as talk:
        talk.send(b"".join(map(small_call, range(count))))
        time.sleep(count / 100)
        while wanted:
            for line in talk.lines():
                if not line.endswith(body) or line[:-len(body)] not in wanted:
                    raise Broken("an answer was altered or doubled")
                wanted.remove(line[:-len(body)])
        return {f"peak memory, {count} MB in flight MB": talk.memory()}


def slow_server(bench: Bench, target: Target, count: int) -> Figures:
    """Requests of 1 MB pile up before a server that does not read."""
    with bench.talk(target, stall=count / 100, patience=2 * PATIENCE_S) as talk:
        answers = [line for lines in talk.exchange(((big_call(ident, 1_000_000), 1) for ident in range(count)), count)
                   for line in lines]
        peak = talk.memory()
    check_ids(answers, range(count))
    return {f"peak memory, {count} MB in flight MB": peak}


HOSTILE = {     # slow for backtracking engines, and not seen by looking for directly nested quantifiers: (regex, text)
    "nested": (r"^(?:(x+)y?)+$", "x" * 42 + "-"),
    "alternation": (r"^(?:b|bb){3,70}#$", "b" * 64 + "-"),
    "polynomial": (r"[ \t]*\s*[ ]*\s*\s*#$", " " * 1600 + "-"),
    "dotstar": (r".*.*.*.*:.*#z$", ":" * 1300),
}


def redos(bench: Bench, target: Target, name: str) -> Figures:
    """Until a hostile call and the harmless one behind it are answered, or the policy is refused."""
    regex, text = HOSTILE[name]
    talk = bench.talk(target, policy=regex_policy(regex), patience=20.0)
    try:
        with talk:
            start = time.perf_counter()
            answers = [line for lines in talk.exchange([(call(1, {"text": text}) + small_call(2), 2)]) for line in lines]
            took = time.perf_counter() - start
    except Broken as fault:
        if talk.first_answer or "exit status 2)" not in str(fault):
            raise
        return {"policy refused ms": (time.perf_counter() - talk.started) * 1e3}
    denied = b'"error"' in b"".join(answers)
    check_ids(answers, [1, 2], [1] if denied else [])       # the harmless call passes
    return {f"{'denied' if denied else 'judged'}, next call served ms": took * 1e3}


def check_cmd(bench: Bench, target: Target) -> Figures:
    home, env = bench.home()
    figures = {}
    for path, status, word in (("/x", 0, "ALLOW"), ("/home/u/.ssh/id_rsa", 1, "DENY")):
        start = time.perf_counter()
        done = subprocess.run([*target.command, "check", "read_file", f"path={path}"], cwd=os.path.join(home, "work"),
                              env={**env, "PYTHONIOENCODING": "utf-8"}, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=PATIENCE_S)
        figures[f"{word.lower()} ms"] = (time.perf_counter() - start) * 1e3
        if done.returncode != status or word.encode() not in done.stdout:
            raise Broken(f"exit status {done.returncode}: {(done.stdout + done.stderr)[:200]!r}")
    shutil.rmtree(home, ignore_errors=True)
    return figures


def hook(bench: Bench, target: Target, events: int) -> Figures:
    """From a host's event to the answer, by the command that `wrap --hook` writes; the floor here is a Python that does nothing."""
    import resource
    import shlex
    home, env = bench.home()
    words = [sys.executable, "-I", "-S", "-c", "pass"]
    if target is bench.wall:
        subprocess.run([*target.command, "wrap", "--hook", "codex"], env=env, capture_output=True, timeout=PATIENCE_S, check=True)
        with open(os.path.join(home, ".codex", "hooks.json"), encoding="utf-8") as stream:
            words = shlex.split(json.load(stream)["hooks"]["PreToolUse"][0]["hooks"][0]["command"])
    spent, took = [], []
    for number in range(events + 1):
        event = {"hook_event_name": "PreToolUse", "session_id": "s", "cwd": os.path.join(home, "work"), "tool_name": "Bash",
                 "tool_use_id": f"u{number}", "tool_input": {"command": f"npm test -- --shard={number}/{events} && git diff --stat HEAD~{number}"}}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(words, input=json.dumps(event).encode(), env=env, capture_output=True, timeout=PATIENCE_S)
        took.append((time.perf_counter() - start) * 1e3)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3)
        if number and (done.returncode or done.stdout or done.stderr):      # the first compiles, and that may take too long
            raise Broken(f"exit status {done.returncode}: {(done.stdout + done.stderr)[:200]!r}")
    shutil.rmtree(home, ignore_errors=True)
    return {"event to answer, processor time ms": statistics.median(spent[1:]), "event to answer ms": statistics.median(took[1:])}


def parallel(bench: Bench, target: Target, count: int, calls: int) -> Figures:
    """Sessions that run at once and take turns."""
    start = time.perf_counter()
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(talk) for talk in [bench.talk(target) for _ in range(count)]]
        ready = time.perf_counter()
        answers: list[list[bytes]] = [[] for _ in talks]
        for ident in range(calls):
            for talk in talks:
                talk.send(small_call(ident))
            for talk, mine in zip(talks, answers):
                mine += talk.lines()
        took = time.perf_counter() - ready
        memory = sum(talk.memory("Pss", "smaps_rollup") for talk in talks) / count
    for mine in answers:
        check_ids(mine, range(calls))
    return {f"{count} ready ms": (ready - start) * 1e3, "calls /s": count * calls / took, "memory (PSS) each MB": memory}


class Scenario(NamedTuple):
    name: str
    run: Callable[..., Figures]
    rounds: int
    args: tuple[Any, ...] = ()


def scenarios(quick: bool) -> list[Scenario]:
    few = 1 if quick else 3
    bodies = (("text_100k", 100_000, 20), ("text_1m", 1_000_000, 8), ("text_8m", 8_000_000, 3), ("image_1m", 1_000_000, 5),
              ("secret_1m", 1_000_000, 6), ("secrets_1m", 1_000_000, 6))
    return [
        Scenario("startup", startup, 3 if quick else 11),
        Scenario("rtt_small", rtt_small, few), Scenario("throughput_small", throughput_small, few),
        Scenario("mixed_denied", mixed_denied, few),
        *(Scenario(f"big_response/{name}", big_response, few, (name.split("_")[0], size, calls)) for name, size, calls in bodies),
        Scenario("big_request/1m", big_request, few, (1_000_000, 6)),
        Scenario("big_request/8m", big_request, few, (8_000_000, 2)),
        *(Scenario(f"many_rules/{count}", many_rules, few, (count,)) for count in (10, 1000)),
        *(Scenario(run.__name__, run, 1, (30 if quick else 200,)) for run in (slow_reader, slow_server)),
        *(Scenario(f"redos/{name}", redos, 1, (name,)) for name in HOSTILE),
        *([Scenario("hook", hook, few, (3 if quick else 11,))] if os.name == "posix" else []),
        Scenario("check_cmd", check_cmd, few), Scenario("parallel", parallel, 1 if quick else 2, (6, 50) if quick else (20, 200))]


# -- running and showing ------------------------------------------------------------------------------------------

def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def measure(bench: Bench, scenario: Scenario) -> list[str]:
    """Run one scenario, print its rows of the table; what went wrong."""
    targets = [bench.direct, bench.pycat, bench.wall]
    if scenario.run is startup:
        targets.append(bench.as_module)
    elif scenario.run in (redos, check_cmd):
        targets = [bench.wall]
    elif scenario.run is hook:
        targets = [bench.pycat, bench.wall]
    seen: dict[str, dict[str, list[float]]] = {}
    faults: dict[str, str] = {}
    for _ in range(scenario.rounds):
        for target in targets:
            try:
                figures = {} if target.name in faults else scenario.run(bench, target, *scenario.args)
            except (Broken, OSError, ValueError, subprocess.SubprocessError) as fault:
                faults[target.name] = f"FAIL {scenario.name}, {target.name}: {fault or type(fault).__name__}"
                continue
            for figure, value in figures.items():
                seen.setdefault(figure, {}).setdefault(target.name, []).append(value)
    for figure, values in seen.items():
        what, _, unit = figure.rpartition(" ")
        middles = {name: statistics.median(several) for name, several in values.items()}
        if "memory" in what or "processor" in what:
            middles.pop("direct", None)     # there it would be the server's
        floors = [f"{number(middles[name])} {unit}" if name in middles else "–" for name in ("pycat", "direct")]
        for target in (bench.wall, bench.as_module):
            if target.name not in middles:
                continue
            title = ", ".join(filter(None, (scenario.name, what, "" if target is bench.wall else target.name)))
            middle, several = middles[target.name], values[target.name]
            cells = ["Linux only", *"–" * 4] if math.isnan(middle) else [
                f"{number(middle)} {unit}", f"{middle / middles['pycat']:.2f}" if middles.get("pycat") else "–",
                f"{number(min(several))}–{number(max(several))}" if len(several) > 1 else "–", *floors]
            print(f"| {title} | {' | '.join(cells)} |")
    for fault in faults.values():
        print(f"| {fault} | | | | | |")
    sys.stdout.flush()
    return list(faults.values())


# -- growth: how the cost of one message grows --------------------------------------------------------------------

def new_session(wall: Any, policy: dict[str, Any] | None = None) -> Any:
    """A Session as the relay makes it: the full default policy, or *policy*."""
    layers = [wall.parse_policy(json.dumps(policy), "bench.json") if policy else wall.builtin_layer("default")]
    return wall.Session(wall.Wall(wall.compile_policy(layers, wall.default_path_context(), "bench")), "bench")


def cost(wall: Any, session: Any, peer: str, line: Callable[[int], bytes], seconds: float) -> float:
    """Milliseconds that the session takes for one message, the best of some; NaN when it is not let through."""
    times, end = [], time.perf_counter() + seconds
    for ident in range(1, 100):
        if peer == "server":
            session.receive("client", small_call(ident))
        data = line(ident)
        start = time.perf_counter()
        effects = session.receive(peer, data)
        times.append((time.perf_counter() - start) * 1e3)
        if not any(type(effect) is wall.Send and effect.peer != peer and effect.data == data for effect in effects):
            return math.nan
        if time.perf_counter() > end:
            break
    return min(times)


def growth(wall: Any, quick: bool, largest: int = 0) -> list[str]:
    """Rows of a table: the cost of one message over its size, the number of rules and the number of strings."""
    sizes = (1_000, 10_000, 100_000, 1_000_000, 4_000_000 if quick else 16_000_000)
    counts = (1, 10, 100, 1_000, 10_000, 100_000)
    words = ("src/list.tsx", "total of the month", "open", "7 of 9")
    strings = lambda n, ident: [f"{words[at % 4]} {ident}.{at}" for at in range(n)]     # others in each message
    response = lambda ident, member: answer_line(ident, member) + b"\n"
    plain = functools.lru_cache(maxsize=None)(lambda: new_session(wall))
    series: list[tuple[str, str, Sequence[int], Callable[[int], Any], Callable[[int, int], bytes]]] = [
        ("bytes of text in a response", "server", sizes, lambda n: plain(),
         lambda n, i: response(i, text_result(source_text(n)))),
        ("bytes of text in a request", "client", sizes, lambda n: plain(), lambda n, i: big_call(i, n)),
        ("user rules, small request", "client", counts[:4], lambda n: new_session(wall, many_regexes(n)),
         lambda n, i: small_call(i)),
        ("strings in a request", "client", counts, lambda n: plain(), lambda n, i: call(i, {"items": strings(n, i)}, "save")),
        ("text blocks in a response", "server", counts, lambda n: plain(), lambda n, i: response(i, text_result(*strings(n, i)))),
        ("strings in a structured response", "server", counts, lambda n: plain(),
         lambda n, i: response(i, result({"content": [], "structuredContent": {"items": strings(n, i)}}))),
        ("empty images in a response", "server", (*counts, 590_000), lambda n: plain(),
         lambda n, i: response(i, result({"content": [{"type": "image", "data": ""}] * n})))]
    rows = []
    for what, peer, points, session, line in series:
        cells, before = [], (0, math.nan)
        for n in points:
            if largest and n > largest:
                break
            took = cost(wall, session(n), peer, functools.partial(line, n), 0.01 if largest else 0.1 if quick else 0.4)
            factor = (took / before[1]) ** (1 / math.log10(n / before[0])) if before[0] else math.nan
            cells.append(f"{n:,}: " + ("refused" if math.isnan(took) else f"{number(took)} ms")
                         + ("" if math.isnan(factor) else f" (×{factor:.1f})"))
            before = n, took
        rows.append(f"| {what} | " + " | ".join(cells) + " |")
    return rows


# -- profile: where the time of one message goes ------------------------------------------------------------------

STAGES = {      # what is timed: the functions' own time, without that of other functions named here
    "framing": ("Lines.feed",),
    "parse": ("decode_line", "load_json"),
    "checks and correlation": ("message_kind", "Correlation.claim", "Correlation.passed"),
    "texts": ("judged_texts", "strings_of", "Subject.__init__", "Subject.values"),
    "views pre-test": ("needs_views", "token_runs"),
    "views": ("views",),
    "rules": ("Wall.decide",),
    "paths and commands": ("Subject.path_hits", "Subject.commands"),
    "secrets": ("SecretScanner.scan",),
    "injection": ("may_inject", "injection_findings"),
    "audit line": ("Recorder.record",),
    "audit append": ("AuditLog.append",),
    "write to a pipe, and reading it": ("write",),
    "the rest of the session": ("Session.receive",),
}


class Stopwatch:
    """Wraps functions and adds up the time each spends outside of the others."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.calls: Counter[str] = Counter()
        self._inner = [0.0]
        self._real: list[tuple[Any, str, Any]] = []
        self._cost = 0.0        # what timing one call adds to the function that makes it
        idle = self.timed(lambda: None, "nothing")
        start = time.perf_counter()
        for _ in range(20_000):
            idle()
        self._cost = (time.perf_counter() - start - self.spent["nothing"]) / 20_000

    def timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        clock, inner, spent, calls = time.perf_counter, self._inner, self.spent, self.calls

        def wrapper(*args: Any, **named: Any) -> Any:
            inner.append(0.0)
            start = clock()
            try:
                return function(*args, **named)
            finally:
                took = clock() - start
                spent[name] = spent.get(name, 0.0) + took - inner.pop()
                calls[name] += 1
                inner[-1] += took + self._cost
        return wrapper

    def wrap(self, wall: Any, name: str) -> None:
        """Replace the function `name` or `Class.name` of the module. Raises AttributeError when it is not there."""
        owner: Any = getattr(wall, name.split(".")[0]) if "." in name else wall
        last = name.split(".")[-1]
        self._real.append((owner, last, getattr(owner, last)))
        setattr(owner, last, self.timed(getattr(owner, last), name))

    def unwrap(self) -> None:
        for owner, name, real in self._real:
            setattr(owner, name, real)


def profile_message(bench: Bench, wall: Any, peer: str, line: Callable[[int], bytes], rounds: int) -> list[str]:
    """Rows of a table for one kind of message: stage, microseconds (medians), per cent, calls."""
    session, audit, watch = new_session(wall), wall.AuditLog(os.path.join(bench.scratch, "logs")), Stopwatch()
    source, sink = os.pipe()
    samples: dict[str, list[float]] = {}
    calls: Counter[str] = Counter()

    def write(data: bytes) -> None:
        for at in range(0, len(data), PIPE_BYTES):
            os.read(source, os.write(sink, data[at:at + PIPE_BYTES]))

    def run(write: Callable[[bytes], None]) -> float:
        totals = []
        for ident in range(rounds):
            if peer == "server":
                session.receive("client", small_call(ident))
            data = line(ident)
            chunks = [data[at:at + wall.READ_BYTES] for at in range(0, len(data), wall.READ_BYTES)]
            watch.spent.clear()
            watch.calls.clear()
            start = time.perf_counter()
            for chunk in chunks:
                effects = session.receive(peer, chunk)
                if effects:
                    audit.append([effect.line for effect in effects if type(effect) is wall.Record])
                    write(effects[-1].data)
            totals.append((time.perf_counter() - start) * 1e6)
            for name, spent in watch.spent.items():
                samples.setdefault(name, []).append(spent * 1e6)
            calls.update(watch.calls)
        return statistics.median(totals)

    run(write)
    plain = run(write)      # as it is, warmed up
    try:
        for name in [name for names in STAGES.values() for name in names if name != "write"]:
            watch.wrap(wall, name)
        run(watch.timed(write, "write"))
    finally:
        watch.unwrap()
        audit.close()
        os.close(source)
        os.close(sink)
    rows = []
    usual = {name: statistics.median(several) for name, several in samples.items()}
    for stage, names in STAGES.items():
        spent, count = (sum(table.get(name, 0) for name in names) for table in (usual, calls))
        rows.append(f"| {stage} | {number(max(0.0, spent))} | {spent / sum(usual.values()):.1%} | {count / rounds:g} |")
    return [*rows, f"| together | {number(sum(usual.values()))} | | |", f"| undisturbed by the timing | {number(plain)} | | |"]


def profile(bench: Bench, wall: Any, rounds: int = 2000) -> None:
    small, big = text_result(source_text(160)), text_result(source_text(1_000_000))
    for what, peer, line, times in (
            ("small request", "client", small_call, rounds),
            ("small response", "server", lambda ident: answer_line(ident, small) + b"\n", rounds),
            ("text response of 1 MB", "server", lambda ident: answer_line(ident, big) + b"\n", rounds // 100 + 1)):
        print(f"\n| {what} | µs | share | calls |\n|---|---|---|---|")
        print("\n".join(profile_message(bench, wall, peer, line, times)))


# -- soak: a million mixed calls through one wall -----------------------------------------------------------------

LEAK = text_result("key = AKIA" + "2E7GTQ3NVBXW5KLM" + ";")
SOAK_ANSWERS = {
    "read_file": text_result("all is well"), "leak": LEAK, "write_file": text_result("written"),
    "fail": '"error":{"code":-32000,"message":"no such file"}', "big": text_result(source_text(100_000))}


def soak_kind(ident: int) -> str:
    """The tool that call *ident* names; "denied" for one that is to be refused."""
    place = ident % 100
    return ("big" if place == 0 else "write_file" if place == 1 else "denied" if place < 12 or place in (31, 33) else
            "leak" if place < 17 else "fail" if place < 22 else "read_file")


def soak_line(ident: int) -> bytes:
    kind = soak_kind(ident)
    if kind == "denied":
        return denied_call(ident)
    return big_call(ident, 100_000) if kind == "write_file" else small_call(ident, kind)


def soak_requests(count: int, until: float, sent: Counter[str]) -> Iterator[tuple[bytes, int]]:
    """Lines with the number of lines that answer each; calls 22 to 33 of a hundred go in batches of two."""
    for ident in range(1, count + 1, 2):
        if time.monotonic() > until:
            return
        pair = [number for number in (ident, ident + 1) if number <= count]
        sent.update(map(soak_kind, pair))
        if len(pair) == 2 and 22 < ident % 100 < 34:
            refused = {soak_kind(number) == "denied" for number in pair}        # refusals come in a batch of their own
            yield b"[" + b",".join(soak_line(number).strip() for number in pair) + b"]\n", len(refused)
        else:
            yield from ((soak_line(number), 1) for number in pair)
        if ident % 50 == 1:
            sent["notice"] += 1
            yield b'{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}\n', 1


def soak(bench: Bench, count: int, until_s: float = SOAK_S) -> list[str]:
    """Run the calls through one wall and print what became of them; what went wrong."""
    wanted = {kind: json.loads(f"{{{member}}}") for kind, member in SOAK_ANSWERS.items()}
    wanted["leak"] = json.loads(f"{{{KEY.sub(MARKER, LEAK)}}}")
    sent: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    answered, notices = bytearray(count + 1), 0
    samples: list[tuple[float, int]] = []       # MB held, open files
    start = time.monotonic()
    with bench.talk(bench.wall, SOAK_ANSWERS, patience=until_s + PATIENCE_S) as talk:
        done, due = 0, 0
        for lines in talk.exchange(soak_requests(count, start + until_s, sent)):
            for line in lines:
                body = json.loads(line)
                for answer in body if isinstance(body, list) else [body]:
                    ident = answer.pop("id", None)
                    del answer["jsonrpc"]
                    if ident is None:
                        notices += answer.get("method") == "notifications/message"
                        continue
                    kind = soak_kind(ident)
                    answered[ident] = min(2, answered[ident] + 1)
                    done += 1
                    right = answer == wanted[kind] if kind != "denied" else answer.get("error", {}).get("code") == -32600
                    wrong[kind] += not right
            if ON_LINUX and done >= due:
                due += max(1, count // 400)
                samples.append((talk.memory("VmRSS"), len(os.listdir(f"/proc/{talk.pid}/fd"))))
        took = time.monotonic() - start
        log = Counter(record["action"] for record in talk.audit())
    faults = [f"FAIL {number} wrong answers to {kind}" for kind, number in wrong.items() if number]
    calls = sum(sent.values()) - sent["notice"]
    if answered.count(1) != calls or notices != sent["notice"]:
        faults.append(f"FAIL {calls} calls: {answered.count(1)} answered once, {answered.count(2)} more than once; "
                      f"{sent['notice']} notifications: {notices} came back")
    records = 2 * calls - sent["denied"] + 2 * sent["notice"] + 3
    if sum(log.values()) != records or log["deny"] != sent["denied"] or log["redact"] != sent["leak"]:
        faults.append(f"FAIL audit log: {dict(log)}; {records} records expected, deny {sent['denied']}, redact {sent['leak']}")
    print(f"{calls:,} calls in {took:.0f} s ({calls / took:,.0f}/s), {'all' if calls == count else 'not all, the time was up'}: "
          + ", ".join(f"{number:,} {kind}" for kind, number in sorted(sent.items())))
    print(f"audit log: {sum(log.values()):,} records without a gap: "
          + ", ".join(f"{number:,} {action}" for action, number in sorted(log.items())))
    if len(samples) >= 8:
        quarter = len(samples) // 4
        for place, (what, slack) in enumerate((("memory MB", 2.0), ("open files", 0.5))):
            second, last = (statistics.mean(sample[place] for sample in samples[at:at + quarter])
                            for at in (quarter, len(samples) - quarter))
            print(f"{what}: {second:.1f} on average in the second quarter, {last:.1f} in the last")
            if last > second * (1.1 if place == 0 else 1) + slack:
                faults.append(f"FAIL {what} grows")
    return faults


# -- command line -------------------------------------------------------------------------------------------------

def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller loads")
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="a scenario, its group (big_response), or growth")
    parser.add_argument("--profile", action="store_true", help="where the time of one message goes")
    parser.add_argument("--soak", action="store_true", help="mixed calls through one wall; its audit log takes 500 bytes a call")
    parser.add_argument("--calls", type=int, default=1_000_000, metavar="N", help="how many calls the soak makes")
    parser.add_argument("--module", default=os.path.join(ROOT, "mcpwall.py"), metavar="FILE",
                        help="another mcpwall.py to measure")
    options = parser.parse_args(argv)
    chosen = [scenario for scenario in scenarios(options.quick)
              if not options.only or {scenario.name, scenario.name.partition("/")[0]} & set(options.only)]
    if not chosen and options.only != ["growth"]:
        parser.error("no such scenario; there are: " + " ".join([scenario.name for scenario in scenarios(True)] + ["growth"]))
    with tempfile.TemporaryDirectory(prefix="mcpwall-bench-") as scratch:
        bench = Bench(scratch, options.module, options.quick)
        sys.path.insert(0, scratch)
        import mcpwall as wall
        faults: list[str] = []
        if options.profile:
            profile(bench, wall, 300 if options.quick else 2000)
        elif options.soak:
            faults = soak(bench, options.calls)
        else:
            start = time.monotonic()
            print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, default policy, audit log on\n")
            if chosen:
                print("| scenario | figure | × pycat | spread | pycat | direct |\n|---|---|---|---|---|---|")
            for scenario in chosen:
                faults += measure(bench, scenario)
            if not options.only or "growth" in options.only:
                print("\nCost of one message in process, with the growth per factor of ten (×10 is linear):\n")
                print("| what grows | | | | | | |\n|---|---|---|---|---|---|---|")
                print("\n".join(growth(wall, options.quick)))
            print(f"\n{time.monotonic() - start:.0f} s; {len(faults)} failed")
        print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
