"""Policies: validation messages, every matcher word, both readings (lenient and strict), layers and built-ins."""
from __future__ import annotations

import json
import os
import re
import unittest
from unittest import mock

from tests.support import GITHUB_TOKEN, InEmptyHome, Talk, context, mcpwall, policy, request, text_result


def rule(match: dict, action: str = "deny", **more: object) -> dict:
    return {"version": 1, "rules": [{"name": "r", "match": match, "action": action, **more}]}


def only(match: dict, **more: object) -> dict:
    """A policy that lets through what *match* allows, and nothing else."""
    return {**rule(match, "allow", **more), "settings": {"default_action": "deny"}}


class BuiltIn(unittest.TestCase):
    CERTAIN = {"under", "address", "sql", "all", "access"}      # words that hold only for what is known

    def words(self, value: object) -> set[str]:
        """The matcher words in a `match` or `unless`, and its keys about more than kind, method, tool and server."""
        if not isinstance(value, dict):
            return set()
        found = set(value) - {"method", "tool", "server", "host", "arguments", "direction"}
        for matcher in value.get("arguments", {}).values():
            found |= set(matcher)
            for part in matcher.get("all", ()):
                found |= set(part)
        return found

    def test_nothing_that_allows_rests_on_a_detector(self) -> None:
        seen = 0
        for name in mcpwall.BUILTIN_NAMES:
            data = mcpwall.builtin_layer(name).data
            for rule in [*data.get("rules", ()), *data.get("outbound_rules", ())]:
                for match in filter(None, (rule["match"] if rule.get("action") == "allow" else None, rule.get("unless"))):
                    seen += 1
                    self.assertEqual(self.words(match) - self.CERTAIN, set(), rule["name"])
        self.assertGreater(seen, 4)


class Messages(unittest.TestCase):
    """FILE:LINE: POINTER: what is wrong; what to write."""

    BAD = {     # text: what the message must say
        "": ("empty",),
        "# nothing\n": ("empty",),
        "version: 2\n": ("policy.yml:1", "/version", "write 1"),
        "version: 1\nrulez: []\n": ("policy.yml:2", "/rulez", "did you mean 'rules'"),
        "version: 1\nsettings:\n  log_levle: info\n": ("policy.yml:3", "/settings/log_levle", "did you mean 'log_level'"),
        "version: 1\nsettings: {log_level: loud}\n": ("/settings/log_level", "debug, info, warn or error"),
        "version: 1\nsettings: {log_redacted: full}\n": ("/settings/log_redacted", "hash"),
        "version: 1\nsettings: {audit_required: 1}\n": ("/settings/audit_required", "true or false"),
        "version: 1\nsettings: {max_message_bytes: 5}\n": ("out of range",),
        "version: 1\nsettings: {env: GITHUB_TOKEN}\n": ("policy.yml:2: /settings/env: 'GITHUB_TOKEN'", "inherit, minimal or a list of names"),
        "version: 1\nsettings: {env: true}\n": ("/settings/env: true", "a list of names"),
        "version: 1\nsettings: {env: []}\n": ("/settings/env", "empty list"),
        "version: 1\nsettings: {env: [A, 1]}\n": ("/settings/env/1", "a string"),
        "version: 1\nsettings:\n  env:\n    - A\n    - 'B_*|C'\n": ("policy.yml:5: /settings/env/1", "{a,b}"),
        "version: 1\nrules:\n  - {name: a, match: {}}\n": ("policy.yml:3", "/rules/0", "action"),
        "version: 1\nrules:\n  - name: a\n    match: {tool: x}\n    action: block\n": (
            "policy.yml:5: /rules/0/action: 'block' is not an action; use allow, deny",),
        "version: 1\nrules:\n  - {match: {}, action: deny}\n": ("name",),
        "version: 1\nrules: {a: 1}\n": ("/rules", "a list of rules"),
        "version: 1\nrules:\n  - {name: a, match: {}, action: deny}\n  - {name: a, match: {}, action: deny}\n": (
            "policy.yml:4", "/rules/1/name", "already"),
        "version: 1\nrules:\n  - {name: a, match: {tol: x}, action: deny}\n": ("did you mean 'tool'",),
        "version: 1\nrules:\n  - {name: a, match: {arguments: {p: {regexp: x}}}, action: deny}\n": ("did you mean 'regex'",),
        "version: 1\nrules:\n  - {name: a, match: {arguments: {p: {}}}, action: deny}\n": ("empty matcher",),
        "version: 1\nrules:\n  - {name: a, match: {arguments: {p: {regex: '(a'}}}, action: deny}\n": ("/rules/0/match/arguments/p/regex",),
        "version: 1\nrules:\n  - {name: a, match: {arguments: {p: {regex: '(?i)a'}}}, action: deny}\n": ("/rules/0/match/arguments/p/regex", "[Rr][Mm]"),
        "version: 1\nrules:\n  - {name: a, match: {tool: 'delete_*|remove_*'}, action: deny}\n": ("/rules/0/match/tool", "{"),
        "version: 1\nrules:\n  - {name: a, match: {arguments: {p: {command: rm}}}, action: deny}\n": ("category",),
        "version: 1\nrules:\n  - {name: a, match: {arguments: {p: {except_keys: [x], regex: a}}}, action: deny}\n": ("_any_value",),
        "version: 1\noutbound_rules:\n  - {name: a, match: {}, action: deny}\n": ("at least one",),
        "version: 1\noutbound_rules:\n  - {name: a, match: {secrets: false}, action: deny}\n": ("leave it out",),
        "version: 1\noutbound_rules:\n  - {name: a, match: {response_contains: ''}, action: deny}\n": ("an empty text",),
        "version: 1\nrules:\n  - {name: a, match: {tool: x}, unless: {}, action: deny}\n": ("/rules/0/unless", "leave it out"),
        "version: 1\nrules:\n  - {name: a, match: {arguments: {_any_key: {under: /etc}}}, action: deny}\n": ("_any_key/under",),
        "version: 1\nrules:\n  - {name: a, match: {arguments: {x: {under: '${HOEM}/a'}}}, action: deny}\n": ("HOEM", "${HOME}"),
        "version: 1\nrules:\n  - {name: a, match: {arguments: {x: {under: '*'}}}, action: deny}\n": ("not a glob",),
        "version: 1\nrules:\n  - {name: a, match: {arguments: {x: {path: '!a'}}}, action: deny}\n": ("exceptions",),
        "version: 1\nrules:\n  - {name: a, match: {method: Tools/Call}, action: deny}\n": ("tools/call",),
        "version: 1\noutbound_rules:\n  - {name: a, match: {secrets: true}, action: ask}\n": ("redact",),
        "version: 1\nextends: defualt\n": ("/extends", "default"),
        "version: 1\nextends: default\nwithout: [nope]\n": ("/without/0", "unknown rule 'nope'"),
        "version: 1\nwithout: [block-ssh-keys]\n": ("/without/0",),
        "version: 1\nsecrets: {patterns: [{name: a, regex: 'x', entropy_threshold: 9}]}\n": ("0 to 8",),
        "version: 1\nsecrets: {patterns: [{name: a}]}\n": ("/secrets/patterns/0/regex",),
        "version: 1\nrules: [{name: a, match: {}, action: deny, mark: x}]\n": ("/rules/0/action", "decides nothing"),
        "version: 1\nrules: [{name: a, match: {}, mark: x, message: hi}]\n": ("/rules/0/message", "second rule"),
        "version: 1\nrules: [{name: a, match: {}, mark: 'x y'}]\n": ("/rules/0/mark", "letters"),
        "version: 1\nrules: [{name: a, match: {}, mark: [x]}]\n": ("/rules/0/mark", "a list"),
        "version: 1\nrules: [{name: a, match: {marked: []}, action: deny}]\n": ("/rules/0/match/marked", "empty list"),
        "version: 1\nrules: [{name: a, match: {marked: [x, 'y!']}, action: deny}]\n": ("/rules/0/match/marked/1",),
        "version: 1\nrules: [{name: a, match: {}, action: deny, limit: 5}]\n": ("/rules/0/limit", "calls and per"),
        "version: 1\nrules: [{name: a, match: {}, action: deny, limit: {calls: 5}}]\n": ("/rules/0/limit", "'per'"),
        "version: 1\nrules: [{name: a, match: {}, action: deny, limit: {calls: 0, per: 1}}]\n": ("/limit/calls", "1 to 10000"),
        "version: 1\nrules: [{name: a, match: {}, action: deny, limit: {calls: 1.5, per: 1}}]\n": ("/limit/calls", "whole"),
        "version: 1\nrules: [{name: a, match: {}, action: deny, limit: {calls: 1, per: 0}}]\n": ("/limit/per",),
        "version: 1\nrules: [{name: a, match: {}, action: deny, limit: {calls: 1, per: .inf}}]\n": ("/limit/per",),
        "version: 1\nrules: [{name: a, match: {}, action: allow, limit: {calls: 1, per: 1}}]\n": ("/limit", "before the allow"),
        "version: 1\nrules: [{name: a, match: {}, action: deny, hint: 5}]\n": ("/rules/0/hint", "a text"),
        "version: 1\nsettings: {ask_timeout: 0}\n": ("/settings/ask_timeout", "1 to 86400"),
        "version: 1\nsettings: {ask_timeout: yes}\n": ("/settings/ask_timeout",),
        "version: 1\nsettings: {tool_pinning: true}\n": ("/settings/tool_pinning", "off, warn, guard or block"),
        "version: 1\nsettings: {unlisted_tools: ask}\n": ("/settings/unlisted_tools", "allow or deny"),
        "version: 1\nsettings: {hide_denied_tools: off}\n": ("/settings/hide_denied_tools", "true or false"),
        "version: 1\nsettings: {max_repeated_denials: 0}\n": ("/settings/max_repeated_denials",),
        "version: 1\nsettings: {env: some}\n": ("/settings/env", "inherit, minimal or a list"),
        "version: 1\nversion: 1\n": ("policy.yml:2",),
        "version: &a 1\n": ("anchor",),
        "- a\n": ("a map",),
    }

    def test_each_mistake_is_one_line_with_place_and_remedy(self) -> None:
        for text, words in self.BAD.items():
            with self.subTest(text):
                with self.assertRaises(mcpwall.PolicyError) as caught:
                    policy(text)
                said = str(caught.exception)
                self.assertNotIn("\n", said)
                self.assertTrue(said.startswith("policy.yml"), said)
                for word in words:
                    self.assertIn(word, said)

    def test_json_policies_have_lines_too(self) -> None:
        text = '{\n  "version": 1,\n  "rules": [\n    {"name": "a", "match": {"tol": "x"}, "action": "deny"}\n  ]\n}\n'
        with self.assertRaises(mcpwall.PolicyError) as caught:
            mcpwall.parse_policy(text, "p.json")
        self.assertTrue(str(caught.exception).startswith("p.json:4: /rules/0/match/tol: "), str(caught.exception))


