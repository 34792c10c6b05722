"""The log as people read it: log, verify, explain, allow, stop and go, and the rules in force."""
from __future__ import annotations

import io as streams
import json
import os
import re
import time
import unittest
from typing import Any

from tests.support import GITHUB_TOKEN, InEmptyHome, Talk, line, mcpwall, request, text_result


class Terminal(streams.StringIO):
    """Somebody types this."""

    def isatty(self) -> bool:
        return True


class Verbs(InEmptyHome):
    """Runs verbs in an empty home, after a wall has judged some calls there."""

    CALLS: tuple[tuple[str, dict], ...] = (
        ("read_file", {"path": "~/.ssh/id_rsa"}), ("run_command", {"command": "rm -rf ~"}),
        ("read_file", {"path": "shop/.env", "head": 3}), ("read_file", {"path": "src/a.py"}),
        ("post", {"text": f"the token is {GITHUB_TOKEN}"}))

    def setUp(self) -> None:
        super().setUp()
        self.logs = os.path.join(self.home, ".mcpwall", "logs")
        before = os.getcwd(), os.environ.get("HOME")
        self.addCleanup(os.chdir, before[0])
        self.addCleanup(lambda: os.environ.__setitem__("HOME", before[1]) if before[1] else os.environ.pop("HOME"))
        os.environ["HOME"] = self.home
        os.chdir(self.project)
        self.out = self.err = ""

    def run_(self, verb: str, *argv: str, answers: str | None = None) -> int:
        """Exit status of a verb; without *answers* there is no terminal. Mistakes are 2, as in `main`."""
        stdin = streams.StringIO() if answers is None else Terminal(answers)
        out, err = streams.StringIO(), streams.StringIO()
        io = mcpwall.Surroundings(self.home, self.project, self.environ, "linux", ["mcpwall"], stdin, out, err)
        try:
            status = mcpwall.VERBS[verb](list(argv), io)
        except mcpwall.WallError as fault:
            err.write(f"mcpwall: {fault}\n")
            status = 2
        self.out, self.err = out.getvalue(), err.getvalue()
        return status

    def judged(self, calls: Any = None, when: float | None = None, **more: Any) -> list[dict]:
        """The records of *calls* to the server "fs", which are now in the log."""
        policy = mcpwall.load_policy(home=self.home, project_dir=self.project)
        session = mcpwall.Session(mcpwall.Wall(policy), "fs", clock=lambda: when or time.time(), **more)
        lines = []
        for number, (tool, arguments) in enumerate(self.CALLS if calls is None else calls):
            effects = session.receive("client", line(request("tools/call", {"name": tool, "arguments": arguments}, number)))
            effects += session.receive("server", line({"jsonrpc": "2.0", "id": number, "result": text_result("ok")}))
            lines += [effect.line for effect in effects if isinstance(effect, mcpwall.Record)]
        log = mcpwall.AuditLog(self.logs)
        self.assertTrue(log.append(lines))
        log.close()
        return [json.loads(text) for text in lines]

    def day(self) -> str:
        return os.path.join(self.logs, sorted(os.listdir(self.logs))[-1])


