"""The conversations, and what must hold of each. See drive.py for how they are held.

A step may say what the wall makes of it: `deny` (rule and message of the error), `redact` (a secret that must be in the
answer without the wall), or `blocked` (a result with isError). Of all other steps, and of everything the server tells
and asks on the way, a client must see the same with the wall as without; `says` is a piece of it, lest two failures
be taken for a success.
"""
from __future__ import annotations

import concurrent.futures
import json
import os
import re
import shutil
import unittest
from typing import Any, NamedTuple

import peers
from drive import AWS_KEY, KEY_BODY, SDK, Server, Talk, abandon, converse

MARKER = "[REDACTED BY MCPWALL]"
SSH = {"rule": "block-ssh-keys", "message": "[mcpwall] Blocked: access to SSH keys"}


def call(tool: str, arguments: dict | None = None, **more: Any) -> dict:
    return {"do": "call", "tool": tool, "arguments": arguments or {}, **more}


def do(what: str, **more: Any) -> dict:
    return {"do": what, **more}


def own(name: str, venv: str, **environ: str) -> Server:
    """One of the servers in the folder servers."""
    return Server(lambda world: [peers.python(venv), os.path.join(peers.HERE, "servers", name)], lambda world: environ)


def pypi(module: str, venv: str, *args: str, git: bool = False) -> Server:
    prepare = (lambda world: world.commit()) if git else (lambda world: None)
    return Server(lambda world: [peers.python(venv), "-m", module, *args], prepare=prepare)


FILESYSTEM = Server(lambda world: [*peers.node_server("filesystem"), world.project, world.home])
EVERYTHING = Server(lambda world: peers.node_server("everything"))
MEMORY = Server(lambda world: peers.node_server("memory"), lambda world: {"MEMORY_FILE_PATH": world.home + "/memory.jsonl"})
COMPLETABLE = {"type": "ref/prompt", "name": "completable-prompt"}

