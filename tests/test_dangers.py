"""Section 11c: dangers in structures, options and data, and the word `danger` of policies."""
from __future__ import annotations

import json
import os
import random
import re
import unittest

from tests.support import DATA, Talk, context, mcpwall, policy, rounds, seed
from tests import cases


def rows() -> list[tuple[str, dict, bool]]:
    """(tool, arguments, is it dangerous?) of the case files."""
    found = []
    for file in ("dangers.json", "dangers-honest.json", "tool-names-and-structures.json"):
        for case in cases.load(os.path.join(DATA, "cases", file)):
            found.append((case["tool"], case["arguments"], case["want"] != "allow"))
    return found


def look() -> mcpwall.DangerLook:
    made = policy("version: 1")
    shell = mcpwall.ShellContext(made.paths, made.is_sensitive, None)
    return mcpwall.DangerLook(made.paths, lambda source: mcpwall.judge_command(source, shell), made.is_sensitive,
                              lambda text: (mcpwall.View("raw", text, ()),), mcpwall.Budget(60))


class Detectors(unittest.TestCase):
    def test_every_kind_is_met(self) -> None:
        seen = {one.kind for tool, arguments, _ in rows() for one in mcpwall.dangers_in(tool, arguments, look())}
        self.assertEqual(seen, set(mcpwall.DANGERS))

    def test_every_row_of_the_table_of_code_has_a_sample(self) -> None:
        texts = [text for tool, arguments, bad in rows() if bad for text in mcpwall.strings_of(arguments)[0]]
        for row in mcpwall.DANGER_CODE.strip().split("\n"):
            kind, _, regex = row.partition(" | ")
            with self.subTest(row):
                self.assertTrue(any(re.search("(?i)" + regex, text) for text in texts))

    def test_every_row_of_the_table_of_acts_has_a_sample(self) -> None:
        for verb, objects in mcpwall.danger_acts().items():
            for thing in objects:
                tool = verb if thing == "*" else f"{verb}_{thing}"
                with self.subTest(tool):
                    self.assertEqual(mcpwall.dangers_in(tool, {"id": "x1"}, look())[0].kind, "sweeping")
                    self.assertEqual(mcpwall.dangers_in(f"get_{thing}_of_{verb}r", {"id": "x1"}, look()), [])
                    if thing not in ("*", "all"):
                        self.assertEqual(mcpwall.dangers_in(f"{tool}_comment", {"id": "x1"}, look()), [])

    def test_the_finding_names_its_place(self) -> None:
        found = mcpwall.dangers_in("run_container", {"image": "a", "HostConfig": {"Binds": ["./x:/x", "/:/h"]}}, look())
        self.assertEqual((found[0].kind, found[0].path), ("host_rights", ("HostConfig", "Binds")))
        found = mcpwall.dangers_in("ping_host", {"hosts": ["8.8.8.8", "8.8.8.8; id"]}, look())
        self.assertEqual([(one.kind, one.path) for one in found], [("hidden_command", ("hosts", 1))])

    def test_a_value_of_many_separators_is_read_once(self) -> None:
        judged = []
        one = look()._replace(judge=lambda source: judged.append(source) or mcpwall.CommandFacts({}, ()))
        mcpwall.dangers_in("t", {"name": "x" + "; foo" * 5000 + "; id"}, one)
        self.assertLessEqual(len(judged), 1)


class Prefilter(unittest.TestCase):
    def test_random_calls_that_need_no_look_hold_no_danger(self) -> None:
        number = seed()
        rng, given = random.Random(number), rows()
        pieces: list = []
        for _, arguments, _ in given:
            pieces += arguments.items()
        for turn in range(len(given) + rounds(700)):
            tool, arguments, _ = rng.choice(given)
            if turn >= len(given):
                tool = rng.choice((tool, "t", "frobnicate_it", "get_item", "write_file"))
                arguments = dict(rng.choices(pieces, k=rng.randrange(1, 4)))
                if rng.random() < 0.3:
                    arguments = {"options": arguments, "list": [rng.choice(pieces)[1]]}
            else:
                tool, arguments, _ = given[turn]
            whole = look()._replace(readings=lambda text: (mcpwall.View("raw", text, ()),) * 2)     # every text is looked into
            found = mcpwall.dangers_in(tool, arguments, whole)
            with self.subTest(seed=number, tool=tool, arguments=arguments):
                self.assertTrue(not found or mcpwall.may_endanger(tool, arguments))
                self.assertEqual(mcpwall.dangers_in(tool, arguments, look()), found)

    def test_a_script_for_a_browser_is_looked_into(self) -> None:
        for tool, key in (("browser_evaluate", "script"), ("page", "function"), ("puppeteer_run", "code"), ("playwright_do", "it")):
            for text, bad in (("return document.cookie", False), ("fetch('/x?' + document.cookie)", True),
                              ("new Image().src = localStorage.a", True), ("require('child_process')", True), ("a", False)):
                with self.subTest(tool=tool, text=text):
                    self.assertEqual(bool(mcpwall.dangers_in(tool, {key: text}, look())), bad)
                    self.assertEqual(bad, bad and mcpwall.may_endanger(tool, {key: text}))

    def test_random_calm_texts_have_no_sign(self) -> None:
        number = seed()
        rng, calm = random.Random(number), 0
        pieces = ("a", "Z9", ".", "/", ",", " ", "-", "_", "c", "j", "java", "gAS", "AAEAAA", "rO0", "/etc", "mainModule", "constructor", "\u00e9", "\u00b2", ":", ";")
        for _ in range(5000):
            text = "".join(rng.choices(pieces, k=rng.randrange(1, 9)))
            if mcpwall.is_calm(text):
                calm += 1
                with self.subTest(seed=number, text=text):
                    self.assertIsNone(mcpwall.danger_sign.search(text))
        self.assertGreater(calm, 500)


