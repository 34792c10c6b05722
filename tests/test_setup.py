"""The setup commands against an empty home: init, wrap, unwrap, status, approve, and the consent store."""
from __future__ import annotations

import io as streams
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from typing import Any

from tests import support
from tests.support import ENDS_S, mcpwall

POSIX = os.name == "posix"
TOKEN = "ghp_" + "x7Kq2mP9vL4nR8tW3yB6cF1hJ5sD0gZaQeUi"     # no token of anybody


class Terminal(streams.StringIO):
    def isatty(self) -> bool:
        return True


def write(path: str, data: bytes | str, mode: int = 0o600) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(data.encode() if isinstance(data, str) else data)
    os.chmod(path, mode)
    return path


def read(path: str) -> str:
    with open(path, "rb") as stream:
        return stream.read().decode()


CURSOR = '''{
  // mine
  "mcpServers": {
    "files": {"command": "npx", "args": ["-y", "server-files@1.2.3", "/data"]},
    "far": {"url": "https://mcp.example.com"},
    "db": {"command": "pg-mcp"}
  }
}
'''
GOOSE = "extensions:\n  git:\n    type: stdio\n    cmd: git-mcp\n    args: [x]\n"


class Desk(unittest.TestCase):
    def setUp(self) -> None:
        box = tempfile.TemporaryDirectory()
        self.addCleanup(box.cleanup)
        self.box = os.path.realpath(box.name)
        self.home, self.project = os.path.join(self.box, "home"), os.path.join(self.box, "work")
        os.mkdir(self.home)
        os.mkdir(self.project)
        self.environ: dict[str, str] = {"PATH": os.path.join(self.box, "bin")}
        self.wall = ["/usr/bin/env", mcpwall.__file__]
        self.cursor = os.path.join(self.home, ".cursor", "mcp.json")
        self.out = self.err = ""

    def run_(self, command: str, *argv: str, answers: str | None = None, fs: Any = os) -> int:
        """Exit status of a sub-command; without *answers* there is no terminal. Usage errors are 2, as in `main`."""
        stdin = streams.StringIO() if answers is None else Terminal(answers)
        out, err = streams.StringIO(), streams.StringIO()
        io = mcpwall.Surroundings(self.home, self.project, self.environ, "linux", self.wall, stdin, out, err, fs,
                                  os.path.join(self.box, "root"))
        try:
            status = mcpwall.VERBS[command](list(argv), io)  # type: ignore[call-arg]
        except mcpwall.WallError as fault:
            err.write(f"mcpwall: {fault}\n")
            status = 2
        self.out, self.err = out.getvalue(), err.getvalue()
        return status

    def backup(self, path: str) -> str:
        return mcpwall.backup_of(path, os.path.join(self.home, ".mcpwall", "backups"))

    def wrapped(self, path: str, keys: tuple[str, ...] = ("mcpServers",)) -> list[str]:
        file = mcpwall.ConfigFile(("x",), "user", path, keys, mcpwall.config_form(path))
        return [s.name for s in mcpwall.list_servers(file, read(path)) if s.wrapper]