class Doubts(unittest.TestCase):
    """What is valid, but hardly meant, is said at load."""

    def said(self, rules: str, head: str = "") -> list[str]:
        return mcpwall.policy_doubts(policy(f"version: 1\n{head}rules:\n" + "".join(f"  - {rule}\n" for rule in rules.split("\n"))))

    def test_a_rule_behind_one_that_always_matches(self) -> None:
        for earlier, later in (
                ("match: {tool: run}, action: allow", "match: {tool: run, arguments: {a: {regex: x}}}, action: deny"),
                ("match: {tool: \"r*\"}, action: deny", "match: {tool: [run, read]}, action: allow"),
                ("match: {}, action: deny", "match: {method: ping}, action: allow"),
                ("match: {method: \"*\"}, action: ask", "match: {tool: x}, action: deny"),
                ("match: {tool: [a, b]}, action: log_only", "match: {tool: b, server: s}, action: deny"),
                ("match: {arguments: {p: {regex: x}}}, action: deny", "match: {arguments: {p: {regex: x}}}, action: deny")):
            said, = self.said(f"{{name: first, {earlier}}}\n{{name: second, {later}}}")
            self.assertIn("policy.yml:4: /rules/1: 'second' never decides anything", said)
            self.assertIn("'first'", said)

    def test_rules_that_can_match_are_not_doubted(self) -> None:
        for earlier, later in (
                ("match: {tool: run}, mark: x", "match: {tool: run, marked: x}, action: deny"),
                ("match: {tool: run}, limit: {calls: 1, per: 1}, action: deny", "match: {tool: run}, action: allow"),
                ("match: {tool: run}, unless: {server: a}, action: deny", "match: {tool: run}, action: allow"),
                ("match: {tool: run, server: a}, action: deny", "match: {tool: run}, action: allow"),
                ("match: {tool: run}, action: deny", "match: {method: ping}, action: allow"),
                ("match: {tool: run}, action: deny", "match: {tool: \"run*\"}, action: allow"),
                ("match: {tool: [a, b]}, action: deny", "match: {tool: [a, c]}, action: allow"),
                ("match: {arguments: {p: {regex: x}}}, action: allow", "match: {arguments: {p: {regex: x}}}, action: deny"),
                ("match: {arguments: {p: {regex: x}}}, action: deny", "match: {arguments: {p: {regex: y}}}, action: deny")):
            self.assertEqual(self.said(f"{{name: first, {earlier}}}\n{{name: second, {later}}}"), [])

    def test_an_allow_before_all_built_in_rules(self) -> None:
        for match in ("{}", "{tool: \"*\"}", "{method: \"*\"}", "{method: tools/call}"):
            rule = f"{{name: open, match: {match}, action: allow}}"
            said, = self.said(rule, "extends: default\n")
            self.assertIn("'open' allows everything", said)
            self.assertEqual(self.said(rule), [])
        self.assertEqual(self.said("{name: some, match: {tool: read}, action: allow}", "extends: default\n"), [])

    def test_a_mark_that_no_rule_sets(self) -> None:
        said, = self.said("{name: a, match: {marked: [seen, sen], tool: x}, action: deny}\n{name: b, match: {tool: y}, mark: seen}")
        self.assertIn("'sen'", said)
        self.assertIn("did you mean 'seen'?", said)

    def test_limits_that_would_remember_too_much_in_all(self) -> None:
        rules = [{"name": str(n), "match": {"tool": "*"}, "limit": {"calls": 10_000, "per": 86_400}, "action": "deny"}
                 for n in range(101)]
        self.assertEqual(len(policy({"version": 1, "rules": rules[:100]}).rules), 100)
        with self.assertRaisesRegex(mcpwall.PolicyError, "/rules/100/limit/calls"):
            policy({"version": 1, "rules": rules})

    def test_many_rules_about_one_tool_do_not_make_the_load_slow(self) -> None:
        looks: list = []
        is_wider = mcpwall.Shadows.is_wider
        with mock.patch.object(mcpwall.Shadows, "is_wider", lambda *args: looks.append(1) or is_wider(*args)):
            for match in (lambda n: {"tool": "run", "server": f"s{n}"}, lambda n: {"tool": [f"t{n}x{m}*" for m in range(20)]}):
                rules = [{"name": str(n), "match": match(n), "action": "deny"} for n in range(400)]
                self.assertEqual(mcpwall.policy_doubts(policy({"version": 1, "rules": rules})), [])
                self.assertLess(len(looks), mcpwall.Shadows.MOST_LOOKS + 1)
                looks.clear()
        self.assertLess(mcpwall.Shadows.MOST_LOOKS, 400 * 20 * 20 * 20)

    def test_built_in_policies_leave_no_doubt(self) -> None:
        for name in mcpwall.BUILTIN_NAMES:
            self.assertEqual(mcpwall.policy_doubts(policy({"version": 1, **mcpwall.builtin_layer(name).data})), [])