class Log(Verbs):
    def test_without_a_log_nothing_was_refused(self) -> None:
        self.assertEqual(self.run_("log"), 0)
        self.assertEqual(self.out, "Nothing was refused, of 0 messages in the last 24 hours.\n")

    def test_refusals_newest_last_each_on_a_line_with_its_ref_then_totals(self) -> None:
        refused = [record for record in self.judged() if record["action"] == "deny"]
        self.assertEqual(self.run_("log"), 0)
        lines = self.out.splitlines()
        self.assertEqual(len(lines), len(refused) + 1)
        for text, record, about in zip(lines, refused, ("~/.ssh/id_rsa", "rm -rf ~", "shop/.env", "github-token")):
            self.assertRegex(text, rf"^\d\d:\d\d:\d\d DENY +{record['ref']}  fs {record['tool']}  {re.escape(about)}.*\[{record['rule']}\]$")
        self.assertRegex(lines[-1], r"^4 refused, of \d+ messages")
        self.assertNotIn(GITHUB_TOKEN[8:], self.out)

    def test_filters(self) -> None:
        records = self.judged()
        for words, count in ((["--all"], len(records)), (["--denied"], 4), (["--tool", "read_file"], 2), (["--server", "other"], 0),
                             (["--rule", "block-env-files"], 1), (["--session", records[0]["session"]], 4), (["--would"], 0)):
            self.assertEqual(self.run_("log", "--json", *words), 0)
            self.assertEqual(len(self.out.splitlines()), count, words)
            for text in self.out.splitlines():
                self.assertIn(json.loads(text), records)

    def test_since(self) -> None:
        self.judged(when=time.time() - 3 * 86400)       # the file's day is today's, as when a clock is set
        for since, count in (("2d", 0), ("4d", 4), ("1w", 4), ("2020-01-01", 4)):
            self.run_("log", "--json", "--since", since)
            self.assertEqual(len(self.out.splitlines()), count, since)
        for wrong in ("yesterday", "2026-13-01", "-1h", ""):
            self.assertEqual(self.run_("log", f"--since={wrong}"), 2, wrong)
            self.assertIn("write 30m, 1h", self.err)

    def test_a_monitors_week(self) -> None:
        self.write("../home/.mcpwall/config.yml", "version: 1\nextends: default\nsettings: {mode: monitor}\n")
        self.judged()
        self.run_("log", "--would")
        self.assertEqual(self.out.count("(DENY)"), 4, self.out)
        self.assertIn("4 would have been stopped (monitor)", self.out)

    def test_summary_and_rules_that_never_fired(self) -> None:
        for _ in range(3):
            self.judged()
        self.run_("log", "--summary", "--json")
        summary = json.loads(self.out)
        counts = {row["rule"]: row["count"] for row in summary["rules"]}
        self.assertEqual((counts["block-ssh-keys"], counts["block-env-files"]), (3, 3))
        self.assertIn("block-wallets", summary["never_fired"])
        self.assertNotIn("block-ssh-keys", summary["never_fired"])
        self.run_("log", "--summary")
        self.assertIn("Never matched: ", self.out)

    def test_suspects_say_why(self) -> None:
        for number in range(6):
            self.judged([("read_file", {"path": f"build{number}/.env"})])
        self.judged([("read_file", {"path": "~/.ssh/id_rsa"})])
        self.run_("log", "--suspect")
        self.assertIn("6 times, in 6 sessions", self.out)
        self.assertNotIn("id_rsa", self.out)

    def test_lines_that_are_no_records_are_counted_and_nothing_acts_on_the_terminal(self) -> None:
        self.judged()
        with open(self.day(), "a", encoding="utf-8") as stream:
            stream.write("torn {\n[1]\n" + json.dumps({"ts": "9", "session": "x", "action": "deny", "subject": "\x1b[2J\nnew line"}) + "\n")
        self.assertEqual(self.run_("log"), 0)
        self.assertIn("2 lines of the log are no records", self.err)
        self.assertNotIn("\x1b", self.out)
        self.assertEqual(len(self.out.splitlines()), 6)

    def test_a_named_file_that_is_no_log_is_a_mistake(self) -> None:
        path = self.write("notes.txt", "one\ntwo\n")
        for command in ("log", "replay", "report", "learn"):
            self.assertEqual(self.run_(command, path), 2)
            self.assertIn("none of its 2 lines is a record", self.err)
        self.assertEqual(self.run_("log", self.project), 2)
        self.assertIn("no log file is in it", self.err)

    def test_files_that_are_named(self) -> None:
        self.judged()
        self.assertEqual(self.run_("log", self.logs), 0)
        self.assertIn("4 refused", self.out)
        self.assertEqual(self.run_("log", "nowhere.jsonl"), 2)
        self.assertIn("there is no such log", self.err)


