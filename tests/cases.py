"""Runs cases: small inputs as data, each with the outcome that is right. Any implementation could run them.

    python3 tests/cases.py [FILE...]        # each case that is not as wanted, then `N passed, N failed`

A case is a JSON object with `id` and `type`, and if need be: `profile` (a built-in policy, else "default") or `policy` (YAML text of one),
`server` (its name), `note`, `files` {name: text; a name that ends in / is a folder} and `links` {name: target}, made in the empty project,
or in the home when the name begins with ~/. By type:

  call     tool, arguments (or method, params); notification: true sends it without an id; server_command: words of the server (~ is expanded)
           through a real relay. want: allow, deny, ask, or a list of these; log_only counts as allow
  answer   text or result: what read_file (or request: [method, params]) answers. want: "untouched", or "hidden" with hidden: a string or a
           list of strings none of which may reach the host
  session  steps: [peer, message, want] in order. want: null, "passes" (the very line reaches the other side), "stopped", or
           {"hidden": ...}, {"unsaid": ...}, {"said": string} (on stderr). known: steps of an earlier session, whose tools count as known
  wire     lines: [peer, text] in order; want_client: the lines that the host must get, as they stand
  policy   policy, check: words after `check`. It must be refused at load, or be warned of
  command  words after mcpwall.py, stdin, env. want: the exit status; hidden: what must not stand in its output

The gap mark ~|~ is taken out of every text first: it keeps scanners of repositories quiet. ${PROJECT_DIR} is the project.
"""
from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
from tests.support import SCRIPT, TOP, WALL, mcpwall, run_main  # noqa: E402

FOLDER = os.path.join(ROOT, "tests", "data", "cases")
GAP = "~|" + "~"
SERVER = """import json, sys
for line in sys.stdin:
    body = json.loads(line)
    result = {"tools": [{"name": %r, "inputSchema": {"type": "object"}}]} if body["method"] == "tools/list" else {"content": []}
    print(json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": result}), flush=True)
"""


def case_files() -> list[str]:
    """Every file of cases, in order."""
    return sorted(glob.glob(os.path.join(FOLDER, "*.json")))


def load(path: str) -> list[dict]:
    with open(path, encoding="utf-8") as stream:
        return without(json.load(stream))