class Words(unittest.TestCase):
    """Each matcher word, for rules that refuse: lenient towards shapes."""

    def hits(self, matcher: dict, arguments: dict, key: str = "p") -> bool:
        return not Talk(rule({"arguments": {key: matcher}})).passes("t", arguments)

    def test_regex_in_any_shape(self) -> None:
        for value in ("evil", "so evil.", ["a", "evil"], {"x": {"y": "evil"}}, [[{"z": ["evil"]}]]):
            self.assertTrue(self.hits({"regex": "evil"}, {"p": value}), value)
        for value in ("good", [], {}, None, 5, True, {"evil": 1}):
            self.assertFalse(self.hits({"regex": "evil"}, {"p": value}), value)
        self.assertFalse(self.hits({"regex": "evil"}, {"q": "evil"}))
        self.assertTrue(self.hits({"regex": "^42$"}, {"p": 42}))
        self.assertTrue(self.hits({"regex": "^true$"}, {"p": True}))
        self.assertTrue(self.hits({"regex": ["a", "evil"]}, {"p": "evil"}))
        self.assertFalse(self.hits({"regex": "^ls$"}, {"p": "ls\n"}))      # JavaScript's $, not Python's

    def test_words_are_found_in_every_spelling_of_the_message(self) -> None:
        """What a rule's regex must have is looked for in the raw text first, where nothing is spelled otherwise there."""
        for text in ("so evil", "so EVIL", "so e\\u0076il", "so \\u0065vil", "a\\tevil", "so e%76il", "so &#101;vil", "so ev\u200bil"):
            line = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"p":"%s"}}}' % text
            for key in ("p", "_any_value"):
                talk = Talk(rule({"arguments": {key: {"regex": "[eE][vV][iI][lL]"}}}))
                sent = talk.session.receive("client", line.encode() + b"\n")
                self.assertFalse([one for one in sent if isinstance(one, mcpwall.Send) and one.peer == "server"], text)
        self.assertTrue(self.hits({"regex": "^1000$"}, {"p": 1e3}))
        for number, regex in (("1e3", "^1000$"), ("1.0", "^1$"), ("22.50", "22.5$")):
            line = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"p":%s}}}' % number
            sent = Talk(rule({"arguments": {"p": {"regex": regex}}})).session.receive("client", line.encode() + b"\n")
            self.assertFalse([one for one in sent if isinstance(one, mcpwall.Send) and one.peer == "server"], number)

    def test_another_case_of_the_name_is_the_same_argument(self) -> None:
        self.assertTrue(self.hits({"regex": "evil"}, {"P": "evil"}))
        self.assertTrue(self.hits({"regex": "evil"}, {"p": "fine", "P": "evil"}))

    def test_pattern(self) -> None:
        self.assertTrue(self.hits({"pattern": "**/id_rsa"}, {"p": "/home/u/.ssh/id_rsa"}))
        self.assertTrue(self.hits({"pattern": ["*.pem", "*.key"]}, {"p": "a.key"}))
        self.assertFalse(self.hits({"pattern": "*.pem"}, {"p": "a/b.pem"}))
        self.assertTrue(self.hits({"pattern": "${HOME}/x"}, {"p": "/home/u/x"}))

    def test_not_under(self) -> None:
        inside = ("/home/u/proj", "/home/u/proj/a", "src/x", "./a/../b", "~/proj/x", "file:///home/u/proj/a%20b", ["a", "b/c"],
                  '"/home/u/proj/x"')
        outside = ("/home/u/proj-evil/x", "/etc/passwd", "../x", "/home/u/proj/../../x", "~/x", "file:///etc/passwd",
                   "/home/u/proj/%2e%2e/x", ["a", "/etc/x"], [], None, 5, {"path": "a"}, "")
        for value in inside:
            self.assertFalse(self.hits({"not_under": "${PROJECT_DIR}"}, {"p": value}), value)
        for value in outside:
            self.assertTrue(self.hits({"not_under": "${PROJECT_DIR}"}, {"p": value}), value)
        self.assertTrue(self.hits({"not_under": "${PROJECT_DIR}"}, {}))        # it is not known to be under

    def test_under(self) -> None:
        for value in ("/home/u/proj/a", "a", ["/etc", "a"], {"x": "a"}):
            self.assertTrue(self.hits({"under": "${PROJECT_DIR}"}, {"p": value}), value)
        for value in ("/etc", [], None, 5):
            self.assertFalse(self.hits({"under": "${PROJECT_DIR}"}, {"p": value}), value)
        self.assertFalse(self.hits({"under": "${PROJECT_DIR}"}, {}))

    def test_nothing_is_under_a_project_that_is_none(self) -> None:
        made = policy(rule({"arguments": {"p": {"not_under": "${PROJECT_DIR}"}}}), context(cwd="/", project=None))
        self.assertFalse(Talk(made).passes("t", {"p": "/home/u/proj/x"}))

    def test_path(self) -> None:
        for value in ("~/.ssh/id_rsa", "/home/u/.ssh/../.ssh/id_rsa", "$HOME/.ssh/x", "file:///home/u/%2essh/x", "/home/u//.ssh"):
            self.assertTrue(self.hits({"path": "~/.ssh/**"}, {"p": value}), value)
            self.assertTrue(self.hits({"path": "~/.ssh/**"}, {"anything": [{"deep": value}]}, "_any_value"), value)
        self.assertFalse(self.hits({"path": ["~/.ssh/**", "!~/.ssh/*.pub"]}, {"p": "~/.ssh/id.pub"}))
        self.assertFalse(self.hits({"path": "~/.ssh/**"}, {"p": "src/.sshx"}))

    def test_secrets(self) -> None:
        self.assertTrue(self.hits({"secrets": True}, {"p": f"x {GITHUB_TOKEN}"}))
        self.assertTrue(self.hits({"secrets": True}, {"q": {GITHUB_TOKEN: 1}}, "_any_value"))
        self.assertFalse(self.hits({"secrets": True}, {"q": GITHUB_TOKEN}))
        self.assertFalse(self.hits({"secrets": False, "regex": "zz"}, {"p": GITHUB_TOKEN}))

    def test_own_secret_patterns_replace_or_add(self) -> None:
        own = {"patterns": [{"name": "ours", "regex": "corp-[0-9]{6}"}]}
        base = rule({"arguments": {"_any_value": {"secrets": True}}})
        talk = Talk({**base, "secrets": own})
        self.assertFalse(talk.passes("t", {"x": "corp-123456"}))
        self.assertTrue(talk.passes("t", {"x": GITHUB_TOKEN}))
        talk = Talk({**base, "secrets": own, "extends": "default"})
        self.assertFalse(talk.passes("t", {"x": "corp-123456"}))
        self.assertFalse(talk.passes("t", {"x": GITHUB_TOKEN}))

    def test_any_value_sees_numbers_meta_and_depth_but_no_opaque_strings(self) -> None:
        self.assertTrue(self.hits({"regex": "^42$"}, {"x": [{"y": 42}]}, "_any_value"))
        talk = Talk(rule({"method": "*", "arguments": {"_any_value": {"regex": "evil"}}}))
        self.assertFalse(talk.client(request("tools/call", {"name": "t", "_meta": {"x": "evil"}}))["server"])
        self.assertTrue(talk.client(request("tools/list", {"cursor": "evil"}))["server"])
        self.assertTrue(talk.client(request("tools/call", {"name": "evil"}))["server"])
        self.assertFalse(talk.client(request("tools/call", {"name": "t", "arguments": {"cursor": "evil"}}))["server"])
        self.assertFalse(talk.client(request("tools/call", {"name": "t", "inputResponses": {"a": {"b": "evil"}}}))["server"])
        self.assertFalse(talk.client(request("completion/complete", {"ref": {"type": "x"}, "argument": {"name": "a", "value": "evil"}}))["server"])
        self.assertFalse(talk.client(request("resources/read", {"uri": "x://evil"}))["server"])

    def test_any_key(self) -> None:
        self.assertTrue(self.hits({"regex": "^__proto__$"}, {"x": [{"__proto__": 1}]}, "_any_key"))
        self.assertFalse(self.hits({"regex": "^__proto__$"}, {"x": "__proto__"}, "_any_key"))

    def test_except_keys(self) -> None:
        matcher = {"regex": "evil", "except_keys": ["content"]}
        self.assertFalse(self.hits(matcher, {"content": "evil", "deep": {"content": [{"x": "evil"}]}}, "_any_value"))
        self.assertTrue(self.hits(matcher, {"content": "fine", "other": "evil"}, "_any_value"))

    def test_json_pointers(self) -> None:
        self.assertTrue(self.hits({"regex": "evil"}, {"a": {"b/c": "evil"}}, "/a/b~1c"))
        self.assertTrue(self.hits({"regex": "evil"}, {"a": [{"b": "fine"}, {"b": "evil"}]}, "/a/1/b"))
        self.assertFalse(self.hits({"regex": "evil"}, {"a": {"b": "evil"}}, "/a/c"))

    def test_all_and_any(self) -> None:
        self.assertTrue(self.hits({"regex": "zzz", "pattern": "e*"}, {"p": "evil"}))
        self.assertTrue(self.hits({"all": [{"regex": "ev"}, {"regex": "il"}]}, {"p": "evil"}))
        self.assertFalse(self.hits({"all": [{"regex": "ev"}, {"regex": "zz"}]}, {"p": "evil"}))

    def test_several_arguments_must_all_match(self) -> None:
        talk = Talk(rule({"arguments": {"a": {"regex": "x"}, "b": {"regex": "y"}}}))
        self.assertFalse(talk.passes("t", {"a": "x", "b": "y"}))
        self.assertTrue(talk.passes("t", {"a": "x", "b": "z"}))

    def test_canonical_views(self) -> None:
        for value in ("ev\u200bil", "\uff45vil", "%65vil", "\u0435vil", "ev&#105;l"):
            self.assertTrue(self.hits({"regex": "evil"}, {"p": value}), ascii(value))
            self.assertTrue(self.hits({"regex": "evil"}, {"q": [value]}, "_any_value"), ascii(value))


