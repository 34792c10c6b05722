"""Policies for more than one person: files that extend files, the machine's policy, changes while a wall runs."""
from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
import unittest
from unittest import mock

from tests.support import WALL, InEmptyHome, Talk, line, mcpwall, request

DENY = "version: 1\nrules:\n  - {name: %s, match: {tool: %s}, action: %s}\n"


class Layers(InEmptyHome):
    def load(self, **more: object) -> mcpwall.Policy:
        return mcpwall.load_policy(home=self.home, project_dir=self.project, **more)

    def test_a_policy_extends_files_by_paths_relative_to_it(self) -> None:
        self.write("team/base.yml", DENY % ("base", "b", "deny") + "settings: {log_level: warn, deny_as: result}\n")
        self.write("team/team.yml", DENY % ("team", "t", "deny") + "extends: [base.yml, default]\n")
        path = self.write("p.yml", DENY % ("own", "t", "allow") + "extends: ./team/team.yml\nsettings: {log_level: error}\n")
        made = self.load(config=path)
        names = [rule.name for rule in made.rules]
        self.assertEqual([name for name in names if name in ("own", "team", "base", "block-ssh-keys")], ["own", "team", "base", "block-ssh-keys"])
        self.assertEqual((made.settings.log_level, made.settings.deny_as), ("error", "result"))
        talk = Talk(made)
        self.assertEqual([talk.passes(tool, {}) if tool != "b" else not talk.call(tool, {})["client"] for tool in ("t", "b", "x")], [True, False, True])
        dropped = self.write("q.yml", "version: 1\nextends: ./team/team.yml\nwithout: [base, block-ssh-keys]\n")
        self.assertFalse({"base", "block-ssh-keys"} & {rule.name for rule in self.load(config=dropped).rules})

    def test_circles_and_files_that_are_not_there(self) -> None:
        self.write("a.yml", "version: 1\nextends: b.yml\n")
        path = self.write("b.yml", "version: 1\nextends: ./a.yml\n")
        for text, word in (("./a.yml", "extends this file in turn"), ("./none.yml", "none.yml: cannot be read"), ("defalt", "did you mean|is not a built-in policy")):
            path = self.write("c.yml", f"version: 1\nextends: {text}\n")
            with self.assertRaisesRegex(mcpwall.PolicyError, word):
                self.load(config=path)
        with self.assertRaisesRegex(mcpwall.PolicyError, "in turn"):
            self.load(config=self.write("d.yml", "version: 1\nextends: d.yml\n"))

    def test_an_approval_covers_every_file_that_a_projects_policy_reads(self) -> None:
        self.write("team.yml", DENY % ("team", "t", "allow"))
        own = self.write(".mcpwall.yml", "version: 1\nextends: [./team.yml, default]\nsettings: {default_action: deny}\n")
        data, layers = mcpwall.project_content(own)
        self.assertEqual(len(layers), 2)
        approved = {data}
        self.assertTrue(Talk(self.load(approved=lambda _, content: content in approved)).passes("t", {}))
        self.write("team.yml", DENY % ("team", "'*'", "allow"))
        self.assertIsNotNone(self.load(approved=lambda _, content: content in approved).apart)

    def test_a_projects_policy_extends_no_file_outside_the_project(self) -> None:
        self.write("../secret.yml", "version: 1\npassword: hunter2\n")
        for target in ("../secret.yml", os.path.join(os.path.dirname(self.project), "secret.yml"), "sub/link.yml"):
            os.makedirs(os.path.join(self.project, "sub"), exist_ok=True)
            if not os.path.lexists(os.path.join(self.project, "sub/link.yml")):
                os.symlink("../../secret.yml", os.path.join(self.project, "sub/link.yml"))
            self.write(".mcpwall.yml", f"version: 1\nextends: {target}\n")
            with self.assertRaises(mcpwall.PolicyError) as caught:
                self.load()
            self.assertNotIn("hunter2", str(caught.exception))

    def test_tools_do_not_write_to_the_policy_that_is_in_force(self) -> None:
        self.write("team.yml", DENY % ("team", "t", "deny"))
        path = self.write("my policy [1].yml", "version: 1\nextends: [./team.yml, default]\nrules:\n  - {name: all, match: {tool: '*'}, action: allow}\n")
        talk = Talk(self.load(config=path, cwd=self.project))
        for file in (path, os.path.join(self.project, "team.yml"), "team.yml", "./x/../team.yml"):
            self.assertFalse(talk.passes("write_file", {"path": file, "content": "version: 1"}), file)
            self.assertTrue(talk.passes("read_file", {"path": file}), file)
        self.assertFalse(talk.passes("run_command", {"command": f"echo 'version: 1' > {self.project}/team.yml"}))
        self.assertTrue(talk.passes("write_file", {"path": "other.yml", "content": ""}))


