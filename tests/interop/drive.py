"""One conversation, held twice by one client with one server: directly, and with the wall between them."""
from __future__ import annotations

import base64
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from typing import Any, Callable, NamedTuple

import peers

# Put together here, so that no scanner of repositories takes them for real ones.
AWS_KEY = "AKIA" + "2E7GTQ3NVBXW5KLM"
KEY_BODY = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ"
KEY_FILE = f"-----BEGIN OPENSSH {'PRIVATE'} KEY-----\n{KEY_BODY}\n-----END OPENSSH {'PRIVATE'} KEY-----\n"
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
FILES = {
    "README.md": "# Projekt ☃\n\nEin Text mit Umlauten: äöü, 雪, 😀.\n",
    "src/main.py": "print('hello')\n",
    "notes/deploy.txt": f"region eu-west-1\nkey {AWS_KEY}\nend\n",
    ".ssh/id_rsa": KEY_FILE,
}
SDK = {     # the names of the clients, the program of each, the options that are not its defaults
    "py1": ("py1.py", {}),
    "py2": ("py2.py", {}),                              # probes server/discover first
    "py2-legacy": ("py2.py", {"mode": "legacy"}),
    "ts1": ("ts1.mjs", {}),
    "ts2": ("ts2.mjs", {}),                             # initialize, its default
    "ts2-auto": ("ts2.mjs", {"mode": "auto"}),          # probes server/discover in a process of its own
}


class World:
    """A throw-away place with a HOME that holds nothing but a key, and a project folder."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.home, self.project = os.path.join(root, "home"), os.path.join(root, "project")
        for name, text in FILES.items():
            self.write(os.path.join(self.project, name), text.encode())
        self.write(os.path.join(self.project, "pixel.png"), PIXEL)
        self.write(os.path.join(self.home, ".ssh", "id_rsa"), KEY_FILE.encode())

    def write(self, path: str, data: bytes) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(data)

    def environ(self) -> dict[str, str]:
        """What a server gets besides what the SDKs hand on."""
        return {"HOME": self.home, "USERPROFILE": self.home, "NO_COLOR": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC",
                "GIT_CONFIG_NOSYSTEM": "1"}

    def commit(self) -> None:
        """Make the project a git repository; the same in every run."""
        when = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"), ("DATE", "2026-01-02T03:04:05Z"))}
        for args in (["init", "-q", "-b", "main"], ["add", "README.md", "src"], ["commit", "-q", "-m", "Erster ☃"]):
            subprocess.run(["git", *args], cwd=self.project, env={**os.environ, **self.environ(), **when}, check=True)
        self.write(os.path.join(self.project, "src", "main.py"), "print('grüße')\n".encode())


class Server(NamedTuple):
    """How a server is started in a world."""
    command: Callable[[World], list[str]]
    environ: Callable[[World], dict[str, str]] = lambda world: {}
    prepare: Callable[[World], None] = lambda world: None


class Talk(NamedTuple):
    """What came of a conversation: *direct* and *walled* as steps.py has them, with the world's root replaced."""
    steps: list[dict]
    direct: dict
    walled: dict
    stderr: str
    left: list[str]             # the commands of processes that outlived the client
    records: list[dict]         # the wall's audit log


def wall(world: World, options: list[str], policy: str, file: str = "policy.yml", name: str = "peer") -> list[str]:
    """The command that goes before a server's."""
    if policy:
        path = os.path.join(world.root, file)
        world.write(path, policy.encode())
        options = [*options, "-c", path]
    return [sys.executable, peers.WALL, *options, "--server-name", name, "--"]


def converse(client: str, server: Server, steps: list[dict], options: dict, wall_options: list[str], policy: str) -> Talk:
    program, more = SDK[client]
    steps = [step for step in steps if client not in step.get("not_by", ())]
    marker = "MCPWALL_INTEROP=" + uuid.uuid4().hex
    folder = os.path.realpath(tempfile.mkdtemp(prefix="mcpwall-interop-"))
    try:
        worlds = [World(os.path.join(folder, name)) for name in ("direct", "walled")]
        walls = [[], wall(worlds[1], wall_options, policy)]
        sessions = [session(world, before, server, marker, steps, {**more, **options}) for world, before in zip(worlds, walls)]
        stderr = carry_out(program, sessions, folder, worlds[0])
        with open(os.path.join(folder, "done.json"), encoding="utf-8") as stream:
            done = [json.loads(json.dumps(said, ensure_ascii=False).replace(world.root, "ROOT"))
                    for said, world in zip(json.load(stream), worlds)]
        return Talk(steps, done[0], done[1], stderr, processes(marker), list(records(worlds[1])))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Meeting(NamedTuple):
    """A session through the wall alone."""
    steps: list[dict]
    server: Server
    policy: str = ""
    wall: list[str] = []        # options of the wall
    options: dict = {}          # of the client
    name: str = ""              # what the wall is told that the server is called, when that is not the meeting's own name


class Met(NamedTuple):
    """What came of it: as steps.py has it, what the server was sent, and the wall's audit log."""
    said: dict
    got: list[dict]
    records: list[dict]