class Word(unittest.TestCase):
    def test_in_a_policy(self) -> None:
        talk = Talk("{version: 1, rules: [{name: n, action: deny, match: {arguments: "
                    "{_any_value: {danger: [sweeping, host_rights]}}}}]}")
        self.assertFalse(talk.passes("drop_database", {"name": "shop"}))
        self.assertFalse(talk.passes("run_container", {"image": "a", "privileged": True}))
        self.assertTrue(talk.passes("ping", {"host": "8.8.8.8; id"}))
        every = Talk("{version: 1, rules: [{name: n, action: deny, match: {arguments: {_any_value: {danger: true}}}}]}")
        self.assertFalse(every.passes("ping", {"host": "8.8.8.8; id"}))
        self.assertFalse(every.passes("ping", {"host": "8.8.8.8%3B id"}))       # in a canonical view
        self.assertTrue(every.passes("ping", {"host": "8.8.8.8"}))

    def test_members_that_are_passed_over(self) -> None:
        talk = Talk("{version: 1, rules: [{name: n, action: deny, match: {arguments: "
                    "{_any_value: {danger: true, except_keys: [pod]}}}}]}")
        self.assertTrue(talk.passes("t", {"pod": "web; id"}))
        self.assertFalse(talk.passes("t", {"container": "web; id"}))

    def test_statements(self) -> None:
        talk = Talk("{version: 1, settings: {default_action: deny}, rules: [{name: n, action: allow, match: {arguments: "
                    "{sql: {sql: reads}}}}]}")
        self.assertTrue(talk.passes("query", {"sql": "SELECT 1"}))
        for value in ("DELETE FROM t", "", ["SELECT 1", "DROP TABLE t"], None, {"a": "SELECT 1"}, 5):
            self.assertFalse(talk.passes("query", {"sql": value}), value)
        acts = Talk("{version: 1, rules: [{name: n, action: deny, match: {arguments: {_any_value: {sql: acts}}}}]}")
        self.assertTrue(acts.passes("query", {"sql": "SELECT 1", "limit": 5}))
        self.assertTrue(acts.passes("query", {"name": "x"}))
        self.assertFalse(acts.passes("query", {"sql": "SELECT 1", "extra": {"query": "VACUUM"}}))
        with self.assertRaisesRegex(mcpwall.PolicyError, "use reads or acts"):
            policy("{version: 1, rules: [{name: n, action: deny, match: {arguments: {sql: {sql: select}}}}]}")

    def test_mistakes_in_a_policy(self) -> None:
        for match, problem in (("_any_value: {danger: sweping}", "a kind of danger"), ("path: {danger: true}", "in a whole call"),
                               ("_any_key: {danger: true}", "in a whole call")):
            with self.assertRaisesRegex(mcpwall.PolicyError, problem):
                policy("{version: 1, rules: [{name: n, action: deny, match: {arguments: {%s}}}]}" % match)

    def test_what_each_profile_does(self) -> None:
        for profile, action in (("default", "ask"), ("company-laptop", "deny"), ("strict", "deny"), ("docker", "deny"), ("git", "ask")):
            wall = mcpwall.Wall(mcpwall.builtin_policy(profile, context()))
            for tool, arguments in (("run_container", {"image": "a", "privileged": True}),
                                    ("kubectl_get", {"resourceType": "secrets", "namespace": "x"})):
                body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
                message = mcpwall.Message("client", "request", body, json.dumps(body), "tools/call", tool, "s")
                with self.subTest(profile=profile, tool=tool):
                    self.assertEqual(wall.decide(message).action, action)


def form(message: str = "Please fill this in", **properties: object) -> dict:
    fields = {name: field if isinstance(field, dict) else {"type": field} for name, field in properties.items()}
    return {"message": message, "requestedSchema": {"type": "object", "properties": fields}}


