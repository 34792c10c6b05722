"""Trying policies: lint, test, replay, learn, report."""
from __future__ import annotations

import json
import os
import random
import unittest
import xml.dom.minidom
from xml.etree import ElementTree

from tests.support import GITHUB_TOKEN, Talk, mcpwall, seed
from tests.test_log import Verbs

POLICY = """version: 1
extends: default
rules:
  - name: no-pushes
    match: {tool: git_push}
    action: deny
  - name: few-fetches
    match: {tool: fetch}
    limit: {calls: 2, per: 60}
    action: deny
  - name: never-asked
    match: {tool: nothing}
    action: deny
tests:
  - {name: keys, tool: read_file, arguments: {path: ~/.ssh/id_rsa}, expect: deny, rule: block-ssh-keys}
  - {tool: git_push, arguments: {}, expect: deny, rule: no-pushes}
  - {tool: read_file, arguments: {path: src/a.py}, expect: allow}
  - name: the third fetch
    steps:
      - {tool: fetch, arguments: {url: "https://a.example"}, expect: allow}
      - {tool: fetch, arguments: {url: "https://b.example"}, expect: allow}
      - {tool: fetch, arguments: {url: "https://c.example"}, expect: deny, rule: few-fetches}
  - {name: an answer, tool: read_file, answer: "token: TOKEN", expect: redact, without: TOKEN}
  - {tools: [{name: add, description: Adds two numbers, inputSchema: {type: object}}], expect: allow}
""".replace("TOKEN", GITHUB_TOKEN)


class Testing(Verbs):
    def test_examples_of_a_policy_are_run_and_unhit_rules_are_named(self) -> None:
        self.write("p.yml", POLICY)
        self.assertEqual(self.run_("test", "p.yml"), 0, self.out + self.err)
        self.assertIn("6 passed, 0 failed", self.out)
        self.assertIn("p.yml: never-asked", self.out)
        self.assertNotIn("no-pushes", self.out)

    def test_what_is_not_as_expected_is_said_with_its_line(self) -> None:
        self.write("p.yml", POLICY.replace("expect: deny, rule: few-fetches", "expect: allow").replace("rule: no-pushes", "rule: other")
                   .replace("without: " + GITHUB_TOKEN, "without: REDACTED"))
        self.assertEqual(self.run_("test", "p.yml", "--junit", "r.xml"), 1)
        for words in ("p.yml:16: git_push: expected the rule other, got no-pushes", "the third fetch: step 3: expected allow, got deny (rule few-fetches)",
                      "an answer: a text passed that must not: REDACTED", "3 passed, 3 failed"):
            self.assertIn(words, self.out)
        suite = ElementTree.parse(os.path.join(self.project, "r.xml")).getroot()
        self.assertEqual((suite.get("tests"), suite.get("failures")), ("6", "3"))
        self.assertEqual(self.run_("test", "--json", "p.yml"), 1)
        self.assertEqual(len(json.loads(self.out)["failed"]), 3)

    def test_files_of_examples_beside_a_policy_and_by_themselves(self) -> None:
        policy, tests = POLICY.split("tests:\n")
        self.write("p.yml", policy)
        self.assertEqual(self.run_("test", "p.yml"), 2)
        self.assertIn("there is no example", self.err)
        self.write("p.tests.yml", "version: 1\ntests:\n" + tests)
        self.assertEqual(self.run_("test", "p.yml"), 0)
        self.assertIn("6 passed", self.out)
        self.write("other/e.yml", "version: 1\npolicy: ../p.yml\ntests:\n" + tests)
        self.assertEqual(self.run_("test", "other/e.yml"), 0)
        self.write("e.yml", "version: 1\ntests:\n  - {tool: read_file, arguments: {path: ~/.ssh/id_rsa}, expect: deny}\n")
        self.assertEqual(self.run_("test", "e.yml"), 0)
        self.assertEqual(self.run_("test", "-c", "p.yml", "e.yml"), 0)

    def test_examples_that_cannot_be_understood(self) -> None:
        for text, word in (("- {tool: a}", "expects nothing"), ("- {expect: deny}", "no call and no answer"), ("- {tool: a, expect: maybe}", "is not a verdict"),
                           ("- {tool: a, expct: deny}", "did you mean 'expect'"), ("- {steps: [{tool: 1, expect: deny}]}", "a tool's name")):
            self.write("p.yml", f"version: 1\ntests:\n  {text}\n")
            self.assertEqual(self.run_("test", "p.yml"), 2)
            self.assertIn(word, self.err)
        self.write("p.yml", "version: 1\nrules: []\npolicy: x.yml\n")
        self.assertEqual(self.run_("test", "p.yml"), 2)