class AllowRules(unittest.TestCase):
    """Rules that allow are read strictly: as the bytes stand there, and every item of a list."""

    def test_every_item_must_match(self) -> None:
        talk = Talk(only({"tool": "t", "arguments": {"p": {"regex": "^ok"}}}))
        self.assertTrue(talk.passes("t", {"p": "ok1"}))
        self.assertTrue(talk.passes("t", {"p": ["ok1", "ok2"]}))
        for value in (["ok", "/etc/shadow"], {"x": "ok"}, ["ok", ["x"]], [], None, ["ok", None]):
            self.assertFalse(talk.passes("t", {"p": value}), value)
        self.assertFalse(talk.passes("t", {"p": "ok", "P": "/etc/shadow"}))

    def test_views_do_not_allow(self) -> None:
        talk = Talk(only({"tool": "t", "arguments": {"p": {"regex": "^ls$"}}}))
        for value in ("l\u200bs", "%6cs", "\uff4cs", "ls\n"):
            self.assertFalse(talk.passes("t", {"p": value}), ascii(value))
        self.assertFalse(Talk(only({"tool": "ls"})).passes("l\u200bs", {}))

    def test_under_allows_only_what_is_surely_under(self) -> None:
        talk = Talk(only({"tool": "t", "arguments": {"p": {"under": "${PROJECT_DIR}"}}}))
        self.assertTrue(talk.passes("t", {"p": ["a", "b"]}))
        for value in (["a", "/etc"], "..", "a/../../x", "file:///etc", {"x": "a"}):
            self.assertFalse(talk.passes("t", {"p": value}), value)

    def test_unless_is_read_the_other_way_round(self) -> None:
        talk = Talk(only({"tool": "q", "arguments": {"sql": {"regex": "^SELECT"}}}, unless={"arguments": {"sql": {"regex": ";\\s*\\S"}}}))
        self.assertTrue(talk.passes("q", {"sql": "SELECT 1;"}))
        self.assertFalse(talk.passes("q", {"sql": "SELECT 1; DROP TABLE x"}))
        self.assertFalse(talk.passes("q", {"sql": "SELECT 1%3B DROP TABLE x"}))
        talk = Talk(rule({"tool": "w"}, unless={"arguments": {"p": {"under": "${PROJECT_DIR}"}}}))
        self.assertTrue(talk.passes("w", {"p": "a"}))
        self.assertFalse(talk.passes("w", {"p": ["a", "/etc"]}))