class Init(Desk):
    def test_without_a_terminal_it_never_guesses(self) -> None:
        write(self.cursor, CURSOR)
        for argv in ([], ["--all"], ["--yes"], ["files"]):
            self.assertEqual(self.run_("init", *argv), 2)
            self.assertIn("no terminal to ask at", self.err)
        self.assertEqual(read(self.cursor), CURSOR)
        self.assertFalse(os.path.exists(os.path.join(self.home, ".mcpwall")))

    def test_all_at_once(self) -> None:
        write(self.cursor, CURSOR)
        write(os.path.join(self.project, ".mcp.json"), '{"mcpServers": {"p": {"command": "x"}}}')
        write(os.path.join(self.home, ".config", "goose", "config.yaml"), GOOSE)
        self.assertEqual(self.run_("init", "--all", "--yes"), 0)
        self.assertEqual(self.wrapped(self.cursor), ["files", "db"])
        self.assertEqual(self.wrapped(os.path.join(self.project, ".mcp.json")), ["p"])
        self.assertIn(f'"--project", "{self.project}"', read(os.path.join(self.project, ".mcp.json")))
        self.assertEqual(read(os.path.join(self.home, ".config", "goose", "config.yaml")), GOOSE)
        for words in ("far", "not covered: a remote server (url)", "lines to paste", "claude-code, copilot",
                      '-    "db": {"command": "pg-mcp"}', "may be shared"):
            self.assertIn(words, self.out)
        before = read(self.cursor)
        self.assertEqual(self.run_("init", "--all", "--yes"), 0)
        self.assertIn("Nothing to wrap.", self.out)
        self.assertEqual(read(self.cursor), before)

    def test_the_starter_policy_loads(self) -> None:
        write(self.cursor, CURSOR)
        self.assertEqual(self.run_("init", "--all", "--yes", "--profile", "strict"), 0)
        path = os.path.join(self.home, ".mcpwall", "config.yml")
        layer = mcpwall.parse_policy(read(path), path)
        self.assertEqual(layer.data, {"version": 1, "extends": "strict"})
        plain = "\n".join(line[2:] if line[:2] == "# " and line[2:3] in "sr -" and ":" in line else line
                          for line in read(path).split("\n")[4:])
        self.assertEqual([rule["name"] for rule in mcpwall.parse_policy(plain, path).data["rules"]],
                         ["fixture-keys-are-fake", "no-pushes"])
        if POSIX:
            self.assertEqual((os.stat(path).st_mode & 0o777, os.stat(os.path.dirname(path)).st_mode & 0o777),
                             (0o600, 0o700))

    def test_an_existing_policy_stays(self) -> None:
        write(self.cursor, CURSOR)
        path = write(os.path.join(self.home, ".mcpwall", "config.yaml"), "version: 1\n")
        self.assertEqual(self.run_("init", "--all", "--yes", "--profile", "strict"), 1)
        self.assertIn("kept as it is", self.out)
        self.assertIn("strict is not in force", self.err)
        self.assertEqual(os.listdir(os.path.dirname(path)), [n for n in os.listdir(os.path.dirname(path))
                                                             if n in ("config.yaml", "lock", "backups")])

    def test_a_policy_that_does_not_load_is_said_by_init(self) -> None:
        write(self.cursor, CURSOR)
        write(os.path.join(self.home, ".mcpwall", "config.yml"), "version: 1\nrulez: []\n")
        self.assertEqual(self.run_("init", "--all", "--yes"), 1)
        self.assertIn("rulez", self.err)
        self.assertIn("no server starts", self.err)

    def test_the_home_directory_is_a_note_and_no_problem(self) -> None:
        self.project = self.home
        self.assertEqual(self.run_("status"), 0)
        self.assertIn("Notes:\n- ", self.out)

    def test_a_policy_is_replaced_with_consent_only(self) -> None:
        path = write(os.path.join(self.home, ".mcpwall", "config.yml"), "version: 1 # mine\n")
        self.assertEqual(self.run_("init", "--profile", "strict", answers="n\n"), 1)
        self.assertEqual(read(path), "version: 1 # mine\n")
        self.assertEqual(self.run_("init", "--profile", "strict", answers="y\n"), 0)
        self.assertIn("extends: strict", read(path))
        self.assertEqual(read(self.backup(path)), "version: 1 # mine\n")

    def test_choosing(self) -> None:
        for answer, expected in (("3\ny\n", ["db"]), ("1-3\ny\n", ["files", "db"]), ("all\ny\n", ["files", "db"]),
                                 ("1, 3\nyes\n", ["files", "db"]), ("1 1\ny\n", ["files"]), ("db\ny\n", ["db"]), ("\n", []), ("", [])):
            with self.subTest(answer=answer):
                write(self.cursor, CURSOR)
                self.assertEqual(self.run_("init", answers=answer), 0)
                self.assertEqual(self.wrapped(self.cursor), expected)
        for answer in ("0\n", "4\n", "2-1\n", "x\n", "1-\n", "-1\n", "99999999999999999999\n", "1;rm\n"):
            with self.subTest(answer=answer):
                write(self.cursor, CURSOR)
                self.assertEqual(self.run_("init", answers=answer), 2)
                self.assertEqual(read(self.cursor), CURSOR)

    def test_declined_and_dry_run(self) -> None:
        write(self.cursor, CURSOR)
        self.assertEqual(self.run_("init", "--all", answers="n\n"), 1)
        self.assertIn("Nothing was written.", self.out)
        self.assertEqual(self.run_("init", "--dry-run"), 0)
        self.assertIn("+++ ", self.out)
        self.assertEqual(read(self.cursor), CURSOR)
        self.assertEqual(os.listdir(self.home), [".cursor"])

    def test_names_and_clients(self) -> None:
        write(self.cursor, CURSOR)
        other = write(os.path.join(self.home, ".gemini", "settings.json"), CURSOR)
        self.assertEqual(self.run_("init", "files", "--yes", "--client", "gemini", "kiro"), 0)
        self.assertEqual((self.wrapped(self.cursor), self.wrapped(other)), ([], ["files"]))
        self.assertEqual(self.run_("init", "--yes", "--client", "cursor"), 2)      # it never guesses
        self.assertEqual(self.run_("init", "--yes", "--all", "--client", "cursor"), 0)
        self.assertEqual(self.wrapped(self.cursor), ["files", "db"])
        for argv, words in ((["filse"], "files"), (["--client", "cursr"], "cursor"), (["--profile", "stric"], "strict"),
                            (["--bogus"], "--bogus"), (["--client"], "--client")):
            self.assertEqual(self.run_("init", *argv), 2)
            self.assertIn(words, self.err)
            self.assertEqual(self.err.count("\n"), 1)

    def test_one_failing_file_does_not_stop_the_others(self) -> None:
        broken = write(os.path.join(self.home, ".claude.json"), '{\n "mcpServers": {,}}')
        binary = write(os.path.join(self.home, ".kiro", "settings", "mcp.json"), b"\0\1\2")
        big = write(os.path.join(self.home, ".junie", "mcp", "mcp.json"), "")
        os.truncate(big, 50 * 1024 * 1024)
        twice = write(os.path.join(self.home, ".warp", ".mcp.json"),
                      '{"a": {"command": "x"}, "a": {"command": "y"}, "b": {"command": "z"}}')
        read_only = write(os.path.join(self.home, ".boltai", "mcp.json"), CURSOR, 0o400)
        write(self.cursor, CURSOR)
        self.assertEqual(self.run_("init", "--all", "--yes"), 1)
        self.assertEqual(self.wrapped(self.cursor), ["files", "db"])
        for words in (f"{broken}:2:17: ", f"{binary}: binary", f"{big}: 50 MB",
                      f"{read_only}: read-only" if POSIX else ""):
            self.assertIn(words, self.err)
        self.assertIn("not covered: its name occurs twice", self.out)
        self.assertEqual(self.wrapped(twice, ()), ["b"])
        self.assertEqual(read(broken), '{\n "mcpServers": {,}}')

    def test_a_hostile_checkout_takes_no_time(self) -> None:
        servers = ",".join('"%d": {"command": "x"}' % number for number in range(12_000))
        for number, text in enumerate(('{"mcpServers": {%s}}' % servers, '{"mcpServers": [%s 1]}' % ('{"name": "n"},' * 12_000),
                                       '{"mcpServers":' * 5000, '{"mcpServers": {%s}}' % ('"a": {"command": "x"},' * 12_000))):
            write(os.path.join(self.project, ".mcp.json"), text)
            start = time.process_time()
            self.assertEqual(self.run_("init", "--all", "--dry-run"), 0 if number == 3 else 1)
            self.assertLess(time.process_time() - start, ENDS_S)

    def test_a_full_disk(self) -> None:
        class Full:
            def __getattr__(self, name: str) -> Any:
                if name == "write":
                    raise OSError(28, "No space left on device")
                return getattr(os, name)
        write(self.cursor, CURSOR)
        self.assertEqual(self.run_("init", "--all", "--yes", fs=Full()), 1)
        self.assertIn("No space left", self.err)
        self.assertEqual(read(self.cursor), CURSOR)

    def test_secrets_and_control_characters_are_not_shown(self) -> None:
        entry = {"command": "x\x1b[2J", "args": ["--token", TOKEN], "env": {"GITHUB_TOKEN": TOKEN}}
        for text in (json.dumps({"mcpServers": {"a\u202eb\n": entry}}, indent=1),
                     json.dumps({"pad": "p" * 2000, "mcpServers": {"a\u202eb\n": entry}})):
            write(self.cursor, text)
            self.assertEqual(self.run_("init", "--all", "--dry-run"), 0)
            self.assertNotIn(TOKEN[:12], self.out)
            self.assertIn(mcpwall.MARKER[:9], self.out)
            self.assertIn("the file keeps the secret", self.out)
            self.assertTrue(all(c == "\n" or c.isprintable() for c in self.out))

    def test_values_of_variables_and_named_secrets_are_masked_wherever_they_stand(self) -> None:
        hidden = [f"plain-word-{n}" for n in range(14)]
        text = """{
  // apiKey: "%s"
  "apiToken": "%s", "inputs": [{"id": "t", "default": "%s"}],
  "mcpServers": {
    "a": {"command": "npx", "args": ["--api-key", "%s", "--token=%s", "https://me:%s@host/x?key=%s", "-e", "TOP=%s"],
      "env": {"LEVEL": "%s", "N": 8443, "TWO": "%s"}, "transportless": true},
    "b": {"url": "https://h/sse?api_key=%s", "headers": {"X-Any": "%s"}}
  }
}
""" % tuple(hidden[:12])
        write(self.cursor, text)
        codex = '[mcp_servers.a]\ncommand = "x"\n[mcp_servers.a.env]\nLEVEL = "%s"\n\n[mcp_servers.b]\ncommand = "y"\nenv = { A = "%s" }\n'
        write(os.path.join(self.home, ".codex", "config.toml"), codex % tuple(hidden[12:]))
        for argv in (("init", "--all", "--dry-run"), ("init", "--all", "--yes"), ("status",), ("status", "--json"), ("unwrap", "--all", "--dry-run"),
                     ("unwrap", "--restore", self.cursor, "--dry-run")):
            self.run_(*argv)
            said = self.out + self.err
            self.assertEqual([word for word in (*hidden, "8443") if word in said], [], argv)
            self.assertTrue("REDACTED" in said or argv[0] == "status")

    def test_one_file_with_two_maps_is_written_once(self) -> None:
        text = '{"projects": {"/p": {"mcpServers": {"a": {"command": "x"}}}}, "mcpServers": {"b": {"command": "y"}}}'
        path = write(os.path.join(self.home, ".claude.json"), text)
        self.assertEqual(self.run_("init", "--all", "--yes"), 0)
        self.assertEqual(self.out.count("wrote "), 1)
        self.assertIn('"--server-name", "a", "--project", "/p", "--", "x"', read(path))
        self.assertEqual(read(self.backup(path)), text)
        self.assertEqual(self.run_("unwrap", "--yes", "a"), 0)
        self.assertEqual(read(self.backup(path)), text)
        self.assertEqual(self.run_("unwrap", "--yes", "b"), 0)
        self.assertEqual((read(path), sorted(os.listdir(self.home))), (text, [".claude.json", ".mcpwall"]))

    def test_no_hosts(self) -> None:
        self.assertEqual(self.run_("init", "--all", "--yes"), 0)
        self.assertIn("Nothing to wrap.", self.out)
        self.assertIn("  cursor: ~/.cursor/mcp.json, ", self.out)

    def test_enter_writes_nothing(self) -> None:
        write(self.cursor, CURSOR)
        for answers in ("\n", ""):
            self.assertEqual(self.run_("init", answers=answers), 0)
        self.assertEqual((read(self.cursor), os.listdir(self.home)), (CURSOR, [".cursor"]))

    def test_a_typo_is_asked_about_again(self) -> None:
        write(self.cursor, CURSOR)
        self.assertEqual(self.run_("init", answers="dbb\n9\ndb\ny\n"), 0)
        self.assertEqual((self.err.count("\n"), self.wrapped(self.cursor)), (2, ["db"]))

    def test_files_can_be_chosen_one_by_one(self) -> None:
        write(self.cursor, CURSOR)
        other = write(os.path.join(self.home, ".gemini", "settings.json"), CURSOR)
        self.assertEqual(self.run_("init", "--all", answers="e\nn\ny\n"), 0)
        self.assertEqual((self.wrapped(self.cursor), self.wrapped(other)), ([], ["files", "db"]))

    def test_a_policy_for_one_project_asks_which(self) -> None:
        write(self.cursor, CURSOR)
        self.assertEqual(self.run_("wrap", "db", "--profile", "strict", answers="nowhere\n~\n"), 0)
        self.assertIn(f'"--project", "{self.home}", "--profile", "strict"', read(self.cursor))
        self.assertEqual(self.run_("wrap", "db"), 0)
        self.assertIn("already wrapped", self.out)
        self.assertEqual(self.run_("wrap", "files", "--profile", "strict"), 0)
        self.assertIn("add --project DIR", self.err)
        self.run_("status")
        self.assertIn("PROJECT_DIR may be empty there", self.out)
        self.assertTrue(next(line for line in self.out.splitlines() if "PROJECT_DIR" in line).endswith(": files"))
        self.assertEqual(self.run_("wrap", "files", "--project", "none"), 2)
        self.assertEqual(self.run_("wrap", "files", "--project", self.project), 0)
        self.assertIn(f'"--server-name", "files", "--project", "{self.project}", "--profile", "strict"', read(self.cursor))