class Linting(Verbs):
    def test_all_mistakes_are_said_rather_than_the_first(self) -> None:
        path = self.write("p.yml", """version: 1
rulez: []
settings: {mode: loud, log_levle: info}
rules:
  - name: a
    match: {tool: x, arguments: {p: {regexp: y}}}
    action: block
  - name: b
    match: {tool: x, arguments: {p: {regex: "("}}}
    action: deny
  - name: b
    match: {tool: "{"}
    action: deny
""")
        self.assertEqual(self.run_("lint", "p.yml"), 1)
        for words in ("/rulez", "/settings/mode", "/settings/log_levle", "/rules/0", "/rules/1", "/rules/2"):
            self.assertIn(words, self.out)
        for line in self.out.splitlines():
            self.assertRegex(line, rf"^{path}:\d+")
        self.assertEqual(self.run_("lint", "--json", "p.yml"), 1)
        self.assertGreaterEqual(len(json.loads(self.out)[path]["problems"]), 6)

    def test_doubts(self) -> None:
        self.write("p.yml", "version: 1\nextends: default\nrules:\n  - {name: a, match: {tool: run, arguments: {command: {regex: '^git '}}}, action: allow}\n"
                            "  - {name: b, match: {marked: m}, action: deny}\n")
        for words, status in ((["p.yml"], 0), (["--strict", "p.yml"], 1)):
            self.assertEqual(self.run_("lint", *words), status)
            for said in ("leaves open what else", "which no rule sets", "has no tests"):
                self.assertIn(said, self.out)
        self.write("p.yml", POLICY)
        self.assertEqual(self.run_("lint", "--strict", "p.yml"), 0)
        self.assertIn("fine", self.out)
        self.assertEqual(self.run_("lint", "nowhere.yml"), 2)

    def test_doubts_do_not_hold_up_a_start_but_check_says_them(self) -> None:
        path = self.write("p.yml", "version: 1\nrules:\n  - {name: b, match: {marked: m}, action: deny}\n")
        self.assertEqual(mcpwall.load_policy(config=path).warnings, ())
        self.run_("check", "-c", path, "t")
        self.assertIn("which no rule sets", self.err)