class Verify(Verbs):
    def lines(self) -> list[str]:
        with open(self.day(), encoding="utf-8") as stream:
            return stream.read().splitlines()

    def put(self, lines: list[str]) -> None:
        with open(self.day(), "w", encoding="utf-8") as stream:
            stream.writelines(text + "\n" for text in lines)

    def test_whole_chains_of_several_walls(self) -> None:
        one, two = self.judged(), self.judged()
        self.put([text for pair in zip(self.lines()[:len(one)], self.lines()[len(one):]) for text in pair])     # as walls interleave
        self.assertEqual(self.run_("verify"), 0)
        self.assertIn("every chain is whole", self.out)
        self.assertEqual(self.run_("verify", "--json"), 0)
        heads = {head["session"]: head["head"] for head in json.loads(self.out)["heads"]}
        self.assertEqual(heads[two[-1]["session"]], mcpwall.sha256(self.lines()[-1].encode())[:32])

    def test_every_change_of_a_line_is_found(self) -> None:
        self.judged()
        whole = self.lines()
        changed = [text.replace("deny", "allow") if "block-ssh-keys" in text else text for text in whole]
        for what, lines in (("changed", changed), ("missing", whole[:3] + whole[4:]), ("twice", whole[:3] + whole[2:]),
                            ("cut off", whole[2:]), ("no record", whole[:2] + ["{}"] + whole[2:]),
                            ("follows", whole[:1] + [whole[2], whole[1]] + whole[3:])):
            self.put(lines)
            self.assertEqual(self.run_("verify"), 1, what)
            self.assertIn(what, self.out)
            self.assertRegex(self.out, r"\.jsonl:\d+: ")
        self.put(whole)
        self.assertEqual(self.run_("verify"), 0)

    def test_without_a_log(self) -> None:
        self.assertEqual(self.run_("verify"), 2)


class Explain(Verbs):
    def test_a_ref_is_explained_with_every_rule_before_the_one_that_decided(self) -> None:
        record = self.judged()[4]
        self.assertEqual(record["rule"], "block-env-files")
        self.assertEqual(self.run_("explain", record["ref"]), 1)
        for words in ("What decided: shop/.env", "built-in default", "  block-ssh-keys (built-in default): does not match",
                      "→ block-env-files (built-in default): DENY, /params/arguments/path", f"mcpwall allow {record['ref']}"):
            self.assertIn(words, self.out)
        self.assertEqual(self.run_("explain", "zzzzzz-9"), 2)
        self.assertIn("no record in the log has the ref", self.err)

    def test_a_rule_is_named_with_its_file_and_line_and_why_it_was_passed_over(self) -> None:
        path = self.write("p.yml", """version: 1
settings: {default_action: deny}
rules:
  - name: writes
    match: {tool: "write_*"}
    action: allow
  - name: of-git
    match: {server: git, tool: "*"}
    action: allow
  - name: inside
    match: {tool: read_file, arguments: {path: {under: "${PROJECT_DIR}/src"}}}
    unless: {arguments: {path: {regex: secret}}}
    action: allow
""")
        self.assertEqual(self.run_("explain", "-c", path, "read_file", "path=other/a.py"), 1)
        for words in (f"  writes ({path}:4): another tool: it is about write_*", f"  of-git ({path}:7): needs the server's name (git)",
                      f"  inside ({path}:10): does not match", "→ the default: no rule decides; the default is deny",
                      'Nearly: inside would allow it if {"path": {"under": "${PROJECT_DIR}/src"}} held'):
            self.assertIn(words, self.out)
        self.assertEqual(self.run_("explain", "-c", path, "--project", self.project, "read_file", "path=src/secret.py"), 1)
        self.assertIn("matches, but its exception does too", self.out)
        self.assertEqual(self.run_("explain", "-c", path, "read_file", "path=src/a.py"), 0)
        self.assertEqual(self.run_("explain", "-c", path, "--json", "--server-name", "git", "status"), 0)
        walk = json.loads(self.out)["walk"]
        self.assertEqual((walk[-1]["rule"], walk[-1]["origin"], walk[-1]["outcome"]), ("of-git", f"{path}:7", "decides"))

    def test_what_is_no_call_is_a_mistake(self) -> None:
        for words in (["--input", "nonsense"], ["--input", '{"a":1}'], ["read file", "a=b"], ["a=b"]):
            self.assertEqual(self.run_("explain", *words), 2, words)


