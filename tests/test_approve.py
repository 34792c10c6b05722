"""What a person consents to: pins in the consent store, calls on the desk, `mcpwall approve`, and the relay between them."""
from __future__ import annotations

import io as streams
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from typing import Any
from unittest import mock

import mcpwall
from tests import support

POSIX = os.name == "posix"
HERE = os.path.dirname(os.path.abspath(__file__))
LONG = 20.0     # seconds after which a test that waits has failed
IDENT = "0123456789abcdef"


def pin(text: str) -> dict[str, str]:
    return mcpwall.text_pin(text)


def tool(name: str, about: str = "", **more: Any) -> dict[str, Any]:
    return {"name": name, "description": about, "inputSchema": {"type": "object"}, **more}


def pins(*tools: dict[str, Any]) -> dict[str, Any]:
    return {"tools": {one["name"]: mcpwall.tool_pin(one) for one in tools}}


def question(**more: Any) -> dict[str, Any]:
    return {"server": "files", "method": "tools/call", "tool": "run", "rule": "ask-all", "reason": "sure?",
            "arguments": '{"cmd": "ls"}', "seconds": 60, **more}


def write(path: str, data: str, mode: int = 0o600) -> str:
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(data)
    os.chmod(path, mode)
    return path


def read(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def python(code: str, *argv: str) -> subprocess.Popen[str]:
    """Another process that has mcpwall imported."""
    top = os.path.dirname(os.path.abspath(mcpwall.__file__))
    return subprocess.Popen([sys.executable, "-c", f"import sys; sys.path.insert(0, {top!r}); import mcpwall\n{code}", *argv],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class Terminal(streams.StringIO):
    def isatty(self) -> bool:
        return True


class Home(unittest.TestCase):
    def setUp(self) -> None:
        box = tempfile.TemporaryDirectory()
        self.addCleanup(box.cleanup)
        self.home = os.path.realpath(box.name)
        self.folder = os.path.join(self.home, ".mcpwall")
        self.path = os.path.join(self.folder, "approved.json")
        self.waiting = os.path.join(self.folder, "waiting")
        self.now = 1.5e9
        self.store = mcpwall.ConsentStore(self.path, lambda: self.now)
        self.out = self.err = ""

    def names(self, server: str = "s", kind: str = "servers") -> list[str]:
        return sorted(self.store.entries(kind).get(server, {}).get("tools", {}))


class Store(Home):
    def test_the_first_pins_stay(self) -> None:
        self.assertIsNone(self.store.pins("s"))
        self.store.keep("s", pins(tool("a", "one")), True)
        self.store.keep("s", pins(tool("a", "two"), tool("b")), True)
        self.assertEqual(self.names(), ["a"])
        known = self.store.pins("s")
        assert known is not None
        self.assertEqual(known["tools"]["a"]["text"], mcpwall.tool_pin(tool("a", "one"))["text"])
        self.assertNotIn("instructions", known)
        self.store.keep("s", {"instructions": pin("be kind")}, True)
        self.store.keep("s", {"instructions": pin("be rude")}, True)
        known = self.store.pins("s")
        assert known is not None
        self.assertEqual((known["instructions"]["text"], list(known["tools"])), ("be kind", ["a"]))
        self.assertIsNone(self.store.pins("other"))
        if POSIX:
            self.assertEqual([os.stat(path).st_mode & 0o777 for path in (self.path, self.folder)], [0o600, 0o700])

    def test_a_server_without_tools_is_known_too(self) -> None:
        self.store.keep("s", {"tools": {}}, True)
        self.store.keep("s", pins(tool("a")), True)
        self.assertEqual((self.store.pins("s") or {})["tools"], {})

    def test_changes_wait_until_they_are_accepted(self) -> None:
        self.store.keep("s", pins(tool("a", "one"), tool("b")), True)
        self.store.keep("s", {**pins(tool("a", "two"), tool("b"), tool("c")), "instructions": pin("x")}, False)
        self.assertEqual(self.names(kind="changes"), ["a", "c"])
        self.store.keep("s", pins(tool("a", "three")), False)
        self.assertEqual(self.names(kind="changes"), ["a", "c"])
        shown = pins(tool("a", "two"), tool("c"))
        self.store.accept("s", shown)
        self.assertEqual(self.names(), ["a", "b", "c"])
        self.assertEqual(self.names(kind="changes"), ["a"], "what came after he looked still waits")
        self.assertEqual((self.store.pins("s") or {})["tools"]["a"]["hash"], shown["tools"]["a"]["hash"])
        self.store.accept("s", {**pins(tool("a", "three")), "instructions": pin("x")})
        self.assertEqual(self.store.entries("changes"), {})

    def test_changes_of_a_server_that_nothing_is_kept_of(self) -> None:
        self.store.keep("s", pins(tool("a")), False)
        self.store.keep("s", pins(tool("a")), True)
        self.assertEqual((self.names(), self.names(kind="changes")), ([], ["a"]), "they do not become known by themselves")

    def test_what_is_known_again_does_not_wait(self) -> None:
        self.store.keep("s", pins(tool("a", "one")), True)
        self.store.keep("s", pins(tool("a", "two")), False)
        self.store.keep("s", pins(tool("a", "one")), False)
        self.assertEqual(self.store.entries("changes"), {})

    def test_revoking(self) -> None:
        self.store.keep("s", {**pins(tool("a"), tool("b")), "instructions": pin("x")}, True)
        self.store.revoke("s", "a")
        self.assertEqual(self.names(), ["b"])
        self.store.revoke("s")
        self.store.keep("s", {**pins(tool("a")), "instructions": pin("x")}, True)
        self.assertEqual(self.names(), [], "it is no stranger that gets a first look again")
        self.assertEqual((self.store.pins("s") or {})["instructions"]["hash"], "")

    def test_an_unchanged_file_is_not_read_again(self) -> None:
        self.store.keep("s", pins(tool("a")), True)
        looks = mock.Mock(wraps=mcpwall.read_config)
        with mock.patch.object(mcpwall, "read_config", looks):
            for _ in range(5):
                self.store.pins("s")
            self.assertEqual(looks.call_count, 1)
            mcpwall.ConsentStore(self.path).keep("s", pins(tool("b")), False)
            looks.reset_mock()
            self.store.pins("s")
            self.store.pins("s")
            self.assertEqual(looks.call_count, 1)
            mcpwall.ConsentStore(self.path).accept("s", pins(tool("b")))
            self.assertEqual(sorted((self.store.pins("s") or {})["tools"]), ["a", "b"])
            os.unlink(self.path)
            self.assertIsNone(self.store.pins("s"))

    def test_nothing_new_writes_nothing(self) -> None:
        self.store.keep("s", pins(tool("a")), True)
        self.store.keep("s", pins(tool("b")), False)
        before = os.stat(self.path)
        self.now += 10
        self.store.keep("s", pins(tool("a")), True)
        self.store.keep("s", pins(tool("b")), False)
        self.store.keep("s", pins(tool("a")), False)
        self.assertEqual(os.stat(self.path).st_ino, before.st_ino)
        self.assertEqual(os.stat(self.path).st_mtime_ns, before.st_mtime_ns)

    def test_other_kinds_stay(self) -> None:
        self.store.approve("/p", b"x")
        self.store.keep("s", pins(tool("a")), True)
        self.assertTrue(self.store.is_approved("/p", b"x"))
        self.store.approve("/q", b"x")
        self.assertEqual(self.names(), ["a"])

    def test_from_a_damaged_file_everything_is_a_change(self) -> None:
        self.store.keep("s", pins(tool("a")), True)
        good = read(self.path)
        cases = ["{", good[:-9], good.replace('"hash"', '"hush"'), '{"version": 1, "servers": {"s": {"tools": []}}}',
                 '{"version": 1, "changes": {"s": {"instructions": {"hash": 1, "text": ""}}}}']
        for bad in cases:
            with self.subTest(bad=bad[:40]):
                write(self.path, bad)
                self.assertEqual(self.store.pins("s"), mcpwall._NOTHING_KNOWN)
                self.assertIsNotNone(self.store.problem)
                with self.assertRaisesRegex(mcpwall.ConfigError, "unusable"):
                    self.store.keep("s", pins(tool("a")), True)
                self.assertEqual((self.names(), self.names(kind="changes")), ([], ["a"]))
                self.assertEqual(read(self.path + ".unusable"), bad)

    @unittest.skipUnless(POSIX, "modes")
    def test_a_file_that_others_can_write_knows_nobody(self) -> None:
        self.store.keep("s", pins(tool("a")), True)
        self.store.pins("s")
        os.chmod(self.path, 0o666)
        self.assertEqual(self.store.pins("s"), mcpwall._NOTHING_KNOWN)
        os.chmod(self.path, 0o600)
        self.assertEqual(list((self.store.pins("s") or {})["tools"]), ["a"])

    def test_bounds(self) -> None:
        long = {"tools": {"a": {"hash": "1", "text": "x" * (mcpwall.MAX_PIN_CHARS + 1)}}}
        self.store.keep("long", long, True)
        self.assertEqual((self.store.pins("long") or {})["tools"]["a"]["text"], "")
        many = {"tools": {f"t{number}": {"hash": "1", "text": "x" * 1000} for number in range(mcpwall.MAX_TOOLS + 7)}}
        with self.assertRaisesRegex(mcpwall.ConfigError, "^7 tools"):
            self.store.keep("many", many, True)
        self.assertEqual(len(self.names("many")), mcpwall.MAX_TOOLS)
        names = {"tools": {f"{number}" + "\u202e" * 900: {"hash": "1", "text": ""} for number in range(500)}}
        with self.assertRaisesRegex(mcpwall.ConfigError, "tools of one server"):
            self.store.keep("names", names, True)
        self.assertLess(os.stat(self.path).st_size, 3 << 20)
        with mock.patch.object(mcpwall, "MAX_CONSENT_BYTES", os.stat(self.path).st_size + 200), \
                self.assertRaisesRegex(mcpwall.ConfigError, "full"):
            self.store.keep("more", pins(tool("a", "x" * 1000)), True)
        self.assertIsNone(self.store.pins("more"))
        with mock.patch.object(mcpwall, "MAX_PINNED_SERVERS", 3):
            with self.assertRaisesRegex(mcpwall.ConfigError, "full"):
                self.store.keep("more", pins(tool("a")), True)
            self.store.keep("many", {"instructions": pin("x")}, True)

    def test_what_could_not_be_read_again_is_not_written(self) -> None:
        self.store.keep("s", pins(tool("a")), True)
        with self.assertRaises(mcpwall.ConfigError):
            self.store.keep("t", {"tools": {"\ud800": {"hash": "1", "text": ""}}}, True)
        self.assertIsNone(self.store.pins("t"))
        self.assertEqual(self.names(), ["a"])

    def test_a_wall_does_not_wait_for_ever(self) -> None:
        with mcpwall.FileLock(self.path + ".lock"), mock.patch.object(mcpwall, "_KEEP_WAIT_S", 0.05), \
                self.assertRaisesRegex(mcpwall.ConfigError, "another mcpwall holds it"):
            self.store.keep("s", pins(tool("a")), True)

    def test_walls_that_pin_at_once(self) -> None:
        code = ("store, me = mcpwall.ConsentStore(sys.argv[1]), sys.argv[2]\n"
                "print('ready', flush=True); sys.stdin.readline()\n"
                "store.keep('shared', {'tools': {me: {'hash': me, 'text': ''}}}, True)\n"
                "for number in range(10):\n"
                "    store.keep(me, {'tools': {str(number): {'hash': '1', 'text': ''}}}, False)\n"
                "print(list(store.pins('shared')['tools']))")
        walls = [python(code, self.path, f"wall{number}") for number in range(3)]
        for wall in walls:
            assert wall.stdout is not None and wall.stdin is not None
            self.assertEqual(wall.stdout.readline(), "ready\n")
        for wall in walls:
            assert wall.stdin is not None
            wall.stdin.write("\n")
            wall.stdin.flush()
        said = [wall.communicate(timeout=LONG)[0] for wall in walls]
        self.assertEqual([wall.returncode for wall in walls], [0, 0, 0])
        self.assertEqual(len(set(said)), 1, "one was first, and all know it")
        for number in range(3):
            self.assertEqual(len(self.names(f"wall{number}", "changes")), 10)
        self.assertEqual(sorted(os.listdir(self.folder)), ["approved.json", "approved.json.lock"])


class DeskTest(Home):
    def setUp(self) -> None:
        super().setUp()
        self.now = time.time()
        self.wall, self.verb = mcpwall.Desk(self.waiting, lambda: self.now), mcpwall.Desk(self.waiting, lambda: self.now)

    def files(self) -> list[str]:
        return sorted(os.listdir(self.waiting))

    def test_question_and_answer(self) -> None:
        self.assertEqual(self.verb.questions(), [])
        self.wall.put(IDENT, question())
        [(ident, asked)] = self.verb.questions()
        self.assertEqual((ident, asked["tool"], asked["left"]), (IDENT, "run", 60))
        if POSIX:
            modes = [os.stat(os.path.join(self.waiting, name)).st_mode & 0o777 for name in ("", f"{IDENT}.json")]
            self.assertEqual(modes + [os.stat(self.folder).st_mode & 0o777], [0o700, 0o600, 0o700])
        self.assertEqual(self.wall.answers(), [])
        for answer in mcpwall.ANSWERS:
            self.verb.answer(IDENT, answer)
            self.assertEqual(self.wall.answers(), [(IDENT, answer)])
        self.assertEqual(self.verb.answers(), [], "of another wall's calls")
        self.wall.withdraw(IDENT)
        self.assertEqual((self.files(), self.wall.answers()), ([], []))
        with self.assertRaises(mcpwall.ConfigError):
            self.verb.answer(IDENT, "once")
        self.assertEqual(self.files(), [])

    def test_only_its_own_calls_are_withdrawn(self) -> None:
        self.wall.put(IDENT, question())
        self.verb.withdraw(IDENT)
        self.verb.close()
        self.assertEqual(self.files(), [f"{IDENT}.json"])
        self.wall.put("f" * 16, question())
        self.wall.close()
        self.assertEqual(self.files(), [])

    def test_what_is_no_name_of_a_call(self) -> None:
        os.makedirs(self.waiting, 0o700)
        for ident in ("", "../../etc/x", IDENT[1:], IDENT + "0", IDENT.upper(), IDENT[:-1] + "/", IDENT[:-1] + "\n", IDENT + "\n"):
            with self.subTest(ident=ident):
                with self.assertRaises(mcpwall.ConfigError):
                    self.wall.put(ident, question())
                with self.assertRaises(mcpwall.ConfigError):
                    self.verb.answer(ident, "once")
        self.assertEqual(self.files(), [])
        self.wall.put(IDENT, question())
        with self.assertRaises(ValueError):
            self.verb.answer(IDENT, "always")

    def test_what_is_no_answer(self) -> None:
        self.wall.put(IDENT, question())
        path = os.path.join(self.waiting, f"{IDENT}.answer")
        for text in ("", "yes", "once\n", "ONCE", " once", "once" * 20, "\x00"):
            write(path, text)
            self.assertEqual(self.wall.answers(), [], text)
        os.unlink(path)
        os.mkdir(path)
        self.assertEqual(self.wall.answers(), [])
        os.rmdir(path)
        if POSIX:
            elsewhere = write(os.path.join(self.home, "word"), "once")
            os.symlink(elsewhere, path)
            self.assertEqual(self.wall.answers(), [])
            os.unlink(path)
            os.link(elsewhere, path)
            self.assertEqual(self.wall.answers(), [])
            os.unlink(path)
            os.mkfifo(path)
            self.assertEqual(self.wall.answers(), [])
            os.unlink(path)
            for mode in (0o666, 0o620, 0o602):
                write(path, "once", mode)
                self.assertEqual(self.wall.answers(), [])
            if os.getuid() == 0:
                os.chmod(path, 0o600)
                os.chown(path, 12345, 12345)
                self.assertEqual(self.wall.answers(), [])
                os.unlink(path)
        self.verb.answer(IDENT, "once")
        self.assertEqual(self.wall.answers(), [(IDENT, "once")])

    @unittest.skipUnless(POSIX, "modes and links")
    def test_a_folder_that_others_can_use_is_no_desk(self) -> None:
        os.makedirs(self.waiting, 0o700)
        for mode in (0o770, 0o701, 0o777):
            os.chmod(self.waiting, mode)
            with self.assertRaisesRegex(mcpwall.ConfigError, "others can use"):
                self.wall.put(IDENT, question())
        os.rmdir(self.waiting)
        os.mkdir(os.path.join(self.home, "other"), 0o700)
        os.symlink(os.path.join(self.home, "other"), self.waiting)
        with self.assertRaisesRegex(mcpwall.ConfigError, "directory of its own"):
            self.wall.put(IDENT, question())
        self.assertEqual(self.verb.questions(), [])
        os.unlink(self.waiting)
        write(self.waiting, "")
        with self.assertRaises(mcpwall.ConfigError):
            self.wall.put(IDENT, question())

    def test_what_is_no_question(self) -> None:
        self.wall.put(IDENT, question())
        good = json.loads(read(os.path.join(self.waiting, f"{IDENT}.json")))
        cases: list[Any] = ["", "[]", "{", {**good, "pid": "1"}, {**good, "pid": True}, {**good, "pid": -1}, {**good, "question": []},
                            {**good, "asked": "x"}, {**good, "expires": 1e400}, {**good, "asked": None}, {}, "[" * 9999]
        for number, bad in enumerate(cases):
            name = os.path.join(self.waiting, f"{number:016x}.json")
            write(name, bad if isinstance(bad, str) else json.dumps(bad))
            self.assertEqual([ident for ident, _ in self.verb.questions()], [IDENT], bad)
            self.assertFalse(os.path.exists(name), bad)
        odd = {**good, "question": {**good["question"], "tool": ["x"], "reason": 7}}
        write(os.path.join(self.waiting, f"{IDENT}.json"), json.dumps(odd))
        self.assertEqual([asked["tool"] for _, asked in self.verb.questions()], [""])
        with self.assertRaises(mcpwall.ConfigError):
            self.wall.put("f" * 16, question(arguments="x" * mcpwall.MAX_QUESTION_BYTES))

    def test_strange_files_stay_where_they_are(self) -> None:
        self.wall.put(IDENT, question())
        for name in ("notes.txt", "0123.json", IDENT + ".json.bak"):
            write(os.path.join(self.waiting, name), "x")
        self.verb.questions()
        self.wall.close()
        self.assertEqual(self.files(), ["0123.json", IDENT + ".json.bak", "notes.txt"])

    def test_what_is_left_behind_is_cleared_away(self) -> None:
        self.wall.put(IDENT, question())
        write(os.path.join(self.waiting, "a" * 16 + ".answer"), "once")
        torn = write(os.path.join(self.waiting, f".{'b' * 16}.answer.mcpwall-0011223344556677.tmp"), "on")
        self.assertEqual(len(self.verb.questions()), 1)
        self.assertEqual(self.files(), [os.path.basename(torn), f"{IDENT}.json"])
        self.now += 61
        self.assertEqual(self.verb.questions(), [], "its time is over")
        self.assertIn(f"{IDENT}.json", self.files(), "but its wall is just about to take it away")
        self.now += 60
        self.verb.questions()
        self.assertEqual(self.files(), [])

    @unittest.skipUnless(POSIX, "process ids")
    def test_a_killed_wall_leaves_nothing_to_answer(self) -> None:
        wall = python("desk = mcpwall.Desk(sys.argv[1]); desk.put(sys.argv[2], {'seconds': 600, 'tool': 'x'})\n"
                      "print('ready', flush=True); sys.stdin.readline()", self.waiting, IDENT)
        assert wall.stdout is not None and wall.stdin is not None
        self.assertEqual(wall.stdout.readline(), "ready\n")
        self.assertEqual([ident for ident, _ in self.verb.questions()], [IDENT])
        self.verb.answer(IDENT, "session")
        wall.kill()
        wall.communicate()
        self.assertEqual(self.wall.answers(), [])
        with self.assertRaises(mcpwall.ConfigError):
            self.verb.answer(IDENT, "once")
        self.assertEqual((self.verb.questions(), self.files()), ([], []))

    @unittest.skipUnless(POSIX, "process ids")
    def test_a_process_id_of_another_machine_says_nothing(self) -> None:
        self.wall.put(IDENT, question())
        path = os.path.join(self.waiting, f"{IDENT}.json")
        about = json.loads(read(path))
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        write(path, json.dumps({**about, "pid": dead.pid, "host": "elsewhere"}))
        self.assertEqual(len(self.verb.questions()), 1)
        write(path, json.dumps({**about, "pid": dead.pid}))
        self.assertEqual(self.verb.questions(), [])

    def test_on_windows_no_process_is_signalled_and_no_link_followed(self) -> None:
        self.wall.put(IDENT, question())
        with mock.patch.object(mcpwall.os, "kill", mock.Mock(side_effect=AssertionError)), mock.patch.object(mcpwall.os, "name", "nt"):
            self.assertEqual(len(self.verb.questions()), 1)
        path = write(os.path.join(self.waiting, f"{IDENT}.answer"), "once")
        with mock.patch.object(mcpwall.os, "name", "nt"):
            self.assertEqual(self.wall.answers(), [(IDENT, "once")])
            if POSIX:
                os.rename(path, path + "x")
                os.symlink(path + "x", path)
                with mock.patch.object(mcpwall.os, "O_NOFOLLOW", 0):
                    self.assertEqual(self.wall.answers(), [])
        about = os.lstat(self.waiting)
        junction = mock.Mock(st_mode=about.st_mode, st_uid=about.st_uid, st_file_attributes=0x410)
        with mock.patch.object(mcpwall.os, "lstat", lambda path: junction):
            self.assertEqual(self.verb.questions(), [])


class Identity(unittest.TestCase):
    def same(self, *commands: str) -> None:
        self.assertEqual(len({mcpwall.server_identity(None, command.split()) for command in commands}), 1, commands)

    def differ(self, *commands: str) -> None:
        self.assertEqual(len({mcpwall.server_identity(None, command.split()) for command in commands}), len(commands), commands)

    def test_versions_and_places_are_no_other_server(self) -> None:
        self.same("npx -y @scope/server-x /p", "npx -y @scope/server-x@1.2.3 /p", "npx -y @scope/server-x@latest /p",
                  "/usr/bin/npx -y @scope/server-x@^2.0.0-beta.1 /p", "C:\\node\\NPX.CMD -y @scope/server-x@1.x /p")
        self.same("uvx pkg", "uvx pkg==1.2", "uvx.exe pkg>=1.2", "uvx pkg~=1.0,<2", "uvx pkg@3")
        self.same("/venv/bin/python3.11 -m srv", "python -m srv", "python3 -m srv", "python.exe -m srv")
        self.same("docker run -i ghcr.io/o/srv:1.2", "docker run -i ghcr.io/o/srv", "docker run -i ghcr.io/o/srv@sha256:0123ab")

    def test_other_servers(self) -> None:
        self.differ("npx -y a", "npx -y b", "npx -y a /p", "npx -y a /q", "npx -y @s/a", "npx -y @t/a", "npx", "uvx a")
        self.differ("ssh u@10.0.0.1 srv", "ssh u@10.0.0.2 srv", "ssh me@10.0.0.1 srv")
        self.differ("mcp-remote https://a.example/x", "mcp-remote https://b.example/x")

    def test_secrets_change_nothing_and_are_not_in_it(self) -> None:
        self.same("node --token abc server.js", "node --token=def server.js", "node --token ghi server.js")
        self.same("docker run -e API_TOKEN=a img", "docker run -e API_TOKEN=b img")
        self.same("mcp-remote https://u:p@h.example/x?key=1", "mcp-remote https://h.example/x", "mcp-remote https://h.example/x#t")
        self.same("srv api_key=1", "srv api_key=2")
        for command in (["node", "--token", "hunter2"], ["sh", "-c", "srv --token hunter2"], ["npx", "hunter2 x"], ["-H", "-H", "hunter2"],
                        ["npx", "--header", "Authorization: hunter2", "x"], ["npx", "https://hunter2@h"], ["env", "A_KEY=hunter2"]):
            self.assertNotIn("hunter2", mcpwall.server_identity(None, command), command)

    def test_form(self) -> None:
        self.assertRegex(mcpwall.server_identity(None, ["npx", "-y", "@s/server-filesystem"]), r"^filesystem-[0-9a-f]{12}$")
        self.assertEqual(mcpwall.server_identity("my files", ["x"]), "my files")
        mcpwall.server_identity("\udcff" * 999, ["x"]).encode()
        for command in ([""], ["\udcff", "", "\0"], ["x", "--token"], ["/"]):
            self.assertRegex(mcpwall.server_identity(None, command), r"^[A-Za-z0-9._+-]+-[0-9a-f]{12}$")


if __name__ == "__main__":
    unittest.main()