class Scopes(unittest.TestCase):
    def test_method_tool_and_server_globs(self) -> None:
        self.assertFalse(Talk(rule({"tool": "*"})).passes("fs/read", {}))
        self.assertFalse(Talk(rule({"tool": ["a", "re?d_*"]})).passes("read_x", {}))
        self.assertTrue(Talk(rule({"tool": "Read"})).passes("read", {}))
        self.assertFalse(Talk(rule({"tool": "shell"})).passes("sh\u200bell", {}))
        self.assertFalse(Talk(rule({"tool": "shell"})).passes("shell ", {}))
        self.assertFalse(Talk(rule({"server": "f*"}), "fs").passes("t", {}))
        self.assertTrue(Talk(rule({"server": "f*"}), "git").passes("t", {}))
        talk = Talk(rule({"method": ["resources/*"]}))
        self.assertFalse(talk.client(request("resources/read", {"uri": "x"}))["server"])
        self.assertTrue(talk.passes("t", {}))

    def test_a_rule_about_tools_is_about_calls(self) -> None:
        talk = Talk(rule({"arguments": {"_any_value": {"regex": "x"}}}))
        self.assertTrue(talk.client(request("resources/read", {"uri": "x"}))["server"])
        self.assertFalse(talk.passes("t", {"a": "x"}))

    def test_first_match_wins(self) -> None:
        talk = Talk({"version": 1, "rules": [
            {"name": "a", "match": {"tool": "t", "arguments": {"x": {"regex": "ok"}}}, "action": "allow"},
            {"name": "b", "match": {"tool": "t"}, "action": "deny"}]})
        self.assertTrue(talk.passes("t", {"x": "ok"}))
        self.assertEqual(talk.records[-1]["rule"], "a")
        self.assertFalse(talk.passes("t", {"x": "no"}))

    def test_a_pattern_of_plain_words_can_be_judged(self) -> None:
        for pattern, good, bad in ((["exact", "fuzzy"], "exact", "exactly"), ("src/main", "src//main/", "src/main.py"), ("*", "x", "x/y"),
                                   ("{a,b}/c", "b/c", "c/c"), ("**/x", "a/b/x", "a/b/y"), ("a?", "ab", "a")):
            for action, default in (("allow", "deny"), ("deny", "allow")):
                talk = Talk({"version": 1, "settings": {"default_action": default}, "rules": [
                    {"name": "a", "match": {"tool": "*", "arguments": {"x": {"pattern": pattern}}}, "action": action}]})
                self.assertEqual([talk.passes("t", {"x": text}) for text in (good, bad)], [action == "allow", action != "allow"], (pattern, action))
                self.assertNotIn("could not be judged", json.dumps(talk.records))

    def test_many_rules_find_the_right_one(self) -> None:
        rules = [{"name": f"r{n}", "match": {"arguments": {"_any_value": {"regex": f"word{n}\\b"}}}, "action": "deny"} for n in range(300)]
        talk = Talk({"version": 1, "rules": rules})
        for n in (0, 7, 70, 299):
            self.assertFalse(talk.passes("t", {"x": f"a WORD word{n} b"}))
            self.assertEqual(talk.records[-1]["rule"], f"r{n}")
        self.assertTrue(talk.passes("t", {"x": "word300 wordy"}))

    def test_many_rules_see_in_a_call_what_each_alone_sees(self) -> None:
        words = ("drop table", "a/b", 'say "no"', "tab\there", "12345", "true", "42e1", "\u00fcber", "kelvin", "x|y", "back\\slash", "new\nline")
        rules = [{"name": f"filler{n}", "match": {"arguments": {"_any_value": {"regex": f"filler{n}\\b"}}}, "action": "deny"} for n in range(80)]
        rules += [{"name": word, "match": {"arguments": {"_any_value": {"regex": re.sub(r"([^\w ])", r"\\\1", word)}}}, "action": "deny"}
                  for word in words]
        many, *alone = [Talk({"version": 1, "settings": {"max_repeated_denials": 1_000_000}, "rules": some})
                        for some in (rules, *([rule] for rule in rules[80:]))]
        fullwidth = {ord(char): ord(char) + 0xFEE0 for char in "abdeilnorptuvxy"}
        seen = 0
        for value in (*words, 12345, 123450, True, 420.0, "%64rop%20table", "nothing"):
            text = str(value)
            for form in (value, text.upper(), text.translate(fullwidth), {text: 1}, [["a", {"b": value}]]):
                arguments = json.dumps({"x": form}, ensure_ascii=False)
                for spelled in {arguments, json.dumps({"x": form}), re.sub("[ro]", lambda char: f"\\u{ord(char[0]):04x}", arguments)}:
                    line = f'{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {{"name": "t", "arguments": {spelled}}}}}\n'
                    for talk in (many, *alone):
                        talk.records.clear()
                        talk.feed("client", line.encode())
                        talk.server({"jsonrpc": "2.0", "id": 1, "result": {}})
                    expected = next((talk.records[0]["rule"] for talk in alone if talk.records[0]["action"] == "deny"), None)
                    self.assertEqual(many.records[0]["rule"], expected, line)
                    seen += expected is not None
        self.assertGreater(seen, 60)


class Outbound(unittest.TestCase):
    def answer(self, match: dict, result: dict, action: str = "deny", tool: str = "t") -> dict:
        rules = {"version": 1, "outbound_rules": [{"name": "o", "match": match, "action": action, "message": "m"}]}
        return Talk(rules, "srv").answer(result, tool=tool)["result"]

    def test_response_contains(self) -> None:
        for text in ("IGNORE all", "ig\u200bnore   ALL", "ignore\nall", "%69gnore all"[3:] and "ignore all"):
            self.assertIn("isError", self.answer({"response_contains": ["ignore all"]}, text_result(text)), text)
        self.assertIn("isError", self.answer({"response_contains": ["ignore all"]}, text_result("ignore", "all")))
        self.assertNotIn("isError", self.answer({"response_contains": ["ignore all"]}, text_result("ignore it all")))
        self.assertIn("isError", self.answer({"response_contains": ["x1"]}, {"content": [], "structuredContent": {"a": {"x1": 2}}}))

    def test_response_contains_regex(self) -> None:
        self.assertIn("isError", self.answer({"response_contains_regex": ["ignore\\s+(all|any)"]}, text_result("Ignore  ANY")))
        self.assertIn("isError", self.answer({"response_contains_regex": "a\\nb"}, text_result("xa", "bx")))

    def test_response_size(self) -> None:
        self.assertIn("isError", self.answer({"response_size_exceeds": 100}, text_result("x" * 100)))
        self.assertNotIn("isError", self.answer({"response_size_exceeds": 200}, text_result("x" * 100)))

    def test_several_keys_must_all_hold(self) -> None:
        match = {"tool": "t", "server": "srv", "response_contains": "x", "response_size_exceeds": 10}
        self.assertIn("isError", self.answer(match, text_result("x" * 20)))
        self.assertNotIn("isError", self.answer(match, text_result("x" * 20), tool="u"))
        self.assertNotIn("isError", self.answer({**match, "server": "other"}, text_result("x" * 20)))

    def test_redact_takes_out_what_matched(self) -> None:
        got = self.answer({"response_contains": "codename"}, text_result("the Codename is x"), "redact")
        self.assertEqual(got["content"][0]["text"], f"the {mcpwall.MARKER} is x")
        got = self.answer({"response_contains_regex": "code\\w+"}, text_result("the Codename is x"), "redact")
        self.assertEqual(got["content"][0]["text"], f"the {mcpwall.MARKER} is x")

    def test_strip(self) -> None:
        got = self.answer({"response_size_exceeds": 1}, text_result("a\x1b[31mred\x1b[0m b\u200bc"), "strip")
        self.assertEqual(got["content"][0]["text"], "ared bc")

    def test_default_actions(self) -> None:
        for action, check in (("deny", "BLOCKED"), ("redact", mcpwall.MARKER)):
            talk = Talk({"version": 1, "settings": {"outbound_default_action": action}})
            self.assertIn(check, json.dumps(talk.answer(text_result(f"x {GITHUB_TOKEN}"))))