class Allow(Verbs):
    def passes(self, tool: str, arguments: dict, server: str = "fs") -> bool:
        return Talk(mcpwall.load_policy(home=self.home, project_dir=self.project), server).passes(tool, arguments)

    def refused(self, tool: str, arguments: dict) -> str:
        record = self.judged([(tool, arguments)])[0]
        self.assertEqual(record["action"], "deny")
        return record["ref"]

    def test_exactly_that_call_is_allowed_and_its_neighbours_are_not(self) -> None:
        for tool, arguments, neighbours in (
                ("read_file", {"path": "shop/.env", "head": 3}, [("read_file", {"path": "shop/.env.local"}), ("read_file", {"path": ".env"}),
                                                                ("write_file", {"path": "shop/.env"}), ("read_file", {"path": "shop/../.env"}),
                                                                ("read_file", {"path": "shop/.env", "more": "~/.ssh/id_rsa"})]),
                ("run_command", {"command": "rm -rf ~/old (1).x"}, [("run_command", {"command": "rm -rf ~/old"}),
                                                                   ("run_command", {"command": "rm -rf ~/old (1).x; rm -rf ~"}),
                                                                   ("run_command", {"command": "rm -rf ~"}), ("other", {"command": "rm -rf ~/old (1).x"})])):
            ref = self.refused(tool, arguments)
            self.assertEqual(self.run_("allow", ref, answers="y\n"), 0, self.err)
            self.assertTrue(self.passes(tool, arguments))
            self.assertFalse(self.passes(tool, arguments, "another"))
            for neighbour in neighbours:
                self.assertFalse(self.passes(*neighbour), neighbour)

    def test_what_is_allowed_already_takes_no_second_rule(self) -> None:
        ref = next(record["ref"] for record in self.judged() if record.get("rule") == "block-env-files")
        self.assertEqual(self.run_("allow", ref, "--yes"), 0)
        self.assertEqual(self.run_("allow", ref, "--yes"), 0, self.err)
        self.assertIn("allowed already", self.out)

    def test_comments_and_rules_of_a_policy_are_kept(self) -> None:
        for name, text in (("config.yml", "# mine\nversion: 1   # one\nextends: default\nrules:\n  # first\n  - name: a\n    match: {tool: x}\n    action: deny # no\n"),
                           ("config.yml", "version: 1\nextends: default\nrules: []  # none yet\n"),
                           ("config.yml", "version: 1\r\nextends: default\r\n"),
                           ("config.json", '{"version": 1, "extends": "default", "rules": [ {"name": "a", "match": {"tool": "x"}, "action": "deny"}]}'),
                           ("config.json", '{\n  "version": 1,\n  "extends": "default"\n}\n')):
            with self.subTest(text):
                path = self.write(f"../home/.mcpwall/{name}", text)
                ref = self.refused("read_file", {"path": "shop/.env"})
                self.assertEqual(self.run_("allow", ref, answers="y\n"), 0, self.err)
                with open(path, encoding="utf-8", newline="") as stream:
                    new = stream.read()
                for part in ("# mine", "# one", "# first", "# no", '"name": "a"'):
                    self.assertEqual(part in new, part in text, new)
                self.assertTrue(self.passes("read_file", {"path": "shop/.env"}))
                os.unlink(path)

    def test_it_needs_a_person_and_a_yes(self) -> None:
        ref = self.refused("read_file", {"path": "shop/.env"})
        config = os.path.join(self.home, ".mcpwall", "config.yml")
        self.assertEqual(self.run_("allow", ref), 2)
        self.assertIn("no terminal", self.err)
        for answers in ("n\n", "", "maybe\n"):
            self.assertEqual(self.run_("allow", ref, answers=answers), 1)
            self.assertIn("Nothing was written", self.out)
        self.assertEqual(self.run_("allow", ref, "--dry-run"), 0)
        self.assertIn("+        path:", self.out)
        self.assertFalse(os.path.exists(config))

    def test_what_cannot_be_allowed_narrowly_is_said_with_what_to_do_instead(self) -> None:
        records = self.judged([("post", {"text": f"token {GITHUB_TOKEN}"}), ("run_command", {"command": "rm -rf ~ " + "x" * 400}),
                               ("read_file", {"path": "src/a.py"}), ("fetch", {"url": "http://169.254.169.254/latest/meta-data"})])
        for record, why in zip([record for record in records if record["direction"] == "inbound"],
                               ("a secret would go out", "only in part", "it was not refused", "never a place to fetch from")):
            self.assertEqual(self.run_("allow", record["ref"], "--dry-run"), 2, self.out)
            self.assertIn(why, self.err)
        self.assertEqual(self.run_("allow", "zzzzzz-1", "--dry-run"), 2)

    def test_an_entry_that_names_another_policy_is_said(self) -> None:
        path = os.path.join(self.home, ".cursor", "mcp.json")
        os.makedirs(os.path.dirname(path))
        with open(path, "w", encoding="utf-8") as stream:
            json.dump({"mcpServers": {"fs": {"command": "mcpwall", "args": ["--profile", "strict", "--", "server"]}}}, stream)
        ref = self.refused("read_file", {"path": "shop/.env"})
        self.assertEqual(self.run_("allow", ref, answers="y\n"), 2)
        self.assertIn("runs --profile strict", self.err)