FILES = [
    do("tools"),
    call("list_allowed_directories", says="ROOT/project"),
    call("read_text_file", {"path": "PROJECT/README.md"}, says="äöü, 雪, 😀."),
    call("read_text_file", {"path": "PROJECT/README.md", "head": 1}),
    call("read_multiple_files", {"paths": ["PROJECT/README.md", "PROJECT/src/main.py", "PROJECT/missing"]}),
    call("read_media_file", {"path": "PROJECT/pixel.png"}, says="iVBORw0KGgo"),
    call("list_directory", {"path": "PROJECT"}),
    call("directory_tree", {"path": "PROJECT/src"}),
    call("search_files", {"path": "PROJECT", "pattern": "**/*.py"}),
    call("create_directory", {"path": "PROJECT/new/deep"}),
    call("write_file", {"path": "PROJECT/new/übung.txt", "content": "eins\nzwei ☃\n"}),
    call("edit_file", {"path": "PROJECT/new/übung.txt", "edits": [{"oldText": "zwei", "newText": "drei"}]}),
    call("read_text_file", {"path": "PROJECT/new/übung.txt"}, says="drei ☃"),
    call("move_file", {"source": "PROJECT/new/übung.txt", "destination": "PROJECT/new/b.txt"}),
    call("read_text_file", {"path": "PROJECT/missing"}),                    # an error of the server's own
    call("read_text_file", {"path": "HOME/.ssh/id_rsa"}, deny=SSH),
    call("read_text_file", {"path": "PROJECT/.ssh/id_rsa"}, deny=SSH),
    call("read_multiple_files", {"paths": ["PROJECT/README.md", "HOME/.ssh/id_rsa"]}, deny=SSH),
    call("read_text_file", {"path": "PROJECT/notes/deploy.txt"}, redact=AWS_KEY),
    call("no_such_tool"),
]
STRICT = [
    do("tools"),
    call("read_text_file", {"path": "PROJECT/README.md"}, says="äöü, 雪, 😀."),
    call("list_directory", {"path": "PROJECT"}),
    call("write_file", {"path": "PROJECT/out.txt", "content": "eins"}),
    call("read_text_file", {"path": "HOME/.ssh/id_rsa"}, deny={}),
    call("list_directory", {"path": "HOME"}, deny={}),
    call("no_such_tool", deny={}),
]
ALL = [
    do("tools"), do("resources"), do("templates"), do("prompts"),
    do("ping"),
    do("level", level="debug"),
    call("echo", {"message": "Grüße 雪 😀 \u2028 \\ \""}),
    call("get-sum", {"a": 2, "b": 3.5}, says="5.5"),
    call("get-tiny-image", says="iVBORw0KGgo"),
    call("get-annotated-message", {"messageType": "error", "includeImage": True}),
    call("get-structured-content", {"location": "Chicago"}, says='"structuredContent"'),
    call("get-resource-links", {"count": 4}),
    call("get-resource-reference", {"resourceType": "Text", "resourceId": 3}),
    call("trigger-long-running-operation", {"duration": 0.4, "steps": 4}, progress=True),
    call("trigger-sampling-request", {"prompt": "Wie ist das Wetter? ☃", "maxTokens": 20}, says="Der Schnee fällt."),
    call("trigger-elicitation-request", says="Ada ☃"),
    do("settle", s=0.4),        # the server asks for the roots 350 ms after the start
    call("get-roots-list", says="ROOT/project"),
    do("read", uri="demo://resource/dynamic/text/7"),
    do("read", uri="demo://resource/static/document/features.md"),
    do("prompt", name="simple-prompt"),
    do("prompt", name="args-prompt", arguments={"city": "Köln", "state": "NRW"}),
    do("complete", ref=COMPLETABLE, argument={"name": "department", "value": "E"}, says="Engineering"),
    do("complete", ref=COMPLETABLE, argument={"name": "name", "value": "A"},
       context={"department": "Engineering"}),
    do("complete", ref={"type": "ref/resource", "uri": "demo://resource/dynamic/text/{resourceId}"},
       argument={"name": "resourceId", "value": "5"}),
    do("prompt", name="no-such-prompt"),
]
GRAPH = [
    do("tools"),
    call("create_entities", {"entities": [{"name": "Ada", "entityType": "Person", "observations": ["likes snow ☃"]},
                                          {"name": "Köln", "entityType": "city", "observations": []}]}),
    call("create_relations", {"relations": [{"from": "Ada", "to": "Köln", "relationType": "lives in"}]}),
    call("add_observations", {"observations": [{"entityName": "Ada", "contents": ["writes 雪"]}]}),
    call("read_graph"),
    call("search_nodes", {"query": "snow"}, says="likes snow ☃"),
    call("open_nodes", {"names": ["Ada"]}),
    call("delete_entities", {"entityNames": ["Köln"]}),
    call("read_graph"),
]
GIT = [
    do("tools"),
    call("git_status", {"repo_path": "PROJECT"}),
    call("git_diff_unstaged", {"repo_path": "PROJECT"}, says="+print('grüße')"),
    call("git_log", {"repo_path": "PROJECT", "max_count": 3}),
    call("git_show", {"repo_path": "PROJECT", "revision": "HEAD"}),
    call("git_add", {"repo_path": "PROJECT", "files": ["src/main.py"]}),
    call("git_diff_staged", {"repo_path": "PROJECT"}),
    call("git_create_branch", {"repo_path": "PROJECT", "branch_name": "feature"}),
    call("git_checkout", {"repo_path": "PROJECT", "branch_name": "feature"}),
    call("git_branch", {"repo_path": "PROJECT", "branch_type": "local"}),
    call("git_show", {"repo_path": "PROJECT", "revision": "no-such-revision"}),
]
TIME = [
    do("tools"),
    call("convert_time", {"source_timezone": "UTC", "time": "16:30", "target_timezone": "Asia/Tokyo"}, says="01:30:00+09:00"),
    call("get_current_time", {"timezone": "No/Where"}),
]
PEER = [
    do("tools"), do("resources"), do("templates"), do("prompts"),
    call("add", {"a": 2, "b": 40}),
    call("weather", {"city": "Köln"}, says='"degrees": -1.5'),
    call("echo", {"text": "Grüße 雪 😀 \u2028\u0085 \\ \" \x7f"}),
    call("picture", says="iVBORw0KGgo"),
    call("embedded"),
    call("fail", {"why": "so ☃"}, says='"isError": true'),
    call("no_such_tool"),
    call("steps", {"count": 5}, progress=True),
    call("speak"),
    call("ask_model", {"text": "Wie ist das Wetter? ☃"}, says="model said: Der Schnee fällt."),
    call("ask_user", says="grün"),
    call("where", says="ROOT/project"),
    do("read", uri="peer://text"), do("read", uri="peer://blob"), do("read", uri="peer://item/7"), do("read", uri="peer://none"),
    do("read", uri="file://HOME/.ssh/id_rsa", deny=SSH),
    do("prompt", name="greet", arguments={"name": "Ada"}),
    do("complete", ref={"type": "ref/prompt", "name": "greet"}, argument={"name": "name", "value": "A"}, says="Alan"),
    call("leak", redact=AWS_KEY),
    do("cancel", tool="doze", arguments={"seconds": 30}, after_s=0.4),
    call("woken", says='"text": "1"'),
    do("settle", s=0.3),
]
MANY = [do("parallel", calls=[{"tool": "echo", "arguments": {"text": f"{i} ☃" * (i + 1), "wait_s": (50 - i) / 200}}
                              for i in range(50)])]