class Layers(InEmptyHome):
    def load(self, approved: object = None, **named: str) -> mcpwall.Policy:
        return mcpwall.load_policy(project_dir=self.project, home=self.home, approved=approved, **named)

    def everywhere(self, text: str) -> None:
        os.makedirs(os.path.join(self.home, ".mcpwall"), exist_ok=True)
        with open(os.path.join(self.home, ".mcpwall", "config.yml"), "w") as stream:
            stream.write(text)

    def test_built_in_when_there_is_nothing(self) -> None:
        self.assertEqual(self.load().source, "built-in default")

    def test_extends_puts_the_base_behind_its_own_rules(self) -> None:
        made = policy("version: 1\nextends: default\nwithout: [block-env-files]\nrules:\n"
                      "  - {name: mine, match: {tool: x}, action: allow}\n")
        names = [one.name for one in made.rules]
        self.assertEqual(names[0], "mine")
        self.assertIn("block-ssh-keys", names)
        self.assertNotIn("block-env-files", names)

    def test_names_that_rules_had_before(self) -> None:
        call = {"command": "git reset --hard"}
        for base in ("default", "company-laptop"):
            self.assertEqual(mcpwall.Wall(policy(f"version: 1\nextends: {base}\n")).check_call("run_command", call).rule, "ask-git-discard")
            for name in ("ask-git-rewrite", "log-git-rewrite", "ask-git-discard"):
                decision = mcpwall.Wall(policy(f"version: 1\nextends: {base}\nwithout: [{name}]\n")).check_call("run_command", call)
                self.assertIn(decision.action, ("allow", "log_only"), (base, name))

    def test_two_bases_repeat_no_rule(self) -> None:
        names = [one.name for one in policy("version: 1\nextends: [default, filesystem]\n").rules]
        self.assertEqual(len(names), len(set(names)))
        self.assertIn("restrict-reads-to-project", names)

    def test_settings_of_bases_fill_gaps(self) -> None:
        self.assertEqual(policy("version: 1\nextends: strict\n").settings.default_action, "deny")
        self.assertEqual(policy("version: 1\nextends: strict\nsettings: {default_action: allow}\n").settings.default_action, "allow")

    def test_an_approved_project_stands_over_the_users_policy(self) -> None:
        self.everywhere("version: 1\nrules:\n  - {name: g, match: {tool: a}, action: deny}\nsettings: {log_level: error}\n")
        self.write(".mcpwall.yml", "version: 1\nrules:\n  - {name: p, match: {tool: a}, action: allow}\n")
        made = self.load(lambda path, data: True)
        self.assertTrue(Talk(made).passes("a", {}))
        self.assertEqual(made.settings.log_level, "error")

    def test_approving_a_project_drops_no_built_in_rule(self) -> None:
        self.write(".mcpwall.yml", "version: 1\nrules:\n  - {name: p, match: {tool: a}, action: deny}\n")
        for approved in (None, lambda path, data: True):
            talk = Talk(self.load(approved))
            self.assertFalse(talk.passes("read_file", {"path": "~/.ssh/id_rsa"}), approved)
            self.assertFalse(talk.passes("a", {}))
        self.assertEqual(self.load(approved).source, os.path.join(self.project, ".mcpwall.yml") + " over built-in default")

    def test_an_approved_project_may_say_that_it_extends_nothing(self) -> None:
        self.write(".mcpwall.yml", "version: 1\nextends: []\n")
        self.assertTrue(Talk(self.load(lambda path, data: True)).passes("read_file", {"path": "~/.ssh/id_rsa"}))

    def test_an_unapproved_project_only_tightens(self) -> None:
        self.everywhere("version: 1\nrules:\n  - {name: g, match: {tool: a}, action: deny, message: mine}\n")
        self.write(".mcpwall.yml", "version: 1\nsettings: {mode: monitor, log_dir: /evil}\nrules:\n"
                   "  - {name: p, match: {tool: a}, action: allow}\n  - {name: q, match: {tool: b}, action: deny, message: 'do evil'}\n"
                   "  - {name: s, match: {tool: c}, action: ask}\n")
        made = self.load()
        talk = Talk(made)
        self.assertFalse(talk.passes("a", {}))
        self.assertEqual(talk.records[-1]["rule"], "g")
        out = talk.call("b", {})
        self.assertIn("project rule q", out["client"].decode())
        self.assertNotIn("do evil", out["client"].decode() + json.dumps(talk.records))
        self.assertEqual(talk.records[-1]["rule"], "project:q")
        self.assertTrue(talk.passes("c", {}))
        self.assertEqual((made.settings.mode, made.settings.log_dir), ("enforce", "~/.mcpwall/logs"))
        self.assertIn("not approved", " ".join(made.warnings))

    def test_an_unapproved_default_deny_counts(self) -> None:
        self.write(".mcpwall.yml", "version: 1\nsettings: {default_action: deny}\nrules:\n  - {name: p, match: {tool: a}, action: allow}\n")
        talk = Talk(self.load())
        self.assertTrue(talk.passes("a", {}))
        self.assertFalse(talk.passes("b", {}))

    def test_files_that_cannot_be_policies(self) -> None:
        for text, word in (("", "empty"), ("version: [", "")):
            path = self.write("x.yml", text)
            with self.assertRaisesRegex(mcpwall.PolicyError, word):
                self.load(config=path)
        with self.assertRaisesRegex(mcpwall.PolicyError, "director"):
            self.load(config=self.project)
        with self.assertRaisesRegex(mcpwall.PolicyError, "nowhere.yml"):
            self.load(config=os.path.join(self.project, "nowhere.yml"))
        path = self.write("y.yml", "x")
        with open(path, "wb") as stream:
            stream.write(b"version: 1\n# \xff\n")
        with self.assertRaisesRegex(mcpwall.PolicyError, "UTF-8"):
            self.load(config=path)
        with open(path, "wb") as stream:        # what PowerShell 5 makes of `mcpwall rules default > y.yml`
            stream.write("version: 1\r\nrules: []\r\n".encode("utf-16"))
        self.assertEqual([rule.name for rule in self.load(config=path).rules], ["block-policy-files"])

    def test_a_policy_is_read_where_files_have_no_owners(self) -> None:
        about = os.stat_result((0o100666, 1, 1, 1, 4711, 4711, 0, 0, 0, 0))
        mcpwall.check_file_owner("x.yml", about, getuid=None)
        with self.assertRaises(mcpwall.PolicyError):
            mcpwall.check_file_owner("x.yml", about, getuid=lambda: 4712)

    @unittest.skipUnless(hasattr(os, "mkfifo"), "POSIX files")
    def test_reading_a_policy_never_waits_and_takes_nothing_from_a_stream(self) -> None:
        fifo = os.path.join(self.project, "fifo.yml")
        os.mkfifo(fifo)
        link = os.path.join(self.project, "link.yml")
        os.symlink("/dev/stdin", link)
        for path in (fifo, link, "/dev/null", "/dev/stdin"):
            with self.assertRaisesRegex(mcpwall.PolicyError, "is no regular file"):
                self.load(config=path)

    @unittest.skipUnless(hasattr(os, "getuid"), "POSIX links")
    def test_the_users_policy_may_be_a_link_and_a_projects_may_not(self) -> None:
        there = self.write("dotfiles/config.yml", "version: 1\nrules:\n  - {name: a, match: {tool: a}, action: deny}\n")
        os.makedirs(os.path.join(self.home, ".mcpwall"))
        os.symlink(os.path.join(self.project, "dotfiles"), os.path.join(self.home, "linked"))
        os.symlink("../linked/config.yml", os.path.join(self.home, ".mcpwall", "config.yml"))
        self.assertEqual([rule.name for rule in self.load().rules], ["block-policy-files", "a"])
        with mock.patch.object(mcpwall.os, "getuid", return_value=4711):
            if os.lstat(there).st_uid:
                with self.assertRaisesRegex(mcpwall.PolicyError, "a link of another user"):
                    self.load()
        os.symlink(there, os.path.join(self.project, ".mcpwall.yml"))
        with self.assertRaisesRegex(mcpwall.PolicyError, "is a link; a project's policy is a file of its own"):
            self.load()

    def test_control_characters_that_double_quotes_make_are_refused_with_the_remedy(self) -> None:
        rule = "version: 1\nrules:\n  - name: a\n    match: {%s}\n    action: deny\n"
        for match, remedy in ((r'arguments: {sql: {regex: "\bDROP\b"}}', r"U\+0008.*write \\\\b, or use single quotes"),
                              (r'arguments: {path: {under: "C:\temp"}}', r"U\+0009.*write \\\\t"),
                              (r'arguments: {path: {path: "C:\new/*"}}', r"U\+000A"), (r'tool: "a\tb"', r"U\+0009"),
                              (r'server: "a\nb"', r"U\+000A"), (r'arguments: {a: {pattern: "a\x7fb"}}', r"U\+007F")):
            with self.assertRaisesRegex(mcpwall.PolicyError, remedy):
                policy(rule % match)
        for match in (r"arguments: {sql: {regex: '\bDROP\b'}}", r'arguments: {sql: {regex: "\\bDROP\\b"}}',
                      r'arguments: {text: {regex: "a\tb\nc"}}', r"arguments: {path: {under: 'C:\temp'}}"):
            policy(rule % match)
        for word in ('response_contains: "a\\x1b[2J"', 'response_contains_regex: "\\fx"'):
            with self.assertRaisesRegex(mcpwall.PolicyError, "control character"):
                policy("version: 1\noutbound_rules:\n  - name: a\n    match: {%s}\n    action: deny\n" % word)
        with self.assertRaisesRegex(mcpwall.PolicyError, "control character"):
            policy('version: 1\nsecrets: {patterns: [{name: a, regex: "\\bsk-x"}]}\n')

    def test_an_allow_on_commands_by_an_open_regex_is_named(self) -> None:
        text = "version: 1\nrules:\n  - name: a\n    match: {tool: run, arguments: {%s: {regex: %s}}}\n    action: %s\n"
        for key, regex, action, named in (
                ("command", "'^git status'", "allow", True), ("command", "'git status$'", "allow", True), ("cmd", "'^ls$|^pwd'", "allow", True),
                ("command", "'^git (status|log)$'", "allow", False), ("command", "['^ls$', '^[|]$']", "allow", False),
                ("command", "'rm -rf'", "deny", False), ("path", "'^src/'", "allow", False), ("command", r"'^ls\$'", "allow", True)):
            warned = " ".join(mcpwall.policy_doubts(policy(text % (key, regex, action))))
            self.assertEqual("leaves open what else" in warned, named, (key, regex, warned))

    def test_what_a_policy_quotes_in_an_error_is_free_of_secrets(self) -> None:
        with self.assertRaises(mcpwall.PolicyError) as caught:
            policy(f"{GITHUB_TOKEN}\n")
        self.assertNotIn(GITHUB_TOKEN[8:], str(caught.exception))

    @unittest.skipUnless(hasattr(os, "getuid"), "POSIX modes")
    def test_a_policy_that_others_can_write_is_refused(self) -> None:
        path = self.write("x.yml", "version: 1\n")
        os.chmod(path, 0o666)
        with self.assertRaisesRegex(mcpwall.PolicyError, "chmod o-w"):
            self.load(config=path)

    def test_two_project_files_are_refused(self) -> None:
        self.write(".mcpwall.yml", "version: 1\n")
        self.write(".mcpwall.json", '{"version": 1}')
        with self.assertRaisesRegex(mcpwall.PolicyError, "keep one"):
            self.load()