class Stopping(Verbs):
    def test_every_call_is_refused_at_once_and_answers_still_flow(self) -> None:
        io = mcpwall.Surroundings(self.home, self.project, self.environ, "linux", ["mcpwall"], streams.StringIO(), streams.StringIO(), streams.StringIO())
        for policy in ("version: 1\nextends: default\n", "version: 1\nsettings: {mode: monitor}\n"):
            talk = Talk(policy, "fs", stopped=io.stops.watch("fs"))
            self.assertTrue(talk.call("a", {}, 1)["server"])
            self.assertEqual(self.run_("stop"), 0)
            out = talk.call("a", {}, 2)
            self.assertEqual(out["server"], b"")
            self.assertIn(b"stopped every call", out["client"])
            self.assertTrue(talk.client(request("ping", None, 3))["server"])
            self.assertTrue(talk.server({"jsonrpc": "2.0", "id": 1, "result": {}})["client"])
            self.run_("log")
            self.assertIn("Every call of every server is refused now", self.out)
            self.assertEqual(self.run_("go"), 2)
            self.assertEqual(self.run_("go", "--yes"), 0)
            self.assertTrue(talk.call("a", {}, 4)["server"])

    def test_one_server_alone(self) -> None:
        io = mcpwall.Surroundings(self.home, self.project, self.environ, "linux", ["mcpwall"], streams.StringIO(), streams.StringIO(), streams.StringIO())
        self.run_("stop", "git")
        self.assertEqual([io.stops.watch(name)() for name in ("fs", "git")], [False, True])
        self.assertEqual(self.run_("go", "git", answers=""), 0)
        self.assertFalse(io.stops.watch("git")())


class RulesInForce(Verbs):
    def test_in_order_with_origin_and_hits(self) -> None:
        path = self.write("../home/.mcpwall/config.yml", "version: 1\nextends: default\nrules:\n  - name: mine\n    match: {tool: x}\n    action: deny\n")
        self.judged()
        self.assertEqual(self.run_("rules", "--effective", "--json"), 0)
        rows = json.loads(self.out)["rules"]
        self.assertEqual([row["name"] for row in rows[:2]], ["block-policy-files", "mine"])
        self.assertEqual((rows[1]["origin"], rows[1]["hits"]), (f"{os.path.realpath(path)}:4", 0))
        hits = {row["name"]: row["hits"] for row in rows}
        self.assertEqual((hits["block-ssh-keys"], hits["block-env-files"], hits["block-wallets"]), (1, 1, 0))
        self.assertEqual(self.run_("rules", "--effective"), 0)
        self.assertIn("block-ssh-keys", self.out)


if __name__ == "__main__":
    unittest.main()