class Machine(InEmptyHome):
    """With a folder of the administrator's."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = os.path.join(os.path.dirname(self.home), "etc")
        os.makedirs(self.folder)
        patch = mock.patch.object(mcpwall, "machine_folder", lambda *_: self.folder)
        patch.start()
        self.addCleanup(patch.stop)

    def says(self, text: str) -> None:
        with open(os.path.join(self.folder, "policy.yml"), "w", encoding="utf-8") as stream:
            stream.write(text)

    def load(self, **more: object) -> mcpwall.Policy:
        return mcpwall.load_policy(home=self.home, project_dir=self.project, **more)

    @unittest.skipUnless(hasattr(os, "getuid") and os.getuid() == 0, "only root owns an administrator's file")
    def test_the_stricter_verdict_wins_whatever_the_user_says(self) -> None:
        self.says("version: 1\nrules:\n  - {name: no-net, match: {tool: fetch}, action: deny}\n  - {name: look, match: {tool: push}, action: ask}\n"
                  "outbound_rules:\n  - {name: foul, match: {response_contains: bad}, action: deny}\n")
        loose = self.write("p.yml", "version: 1\nrules:\n  - {name: all, match: {tool: '*'}, action: allow}\n  - {name: no, match: {tool: mine}, action: deny}\n")
        for made in (self.load(config=loose), self.load(profile="default"), self.load(), self.load(config=loose, mode="monitor")):
            talk = Talk(made)
            if made.settings.mode == "monitor":
                continue
            talk.call("fetch", {})
            self.assertEqual((talk.records[-1]["action"], talk.records[-1]["rule"]), ("deny", "machine:no-net"))
            talk.call("push", {}, 2)
            self.assertEqual(talk.records[-1]["rule"], "machine:look")
            self.assertTrue(talk.passes("other", {}))
            talk.call("other", {}, 5)
            self.assertNotIn(b"bad", talk.server({"jsonrpc": "2.0", "id": 5, "result": {"content": [{"type": "text", "text": "bad"}]}})["client"])
        deny = self.write("q.yml", "version: 1\nrules:\n  - {name: mine, match: {tool: push}, action: deny}\n")
        talk = Talk(self.load(config=deny))
        talk.call("push", {})
        self.assertEqual(talk.records[-1]["rule"], "mine")

    @unittest.skipUnless(hasattr(os, "getuid") and os.getuid() == 0, "only root owns an administrator's file")
    def test_settings_bind_where_they_are_stricter(self) -> None:
        self.says("version: 1\nsettings: {mode: enforce, audit_required: true, tool_pinning: block, unlisted_tools: deny, read_only: true, env: minimal, log_dir: /var/log/m}\n")
        made = self.load(config=self.write("p.yml", "version: 1\nsettings: {mode: monitor, tool_pinning: 'off', log_dir: /tmp/x}\n")).settings
        self.assertEqual((made.mode, made.audit_required, made.tool_pinning, made.unlisted_tools, made.read_only, made.env, made.log_dir),
                         ("enforce", True, "block", "deny", True, "minimal", "/var/log/m"))
        self.assertEqual(self.load(mode="monitor").settings.mode, "enforce")
        self.says("version: 1\nsettings: {tool_pinning: 'off', mode: monitor}\n")
        made = self.load(config=self.write("p.yml", "version: 1\nsettings: {tool_pinning: block}\n")).settings
        self.assertEqual((made.mode, made.tool_pinning), ("enforce", "block"))

    def test_one_that_cannot_be_understood_stops_everybody(self) -> None:
        self.says("version: 1\nrulez: []\n")
        for more in ({}, {"profile": "default"}, {"config": self.write("p.yml", "version: 1\n")}):
            with self.assertRaises(mcpwall.PolicyError):
                self.load(**more)

    @unittest.skipUnless(hasattr(os, "chown") and os.getuid() == 0, "needs another user")
    def test_one_that_a_user_owns_is_none(self) -> None:
        self.says("version: 1\n")
        os.chown(os.path.join(self.folder, "policy.yml"), 4711, 4711)
        with self.assertRaises(mcpwall.PolicyError):
            self.load()


class Changing(InEmptyHome):
    """A policy that changes while a wall runs."""

    def test_rules_count_at_once_and_what_needs_a_start_is_named(self) -> None:
        talk = Talk(DENY % ("a", "a", "deny"))
        self.assertFalse(talk.passes("a", {}))
        out = talk.take(talk.session.adopt(mcpwall.compile_policy([mcpwall.parse_policy(
            DENY % ("b", "b", "deny") + "settings: {log_dir: /elsewhere, deny_as: result}\n", "policy.yml")], mcpwall.default_path_context(), "x"), "changed"))
        self.assertEqual(out, {"client": b"", "server": b""})
        self.assertIn("settings.log_dir", talk.notes[-1])
        self.assertEqual((talk.records[-1]["method"], talk.records[-1]["action"]), ("mcpwall/policy", "log_only"))
        self.assertNotEqual(talk.records[-1]["policy"], talk.records[0]["policy"])
        self.assertTrue(talk.passes("a", {}))
        self.assertIn("result", json.loads(talk.call("b", {}, 9)["client"]))

    def test_a_running_wall_takes_up_a_change_and_keeps_the_old_one_when_that_does_not_load(self) -> None:
        path = self.write("../p.yml", DENY % ("a", "a", "deny"))
        server = ("import json, sys\nfor text in sys.stdin:\n"
                  "    print(json.dumps({'jsonrpc': '2.0', 'id': json.loads(text)['id'], 'result': {}}), flush=True)\n")
        with subprocess.Popen([*WALL, "-c", path, "--", sys.executable, "-I", "-S", "-c", server], cwd=self.project,
                              env=self.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as wall:
            def refused(tool: str) -> bool:
                wall.stdin.write(line(request("tools/call", {"name": tool, "arguments": {}})))
                wall.stdin.flush()
                return "error" in json.loads(wall.stdout.readline())

            def comes_to(tool: str, wanted: bool) -> None:
                end = time.monotonic() + 30
                while refused(tool) != wanted:
                    self.assertLess(time.monotonic(), end)
                    time.sleep(0.1)
            self.assertEqual((refused("a"), refused("b")), (True, False))
            self.write("../p.yml", DENY % ("b", "b", "deny") + "# longer than before\n")
            comes_to("b", True)
            self.assertFalse(refused("a"))
            self.write("../p.yml", "version: [\n")
            said = ""
            while "the old one stays in force" not in said:
                self.assertTrue(refused("b"))
                self.assertTrue(select.select([wall.stderr], [], [], 30)[0], said)
                said += os.read(wall.stderr.fileno(), 65536).decode()
            self.assertTrue(refused("b"))
            wall.stdin.close()
        self.assertIn("is in force now", said)

    def test_a_file_inside_the_project_only_tightens_while_a_wall_runs(self) -> None:
        path = self.write("p.yml", DENY % ("a", "a", "deny"))

        def load() -> mcpwall.Policy:
            return mcpwall.load_policy(config=path, home=self.home, project_dir=self.project)
        watch = mcpwall.PolicyWatch(load(), load, [], self.project)
        self.assertEqual(watch.changed(10.0), (None, ""))
        self.write("p.yml", DENY % ("b", "b", "deny") + "  - {name: c, match: {tool: a}, action: allow}\n")
        self.assertEqual(watch.changed(10.5), (None, ""))       # once a second
        made, said = watch.changed(12.0)
        self.assertIn("lies inside the project", said)
        talk = Talk(made)
        self.assertEqual([talk.passes(tool, {}) for tool in "abx"], [False, False, True])


if __name__ == "__main__":
    unittest.main()
