"""The command line as a user meets it: real processes, exit codes, one line for each mistake."""
from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import unittest
from unittest import mock

from tests.support import GITHUB_TOKEN, MODULE, SCRIPT, WALL, InEmptyHome, mcpwall, request, text_result

PYTHON = [sys.executable, "-I", "-S", "-c"]     # of servers


class Cli(InEmptyHome):
    def run_script(self, *words: str, text: str = "") -> subprocess.CompletedProcess:
        return self.run_wall(*words, text=text, wall=SCRIPT)

    def run_wall(self, *words: str, text: str = "", wall: list[str] = WALL, **environ: str) -> subprocess.CompletedProcess:
        return subprocess.run([*wall, *words], input=text.encode("utf-8", "surrogateescape"), capture_output=True,
                              cwd=self.project, env={**self.environ, "PYTHONIOENCODING": "utf-8", **environ}, timeout=60)

    def said(self, *words: str) -> str:
        """The one line that `main` says to a mistake, in this process (a new one takes a while to start)."""
        stderr, stdout = io.StringIO(), io.StringIO()
        with contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(stdout):
            status = mcpwall.main(words)
        self.assertEqual((status, stderr.getvalue().count("\n"), stdout.getvalue()), (2, 1, ""), stderr.getvalue())
        return stderr.getvalue()

    def refused(self, *words: str, text: str = "", status: int = 2) -> str:
        done = self.run_wall(*words, text=text)
        said = done.stderr.decode()
        self.assertEqual(done.returncode, status, said)
        self.assertEqual(said.count("\n"), 1, said)
        self.assertEqual(done.stdout, b"")
        return said