LARGE = [
    call("big", {"megabytes": 12.2}),
    call("size", {"text": "Zeile: ä€😀 雪\n" * 150_000}, says="3150000"),
    call("add", {"a": 1, "b": 1}),
]
TASKS = [
    do("tools"),
    do("task", tool="tell", says="nothing special ☃"),
    do("task", tool="leak", redact=AWS_KEY),
    do("task", tool="plans", blocked=True),
]
RESEARCH = [do("task", tool="simulate-research-query", arguments={"topic": "Schnee ☃"}, says="# Research Report: Schnee ☃")]
DECLINE = [call("ask_user", says="decline"), call("ask_model", {"text": "☃"})]
CHATTY = [do("tools"), call("look", says="look is done"), do("ping"), *(call("look", says="look is done") for _ in range(3))]
SHAPED = [
    do("tools"),
    call("plain", redact=AWS_KEY), call("link", redact=AWS_KEY, instead="REDACTED-BY-MCPWALL"),
    call("short", redact=AWS_KEY, instead="REDACTED-BY-MCPWALL"), call("shouting", redact=AWS_KEY, instead="REDACTED-BY-MCPWALL"),
    call("closed", blocked=True),
]
TASKS_POLICY = """
extends: default
outbound_rules:
  - {name: no-plans, match: {tool: plans, response_contains: top-secret}, action: deny}
"""
PROJECT_ROOT = {"roots": ["file://PROJECT"]}
PY, TS = ("py1", "py2"), ("ts1", "ts2")


class Scenario(NamedTuple):
    server: Server
    steps: list[dict]
    clients: tuple[str, ...]
    options: dict = {}
    wall: list[str] = []            # options of the wall
    policy: str = ""                # its policy, for -c
    npm: bool = False
    needs: str = ""                 # a program that must be there
    stderr: str = ""                # what must be there


PEER1, PEER2 = own("peer.py", "python1"), own("peer.py", "python2")
SCENARIOS = {
    "filesystem": Scenario(FILESYSTEM, FILES, (*PY, *TS), npm=True),
    "filesystem_roots": Scenario(FILESYSTEM, FILES[1:3], ("py1", "ts2-auto"), PROJECT_ROOT, npm=True),
    "filesystem_strict": Scenario(FILESYSTEM, STRICT, (*PY, *TS), wall=["--profile", "strict"], npm=True),
    "everything": Scenario(EVERYTHING, ALL, (*PY, *TS), PROJECT_ROOT, npm=True),
    "memory": Scenario(MEMORY, GRAPH, ("py2", "ts1"), npm=True),
    "git_on_1": Scenario(pypi("mcp_server_git", "python1", git=True), GIT, ("py1", "ts2"), needs="git"),
    "git_on_2": Scenario(pypi("mcp_server_git", "python2", git=True), GIT, ("py2", "ts2-auto"), needs="git"),
    "time_on_1": Scenario(pypi("mcp_server_time", "python1", "--local-timezone=UTC"), TIME, ("py2",)),
    "time_on_2": Scenario(pypi("mcp_server_time", "python2", "--local-timezone=UTC"), TIME, ("py1", "ts1")),
    "peer_on_1": Scenario(PEER1, PEER, (*PY, *TS), PROJECT_ROOT),
    "peer_on_2": Scenario(PEER2, PEER, (*SDK,), PROJECT_ROOT),
    "decline_on_1": Scenario(PEER1, DECLINE, ("py1", "ts1"), {"elicit": "decline"}),
    "decline_on_2": Scenario(PEER2, DECLINE, ("py2", "ts2-auto"), {"elicit": "decline"}),
    "banner": Scenario(own("peer.py", "python1", PEER_BANNER="1"), [call("add", {"a": 1, "b": 1})], ("py2", "ts1"),
                       stderr="Welcome to peer!"),
    "json_logs": Scenario(own("chatty.py", "python1", HABIT="json"), CHATTY, (*PY, *TS), stderr="got it"),
    "banners": Scenario(own("chatty.py", "python1", HABIT="banner"), CHATTY, (*PY, *TS), stderr="[dotenv@17.2.3]"),
    # (clients of Python take no such ids)
    "float_ids": Scenario(own("chatty.py", "python1", HABIT="float"), CHATTY, TS),
    "shaped": Scenario(own("chatty.py", "python1"), SHAPED, (*PY, *TS)),
    "listen": Scenario(PEER2, [do("listen", then=call("touch"), says='"heard": ')], ("py2", "ts2-auto")),
    "stubborn": Scenario(own("peer.py", "python1", PEER_STUBBORN="a bit"), [call("add", {"a": 1, "b": 1})], ("py1", "ts1")),
    "very_stubborn": Scenario(own("peer.py", "python1", PEER_STUBBORN="very"), [call("add", {"a": 1, "b": 1})], ("py1", "ts1")),
    "dying": Scenario(PEER2, [call("add", {"a": 1, "b": 1}), call("die")], (*PY, *TS)),
    "many": Scenario(PEER2, MANY, (*PY, *TS)),
    "large": Scenario(PEER1, LARGE, (*PY, *TS)),
    "tasks": Scenario(own("tasks.py", "python1"), TASKS, ("py1", "ts1"), policy=TASKS_POLICY),
    "research": Scenario(EVERYTHING, RESEARCH, ("ts1",), npm=True),
}