class VariablesOfTheServer(unittest.TestCase):
    def test_env_in_yaml_and_json(self) -> None:
        for written, meant in (("inherit", "inherit"), ("minimal", "minimal"), ('["GITHUB_*", "{A,B}"]', ["GITHUB_*", "{A,B}"])):
            as_json = written if written[0] == "[" else json.dumps(written)
            for text in (f"settings: {{env: {written}}}", f'{{"settings": {{"env": {as_json}}}}}'):
                self.assertEqual(policy(text).settings.env, meant)
        self.assertEqual(policy("settings:\n  env:\n    - A\n    - B\n").settings.env, ["A", "B"])
        self.assertEqual({name: mcpwall.builtin_policy(name).settings.env for name in ("default", "company-laptop", "strict")},
                         {"default": "inherit", "company-laptop": "minimal", "strict": "minimal"})
        self.assertEqual(policy("extends: strict\nsettings: {env: [A]}").settings.handed_on, ["A"])

    def test_monitoring_withholds_nothing(self) -> None:
        self.assertEqual(policy("settings: {mode: monitor, env: minimal}").settings.handed_on, "inherit")

    def test_values_of_variables_are_secrets_both_ways(self) -> None:
        plain = policy("extends: default")
        made = plain.with_secrets({"A_KEY": "Xk2mQ9_wTr5"})
        self.assertIs(plain.with_secrets({}), plain)
        for name, sent in (("here", "a Xk2mQ9_wTr5 b"), ("escaped", "%58k2mQ9_wTr5"), ("encoded", "aXMgWGsybVE5X3dUcjUgbm93")):
            with self.subTest(name):
                talk = Talk(made)
                self.assertFalse(talk.passes("send", {"body": {"text": [sent]}}))
                self.assertFalse(talk.passes("send", {sent: 1}))
                answer = talk.answer(text_result(f"so {sent}"))
                self.assertEqual(answer["result"]["content"][0]["text"][:12], "so [REDACTED" if name != "here" else "so a [REDACT")
                self.assertIn("withheld-variable A_KEY", json.dumps(talk.records))
                for word in ("Xk2m", "k2mQ9", "WGsybVE5"):
                    self.assertNotIn(word, json.dumps(talk.records) + "".join(talk.notes))
                self.assertTrue(Talk(plain).passes("send", {"body": sent}))

    def test_values_of_variables_never_reach_the_log(self) -> None:
        talk = Talk(policy('extends: default\nsettings: {log_args: full}\nrules: [{name: a, match: {tool: ok}, action: allow}]')
                    .with_secrets({"A_KEY": "Xk2mQ9_wTr5"}))
        for body in (request("tools/call", {"name": "ok", "arguments": {"a": "Xk2mQ9_wTr5"}}, "id-Xk2mQ9_wTr5"),
                     request("tools/call", {"name": "Xk2mQ9_wTr5", "arguments": {}}, 2), request("Xk2mQ9_wTr5", {}, 3), b"Xk2mQ9_wTr5"):
            talk.client(body)
        talk.server(b"Xk2mQ9_wTr5")
        self.assertGreaterEqual(len(talk.records), 4)
        self.assertNotIn("Xk2m", json.dumps(talk.records) + "".join(talk.notes))

    def test_the_policy_of_an_unapproved_project_knows_them_too(self) -> None:
        rule = "rules: [{name: a, match: {arguments: {_any_value: {secrets: true}}}, action: deny}]"
        made = policy("version: 1")._replace(apart=policy(rule)).with_secrets({"A_KEY": "Xk2mQ9_wTr5"})
        self.assertFalse(Talk(made).passes("t", {"a": "Xk2mQ9_wTr5"}))
        self.assertTrue(Talk(made).passes("t", {"a": "Xk2mQ9_wTr"}))