class Basics(Cli):
    def test_version_help_checksum(self) -> None:
        self.assertEqual(self.run_wall("--version").stdout.decode(), f"mcpwall {mcpwall.__version__}\n")
        done = self.run_wall("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("Examples:", done.stdout.decode())
        with open(MODULE, "rb") as stream:
            digest = hashlib.sha256(stream.read()).hexdigest()
        self.assertEqual(self.run_wall("--checksum").stdout.decode(), f"{digest}  mcpwall.py\n")

    def test_every_mistake_is_one_line(self) -> None:
        for words, word in (((), "--help"), (("--",), "after --"), (("chek",), "did you mean 'check'"), (("--profil", "x"), "--profile"),
                            (("--profile", "strct", "--", "x"), "did you mean 'strict'"), (("-c",), "needs a value"),
                            (("--log-level", "loud", "--", "x"), "known:"), (("-c", "none.yml", "--", "x"), "none.yml"),
                            (("--env", "A,", "--", "x"), "--env: glob : is empty"), (("--env=A|B", "--", "x"), "--env: glob A|B"),
                            (("--env",), "needs a value"), (("--env", "", "--", "x"), "not empty"),
                            (("--project", "/nowhere", "--", "x"), "no such directory"), (("rules", "nope"), "unknown"),
                            (("rules", "default", "--format", "xml"), "known: json, yaml"), (("demo", "x"), "one argument too many"),
                            (("check", "t", "novalue"), "key=value"), (("check", "t", "a:={"), "not JSON"),
                            (("check", "--input", "{"), "not JSON"), (("check", "--inpt", "x"), "--input"),
                            (("check", "t", "--input", "{}"), "exclude")):
            with self.subTest(words):
                self.assertIn(word, self.said(*words))
        self.assertIn("no input", self.refused("check"))

    def test_a_bad_policy_starts_no_server(self) -> None:
        path = self.write("p.yml", "version: 1\nrules:\n  - {name: a, match: {tool: x}, action: block}\n")
        mark = os.path.join(self.project, "started")
        said = self.refused("-c", path, "--", *PYTHON, f"open({mark!r}, 'w')")
        self.assertIn(f"{path}:3: /rules/0/action: 'block' is not an action", said)
        self.assertFalse(os.path.exists(mark))

    def test_a_server_that_cannot_be_started(self) -> None:
        self.assertIn("no-such-command", self.refused("--", "no-such-command", status=127))
        path = self.write("plain.txt", "x")
        if os.name == "posix":
            self.assertIn("plain.txt", self.refused("--", path, status=126))

    def test_it_works_when_copied_somewhere_alone(self) -> None:
        with open(MODULE, "rb") as stream:
            data = stream.read()
        alone = os.path.join(self.project, "mcpwall.py")
        with open(alone, "wb") as stream:
            stream.write(data)
        done = subprocess.run([sys.executable, "mcpwall.py", "check", "read_file", "path=~/.ssh/id_rsa"], cwd=self.project,
                              env={**self.environ, "PYTHONPATH": ""}, capture_output=True)
        self.assertEqual((done.returncode, done.stderr), (1, b""))


class InThisProcess(Cli):
    """The same without a process for each line: a new one takes a while to start."""

    def run_wall(self, *words: str, text: str = "", **_: object) -> subprocess.CompletedProcess:
        return self.run_here(*words, text=text)


class Check(InThisProcess):
    def test_words_and_layout(self) -> None:
        done = self.run_wall("check", "read_file", "path=/home/user/.ssh/id_rsa")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout.decode(), "✗ DENY   tools/call  read_file  /home/user/.ssh/id_rsa\n"
                                               "  Rule: block-ssh-keys\n  Blocked: access to SSH keys\n")
        done = self.run_wall("check", "read_file", "path=src/x.py")
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout.decode().startswith("✓ ALLOW  tools/call  read_file  src/x.py\n  No rule matched"))

    def test_what_of_a_long_command_was_refused(self) -> None:
        done = self.run_wall("check", "run_command", "command=make && ls; rm -rf /")
        self.assertRegex(done.stdout.decode(), r"\n  Why: deletes.* \(.*: /\)\n$")
        self.assertIn("deletes", json.loads(self.run_wall("check", "--json", "run_command", "command=rm -rf /").stdout)["why"])
        done = self.run_wall("check", "run_command", f"command=echo {GITHUB_TOKEN}")
        self.assertTrue(done.stdout.decode().endswith("\n  Found: github-token\n"), "said once")

    def test_values_are_text_or_json(self) -> None:
        path = self.write("p.yml", "version: 1\nrules:\n  - {name: n, match: {arguments: {a: {regex: '^5$'}, b: {regex: x}}}, action: ask}\n")
        done = self.run_wall("-c", path, "check", "t", "a=5", 'b:={"deep":["x"]}')
        self.assertEqual((done.returncode, done.stdout.decode()[:8]), (1, "? ASK   "))

    def test_responses_and_batches(self) -> None:
        answer = {"jsonrpc": "2.0", "id": 1, "result": text_result(f"x {GITHUB_TOKEN}")}
        done = self.run_wall("check", text=json.dumps(answer, indent=2))
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stdout.decode().startswith("~ REDACT (response)"), done.stdout)
        self.assertNotIn(GITHUB_TOKEN, done.stdout.decode() + done.stderr.decode())
        done = self.run_wall("check", "--json", "--input", json.dumps([request("ping"), request("tools/call", {"name": "t", "arguments": {"p": "~/.ssh/x"}})]))
        self.assertEqual([one["action"] for one in json.loads(done.stdout)], ["allow", "deny"])
        done = self.run_wall("check", text=json.dumps(request("ping")) + "\n" + json.dumps(answer) + "\n")
        self.assertEqual(done.stdout.decode().count("ALLOW"), 1)
        self.assertEqual(done.stdout.decode().count("REDACT"), 1)

    def test_tool_scoped_response_rules(self) -> None:
        path = self.write("p.yml", "version: 1\noutbound_rules:\n  - {name: n, match: {tool: a, response_contains: x}, action: log_only}\n"
                          "  - {name: d, match: {tool: b, response_contains: x}, action: deny}\n")
        answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": text_result("x")})
        self.assertIn("! LOG", self.run_wall("-c", path, "check", "--tool", "a", "--input", answer).stdout.decode())
        self.assertEqual(self.run_wall("-c", path, "check", "--tool", "b", "--input", answer).returncode, 1)

    def test_what_the_relay_refuses_before_any_rule(self) -> None:
        done = self.run_wall("check", "--input", '{"jsonrpc":"2.0","id":1,"method":"ping","method":"x"}')
        self.assertEqual(done.returncode, 1)
        self.assertIn("twice", done.stdout.decode())
        done = self.run_wall("check", "--input", '{"id":1,"method":"ping"}')
        self.assertEqual(done.returncode, 1)
        self.assertIn("jsonrpc", done.stdout.decode())

    def test_what_is_no_message_is_a_mistake_and_no_verdict(self) -> None:
        for text in ('{"a": 1}', "3", "null", "[]", '["x"]', "hello", "{"):
            self.assertIn("the input is no", self.said("check", "--input", text).replace("is not JSON", "is no"))

    def test_output_is_safe_for_a_terminal(self) -> None:
        done = self.run_wall("check", "t\x1b[2J", "a=\x1b]0;x\x07\u202e")
        for char in ("\x1b", "\x07", "\u202e"):
            self.assertNotIn(char, done.stdout.decode())

    def test_dialogue_needs_a_terminal(self) -> None:
        self.assertIn("no input", self.refused("check", text="  \n"))