class Questions(unittest.TestCase):
    SECRET = (form(password="string"), form(newPassword="string"), form(api_key="string"), form(awsSecretAccessKey="string"),
              form(PIN="integer"), form(card_pin="string"), form(cvv="string"), form(seed_phrase="string"), form(mnemonic="string"),
              form(githubToken="string"), form(otp="string"), form(verificationCode="string"), form(card_number="string"),
              form(privateKey="string"), form(value={"type": "string", "title": "Your password"}),
              form(value={"type": "string", "description": "the 12 words of your recovery phrase"}),
              form(value={"type": "string", "format": "password"}), form(answer={"title": "Security code (CVC)"}),
              form("Session expired. Enter your AWS secret access key", value="string"),
              form("To go on, please type the one-time code we sent you", reply="string"),
              form("Please confirm your p\u0430ssword", text="string"), form(**{"p\u0430ssword": "string"}))
    HONEST = (form("Which city?", city="string"), form("Enter a name for the token", name="string"), form(postal_pin="string"),
              form(zip="string"),
              form(reset_password="boolean"), form(page_token="string"), form(max_tokens="integer"), form(primary_key="string"),
              form(key="string"), form(country_code="string"), form(issue_number="integer"), form(error_code="string"),
              form(method={"type": "string", "enum": ["password", "key"]}), form(password_policy="string"),
              form(note={"type": "string", "description": "shown on the password reset page"}),
              form("Do you want to reset your password?", confirm="boolean"),
              form("Never enter your password here. Which branch?", branch="string"), form("Pin the message?", pin="boolean"),
              form(email="string", name="string", age="integer"), form("Which secret manager do you use?", tool="string"),
              form("Enter the path of the key file", path="string"), {"message": "Continue?"}, {}, {"requestedSchema": 5})

    def test_forms_that_ask_for_credentials(self) -> None:
        for params in self.SECRET:
            with self.subTest(params):
                self.assertEqual(mcpwall.asked_for("elicitation/create", params), {"credentials"})

    def test_forms_that_ask_for_something_else(self) -> None:
        for params in self.HONEST:
            with self.subTest(params):
                self.assertEqual(mcpwall.asked_for("elicitation/create", params), set())

    def test_pages_and_contexts(self) -> None:
        self.assertEqual(mcpwall.asked_for("elicitation/create", {"mode": "url", "url": "https://a.example/"}), {"url"})
        for value, found in (("none", set()), (None, set()), ("thisServer", {"context"}), ("allServers", {"context"}), (5, {"context"})):
            self.assertEqual(mcpwall.asked_for("sampling/createMessage", {"includeContext": value, "messages": []}), found)
        for odd in (None, [], "x"):
            self.assertEqual(mcpwall.asked_for("sampling/createMessage", odd), set())

    def test_a_form_for_a_password_does_not_reach_the_host(self) -> None:
        talk = Talk(mcpwall.builtin_policy("default", context()))
        body = {"jsonrpc": "2.0", "id": 5, "method": "elicitation/create", "params": form(password="string")}
        self.assertEqual(talk.server(body)["client"], b"")
        self.assertIn("block-credential-forms", [record.get("rule") for record in talk.records])
        self.assertIn(b"city", talk.server({**body, "id": 6, "params": form(city="string")})["client"])

    def test_questions_inside_a_result_count_as_well(self) -> None:
        for profile, params, passes in (("default", form(password="string"), False), ("default", form(city="string"), True),
                                        ("default", {"mode": "url", "message": "x", "url": "https://a.example/"}, True),
                                        ("strict", {"mode": "url", "message": "x", "url": "https://a.example/"}, False)):
            talk = Talk(mcpwall.builtin_policy(profile, context()))
            talk.client({"jsonrpc": "2.0", "id": 1, "method": "prompts/list"})
            result = {"resultType": "input_required", "inputRequests": {"q": {"method": "elicitation/create", "params": params}}}
            out = talk.server({"jsonrpc": "2.0", "id": 1, "result": result})["client"]
            with self.subTest(profile=profile, params=params):
                self.assertEqual(b"inputRequests" in out, passes)
        talk = Talk(mcpwall.builtin_policy("strict", context()))
        talk.client({"jsonrpc": "2.0", "id": 1, "method": "prompts/list"})
        error = {"code": -32042, "message": "x", "data": {"elicitations": [{"mode": "url", "url": "https://evil.example/"}]}}
        self.assertNotIn(b"evil.example", talk.server({"jsonrpc": "2.0", "id": 1, "error": error})["client"])

    def test_a_kind_that_is_none_is_told(self) -> None:
        with self.assertRaisesRegex(mcpwall.PolicyError, "a kind of question"):
            policy("{version: 1, outbound_rules: [{name: n, action: deny, match: {asks: passwords}}]}")


if __name__ == "__main__":
    unittest.main()