def meet(client: str, meetings: dict[str, Meeting]) -> tuple[dict[str, Met], str]:
    """Let one client hold *meetings* in one world, one after another; what came of each, and what went to stderr."""
    program, more = SDK[client]
    folder = os.path.realpath(tempfile.mkdtemp(prefix="interop-"))
    try:
        world = World(folder)
        sessions = []
        for key, meeting in meetings.items():
            before = wall(world, meeting.wall, meeting.policy, key + ".yml", meeting.name or key)
            tap = [sys.executable, "-S", os.path.join(peers.HERE, "servers", "tap.py"), os.path.join(folder, key + ".got")]
            sessions.append(session(world, before + tap, meeting.server, "MCPWALL_INTEROP=" + key, meeting.steps,
                                    {**more, **meeting.options}))
        stderr = carry_out(program, sessions, folder, world)
        with open(os.path.join(folder, "done.json"), encoding="utf-8") as stream:
            done = json.load(stream)
        log = list(records(world))
        return {key: Met(said, got(os.path.join(folder, key + ".got")), [one for one in log if one["server"] == (meeting.name or key)])
                for (key, meeting), said in zip(meetings.items(), done)}, stderr
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def got(path: str) -> list[dict]:
    """The messages that tap.py has kept."""
    try:
        with open(path, encoding="utf-8") as stream:
            return [json.loads(line) for line in stream]
    except FileNotFoundError:
        return []


def abandon(client: str, server: Server) -> tuple[list[str], list[str]]:
    """The processes of wall and server in the midst of a conversation; those that are there when the client was killed."""
    program, options = SDK[client]
    marker = "MCPWALL_INTEROP=" + uuid.uuid4().hex
    folder = os.path.realpath(tempfile.mkdtemp(prefix="mcpwall-interop-"))
    try:
        world = World(folder)
        steps = [{"do": "tools"}, {"do": "settle", "s": 30}]
        only = session(world, wall(world, [], ""), server, marker, steps, options)
        with start_client(program, [only], folder, world) as process:
            wait(lambda: any(record["method"] == "tools/list" for record in records(world)), 30)
            alive = processes(marker)
            process.kill()
        wait(lambda: not processes(marker), 8)
        return alive, processes(marker)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait(condition: Callable[[], bool], seconds: float) -> None:
    """Until *condition* holds, or so long."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)


def session(world: World, before: list[str], server: Server, marker: str, steps: list[dict], options: dict) -> dict:
    """A session as the clients read it; *before* goes before the server's command."""
    server.prepare(world)
    command = [*before, *server.command(world)]
    environ = {**world.environ(), **server.environ(world), **dict([marker.split("=")])}
    return {"command": command[0], "args": command[1:], "env": environ, "cwd": world.project,
            "steps": in_world(steps, world), "options": in_world(options, world)}


def in_world(value: Any, world: World) -> Any:
    """*value* with HOME and PROJECT replaced by the world's folders."""
    return json.loads(json.dumps(value).replace("HOME", world.home).replace("PROJECT", world.project))


def start_client(program: str, sessions: list[dict], folder: str, world: World) -> subprocess.Popen:
    """A client that holds the sessions. What came of them goes to done.json, what it, wall and server print to stderr."""
    todo, done = os.path.join(folder, "todo.json"), os.path.join(folder, "done.json")
    with open(todo, "w", encoding="utf-8") as stream:
        json.dump(sessions, stream)
    path = os.path.join(peers.HERE, "clients", program)
    start = [shutil.which("node") or "node", path] if program.endswith(".mjs") else [peers.python("python" + program[2]), path]
    environ = {**os.environ, **world.environ(), "INTEROP_NODE": os.path.dirname(peers.MODULES), "PYTHONDONTWRITEBYTECODE": "1"}
    with open(os.path.join(folder, "stderr"), "wb") as stderr:     # a file: a process that is left must not keep us waiting
        return subprocess.Popen([*start, todo, done], env=environ, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)


def carry_out(program: str, sessions: list[dict], folder: str, world: World) -> str:
    """Let a client hold the sessions; what went to stderr."""
    with start_client(program, sessions, folder, world) as process:
        try:
            process.wait(max(180, 20 * len(sessions)))
        finally:
            process.kill()
    with open(os.path.join(folder, "stderr"), encoding="utf-8", errors="replace") as stream:
        text = stream.read()
    if not os.path.exists(os.path.join(folder, "done.json")):
        raise RuntimeError(f"the client {program} gave up:\n{text[-4000:]}")
    return text


def processes(marker: str) -> list[str]:
    """The commands of the processes that have *marker* in their environment (Linux; else none)."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as stream:
                if marker.encode() in stream.read():
                    with open(os.path.join(os.path.dirname(path), "cmdline"), "rb") as command:
                        found.append(command.read().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue    # it ended while we looked, or is not ours
    return found


def records(world: World) -> Any:
    for path in sorted(glob.glob(os.path.join(world.home, ".mcpwall", "logs", "*.jsonl"))):
        with open(path, encoding="utf-8") as stream:
            yield from map(json.loads, stream)