class Builtins(unittest.TestCase):
    def test_every_built_in_compiles_and_reads_back(self) -> None:
        for name in mcpwall.BUILTIN_NAMES:
            made = mcpwall.builtin_policy(name, context())
            data = mcpwall.builtin_layer(name).data
            for text, file in ((mcpwall.to_yaml(data), "p.yml"), (json.dumps(data), "p.json")):
                again = mcpwall.compile_policy([mcpwall.parse_policy(text, file)], context(), "x")
                self.assertEqual([one.name for one in again.rules], [one.name for one in made.rules])
                self.assertEqual(again.settings, made.settings)

    def test_default_rules_file_is_what_the_module_renders(self) -> None:
        root = os.path.dirname(os.path.abspath(mcpwall.__file__))
        path = os.path.join(root, "default_rules.json")
        if not os.path.exists(path):
            self.skipTest("the module stands alone")
        with open(path, encoding="utf-8") as stream:
            self.assertEqual(stream.read(), mcpwall.render_default_rules())

    def test_rules_known_by_name(self) -> None:
        names = {one["name"] for profile in mcpwall.BUILTIN_NAMES for key in ("rules", "outbound_rules")
                 for one in mcpwall.builtin_layer(profile).data[key]}
        for name in ("block-ssh-keys block-env-files block-credentials block-browser-data block-destructive-commands block-pipe-to-shell "
                     "block-reverse-shells block-secret-leakage block-network-exfiltration block-package-manager-tokens "
                     "block-gcp-azure-credentials block-password-managers restrict-reads-to-project restrict-listings-to-project "
                     "restrict-writes-to-project block-dotfiles block-path-traversal block-private-repo-enumeration log-file-reads "
                     "log-search-code block-network-commands block-package-install redact-secrets-in-responses flag-large-responses "
                     "block-prompt-injection-patterns flag-zero-width-chars").split():
            self.assertIn(name, names)

    def test_recipes_do_what_they_are_for(self) -> None:
        cases = (   # policy, tool, arguments, passes
            ("filesystem", "read_file", {"path": "src/x.py"}, True), ("filesystem", "read_file", {"path": "/etc/hosts"}, False),
            ("filesystem", "list_directory", {"path": "/"}, False), ("filesystem", "write_file", {"path": "/tmp/x", "content": "a"}, False),
            ("filesystem", "write_file", {"path": "a.md", "content": "see ../README and /etc/hosts"}, True),
            ("filesystem", "read_file", {"path": "src/../x"}, False), ("filesystem", "read_file", {"path": ".hidden/x"}, False),
            ("filesystem", "read_file", {"path": ".github/workflows/ci.yml"}, True),
            ("git", "git_status", {"repo_path": "/home/u/proj"}, True), ("git", "git_status", {"repo_path": "/home/u/other"}, False),
            ("github", "search_repositories", {"query": "is:private org:x"}, False), ("github", "search_code", {"q": "x"}, True),
            ("shell", "run_command", {"command": "ls -l"}, True), ("shell", "run_command", {"command": "curl https://x.io"}, False),
            ("shell", "run_command", {"command": "npm install left-pad"}, False),
            ("fetch", "fetch", {"url": "https://example.com/a"}, True), ("fetch", "fetch", {"url": "http://169.254.169.254/latest"}, False),
            ("fetch", "fetch", {"url": "http://user@localhost:8080/"}, False), ("fetch", "fetch", {"url": "file:///etc/hosts"}, False),
            ("browser", "navigate", {"url": "http://[::1]/"}, False), ("fetch", "fetch", {"url": "http://2130706433/"}, False),
            ("postgres", "query", {"sql": "SELECT * FROM t"}, True), ("postgres", "query", {"sql": "sElEcT 1; dRoP TABLE t"}, False),
            ("sqlite", "write_query", {"query": "delete from t"}, False), ("postgres", "query", {"sql": "SELECT pg_read_file('/x')"}, False),
            ("docker", "list_containers", {}, True), ("docker", "start", {"args": "--privileged"}, False),
            ("kubernetes", "get", {"kind": "secrets"}, False), ("kubernetes", "get", {"kind": "pods"}, True),
            ("slack", "list_channels", {}, True), ("slack", "send_dm", {"text": "<!channel> hi"}, False),
            ("company-laptop", "run_command", {"command": "pip install x"}, False), ("default", "run_command", {"command": "pip install x"}, True))
        for name, tool, arguments, passes in cases:
            with self.subTest(name=name, tool=tool, arguments=arguments):
                self.assertEqual(Talk(mcpwall.builtin_policy(name, context())).passes(tool, arguments), passes)

    def test_strict_lets_a_client_work_inside_the_project(self) -> None:
        talk = Talk(mcpwall.builtin_policy("strict", context()))
        for method in ("initialize", "tools/list", "resources/list", "ping"):
            self.assertTrue(talk.client(request(method, {}, method))["server"])
        self.assertFalse(talk.passes("read_file", {"path": "src/x.py"}))        # not listed yet
        talk.server({"jsonrpc": "2.0", "id": "tools/list", "result": {"tools": [
            {"name": name, "inputSchema": {}} for name in ("read_file", "write_file", "list_allowed_directories", "run")]}})
        self.assertTrue(talk.passes("read_file", {"path": "src/y.py"}))
        self.assertTrue(talk.passes("read_file", {"path": "src/x.py"}))
        self.assertTrue(talk.passes("write_file", {"path": "/home/u/proj/x", "content": "hello /etc/passwd"}))
        self.assertTrue(talk.passes("list_allowed_directories", {}))
        for tool, arguments in (("read_file", {"path": "/etc/hosts"}), ("read_file", {"path": "../x"}), ("run", {"command": "ls"}),
                                ("read_file", {"path": ["a", "/etc/hosts"]}), ("read_file", {}), ("read_file", {"path": ".env"})):
            self.assertFalse(talk.passes(tool, arguments), arguments)


if __name__ == "__main__":
    unittest.main()