class Replaying(Verbs):
    def logged(self, count: int, settings: str = "log_args: full") -> list[dict]:
        """The records of a made-up week of calls."""
        rnd = random.Random(seed())
        self.write("../home/.mcpwall/config.yml", f"version: 1\nextends: default\nsettings: {{{settings}}}\n")
        calls = []
        for _ in range(count):
            calls.append(rnd.choice((
                ("read_file", {"path": f"src/{rnd.choice('abcdef')}{rnd.randrange(50)}.py"}),
                ("read_file", {"path": f"{self.project}/docs/{rnd.randrange(9)}.md", "head": rnd.randrange(100)}),
                ("list_directory", {"path": rnd.choice((".", "src", "docs"))}), ("git_status", {}),
                ("run_command", {"command": rnd.choice(("make test", "npm run build", "git diff --stat", f"echo {rnd.random()}"))}),
                ("search", {"query": f"where is thing {rnd.randrange(1000)}", "mode": rnd.choice(("exact", "fuzzy"))}),
                ("read_file", {"path": rnd.choice(("~/.ssh/id_rsa", ".env"))}), ("run_command", {"command": "rm -rf ~"}),
                ("edit", {"edits": [{"path": f"src/{rnd.randrange(9)}.py", "new": f"x = {rnd.randrange(99)}\n"}], "dry": rnd.random() < 0.5}))))
        return self.judged(calls)

    def test_the_same_policy_changes_nothing_that_can_be_told(self) -> None:
        for settings in ("log_args: full", "log_args: denied", "log_args: none", "log_args: full, mode: monitor"):
            self.logged(60, settings)
        self.assertEqual(self.run_("replay", "--json"), 0, self.out)
        told = json.loads(self.out)
        self.assertEqual(told["changes"], [])
        self.assertGreater(told["unchanged"], 60)
        self.assertTrue(told["untold"])

    def test_what_changes_is_counted_with_an_example(self) -> None:
        records = self.logged(100)
        path = self.write("new.yml", "version: 1\nextends: default\nrules:\n  - {name: no-git, match: {tool: git_status}, action: deny}\n"
                                     "  - {name: keys, match: {tool: read_file, arguments: {path: {regex: id_rsa}}}, action: allow}\n")
        self.assertEqual(self.run_("replay", "-c", path, "--json"), 1)
        changes = {(row["old"], row["new"], row["tool"]): row for row in json.loads(self.out)["changes"]}
        git = [record for record in records if record["tool"] == "git_status" and record["direction"] == "inbound"]
        self.assertEqual((changes["allow", "deny", "git_status"]["count"], changes["allow", "deny", "git_status"]["rule"]), (len(git), "no-git"))
        self.assertIn(("deny", "allow", "read_file"), changes)
        self.assertEqual(self.run_("replay", "-c", path), 1)
        self.assertIn("calls would be judged otherwise", self.out)

    def test_a_learned_policy_allows_all_that_was_allowed_and_little_else(self) -> None:
        records = self.logged(400)
        self.assertEqual(self.run_("learn"), 0, self.err)
        self.assertIn("# run_command: any text is allowed in command; add a regex to narrow it\n", self.out)
        self.assertNotIn("# read_file: any text", self.out)
        path = self.write("learned.yml", self.out)
        learned = mcpwall.load_policy(config=path)
        self.assertEqual(learned.settings.default_action, "deny")
        self.assertEqual(self.run_("replay", "-c", path, "--json"), 0, self.out)
        self.assertEqual(json.loads(self.out)["changes"], [])
        self.assertEqual(self.run_("test", path), 0, self.out)
        self.assertTrue([record for record in records if record["action"] == "deny"])
        talk = Talk(learned, "fs")
        for tool, arguments in (("delete_file", {"path": "src/a.py"}), ("read_file", {"path": "/etc/hosts"}), ("run_command", {"command": "rm -rf ~"}),
                                ("search", {"query": "x", "mode": "delete"}), ("read_file", {"path": "src/a.py", "then": "x"})):
            self.assertFalse(talk.passes(tool, arguments), (tool, arguments))
        self.assertFalse(Talk(learned, "other").passes("git_status", {}))
        self.run_("learn", "--server", "nobody")
        self.assertIn("no call that was allowed", self.err)

    def test_what_a_rule_of_the_users_own_allowed_does_not_open_all_places_to_that_tool(self) -> None:
        own = os.path.join(self.home, ".mcpwall", "config.yml")
        os.makedirs(os.path.dirname(own), exist_ok=True)
        with open(own, "w", encoding="utf-8") as stream:
            stream.write("version: 1\nextends: default\nsettings: {log_args: full}\nrules:\n"
                         "- {name: own, match: {tool: read_file, arguments: {path: {under: /srv/x}}}, action: allow}\n")
        os.chmod(own, 0o600)
        self.judged([("read_file", {"path": "src/a.py"}), ("read_file", {"path": "/srv/x/.env"})])
        self.assertEqual(self.run_("learn"), 0, self.err)
        path = self.write("learned.yml", self.out)
        self.assertEqual(self.run_("replay", "-c", path), 0, self.out)
        talk = Talk(mcpwall.load_policy(config=path), "fs")
        for place, passes in (("src/a.py", True), ("/srv/x/.env", True), ("/srv/y/.env", False), ("~/.ssh/id_rsa", False), ("/etc/hosts", False)):
            self.assertEqual(talk.passes("read_file", {"path": place}), passes, place)


class Reporting(Verbs):
    def test_the_page_is_well_formed_stands_alone_and_holds_no_markup_of_a_message(self) -> None:
        self.judged([("read_file", {"path": "~/.ssh/<img src=x onerror=alert(1)>id_rsa"}), ("<script>alert(1)</script>", {"command": "rm -rf ~ </td><b>"}),
                     ("run_command", {"command": "rm -rf ~ & '\"<svg>"}), *self.CALLS])
        self.assertEqual(self.run_("report", "-o", "r.html"), 0, self.err)
        with open(os.path.join(self.project, "r.html"), encoding="utf-8") as stream:
            page = stream.read()
        xml.dom.minidom.parseString(page.replace("<!DOCTYPE html>\n", ""))
        for piece in ("<script", "<img", "http://", "https://", "url(", "@import", "src="):
            self.assertNotIn(piece, page.replace('xmlns="http://www.w3.org/1999/xhtml"', "").replace("&lt;img src=x", ""), piece)
        for words in ("block-destructive-commands", "&lt;svg&gt;", "Refused, by rule", "<svg", "github-token"):
            self.assertIn(words, page)
        self.assertNotIn(GITHUB_TOKEN[8:], page)

    def test_an_empty_log_makes_a_page_as_well(self) -> None:
        self.assertEqual(self.run_("report"), 0)
        with open(os.path.join(self.project, "mcpwall-report.html"), encoding="utf-8") as stream:
            self.assertIn("No records.", stream.read())

    def test_entries_without_a_wall_are_listed(self) -> None:
        path = os.path.join(self.home, ".cursor", "mcp.json")
        os.makedirs(os.path.dirname(path))
        with open(path, "w", encoding="utf-8") as stream:
            json.dump({"mcpServers": {"bare": {"command": "x"}}}, stream)
        self.run_("report")
        with open(os.path.join(self.project, "mcpwall-report.html"), encoding="utf-8") as stream:
            self.assertIn("bare (~/.cursor/mcp.json)", stream.read())


if __name__ == "__main__":
    unittest.main()