class Rules(InThisProcess):
    def test_list_and_print(self) -> None:
        listed = self.run_wall("rules").stdout.decode()
        for name in mcpwall.BUILTIN_NAMES:
            self.assertIn(name, listed)
        for form in ("json", "yaml"):
            printed = self.run_wall("rules", "strict", "--format", form)
            path = self.write(f"p.{'json' if form == 'json' else 'yml'}", printed.stdout.decode())
            self.assertEqual(self.run_wall("-c", path, "check", "read_file", "path=x").returncode, 0)
            self.assertEqual(self.run_wall("-c", path, "check", "run", "cmd=ls").returncode, 1)
        self.assertIn("github-token", self.run_wall("rules", "secrets").stdout.decode())


class Demo(Cli):
    def test_it_shows_what_the_wall_does(self) -> None:
        done = self.run_wall("demo")
        shown = done.stdout.decode()
        self.assertEqual(done.returncode, 0, done.stderr)
        for words in ("answered: def main()", "Blocked: access to SSH keys", "Blocked: a command that destroys data", mcpwall.MARKER,
                      "block-ssh-keys", "mcpwall.py init", "$ mcpwall log", "2 refused, 1 redacted", "What decided: ~/.ssh/id_rsa", "10 records"):
            self.assertIn(words, shown)
        self.assertLessEqual(max(map(len, shown.splitlines())), 80)
        self.assertEqual(done.stderr, b"")
        self.assertEqual(os.listdir(self.home), [])

    def test_a_policy_that_allows_listed_tools_alone(self) -> None:
        done = self.run_here("--profile", "strict", "demo")
        self.assertIn("settings.unlisted_tools", done.stdout.decode())      # the demo does not ask for the list of tools