# ---------------------------------------------------------------------------
# Holding the conversations, each once and two at a time
# ---------------------------------------------------------------------------

POOL = concurrent.futures.ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1)))
TALKS: dict[tuple[str, str], concurrent.futures.Future] = {}


def missing(name: str, client: str) -> str:
    """Why a scenario cannot be played here, or ''."""
    scenario = SCENARIOS[name]
    if scenario.npm or client.startswith("ts"):
        return peers.no_node()
    return "" if not scenario.needs or shutil.which(scenario.needs) else f"{scenario.needs} is not on PATH"


def start(name: str, client: str) -> concurrent.futures.Future:
    scenario = SCENARIOS[name]
    if (name, client) not in TALKS:
        TALKS[name, client] = POOL.submit(converse, client, *scenario[:2], scenario.options, scenario.wall, scenario.policy)
    return TALKS[name, client]


def start_all() -> None:
    for name, scenario in SCENARIOS.items():
        for client in scenario.clients:
            if not missing(name, client):
                start(name, client)


# ---------------------------------------------------------------------------
# What must hold
# ---------------------------------------------------------------------------

# What differs from run to run: times, addresses, handles of tasks.
PASSING = re.compile("created at [0-9:]+ [AP]M|0x[0-9a-f]{8,}|[0-9a-f]{32}:[0-9a-f-]{36}|[0-9a-f]{32}(?=\")")


def shown(value: Any) -> str:
    """A text that two runs can be compared by, and a person can read."""
    return PASSING.sub("", json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True))


def kinds(talk: dict) -> dict[str, list]:
    """The events by kind, since SDKs promise no order between kinds. Without the last progress, which some SDKs drop when
    the answer comes with it."""
    found: dict[str, list] = {}
    for kind, value in talk["events"]:
        if kind == "progress" and value[0] == value[1]:
            continue
        found.setdefault(kind, []).append(value)
    return found