class WrapAndUnwrap(Desk):
    def test_there_and_back(self) -> None:
        write(self.cursor, CURSOR)
        self.assertEqual(self.run_("wrap", "files"), 0)
        self.assertEqual(self.wrapped(self.cursor), ["files"])
        self.assertEqual(self.run_("wrap", "files"), 0)
        self.assertIn("already wrapped", self.out)
        self.assertEqual(self.run_("unwrap", "--yes", "files"), 0)
        self.assertEqual(read(self.cursor), CURSOR)
        self.assertEqual(os.listdir(os.path.dirname(self.cursor)), ["mcp.json"])
        self.assertEqual(self.run_("unwrap", "--yes", "files"), 0)
        self.assertIn("not wrapped", self.out)

    def test_nobody_takes_the_wall_away_without_a_terminal_or_yes(self) -> None:
        write(self.cursor, CURSOR)
        self.run_("init", "--all", "--yes")
        walled = read(self.cursor)
        for argv in (["files"], ["--all"]):
            self.assertEqual(self.run_("unwrap", *argv), 2, argv)
            self.assertIn("unwrap: there is no terminal to ask at; to take the wall away without one, add --yes", self.err)
            self.assertEqual(self.run_("unwrap", *argv, "--dry-run"), 0, argv)
            self.assertEqual(read(self.cursor), walled)
        self.assertEqual(self.run_("unwrap", "files", answers=""), 0)
        self.assertEqual(self.wrapped(self.cursor), ["db"])
        self.assertEqual(self.run_("unwrap", "--all", "--yes"), 0)
        self.assertEqual(read(self.cursor), CURSOR)

    def test_in_every_file_that_names_it(self) -> None:
        paths = [write(os.path.join(self.home, *parts), CURSOR) for parts in
                 ((".cursor", "mcp.json"), (".gemini", "settings.json"), (".kiro", "settings", "mcp.json"))]
        self.assertEqual(self.run_("wrap", "db", "--client", "kiro", "--client", "cursor"), 0)
        self.assertEqual([self.wrapped(path) for path in paths], [["db"], [], ["db"]])
        self.assertEqual(self.run_("wrap", "db"), 0)
        self.assertEqual([self.wrapped(path) for path in paths], [["db"]] * 3)
        self.assertEqual(self.run_("unwrap", "--yes", "--all"), 0)
        self.assertEqual({read(path) for path in paths}, {CURSOR})
        self.assertEqual(self.run_("unwrap", "--yes", "--all"), 0)
        self.assertIn("Nothing to unwrap.", self.out)

    def test_policies(self) -> None:
        write(self.cursor, CURSOR)
        policy = write(os.path.join(self.project, "p.yml"), "version: 1\n")
        self.assertEqual(self.run_("wrap", "db", "--profile", "strict"), 0)
        self.assertIn('"--server-name", "db", "--profile", "strict", "--", "pg-mcp"', read(self.cursor))
        self.assertEqual(self.run_("wrap", "db"), 0)
        self.assertIn("already wrapped", self.out)
        self.assertEqual(self.run_("wrap", "db", "--server-policy", "p.yml"), 2)
        self.assertIn("no terminal", self.err)
        self.assertIn("strict", read(self.cursor))
        self.assertEqual(self.run_("wrap", "db", "--server-policy", "p.yml", "--yes"), 0)
        self.assertIn(f'"-c", "{policy}", "--", "pg-mcp"', read(self.cursor))
        self.assertNotIn("strict", read(self.cursor))
        self.assertEqual(self.run_("wrap", "db", "--server-policy", "none.yml"), 2)
        self.assertEqual(self.run_("wrap", "db", "--profile", "nope"), 2)
        self.assertEqual(self.run_("wrap", "db", "--profile", "strict", "--server-policy", "p.yml"), 2)
        write(policy, "rules: 3\n")
        self.assertEqual(self.run_("wrap", "db", "--server-policy", "p.yml"), 2)

    def test_variables_of_an_entry_are_named_and_come_back(self) -> None:
        text = CURSOR.replace('{"command": "pg-mcp"}', '{"command": "pg-mcp", "env": {"PG_TOKEN": "' + TOKEN + '", "odd name": "v"}, "envFile": ".env"}')
        write(self.cursor, text)
        codex = '[mcp_servers.db]\ncommand = "x"\nargs = ["1"]\nenv_vars = ["C"]\n[mcp_servers.db.env]\nA = "b"\n'
        path = write(os.path.join(self.home, ".codex", "config.toml"), codex)
        self.assertEqual(self.run_("init", "db", "--yes"), 0)
        self.assertIn('"--server-name", "db", "--env", "PG_TOKEN", "--", "pg-mcp"', read(self.cursor))
        self.assertIn('"--server-name", "db", "--env", "A,C", "--", "x"', read(path))
        self.assertIn("not named in --env: 'odd name', the variables of its envFile;", self.err)
        self.assertNotIn(TOKEN, self.out + self.err)
        self.assertEqual(read(self.cursor).count(TOKEN), 1)
        self.assertEqual(self.run_("wrap", "db"), 0)
        self.assertEqual(self.out.count("already wrapped"), 2)
        self.assertEqual(self.run_("unwrap", "--yes", "db"), 0)
        self.assertEqual((read(self.cursor), read(path)), (text, codex))
        self.assertEqual(self.run_("wrap", "files"), 0)
        self.assertNotIn("--env", read(self.cursor))

    def test_variables_named_by_hand_stay(self) -> None:
        entry = {"command": "python3", "args": [mcpwall.__file__, "--env", "B_*", "--log-level", "warn", "--", "x"], "env": {"A": "1", "B_1": "2"}}
        write(os.path.join(self.box, "bin", "python3"), "")
        os.chmod(os.path.join(self.box, "bin", "python3"), 0o755)
        write(self.cursor, json.dumps({"mcpServers": {"s": entry}}))
        self.assertEqual(self.run_("wrap", "s"), 0)
        args = json.loads(read(self.cursor))["mcpServers"]["s"]["args"]
        self.assertEqual(args[1:], ["--env", "B_*", "--log-level", "warn", "--env", "A", "--", "x"])
        self.assertEqual(self.run_("wrap", "s"), 0)
        self.assertIn("already wrapped", self.out)
        self.assertEqual(self.run_("wrap", "s", "--profile", "strict", "--yes"), 0)
        args = json.loads(read(self.cursor))["mcpServers"]["s"]["args"]
        self.assertEqual(args[1:], ["--server-name", "s", "--profile", "strict", "--env", "B_*,A", "--", "x"])

    def test_a_policy_that_withholds_what_an_entry_sets_needs_attention(self) -> None:
        entry = {"command": self.wall[0], "args": [self.wall[1], "--profile", "strict", "--", "/bin/sh"], "env": {"A": "1", "LANG": "C"}}
        write(self.cursor, json.dumps({"mcpServers": {"s": entry}}))
        self.assertEqual(self.run_("status"), 1)
        self.assertIn("s: its policy withholds what its entry sets: A; wrap it again", self.out)
        self.assertEqual(self.run_("wrap", "s"), 0)
        self.run_("status")
        self.assertNotIn("withholds", self.out)
        entry["args"][1:3] = ["--profile", "default"]
        write(self.cursor, json.dumps({"mcpServers": {"s": entry}}))
        self.run_("status")
        self.assertNotIn("withholds", self.out)

    def test_a_wall_that_is_gone_is_replaced(self) -> None:
        write(self.cursor, CURSOR)
        real, self.wall = self.wall, ["/nowhere/python3", "/nowhere/mcpwall.py"]
        self.assertEqual(self.run_("wrap", "db", "--profile", "strict"), 0)
        self.wall = real
        self.assertEqual(self.run_("status"), 1)
        self.assertIn("is gone; wrap it again", self.out)
        self.assertEqual(self.run_("wrap", "db"), 0)
        self.assertNotIn("nowhere", read(self.cursor))
        self.assertIn('"--profile", "strict", "--"', read(self.cursor))
        self.assertEqual(self.run_("unwrap", "--yes", "db"), 0)
        self.assertEqual(read(self.cursor), CURSOR)

    def test_what_is_not_wrapped_by_itself(self) -> None:
        write(self.cursor, CURSOR)
        goose = write(os.path.join(self.home, ".config", "goose", "config.yaml"), GOOSE)
        self.assertEqual(self.run_("wrap", "far"), 1)
        self.assertIn("not covered", self.out)
        self.assertEqual(self.run_("wrap", "git"), 1)
        self.assertIn('cmd: "/usr/bin/env"', self.out)
        self.assertIn('"--server-name", "git", "--", "git-mcp", "x"]', self.out)
        self.assertEqual(read(goose), GOOSE)
        pasted = [line.strip() for line in self.out.split("\n") if line.startswith("    ")]
        write(goose, GOOSE.replace("cmd: git-mcp", pasted[0]).replace("args: [x]", pasted[1]))
        self.assertEqual(self.run_("unwrap", "--yes", "git"), 1)
        self.assertIn('cmd: "git-mcp"\n    args: ["x"]', self.out)
        write(os.path.join(self.home, ".codex", "config.toml"), 'mcp_servers.t = {command = "x", args = ["1"]}')
        self.assertEqual(self.run_("wrap", "t"), 1)
        self.assertIn('args = ["', self.out)

    def test_what_was_pasted_is_not_offered_again(self) -> None:
        goose = write(os.path.join(self.home, ".config", "goose", "config.yaml"), GOOSE)
        codex = write(os.path.join(self.home, ".codex", "config.toml"), '[mcp_servers]\nin = { command = "npx", args = ["q"] }\n')
        self.assertEqual([self.run_("wrap", "git"), self.run_("wrap", "in")], [1, 1])
        write(codex, "[mcp_servers]\n" + self.out.splitlines()[-1].strip() + "\n")
        self.run_("wrap", "git")
        pasted = [line.strip() for line in self.out.splitlines()[-2:]]
        write(goose, GOOSE.replace("cmd: git-mcp", pasted[0]).replace("args: [x]", pasted[1]))
        for name in ("git", "in"):
            self.assertEqual(self.run_("wrap", name), 0)
            self.assertIn("already wrapped", self.out)
            self.assertEqual(self.run_("unwrap", "--yes", name), 1)
        self.assertIn('in = { command = "npx", args = ["q"] }', self.out)

    def test_only_what_happened_is_said(self) -> None:
        write(self.cursor, CURSOR)
        self.assertEqual(self.run_("wrap", "db"), 0)
        self.assertIn("(as it was: ~/.mcpwall/backups/mcp.json-", self.out)
        self.assertIn("Restart the hosts", self.out)
        self.assertEqual(self.run_("unwrap", "--yes", "db"), 0)
        self.assertIn("wrote ~/.cursor/mcp.json\n", self.out)
        os.chmod(self.cursor, 0o444)
        self.assertEqual(self.run_("wrap", "db"), 1)
        self.assertIn("read-only", self.err)
        self.assertNotIn("Restart", self.out)

    def test_servers_of_the_same_name_in_two_projects(self) -> None:
        servers = {"mcpServers": {"git": {"command": "x"}}}
        path = os.path.join(self.home, ".claude.json")
        write(path, json.dumps({"projects": {os.path.join(self.home, "a"): servers, "/srv/b": servers}}, indent=1))
        self.assertEqual(self.run_("init", "zzz", "--yes"), 2)
        self.assertIn("known: git\n", self.err)
        self.run_("status")
        for words in ("git (~/a)     not wrapped", "git (/srv/b)  not wrapped", ": git (~/a), git (/srv/b) [unwrapped]"):
            self.assertIn(words, self.out)

    def test_the_diff_of_a_long_file(self) -> None:
        entries = [{"n": n} for n in range(2000)]
        text = json.dumps({"x": entries, "mcpServers": {"a": {"command": "x"}}, "y": entries}, indent=1)
        write(self.cursor, text + "\n")
        self.assertEqual(self.run_("wrap", "a", "--dry-run"), 0)
        at = text[:text.index('"command"')].count("\n") + 1
        self.assertIn(f"@@ -{at - 3},7 +{at - 3},", self.out)
        self.assertLess(len(self.out.splitlines()), 30)

    def test_codex(self) -> None:
        text = '# mine\r\n[mcp_servers.t] # here\r\ncommand = "x"\r\n\r\n[mcp_servers.t.env]\r\nA = "b"'
        path = write(os.path.join(self.home, ".codex", "config.toml"), text)
        self.assertEqual(self.run_("wrap", "t"), 0)
        self.assertIn('command = "/usr/bin/env"\r\nargs = [ "', read(path))
        self.assertEqual(self.run_("unwrap", "--yes", "t"), 0)
        self.assertEqual(read(path), text)

    def test_a_host_that_is_not_known(self) -> None:
        path = write(os.path.join(self.project, "mine.json"),
                     '{"a.b": {"c/d": {"s": {"command": "x"}}}, "t": {"u": {"s": {"command": "x"}}}}')
        self.assertEqual(self.run_("wrap", "s", "--config", "mine.json", "--key", "/a.b/c~1d"), 0)
        self.assertEqual(self.wrapped(path, ("a.b", "c/d")), ["s"])
        self.assertEqual(self.run_("wrap", "s", "--config", "mine.json", "--key", "t.u"), 0)
        self.assertEqual(self.run_("unwrap", "--yes", "s", "--config", "mine.json", "--key", "t.u"), 0)
        self.assertEqual(self.wrapped(path, ("t", "u")), [])
        self.assertEqual(self.run_("wrap", "s", "--key", "t.u"), 2)
        self.assertEqual(self.run_("wrap", "s", "--config", "mine.json"), 2)
        self.assertEqual(self.run_("wrap", "s", "--config", "none.json"), 2)
        self.assertIn("none.json: No such file", self.err)

    def test_restore(self) -> None:
        write(self.cursor, CURSOR)
        self.assertEqual(self.run_("unwrap", "--restore", self.cursor, "--yes"), 1)
        self.run_("wrap", "db")
        self.assertEqual(self.run_("unwrap", "--restore", self.cursor), 2)
        self.assertEqual(self.run_("unwrap", "--restore", self.cursor, answers="n\n"), 1)
        self.assertEqual(self.wrapped(self.cursor), ["db"])
        self.assertEqual(self.run_("unwrap", "--restore", self.cursor, "--dry-run"), 0)
        self.assertEqual(self.run_("unwrap", "--restore", self.cursor, answers="y\n"), 0)
        self.assertEqual(read(self.cursor), CURSOR)

    def test_a_deleted_file_comes_back_and_only_what_was_shown(self) -> None:
        write(self.cursor, CURSOR)
        self.run_("wrap", "db")
        shown = read(self.cursor).encode(), CURSOR.encode()
        write(self.cursor, read(self.cursor) + " ")
        with self.assertRaises(mcpwall.ConfigChanged):
            mcpwall.restore_config(self.cursor, os.path.join(self.home, ".mcpwall", "lock"), shown=shown)
        os.unlink(self.cursor)
        os.rmdir(os.path.dirname(self.cursor))
        self.assertEqual(self.run_("unwrap", "--restore", self.cursor, answers="y\n"), 0)
        self.assertIn("not there any more", self.out)
        self.assertEqual(read(self.cursor), CURSOR)
        self.assertEqual(self.run_("unwrap", "--restore", self.cursor, "--yes"), 1)
        self.assertIn("there is no backup", self.err)

    def test_a_backup_of_an_older_version_beside_the_file_is_found(self) -> None:
        write(self.cursor, CURSOR.replace("pg-mcp", "new"))
        write(self.cursor + mcpwall.BACKUP_SUFFIX, CURSOR)
        self.assertEqual(self.run_("unwrap", "--restore", self.cursor, "--yes"), 0)
        self.assertEqual((read(self.cursor), os.listdir(os.path.dirname(self.cursor))), (CURSOR, ["mcp.json"]))

    def test_misuse(self) -> None:
        write(self.cursor, CURSOR)
        for command, argv in (("wrap", []), ("wrap", ["a", "b"]), ("wrap", ["nobody"]), ("wrap", ["db", "--client", "no"]),
                              ("unwrap", []), ("unwrap", ["db", "--all"]), ("unwrap", ["nobody"]), ("status", ["x"]),
                              ("unwrap", ["--restore"]), ("approve", ["a", "--list"]), ("approve", ["--ack", "a"]), ("init", ["--al"])):
            with self.subTest(command=command, argv=argv):
                self.assertEqual(self.run_(command, *argv), 2)
                self.assertEqual(self.err.count("\n"), 1)
        for command in mcpwall.VERBS:
            self.assertEqual(self.run_(command, "--help"), 0)
            self.assertTrue(self.out.startswith(f"usage: mcpwall {command}"))