class Relaying(Cli):
    SERVER = ("import sys, json\n"
              "for line in sys.stdin:\n"
              "    body = json.loads(line)\n"
              "    if 'id' in body:\n"
              "        print(json.dumps({'jsonrpc': '2.0', 'id': body['id'], 'result': {'content': []}}), flush=True)\n")

    LOOK = ("import os, sys\n"       # a server that says who has started it and what it was given
            "parent = os.getppid()\n"
            "with open(f'/proc/{parent}/cmdline') as words:\n"
            "    print(parent, os.listdir('/proc/self/fd'), words.read().split('\\0')[:-1], sep='\\n', file=sys.stderr)\n")

    @staticmethod
    def lines_of(path: str) -> list:
        with open(path, encoding="utf-8") as stream:
            return stream.readlines()

    def test_a_conversation(self) -> None:
        calls = [request("tools/call", {"name": "read_file", "arguments": {"path": path}}, number)
                 for number, path in enumerate(("src/x.py", "~/.ssh/id_rsa", "~/.aws/credentials", "README.md"))]
        done = self.run_wall("--server-name", "fs", "--", *PYTHON, self.SERVER, text="".join(json.dumps(one) + "\n" for one in calls))
        self.assertEqual(done.returncode, 0, done.stderr)
        answers = {one["id"]: one for one in map(json.loads, done.stdout.splitlines())}
        self.assertEqual({number: "error" in one for number, one in answers.items()}, {0: False, 1: True, 2: True, 3: False})
        logs = os.path.join(self.home, ".mcpwall", "logs")
        records = [json.loads(line) for name in os.listdir(logs) for line in self.lines_of(os.path.join(logs, name))]
        self.assertEqual(len(records), 6)
        self.assertEqual({one["server"] for one in records}, {"fs"})
        self.assertRegex(done.stderr.decode(), r"\[\d\d:\d\d:\d\d\] DENY tools/call read_file \[block-ssh-keys\] - Blocked: access to SSH keys \(rule block-ssh-keys, ref [a-z0-9]{6}-2\)\n")

    def test_a_checkout_is_not_the_home_of_somebody_without_one(self) -> None:
        self.write("~/.mcpwall/config.yml", "version: 1\nsettings: {mode: monitor}\n")
        text = json.dumps(request("tools/call", {"name": "read_file", "arguments": {"path": "/root/.ssh/id_rsa"}})) + "\n"
        for home in ("~", "", "."):
            done = self.run_wall("--", *PYTHON, self.SERVER, text=text, HOME=home, USERPROFILE=home)
            self.assertIn("error", json.loads(done.stdout), home)

    def test_calls_refused_for_want_of_a_log_are_reported_as_refused(self) -> None:
        path = self.write("p.yml", "version: 1\nsettings: {audit_required: true, log_dir: p.yml/logs}\n")
        done = self.run_wall("-c", path, "--", *PYTHON, self.SERVER, text=json.dumps(request("tools/call", {"name": "t"})) + "\n")
        self.assertIn("audit log cannot be written", done.stdout.decode())
        self.assertNotIn("ALLOW tools/call", done.stderr.decode())

    @unittest.skipUnless(os.name == "posix", "a shell closes the stream")
    def test_closed_streams_and_a_folder_that_is_gone(self) -> None:
        for tail in ("check read_file path=x >&-", "rules >&-", "check x 2>&-"):
            done = subprocess.run(["sh", "-c", f'exec "$@" {tail}', "sh", *WALL], cwd=self.project, env=self.environ, capture_output=True)
            self.assertEqual((done.returncode, done.stderr), (0, b""), tail)
        done = subprocess.run(["sh", "-c", 'mkdir g; cd g; rmdir ../g; exec "$0" "$1" check x', sys.executable, MODULE], cwd=self.project,
                              env=self.environ, capture_output=True)
        self.assertNotIn(b"Traceback", done.stderr)

    def test_a_verdict_where_no_tick_is_known(self) -> None:
        for encoding, signs in (("cp1252", b"+x"), ("cp437", b"+x"), ("utf-8", "✓✗".encode())):
            environ = {**self.environ, "PYTHONIOENCODING": encoding}
            both = [subprocess.run([*WALL, "check", "read_file", f"path={path}"], cwd=self.project, env=environ,
                                   capture_output=True).stdout for path in ("✓.txt", "~/.ssh/id_rsa")]
            self.assertEqual(b"".join(out.split()[0] for out in both), signs, encoding)
            self.assertIn("✓.txt".encode(encoding, "backslashreplace"), both[0])

    def test_a_reader_that_has_gone_on_windows(self) -> None:
        self.assertTrue(mcpwall.is_unread(OSError(22, "Invalid argument"), windows=True))
        self.assertFalse(mcpwall.is_unread(OSError(22, "Invalid argument", "policy.yml"), windows=True))
        self.assertFalse(mcpwall.is_unread(OSError(22, "Invalid argument"), windows=False))
        self.assertTrue(mcpwall.is_unread(BrokenPipeError(32, "Broken pipe"), windows=False))

    @unittest.skipUnless(os.path.exists("/dev/full"), "a disk that is full")
    def test_full_stdout_is_one_clear_line(self) -> None:
        for words in (["rules", "default"], ["--help"], ["--version"], ["check", "read_file", "path=x"], ["status", "--help"]):
            with self.subTest(words=words), open("/dev/full", "w") as full, contextlib.redirect_stdout(full), \
                    contextlib.redirect_stderr(io.StringIO()) as stderr:
                self.assertEqual(mcpwall.main(words), 2)
                self.assertEqual(stderr.getvalue(), "mcpwall: what was to be printed cannot be written: No space left on device\n")

    def test_a_command_in_one_quoted_word_gets_the_corrected_line(self) -> None:
        self.assertIn("mcpwall -- npx -y foo\n", self.said("npx -y foo"))
        self.assertIn("mcpwall -- npx -y foo\n", self.said("--", "npx -y foo"))

    def test_check_names_the_argument_that_decided_and_where_the_rule_stands(self) -> None:
        path = self.write("p.yml", "version: 1\nrules:\n- {name: no-push, match: {arguments: {_any_value: {regex: push}}}, action: deny}\n")
        with contextlib.redirect_stdout(io.StringIO()) as stdout, contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(mcpwall.main(["check", "run", "cwd=/tmp", "command=git push", "-c", path]), 1)
        self.assertIn("run  command=git push\n", stdout.getvalue())
        self.assertIn(f"Rule: no-push ({path}:3)\n", stdout.getvalue())

    def test_a_demo_of_a_policy_that_does_not_load_is_one_line(self) -> None:
        for words in (["-c", "none.yml", "demo"], ["demo", "--profile", "nope"], ["demo", "--monitor", "--enforce"]):
            self.said(*words)

    def test_the_name_of_a_file_that_fails_does_not_act_on_the_terminal(self) -> None:
        said = io.StringIO()
        fault = PermissionError(13, "Permission denied", "a\x1b]0;b\nc")
        with mock.patch.object(mcpwall, "dispatch", mock.Mock(side_effect=fault)), contextlib.redirect_stderr(said):
            self.assertEqual(mcpwall.main([]), 2)
        self.assertRegex(said.getvalue(), r"\Amcpwall: Permission denied: a[ -~]*c\n\Z")

    def test_log_level_filters_stderr_only(self) -> None:
        text = json.dumps(request("tools/call", {"name": "t"})) + "\n"
        self.assertEqual(self.run_wall("--log-level", "error", "--", *PYTHON, self.SERVER, text=text).stderr, b"")

    def test_a_script_goes_on_from_its_compiled_code(self) -> None:
        text = json.dumps(request("tools/call", {"name": "t", "arguments": {"a": "-c"}})) + "\n"
        done = self.run_script("--server-name", "-odd name", "--", *PYTHON, self.SERVER, text=text)
        self.assertEqual((done.returncode, json.loads(done.stdout)["id"]), (0, 1), done.stderr)
        self.assertEqual(sorted(os.listdir(os.path.join(self.home, ".mcpwall"))), ["cache", "logs"])
        self.assertEqual(os.stat(os.path.join(self.home, ".mcpwall", "cache")).st_mode & 0o777, 0o700)
        logs = os.path.join(self.home, ".mcpwall", "logs")
        self.assertEqual({json.loads(line)["server"] for name in os.listdir(logs) for line in self.lines_of(os.path.join(logs, name))},
                         {"-odd name"})

    @unittest.skipUnless(sys.platform == "linux", "/proc tells of processes")
    def test_a_script_goes_on_as_the_same_process(self) -> None:
        self.start_quickly()
        for flags in ([], ["-I", "-X", "utf8", "-O", "-W", "error", "--"]):
            words = ["--log-level", "error", "--", *PYTHON, self.LOOK, "--", "a b"]
            child = subprocess.Popen([sys.executable, *flags, MODULE, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, cwd=self.project, env=self.environ)
            stdout, stderr = child.communicate(timeout=60)
            self.assertEqual((child.returncode, stdout), (0, b""), stderr)
            parent, descriptors, ours = stderr.decode().splitlines()
            self.assertEqual(int(parent), child.pid)
            self.assertEqual(ast.literal_eval(descriptors), ["0", "1", "2", "3", "4"])      # 3 and 4: its looks
            self.assertEqual(ast.literal_eval(ours)[1:4], ["-I", "-S", "-c"])
            self.assertEqual(ast.literal_eval(ours)[-len(words):], words)

    def test_modules_of_the_working_directory_are_not_ours(self) -> None:
        for name in ("json", "re", "threading", "marshal", "signal"):
            self.write(f"{name}.py", "raise SystemExit('run by the wall')\n")
        text = json.dumps(request("tools/call", {"name": "t"})) + "\n"
        server = "print('{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}')"
        self.start_quickly()
        done = self.run_script("--log-level", "error", "--", *PYTHON, server, text=text)
        self.assertEqual((done.returncode, json.loads(done.stdout)["id"], done.stderr), (0, 1, b""))

    @unittest.skipUnless(os.name == "posix", "a shell closes the stream")
    def test_a_relay_whose_streams_are_closed_serves_all_the_same(self) -> None:
        for tail in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            done = subprocess.run(["sh", "-c", f'exec "$@" --log-level error -- "$1" -S -c "raise SystemExit(7)" {tail}', "sh", *WALL], cwd=self.project, env=self.environ, capture_output=True, stdin=subprocess.DEVNULL)
            self.assertEqual((done.returncode, done.stderr), (7, b""), tail)

    @unittest.skipUnless(sys.platform == "linux", "/proc tells of processes")
    def test_a_script_whose_code_cannot_be_kept_goes_on_all_the_same(self) -> None:
        path = self.write("p.yml", "version: 1\nsettings: {log_dir: /dev/null/none}\n")
        done = subprocess.run(["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", sys.executable, MODULE, "--log-level", "error", "-c", path, "--",
                               *PYTHON, self.LOOK], cwd=self.project, env=self.environ, capture_output=True, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_servers_exit_status_is_ours(self) -> None:
        self.assertEqual(self.run_wall("--", *PYTHON, "import sys; sys.exit(7)").returncode, 7)


if __name__ == "__main__":
    unittest.main()