class Conversation:
    """The tests of one scenario; one of each for every client that plays it."""

    name: str

    def talk(self, client: str) -> Talk:
        why = missing(self.name, client)
        if why:
            self.skipTest(why)
        talk = start(self.name, client).result()
        for way in ("direct", "walled"):
            said = getattr(talk, way)
            if "fault" in said:
                self.fail(f"{client}, {way}: {said['fault']}\n{talk.stderr[-3000:]}")
        return talk

    def same(self, direct: Any, walled: Any, what: str, instead: str = MARKER) -> None:
        """As without the wall, but for secrets, in whose place *instead* stands."""
        expected, got = shown(direct).replace(AWS_KEY, instead), shown(walled)
        if expected != got:
            at = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), min(len(expected), len(got)))
            window = slice(max(0, at - 300), at + 300)
            self.fail(f"{what}: differs at {at} of {len(expected)}/{len(got)}\nwithout: {expected[window]}\nwith: {got[window]}")

    def check_answers(self, client: str) -> None:
        talk = self.talk(client)
        self.same(talk.direct["server"], talk.walled["server"], "what the server says of itself")
        self.assertEqual(len(talk.steps), len(talk.walled["outcomes"]))
        for step, direct, walled in zip(talk.steps, talk.direct["outcomes"], talk.walled["outcomes"]):
            what = shown(step)[:300]
            with self.subTest(what):
                if "deny" in step:
                    self.denied(step["deny"], walled)
                elif step.get("blocked"):
                    self.assertIn("[BLOCKED BY MCPWALL]", shown(walled))
                    self.assertIn('"isError": true', shown(walled))
                else:
                    self.assertIn(step.get("redact", ""), shown(direct), "without the wall there was nothing to redact")
                    self.assertIn(step.get("says", ""), shown(walled)[-20_000:])
                    self.same(direct, walled, what, step.get("instead", MARKER))

    def denied(self, expected: dict, walled: dict) -> None:
        self.assertIn("error", walled)
        error = walled["error"]
        self.assertEqual(error["code"], -32600)
        self.assertIn(expected.get("message", "[mcpwall] "), error["message"])
        self.assertEqual(error["data"]["mcpwall"]["action"], "deny")
        self.assertEqual(error["data"]["mcpwall"]["rule"], expected.get("rule", error["data"]["mcpwall"]["rule"]))
        self.assertNotIn(KEY_BODY, shown(walled))

    def check_events(self, client: str) -> None:
        talk = self.talk(client)
        direct, walled = kinds(talk.direct), kinds(talk.walled)
        self.assertEqual(sorted(direct), sorted(walled))
        for kind, values in direct.items():
            self.same(values, walled[kind], kind)

    def check_ending(self, client: str) -> None:
        """Closing takes no longer than the SDK waits before it kills; nothing is left; the server's stderr arrived."""
        talk = self.talk(client)
        direct, walled = talk.direct["close_s"], talk.walled["close_s"]
        self.assertEqual(talk.left, [])
        self.assertLess(walled, 2 if direct < 2 else direct + 1, f"closing took {walled:.2f} s, without the wall {direct:.2f} s")
        if SCENARIOS[self.name].server in (PEER1, PEER2):
            self.assertGreaterEqual(talk.stderr.count("peer: ready ☃"), 2)
        self.assertNotIn(os.path.basename(peers.WALL) + '", line', talk.stderr, "the wall has a fault")
        self.assertIn(SCENARIOS[self.name].stderr, talk.stderr)

    def check_records(self, client: str) -> None:
        """Each denial and redaction is in the audit log, and no secret is."""
        talk = self.talk(client)
        text = shown(talk.records) + talk.stderr
        for secret in (AWS_KEY, KEY_BODY):
            self.assertNotIn(secret, text)
        denied = [r for r in talk.records if r["action"] == "deny" and r["direction"] == "inbound"]
        self.assertEqual(len(denied), sum("deny" in step for step in talk.steps))
        if any("redact" in step for step in talk.steps):
            self.assertIn("redact", [r["action"] for r in talk.records])


class Vanishing(unittest.TestCase):
    """A client that is killed: neither the wall nor the server stays."""

    def check(self, client: str) -> None:
        if client.startswith("ts") and peers.no_node():
            self.skipTest(peers.no_node())
        if not os.path.isdir("/proc/self"):
            self.skipTest("processes are found by way of /proc")
        alive, left = abandon(client, PEER2)
        self.assertEqual(len(alive), 2, alive)
        self.assertEqual(left, [])

    def test_py2(self) -> None:
        self.check("py2")

    def test_ts1(self) -> None:
        self.check("ts1")


def make(name: str, scenario: Scenario) -> type:
    tests: dict[str, Any] = {"name": name}
    for client in scenario.clients:
        for check in (check for check in vars(Conversation) if check.startswith("check_")):
            def test(self: Any, check: str = check, client: str = client) -> None:
                getattr(self, check)(client)
            tests[f"test_{client.replace('-', '_')}_{check[6:]}"] = test
    return type(name, (Conversation, unittest.TestCase), tests)


for _name, _scenario in SCENARIOS.items():
    globals()[_name] = make(_name, _scenario)