class Status(Desk):
    def kinds(self, *argv: str) -> set[str]:
        status = self.run_("status", "--json", *argv)
        attention = json.loads(self.out)["attention"]
        self.assertEqual(status, 1 if attention else 0)
        return {item["kind"] for item in attention}

    def test_nothing(self) -> None:
        self.assertEqual(self.run_("status"), 0)
        self.assertIn("Nothing needs attention.", self.out)
        write(os.path.join(self.box, "bin", "pg-mcp"), "", 0o755)
        write(self.cursor, '{"mcpServers": {"db": {"command": "pg-mcp"}}}')
        self.assertEqual(self.run_("wrap", "db"), 0)
        self.assertEqual(self.run_("status"), 0)
        self.assertIn("  1  db  wrapped  pg-mcp", self.out)

    def test_servers(self) -> None:
        write(self.cursor, CURSOR)
        self.assertEqual(self.kinds(), {"unwrapped", "uncovered"})
        self.run_("wrap", "db", "--profile", "strict")
        self.assertEqual(self.kinds("--client", "cursor"), {"unwrapped", "uncovered", "command"})
        servers = {server["server"]: server for server in json.loads(self.out)["servers"]}
        self.assertEqual([(servers[name]["state"], servers[name]["line"]) for name in ("files", "far", "db")],
                         [("not wrapped", 4), ("not covered", 5), ("wrapped", 6)])
        self.assertEqual((servers["db"]["policy"], servers["db"]["wall"]), ("built-in strict", mcpwall.__file__))
        self.assertEqual(self.kinds("--client", "kiro"), set())

    def test_packages(self) -> None:
        for argv, expected in (
                (["npx", "-y", "pkg"], {"unpinned"}), (["npx", "-y", "@a/b"], {"unpinned"}),
                (["npx", "pkg@latest"], {"unpinned"}),
                (["npx", "pkg@^1.0.0"], {"unpinned"}), (["npx", "pkg@1"], {"unpinned"}), (["npx", "-y", "pkg@1.0.0"], set()),
                (["npx", "-y", "@a/b@1.0.0-rc.1", "x"], set()), (["npx", "--package=@a/b@2.0.0", "b"], set()),
                (["npx", "-p", "a", "b"], {"unpinned"}), (["C:\\n\\npx.cmd", "-y", "pkg"], {"unpinned"}),
                (["cmd", "/c", "npx", "-y", "pkg"], {"unpinned"}), (["npx", "./local"], set()), (["npx"], set()),
                (["npx", "-y", "github:a/b"], {"unpinned"}), (["npx", "-y", "github:a/b#0123abcd"], set()),
                (["bunx", "pkg"], {"unpinned"}), (["pnpm", "dlx", "pkg"], {"unpinned"}), (["yarn", "dlx", "p@1.2.3"], set()),
                (["uvx", "pkg"], {"unpinned"}), (["uvx", "pkg==1.2"], set()), (["uvx", "pkg@1.2.3"], set()),
                (["uvx", "pkg@latest"], {"unpinned"}), (["uvx", "pkg>=1"], {"unpinned"}),
                (["uvx", "--from", "a[b]==1.0", "a"], set()),
                (["uvx", "--python", "3.12", "pkg"], {"unpinned"}), (["uv", "tool", "run", "pkg"], {"unpinned"}),
                (["uvx", "--from", "git+https://x/y", "y"], {"unpinned"}), (["pipx", "run", "pkg==2.0"], set()),
                (["uv", "run", "server.py"], set()), (["docker", "run", "x"], set()), (["node", "npx"], set()),
                (["npx", "-y", "mcp-remote@0.1.15", "https://x"], {"bridge"}), (["npx", "mcp-remote@0.1.5"], {"bridge"}),
                (["npx", "mcp-remote@0.0.22"], {"bridge"}), (["npx", "-y", "mcp-remote@0.1.16"], set()),
                (["npx", "-y", "mcp-remote@0.1.150"], set()), (["npx", "mcp-remote"], {"unpinned"}), ([], set())):
            with self.subTest(argv=argv):
                self.assertEqual({kind for kind, _ in mcpwall.package_problems(argv)}, expected)

    def test_secrets_are_named_not_shown(self) -> None:
        write(self.cursor, json.dumps({"mcpServers": {"a/b": {"command": "x", "env": {"GITHUB_TOKEN": TOKEN}},
                                                      "r": {"url": "https://x", "headers": {"K": "Bearer " + TOKEN}}}}))
        self.assertEqual(self.run_("status"), 1)
        self.assertIn("/mcpServers/a~1b/env/GITHUB_TOKEN in ~/.cursor/mcp.json", self.out)
        self.assertIn("/mcpServers/r/headers/K", self.out)
        self.assertNotIn(TOKEN[4:12], self.out)

    def test_policies(self) -> None:
        folder = os.path.join(self.home, ".mcpwall")
        write(os.path.join(folder, "config.yml"), "version: 1\nrulez: []\n")
        self.assertEqual(self.kinds(), {"policy"})
        self.assertIn("rulez", self.out)
        write(os.path.join(folder, "config.yml"), "version: 1\n")
        write(os.path.join(self.project, ".mcpwall.yml"), "version: 1\n")
        self.assertEqual(self.kinds(), {"policy"}, "a project's policy that nobody approved")
        write(self.cursor, CURSOR)
        policy = write(os.path.join(self.box, "p.yml"), "version: 1\n")
        self.run_("wrap", "db", "--server-policy", policy)
        os.unlink(policy)
        self.run_("status")
        self.assertIn("db: " + policy, self.out)

    @unittest.skipUnless(POSIX, "modes")
    def test_permissions(self) -> None:
        folder = os.path.join(self.home, ".mcpwall")
        write(self.cursor, "{}", 0o666)
        self.assertEqual(self.kinds(), {"permissions"})
        os.chmod(self.cursor, 0o600)
        os.makedirs(os.path.join(folder, "logs"), 0o700)
        self.assertEqual(self.kinds(), set())
        for path, mode in ((folder, 0o777), (os.path.join(folder, "logs"), 0o755)):
            before = os.stat(path).st_mode
            os.chmod(path, mode)
            self.assertEqual(self.kinds(), {"permissions"})
            os.chmod(path, before)
        write(os.path.join(folder, "approved.json"), "{", 0o600)      # of an earlier version, and damaged
        for _ in range(2):
            self.assertEqual(self.kinds(), {"permissions"})
        self.assertEqual(self.run_("approve", "--ack"), 2)
        self.assertEqual(self.run_("approve", "--ack", "--yes"), 0)
        self.assertEqual(self.kinds(), set())
        os.rmdir(os.path.join(folder, "logs"))
        write(os.path.join(folder, "logs"), "")
        self.assertEqual(self.kinds(), {"log"})

    def test_walls_of_another_version(self) -> None:
        write(os.path.join(self.box, "bin", "pg-mcp"), "", 0o755)
        other = write(os.path.join(self.box, "old", "mcpwall.py"), '"""x"""\n__version__ = "0.0.1"\n')
        self.wall = ["/usr/bin/env", other]
        write(self.cursor, '{"mcpServers": {"db": {"command": "pg-mcp"}}}')
        self.run_("wrap", "db")
        self.assertEqual(self.kinds(), {"wrapper"})
        self.assertIn("0.0.1", self.out)

    def test_what_is_known_counts_no_more_until_something_new_comes(self) -> None:
        write(self.cursor, CURSOR)
        self.assertEqual(self.run_("status", "--ack", "unwrapped", "--ack", "uncovered:far"), 0)
        self.assertEqual(self.kinds(), set())
        self.assertEqual(len(json.loads(self.out)["acknowledged"]), 3)
        write(self.cursor, CURSOR.replace('"db"', '"new": {"command": "n"}, "db"'))
        self.assertEqual(self.kinds(), {"unwrapped"})
        self.assertEqual([one["problem"][:4] for one in json.loads(self.out)["attention"]], ["new:"])
        self.assertEqual(self.run_("status", "--unack", "all"), 1)
        self.assertEqual(self.kinds(), {"unwrapped", "uncovered"})
        for argv, words in ((["--ack", "unwraped"], "did you mean 'unwrapped'"), (["--unack", "x"], "unknown problem")):
            self.assertEqual(self.run_("status", *argv), 2)
            self.assertIn(words, self.err)
        write(os.path.join(self.home, ".mcpwall", "config.yml"), "version: 7\n")
        self.assertEqual(self.run_("status", "--ack", "policy"), 2)
        self.assertIn("this has to be mended", self.err)
        write(os.path.join(self.home, ".mcpwall", "acknowledged.json"), "{")
        self.assertEqual(self.kinds(), {"unwrapped", "uncovered", "policy"})

    def test_one_line_for_each_class_and_what_was_refused_today(self) -> None:
        write(self.cursor, json.dumps({"mcpServers": {f"s{n}": {"command": "npx", "args": ["-y", f"p{n}"]} for n in range(9)}}))
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        record = {"ts": now, "session": "s", "action": "deny", "tool": "t", "ref": "aa-1"}
        lines = [record, {**record, "action": "allow"}, {**record, "action": "allow", "would": "deny"}, {**record, "ts": "2001-01-01"}]
        write(os.path.join(self.home, ".mcpwall", "logs", now[:10] + ".jsonl"),
              "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in lines))
        write(os.path.join(self.home, ".mcpwall", "config.yml"),
              "version: 1\nrules:\n- {name: a, match: {tool: x}, action: deny}\n- {name: b, match: {tool: x}, action: deny}\n")
        os.chmod(os.path.join(self.home, ".mcpwall", "logs"), 0o700)
        self.assertEqual(self.run_("status"), 1)
        for words in ("9 servers are not wrapped", "9 packages are not pinned", "Today: 1 refused, 1 would have been",
                      "Mode: enforce", "1 doubts about the policy", "config.yml"):
            self.assertIn(words, self.out)
        self.assertEqual(self.run_("status", "--server-name", "s3"), 1)
        self.assertIn("s3: not wrapped", self.out)
        self.assertNotIn("s4", self.out)
        self.assertEqual(self.run_("status", "--server-name", "nobody"), 2)
        self.assertEqual(self.run_("status", "-c", "none.yml"), 2)

    def test_an_entry_of_a_repository_that_only_looks_walled_is_named(self) -> None:
        path = os.path.join(self.project, ".mcp.json")
        ours = [*self.wall[1:], "--server-name", "a", "--project", self.project]
        for program, args, named in (
                (self.wall[0], ours, False), (self.wall[0], [*ours, "--profile", "strict"], False),
                (self.wall[0], [*ours, "--env", "A"], False), (self.wall[0], [*ours, "-c", os.path.join(self.box, "own.yml")], False),
                (self.wall[0], [*ours, "-c", "weak.yml"], True), (self.wall[0], [*ours, "-c", os.path.join(self.project, "weak.yml")], True),
                (self.wall[0], [*ours, "--env", "*"], True), (self.wall[0], [*ours, "--monitor"], True),
                ("./run", ours, True), (self.wall[0], ["./mcpwall.py", *ours[1:]], True)):
            with self.subTest(args=args):
                entry = {"command": program, "args": [*args, "--", "x"], "env": {"A": "b"}}
                write(path, json.dumps({"mcpServers": {"a": entry}}))
                self.assertEqual("foreign" in self.kinds(), named)
                self.run_("status")
                self.assertEqual("not by this wall" in self.out, named)
        self.assertEqual(self.run_("wrap", "a"), 0)
        self.assertEqual(json.loads(read(path))["mcpServers"]["a"]["args"], [*ours, "--env", "A", "--", "x"])

    def test_unreadable_files(self) -> None:
        write(self.cursor, "{")
        self.assertEqual(self.kinds(), {"config"})


class Approve(Desk):
    RULES = ("version: 1\nwithout: [block-ssh-keys]\nextends: default\nsettings: {default_action: allow}\nrules:\n"
             "- {name: no-rm, match: {tool: rm}, action: deny}\n"
             "- {name: \"let-in\\e[2J\", match: {tool: \"*\"}, action: allow}\n")

    def setUp(self) -> None:
        super().setUp()
        self.path = write(os.path.join(self.project, ".mcpwall.yml"), self.RULES)
        self.store = mcpwall.ConsentStore(os.path.join(self.home, ".mcpwall"))

    def approved(self) -> bool:
        return self.store.is_approved(self.path, read(self.path).encode())

    def test_asks_and_remembers_the_content(self) -> None:
        self.assertEqual(self.run_("approve"), 2)
        self.assertIn("no terminal", self.err)
        self.assertEqual(self.run_("approve", answers="n\n"), 1)
        self.assertEqual(self.run_("approve", answers="\n"), 1)
        self.assertEqual(self.run_("approve", answers=""), 1)
        self.assertFalse(self.approved())
        self.assertEqual(self.run_("approve", answers="y\n"), 0)
        for words in ("without: [\"block-ssh-keys\"]", "allow     let-in\\x1b[2J", "deny      no-rm", "default_action"):
            self.assertIn(words, self.out)
        self.assertNotIn("\x1b", self.out)
        self.assertLess(self.out.index("let-in"), self.out.index("no-rm"))
        self.assertTrue(self.approved())
        self.assertEqual(self.run_("approve"), 0)
        self.assertEqual(self.out, "Nothing waits.\n")
        self.assertEqual(self.run_("approve", ".mcpwall.yml"), 0)
        self.assertIn("already approved", self.out)
        write(self.path, self.RULES + "# changed\n")
        self.assertFalse(self.approved())
        self.assertEqual(self.run_("approve", ".mcpwall.yml", "--yes"), 0)
        self.assertIn("An earlier content", self.out)
        self.assertTrue(self.approved())

    def test_load_policy_takes_it(self) -> None:
        def apart() -> bool:
            return mcpwall.load_policy(project_dir=self.project, home=self.home,
                                       approved=self.store.is_approved).apart is not None
        self.assertTrue(apart())
        self.assertEqual(self.run_("approve", "--yes"), 2, "it approves only what is named")
        self.assertTrue(apart())
        self.run_("approve", ".mcpwall.yml", "--yes")
        self.assertFalse(apart())

    def test_list_and_revoke(self) -> None:
        self.assertEqual(self.run_("approve", "--list"), 0)
        self.assertIn("No project policy", self.out)
        self.run_("approve", ".mcpwall.yml", "--yes")
        self.run_("approve", "--list")
        self.assertRegex(self.out, r"^\d{4}-\d\d-\d\d  approved  +\S+\.mcpwall\.yml\n$")
        write(self.path, "version: 1\n")
        self.run_("approve", "--list")
        self.assertIn("changed since", self.out)
        os.unlink(self.path)
        self.run_("approve", "--list")
        self.assertIn("gone", self.out)
        self.assertEqual(self.run_("approve", "--revoke", ".mcpwall.yml"), 0)
        self.assertEqual(self.store.projects(), {})
        self.assertEqual(self.run_("approve", "--revoke", ".mcpwall.yml"), 0)

    def test_a_policy_that_does_not_load_is_not_approved(self) -> None:
        for text in ("rules: 3\n", "a: [", "rules:\n- {name: x, match: {arguments: {a: {regex: '('}}}, action: deny}\n", ""):
            write(self.path, text)
            self.assertEqual(self.run_("approve", ".mcpwall.yml", "--yes"), 2)
        self.assertEqual(self.store.projects(), {})

    def test_the_link_and_the_file_are_one(self) -> None:
        if not POSIX:
            self.skipTest("links")
        link = os.path.join(self.box, "link")
        os.symlink(self.project, link)
        self.run_("approve", ".mcpwall.yml", "--yes")
        self.assertTrue(self.store.is_approved(os.path.join(link, ".mcpwall.yml"), self.RULES.encode()))


class Consent(Desk):
    def setUp(self) -> None:
        super().setUp()
        self.folder = os.path.join(self.home, ".mcpwall", "consent")
        self.store = mcpwall.ConsentStore(os.path.join(self.home, ".mcpwall"), lambda: 1.5e9)

    def test_projects(self) -> None:
        self.store.approve("/a/.mcpwall.yml", b"x")
        self.assertEqual({path: entry["time"] for path, entry in self.store.projects().items()}, {"/a/.mcpwall.yml": 1500000000})
        self.assertTrue(self.store.is_approved("/a/.mcpwall.yml", b"x"))
        self.assertFalse(self.store.is_approved("/a/.mcpwall.yml", b"y"))
        self.assertFalse(self.store.is_approved("/b/.mcpwall.yml", b"x"))
        if POSIX:
            path = self.store.place_of("/a/.mcpwall.yml")
            self.assertEqual([os.stat(one).st_mode & 0o777 for one in (path, self.folder)], [0o600, 0o700])
        self.store.forget("/a/.mcpwall.yml")
        self.assertFalse(self.store.is_approved("/a/.mcpwall.yml", b"x"))

    def test_what_is_not_consent(self) -> None:
        self.store.approve("/p", b"x")
        self.store.approve("/other", b"x")
        path = self.store.place_of("/p")
        good = read(path)
        for bad in ("", "{", "[]", "null", good[:-5], good.replace("1", "2", 1), good + "{}", "\ufeff" + good, good.replace("/p", "/q"),
                    good.replace('"path"', '"sha256":"x","path"'), '{"v":1}', '{"v":true,"path":"/p"}', "[" * 5000, "\0",
                    read(self.store.place_of("/other"))):
            with self.subTest(bad=bad[:60]):
                write(path, bad)
                self.assertFalse(self.store.is_approved("/p", b"x"))
                self.assertNotIn("/p", self.store.projects())
        self.assertTrue(self.store.is_approved("/other", b"x"), "damage stays where it is")
        write(path, b"\xff")
        self.assertFalse(self.store.is_approved("/p", b"x"))
        self.store.approve("/p", b"z")
        self.assertTrue(self.store.is_approved("/p", b"z"))

    @unittest.skipUnless(POSIX, "modes")
    def test_a_file_that_others_can_write_is_no_consent(self) -> None:
        self.store.approve("/p", b"x")
        path = self.store.place_of("/p")
        for mode in (0o666, 0o620):
            os.chmod(path, mode)
            self.assertFalse(self.store.is_approved("/p", b"x"))
        os.chmod(path, 0o600)
        self.assertTrue(self.store.is_approved("/p", b"x"))
        if os.getuid() == 0:
            os.chown(path, 12345, 12345)
            self.assertFalse(self.store.is_approved("/p", b"x"))

    def test_walls_that_write_at_once_lose_nothing(self) -> None:
        def put(number: int) -> None:
            mcpwall.ConsentStore(os.path.join(self.home, ".mcpwall")).approve(f"/{number}", b"x")
        threads = [threading.Thread(target=put, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(self.store.projects()), 20)

    def test_paths_that_are_no_text(self) -> None:
        with self.assertRaises(mcpwall.ConfigError):
            self.store.approve("/p\udcff", b"x")
        self.assertFalse(self.store.is_approved("/p\udcff", b"x"))
        self.assertEqual(self.store.projects(), {})


class WholeProgram(Desk):
    """The real command line, in a home of its own."""

    def program(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "HOME": self.home, "USERPROFILE": self.home, "APPDATA": self.home, "PYTHONPATH": support.TOP}
        environ.pop("XDG_CONFIG_HOME", None)
        return subprocess.run(argv, cwd=self.project, env=environ, input=stdin, capture_output=True, text=True, timeout=60)

    def test_wrap_run_unwrap(self) -> None:
        text = json.dumps({"mcpServers": {"toy": {"command": sys.executable, "args": ["-S", "-c", "raise SystemExit(7)"]}}})
        write(self.cursor, text)
        done = self.program(*support.WALL, "init", "--all", "--yes")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        entry = json.loads(read(self.cursor))["mcpServers"]["toy"]
        self.assertEqual([entry["command"], *entry["args"]], [
            os.path.abspath(sys.executable), "-I", "-S", os.path.join(self.home, ".mcpwall", "bin", "mcpwall"), "--server-name", "toy", "--",
            sys.executable, "-S", "-c", "raise SystemExit(7)"])
        support.keep_code(os.path.join(self.home, ".mcpwall", "cache"))
        self.assertEqual(self.program(entry["command"], *entry["args"]).returncode, 7)
        self.assertEqual(self.program(*support.WALL, "unwrap", "--yes", "toy").returncode, 0)
        self.assertEqual(read(self.cursor), text)

    def test_how_the_wall_is_named(self) -> None:
        installed = write(os.path.join(self.box, "bin", "mcpwall"), "", 0o755)
        self.assertEqual(mcpwall.own_command("/usr/bin/python3", "/lib/site-packages/mcpwall.py", installed), [installed])
        copy = write(os.path.join(self.box, "copy", "mcpwall"), "")
        self.assertEqual(mcpwall.own_command("/usr/bin/python3", copy, copy), [os.path.abspath("/usr/bin/python3"), copy])
        self.assertEqual(mcpwall.own_command("/usr/bin/python3", "/x/mcpwall.py", "/x/mcpwall.py"),
                         [os.path.abspath("/usr/bin/python3"), os.path.abspath("/x/mcpwall.py")])


if __name__ == "__main__":
    unittest.main()