def without(value, old: str = GAP, new: str = ""):
    """*value* with *old* replaced by *new* in every string, names of members too."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list):
        return [without(item, old, new) for item in value]
    return {without(key, old, new): without(item, old, new) for key, item in value.items()} if isinstance(value, dict) else value


def line(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode() + b"\n"


def strings(value) -> str:
    """All texts of *value*, names of members too, each on a line."""
    if isinstance(value, dict):
        return "\n".join(key + "\n" + strings(item) for key, item in value.items())
    if isinstance(value, list):
        return "\n".join(map(strings, value))
    return value if isinstance(value, str) else json.dumps(value)


def absent(hidden, text: str) -> bool:
    return not any(piece in text for piece in ([hidden] if isinstance(hidden, str) else hidden))


def environment() -> dict[str, str]:
    """What WALL needs to find this module."""
    return {**os.environ, "PYTHONPATH": TOP}


class Runner:
    """Runs cases in a home and a project of its own; `close` gives the process its old ones back."""

    def __init__(self) -> None:
        self.before = {name: os.environ.get(name) for name in ("HOME", "USERPROFILE")}, os.getcwd()
        self.home = os.path.realpath(tempfile.mkdtemp(prefix="mcpwall-cases-"))
        os.environ["HOME"] = os.environ["USERPROFILE"] = self.home
        self.project = os.path.join(self.home, "project")
        os.mkdir(self.project)
        os.chdir(self.project)
        self.walls: dict[str, mcpwall.Wall] = {}
        self.notes = ""

    def close(self) -> None:
        names, folder = self.before
        os.chdir(folder)
        for name, value in names.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        shutil.rmtree(self.home, ignore_errors=True)

    def run(self, case: dict) -> tuple[bool, object]:
        """Is the case as wanted, and what happens now?"""
        case = without(case, "${PROJECT_DIR}", self.project)
        try:
            self.lay(case)
            return getattr(self, case["type"])(case)
        finally:
            for folder in (self.project, self.home):
                for name in os.listdir(folder):
                    name = os.path.join(folder, name)
                    if os.path.isdir(name) and not os.path.islink(name):
                        name == self.project or shutil.rmtree(name)
                    else:
                        os.unlink(name)

    def lay(self, case: dict) -> None:
        """Make the case's files and links."""
        for name, text in case.get("files", {}).items():
            file = os.path.join(self.project, os.path.expanduser(name))
            os.makedirs(file if name.endswith("/") else os.path.dirname(file), exist_ok=True)
            if not name.endswith("/"):
                self.write(file, text)
        for name, target in case.get("links", {}).items():
            os.symlink(os.path.expanduser(target), os.path.join(self.project, os.path.expanduser(name)))

    def write(self, file: str, text: str) -> str:
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(file, 0o600)
        return file

    def session_of(self, case: dict, pins: dict | None = None) -> mcpwall.Session:
        name = case.get("policy") or case.get("profile", "default")
        if name not in self.walls:
            policy = (mcpwall.load_policy(config=self.write(os.path.join(self.home, "policy.yml"), name)) if "policy" in case
                      else mcpwall.builtin_policy(name))
            self.walls[name] = mcpwall.Wall(policy)
        more = {} if pins is None else {"identity": "s", "pins": lambda: pins}
        return mcpwall.Session(self.walls[name], server_name=case.get("server") or "s", **more)

    def feed(self, session: mcpwall.Session, peer: str, data: bytes, pins: dict | None = None) -> tuple[list, list]:
        """(what was sent as (peer, bytes), [(action, rule)])"""
        sent, told = [], []
        for effect in session.receive(peer, data):
            if isinstance(effect, mcpwall.Send):
                sent.append((effect.peer, effect.data))
            elif isinstance(effect, mcpwall.Record):
                record = json.loads(effect.line)
                told.append((record["action"], record.get("rule")))
            elif isinstance(effect, mcpwall.Pinned) and effect.first and pins is not None:
                for kind, pin in effect.pins.items():
                    pins.setdefault(kind, pin)
            elif isinstance(effect, mcpwall.Note):
                self.notes += effect.text + "\n"
        return sent, told

    def listed(self, case: dict, name: str) -> mcpwall.Session:
        """A session in which the server has listed the tool *name*."""
        session = self.session_of(case)
        self.feed(session, "client", line({"jsonrpc": "2.0", "id": 0, "method": "tools/list"}))
        tools = [{"name": name, "inputSchema": {"type": "object"}}]
        self.feed(session, "server", line({"jsonrpc": "2.0", "id": 0, "result": {"tools": tools}}))
        return session

    def answer(self, case: dict) -> tuple[bool, object]:
        method, params = case.get("request") or ["tools/call", {"name": "read_file", "arguments": {"path": "a.txt"}}]
        result = case.get("result") or {"content": [{"type": "text", "text": case["text"]}]}
        session = self.listed(case, params.get("name", "read_file"))
        asked, told = self.feed(session, "client", line({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
        if [peer for peer, _ in asked] != ["server"]:
            return False, ("the request was refused", told)
        body = line({"jsonrpc": "2.0", "id": 1, "result": result})
        sent, told = self.feed(session, "server", body)
        got = b"".join(data for peer, data in sent if peer == "client")
        if case["want"] == "untouched":
            return got == body, (told, got.decode())
        text = strings([json.loads(data) for data in got.splitlines()])
        return absent(case["hidden"], text), (told, text)

    def call(self, case: dict) -> tuple[bool, object]:
        body = {"jsonrpc": "2.0", "id": 1, "method": case.get("method", "tools/call"),
                "params": case.get("params") or {"name": case["tool"], "arguments": case["arguments"]}}
        if case.get("notification"):
            del body["id"]
        name = body["params"].get("name", "read_file")
        told = self.relayed(case, name, body) if "server_command" in case else self.feed(self.listed(case, name), "client", line(body))[1]
        action = told[0][0] if told else "nothing"
        wanted = [case["want"]] if isinstance(case["want"], str) else case["want"]
        return action in wanted or ("allow" in wanted and action == "log_only"), told

    def relayed(self, case: dict, name: str, body: dict) -> list[tuple[str, str]]:
        """What comes of *body* before a stand-in for the server of the case: [("allow" or "deny", the answer)]."""
        words = [os.path.expanduser(word) for word in case["server_command"]]
        stub = self.write(os.path.join(self.home, words[0]), SERVER % name)
        command = [*WALL, "--profile", case.get("profile", "default"), "--", sys.executable, "-S", stub, *words[1:]]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()) as wall:
            for message in ({"jsonrpc": "2.0", "id": 0, "method": "tools/list"}, body):
                wall.stdin.write(line(message))
                wall.stdin.flush()
                answer = wall.stdout.readline()
            wall.stdin.close()
        return [("allow" if "result" in json.loads(answer) else "deny", answer.decode())]

    def session(self, case: dict) -> tuple[bool, object]:
        pins: dict = {}
        log: list = []
        self.notes = ""
        for steps in (case.get("known"), case["steps"]):
            session = self.session_of(case, pins)
            for peer, message, *want in steps or []:
                data = message.encode() + b"\n" if isinstance(message, str) else line(message)
                sent, told = self.feed(session, peer, data, pins)
                got = b"".join(text for to, text in sent if to != peer)
                log.append((told, got.decode(), self.notes))
                if not self.met(want[0] if want else None, data, got):
                    return False, (want[0], log[-1])
                self.notes = ""
        return True, log[-1]

    def met(self, want, data: bytes, got: bytes) -> bool:
        """Is this what was wanted of the line *data*, when *got* reached the other side?"""
        if want is None or isinstance(want, str):
            return {None: True, "passes": got == data, "stopped": got != data}[want]
        text = strings([json.loads(text) for text in got.splitlines()])
        return absent(want.get("hidden", []), text) and absent(want.get("unsaid", []), self.notes) and want.get("said", "") in self.notes

    def wire(self, case: dict) -> tuple[bool, object]:
        session, got = self.session_of(case), []
        for peer, text in case["lines"]:
            sent, _ = self.feed(session, peer, text.encode() + b"\n")
            got += [data.decode().rstrip("\n") for to, data in sent if to == "client"]
        return got == case["want_client"], got

    def policy(self, case: dict) -> tuple[bool, object]:
        file = self.write(os.path.join(self.home, "policy.yml"), case["policy"])
        done = run_main(("-c", file, "check", *case["check"]))
        return done.returncode == 2 or bool(done.stderr.strip()), (done.returncode, (done.stdout + done.stderr).decode().strip()[:160])

    def command(self, case: dict) -> tuple[bool, object]:
        words, text = case["words"], case.get("stdin", "")
        if any(name.endswith(".py") for name in case.get("files", {})):         # what a script imports is asked there
            done = subprocess.run([*SCRIPT, *words], input=text.encode(), capture_output=True, timeout=60,
                                  env={**os.environ, **case.get("env", {})})
        else:
            done = run_main(tuple(words), text, case.get("env"))
        text = (done.stdout + done.stderr).decode()
        return case.get("want", done.returncode) == done.returncode and absent(case.get("hidden", []), text), (done.returncode, text)


def main(files: list[str]) -> int:
    files = [os.path.abspath(file) for file in files] or case_files()
    runner, passed, failed = Runner(), 0, 0
    for file in files:
        for case in load(file):
            fine, now = runner.run(case)
            passed, failed = passed + fine, failed + (not fine)
            if not fine:
                print("NOT AS WANTED", os.path.basename(file), case["id"], "->", str(now)[:170])
    runner.close()
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
