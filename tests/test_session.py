"""Whole conversations through `Session`: framing, refusals, batches, correlation, redaction, audit records."""
from __future__ import annotations

import base64
import json
import os
import random
import tempfile
import time
import unittest
from unittest import mock

from tests.support import (AWS_KEY, GITHUB_TOKEN, Talk, fuzz_seconds, line, mcpwall, policy, request, seed, text_result)

CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":"b"}}}'
DENY_EVIL = """
version: 1
rules:
  - {name: no-evil, match: {tool: "*", arguments: {_any_value: {regex: evil}}}, action: deny, message: evil is out}
"""


class Budgets(unittest.TestCase):
    def test_a_busy_machine_gives_more_time_by_the_clock_and_not_for_ever(self) -> None:
        now = [0.0]
        patient, other = mcpwall.Budget(1, lambda: now[0], 5), mcpwall.Budget(1, lambda: now[0])
        patient.check()
        now[0] = 4.9                    # this thread has hardly worked meanwhile
        patient.check()
        with self.assertRaises(mcpwall.BudgetSpent):
            other.check()
        now[0] = 5.1
        with self.assertRaises(mcpwall.BudgetSpent):
            patient.check()

    def test_work_is_counted_whatever_the_patience(self) -> None:
        budget = mcpwall.Budget(0.05, patience=1000)
        with self.assertRaises(mcpwall.BudgetSpent):
            while True:
                budget.check()

    def test_what_is_lent_can_be_spent_and_the_rest_is_there_afterwards(self) -> None:
        budget = mcpwall.Budget(0.2, patience=5)
        lent = budget.lend()
        with self.assertRaises(mcpwall.BudgetSpent):
            while True:
                budget.check()
        budget.take_back(lent)
        budget.check()


class ClientLines(unittest.TestCase):
    """What is not one strict message goes nowhere, and is answered."""

    REFUSED = {     # name: (line, error code, id in the answer)
        "bare CR between values": (CALL.replace(b',"id"', b',\r"id"'), -32700, 1),
        "two messages, a CR between": (CALL + b"\r" + CALL, -32700, 1),
        "NUL behind": (CALL + b"\x00", -32700, 1),
        "NUL before": (b"\x00" + CALL, -32700, None),
        "BOM": (b"\xef\xbb\xbf" + CALL, -32700, None),
        "UTF-16": (CALL.decode().encode("utf-16"), -32700, None),
        "invalid UTF-8": (CALL.replace(b'"b"', b'"\xff"'), -32700, 1),
        "overlong UTF-8": (CALL.replace(b'"b"', b'"\xc0\xaf"'), -32700, 1),
        "CESU-8": (CALL.replace(b'"b"', b'"\xed\xa0\xbd\xed\xb8\x80"'), -32700, 1),
        "U+2028 between values": (CALL.replace(b',"id"', ',\u2028"id"'.encode()), -32700, None),
        "U+0085 between values": (CALL.replace(b',"id"', ',\x85"id"'.encode()), -32700, None),
        "vertical tab between values": (CALL.replace(b',"id"', b',\x0b"id"'), -32700, None),
        "form feed between values": (CALL.replace(b',"id"', b',\x0c"id"'), -32700, None),
        "duplicate member": (CALL.replace(b'"a":"b"', b'"a":"b","a":"c"'), -32700, 1),
        "duplicate member spelled with an escape": (CALL.replace(b'"a":"b"', b'"a":"b","\\u0061":"c"'), -32700, 1),
        "duplicate method": (CALL.replace(b'"method"', b'"method":"ping","method"'), -32700, 1),
        "duplicate id": (CALL.replace(b'"id":1', b'"id":1,"id":2'), -32700, None),
        "Method beside method": (CALL.replace(b'"method"', b'"Method":"ping","method"'), -32600, 1),
        "Params in another case": (CALL.replace(b'"params"', b'"Params"'), -32600, 1),
        "long s for s in params": (CALL.replace(b'"params"', '"params":{},"param\u017f"'.encode()), -32600, 1),
        "Kelvin sign in a member's name": (CALL.replace(b'"name"', b'"Name"'), -32600, 1),
        "Arguments beside arguments": (CALL.replace(b'"arguments"', b'"Arguments":{},"arguments"'), -32600, 1),
        "no jsonrpc": (CALL.replace(b'"jsonrpc":"2.0",', b""), -32600, 1),
        "jsonrpc 1.0": (CALL.replace(b'"2.0"', b'"1.0"'), -32600, 1),
        "jsonrpc as a number": (CALL.replace(b'"2.0"', b"2.0"), -32600, 1),
        "NaN": (CALL.replace(b'"b"', b"NaN"), -32700, 1),
        "Infinity": (CALL.replace(b'"b"', b"-Infinity"), -32700, 1),
        "trailing data": (CALL + b" x", -32700, 1),
        "two values": (CALL + CALL, -32700, 1),
        "a string": (b'"tools/call"', -32600, None),
        "a number": (b"1", -32600, None),
        "null": (b"null", -32600, None),
        "empty batch": (b"[]", -32600, None),
        "nested batch": (b"[[" + CALL + b"]]", -32600, None),
        "batch item without jsonrpc": (b"[" + CALL + b',{"method":"tools/call","id":2}]', -32600, None),
        "id true": (CALL.replace(b'"id":1', b'"id":true'), -32600, None),
        "id as a list": (CALL.replace(b'"id":1', b'"id":[1]'), -32600, None),
        "id as a fraction": (CALL.replace(b'"id":1', b'"id":1.5'), -32600, None),
        "id null": (CALL.replace(b'"id":1', b'"id":null'), -32600, None),
        "params as a list": (CALL.replace(b'{"name":"t","arguments":{"a":"b"}}', b'["t"]'), -32600, 1),
        "no params": (b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}', -32600, 1),
        "params null": (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":null}', -32600, 1),
        "arguments as text": (CALL.replace(b'{"a":"b"}', b'"{}"'), -32600, 1),
        "arguments as a list": (CALL.replace(b'{"a":"b"}', b"[]"), -32600, 1),
        "empty tool name": (CALL.replace(b'"t"', b'""'), -32600, 1),
        "tool name as a number": (CALL.replace(b'"t"', b"5"), -32600, 1),
        "no tool name": (CALL.replace(b'"name":"t",', b""), -32600, 1),
        "method in another case": (CALL.replace(b"tools/call", b"Tools/Call"), -32600, 1),
        "method with a blank": (CALL.replace(b"tools/call", b"tools/call "), -32600, 1),
        "method with an invisible character": (CALL.replace(b"tools/call", "tools\u200b/call".encode()), -32600, 1),
        "method as a number": (CALL.replace(b'"tools/call"', b"7"), -32600, 1),
        "method and result": (CALL.replace(b'"params"', b'"result":{},"params"'), -32600, 1),
        "neither method nor result": (b'{"jsonrpc":"2.0","id":1}', -32600, 1),
        "result and error": (b'{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', -32600, 1),
        "too deep": (CALL.replace(b'"b"', b"[" * 300 + b"]" * 300), -32600, 1),
        "far too deep": (CALL.replace(b'"b"', b"[" * 90000 + b"]" * 90000), -32600, 1),
        "integer of 5,000 digits": (CALL.replace(b'"b"', b"7" * 5000), -32700, None),
        "half a surrogate pair": (CALL.replace(b'"b"', b'"\\ud83d"'), -32700, 1),
        "cut in the middle": (CALL[:-10], -32700, 1),
        "no JSON": (b"hello", -32700, None),
        "resources/read without uri": (b'{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{}}', -32600, 1),
    }

    def test_refused_lines(self) -> None:
        for name, (data, code, ident) in self.REFUSED.items():
            with self.subTest(name):
                talk = Talk()
                out = talk.feed("client", data + b"\n")
                self.assertEqual(out["server"], b"")
                answer = json.loads(out["client"])
                self.assertEqual(answer["error"]["code"], code)
                if name not in ("cut in the middle", "integer of 5,000 digits", "U+2028 between values",
                                "U+0085 between values", "vertical tab between values", "form feed between values"):
                    self.assertEqual(answer["id"], ident)
                self.assertEqual(len(talk.records), 1)
                self.assertEqual(talk.records[0]["action"], "deny")

    def test_nothing_of_a_refused_line_is_said_again(self) -> None:
        talk = Talk()
        out = talk.feed("client", CALL.replace(b'"b"', b'NaN,"' + AWS_KEY.encode() + b'":1') + b"\n")
        self.assertNotIn(AWS_KEY.encode(), out["client"])
        self.assertNotIn(AWS_KEY, json.dumps(talk.records))

    def test_depth_is_the_same_on_every_python(self) -> None:
        def nested(levels: int) -> bytes:      # the message and its params and arguments are three more
            return CALL.replace(b'"b"', b"[" * levels + b"]" * levels) + b"\n"
        self.assertTrue(Talk().feed("client", nested(253))["server"])
        self.assertFalse(Talk().feed("client", nested(254))["server"])

    def test_what_may_pass_passes_as_the_same_bytes(self) -> None:
        for data in (CALL, b"  " + CALL + b" ", CALL + b"\r", CALL.replace(b'"b"', b'"\\u0062\\/\\n"'),
                     CALL.replace(b'"b"', b"9007199254740993"), CALL.replace(b'"b"', b"[1.0,1e400,-0,1E5]"),
                     CALL.replace(b'"b"', '"ä\u2028\u0085\x7f🙂"'.encode()), CALL.replace(b'"b"', b'"\\ud83d\\ude00"'),
                     b'{"method":"ping","id":"x","jsonrpc":"2.0"}', b"[" + CALL + b" , " + CALL.replace(b"1,", b"2,") + b"]",
                     b'{"jsonrpc":"2.0","method":"notifications/initialized"}',
                     b'{"jsonrpc":"2.0","id":1,"method":"custom/thing","params":{"x":1}}'):
            out = Talk().feed("client", data + b"\n")
            self.assertEqual(out, {"client": b"", "server": data + b"\n"}, data)

    def test_blank_lines_are_ignored(self) -> None:
        talk = Talk()
        self.assertEqual(talk.feed("client", b"\n\r\n  \n\t\r\n"), {"client": b"", "server": b""})
        self.assertEqual(talk.records, [])

    def test_last_line_without_a_line_feed_is_judged_at_the_end(self) -> None:
        talk = Talk(DENY_EVIL)
        self.assertEqual(talk.feed("client", CALL)["server"], b"")
        self.assertEqual(talk.feed("client", b"")["server"], CALL + b"\n")
        talk = Talk(DENY_EVIL)
        talk.feed("client", CALL.replace(b'"b"', b'"evil"'))
        self.assertEqual(talk.feed("client", b"")["server"], b"")

    def test_end_of_one_side_closes_the_other(self) -> None:
        session = Talk().session
        self.assertEqual(session.receive("client", b""), [mcpwall.Close("server")])
        self.assertEqual(session.receive("server", b""), [mcpwall.Close("client")])

    def test_preparing_leaves_no_trace_in_the_conversation(self) -> None:
        def said(prepared: bool) -> list:
            talk = Talk({"version": 1, "extends": "default"})
            if prepared:
                talk.session.prepare()
            sent = [talk.server({"jsonrpc": "2.0", "id": 0, "result": {"a": 1}}), talk.client(request("initialize", {}, 0)),
                    talk.server({"jsonrpc": "2.0", "id": 0, "result": {"b": "c"}}), talk.client(request("tools/list", None, 1))]
            return sent + talk.records + talk.notes
        self.assertEqual(said(True), said(False))


class Refusals(unittest.TestCase):
    def test_a_denied_request(self) -> None:
        talk = Talk(DENY_EVIL)
        out = talk.call("run", {"x": ["so evil"]}, "seven")
        self.assertEqual(out["server"], b"")
        self.assertEqual(json.loads(out["client"])["error"]["code"], -32600)
        answer = json.loads(out["client"])
        self.assertEqual((answer["id"], answer["error"]["message"]), ("seven", "[mcpwall] evil is out (rule no-evil, ref test-1)"))
        self.assertEqual(answer["error"]["data"]["mcpwall"]["rule"], "no-evil")
        self.assertEqual(answer["error"]["data"]["mcpwall"]["action"], "deny")
        self.assertNotIn(b"so evil", out["client"])
        self.assertEqual(talk.records[0]["args"], "[REDACTED]")

    def test_deny_as_result(self) -> None:
        talk = Talk(DENY_EVIL + "settings: {deny_as: result}\n")
        result = json.loads(talk.call("run", {"x": "evil"})["client"])["result"]
        self.assertTrue(result["isError"])
        self.assertIn("evil is out", result["content"][0]["text"])
        self.assertNotIn("resultType", result)

    def test_deny_as_result_is_a_result_to_clients_that_want_to_know_its_type(self) -> None:
        talk = Talk(DENY_EVIL + "settings: {deny_as: result, audit_required: true}\n")
        params = {"name": "run", "arguments": {"x": "evil"}, "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}
        refused = json.loads(talk.client(request("tools/call", params))["client"])["result"]
        effects = talk.session.receive("client", line(request("tools/call", {**params, "arguments": {}}, 2)))
        withheld = json.loads(talk.take(talk.session.withhold(effects))["client"])["result"]
        for result in (refused, withheld):
            self.assertEqual((result["isError"], result["resultType"]), (True, "complete"))

    def test_a_notification_is_judged_and_dropped(self) -> None:
        talk = Talk(DENY_EVIL)
        note = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "t", "arguments": {"x": "evil"}}}
        self.assertEqual(talk.client(note), {"client": b"", "server": b""})
        self.assertEqual(talk.records[0]["action"], "deny")

    def test_default_deny_lets_the_lifecycle_pass(self) -> None:
        talk = Talk({"version": 1, "settings": {"default_action": "deny"}})
        for method in ("initialize", "server/discover", "ping", "tools/list", "resources/list", "resources/templates/list",
                       "prompts/list", "subscriptions/listen", "logging/setLevel"):
            self.assertTrue(talk.client(request(method, {}, method))["server"], method)
        for method in ("tasks/get", "tasks/result", "tasks/cancel"):
            self.assertTrue(talk.client(request(method, {"taskId": "T"}, method))["server"], method)
        for method in ("notifications/initialized", "notifications/cancelled", "notifications/progress", "notifications/roots/list_changed"):
            self.assertTrue(talk.client({"jsonrpc": "2.0", "method": method, "params": {"requestId": 99}})["server"], method)
        talk.server(request("roots/list", None, 7))
        self.assertTrue(talk.client({"jsonrpc": "2.0", "id": 7, "result": {"roots": []}})["server"])

    def test_default_deny_refuses_everything_else_with_and_without_an_id(self) -> None:
        talk = Talk({"version": 1, "settings": {"default_action": "deny"}, "rules": [
            {"name": "reads", "match": {"tool": "read_*"}, "action": "allow"},
            {"name": "resources", "match": {"method": "resources/read"}, "action": "allow"}]})
        for method, params in (("tools/call", {"name": "write"}), ("prompts/get", {"name": "p"}), ("resources/subscribe", {"uri": "x://y"}),
                               ("completion/complete", {"ref": {"type": "ref/prompt"}, "argument": {"name": "a", "value": "b"}}),
                               ("tasks/update", {"taskId": "T"}), ("tasks/list", {}), ("custom/thing", {})):
            self.assertFalse(talk.client(request(method, params))["server"], method)
            self.assertEqual(talk.client({"jsonrpc": "2.0", "method": method, "params": params}), {"client": b"", "server": b""})
        for method, params in (("tools/call", {"name": "read_file"}), ("resources/read", {"uri": "x://y"}), ("tools/list", {})):
            self.assertTrue(talk.client(request(method, params, method))["server"], method)     # allowed, as a request
            self.assertFalse(talk.client({"jsonrpc": "2.0", "method": method, "params": params})["server"], method)
        for method in ("notifications/custom", "notifications/message"):
            self.assertFalse(talk.client({"jsonrpc": "2.0", "method": method})["server"], method)
        self.assertFalse(talk.client(request("notifications/initialized"))["server"])

    def test_default_deny_lets_input_for_a_known_task_pass(self) -> None:
        talk = Talk({"version": 1, "settings": {"default_action": "deny"}, "rules": [
            {"name": "a", "match": {"tool": "t"}, "action": "allow"}]})
        talk.call("t", {}, 1)
        talk.server({"jsonrpc": "2.0", "id": 1, "result": {"resultType": "task", "taskId": "T", "status": "working"}})
        self.assertTrue(talk.client(request("tasks/update", {"taskId": "T", "inputResponses": {}}, 2))["server"])
        self.assertFalse(talk.client(request("tasks/update", {"taskId": "U", "inputResponses": {}}, 3))["server"])

    def test_ask_denies_until_somebody_can_be_asked(self) -> None:
        rules = {"version": 1, "rules": [{"name": "a", "match": {"tool": "t"}, "action": "ask"}]}
        talk = Talk(rules)
        self.assertFalse(talk.passes("t", {}))
        self.assertTrue(Talk({**rules, "settings": {"ask_fallback": "allow"}}).passes("t", {}))

    def test_monitor_mode_forwards_and_says_what_it_would_have_done(self) -> None:
        talk = Talk(DENY_EVIL + "settings: {mode: monitor}\n")
        self.assertTrue(talk.passes("t", {"x": "evil"}))
        self.assertEqual((talk.records[0]["action"], talk.records[0]["rule"]), ("log_only", "no-evil"))
        self.assertIn("would deny", talk.records[0]["message"])

    def test_what_cannot_be_judged_is_refused(self) -> None:
        made = policy(DENY_EVIL)
        broken = made.rules[0]._replace(matches=lambda subject: 1 // 0, needs=None)
        talk = Talk(made._replace(rules=(broken,)))
        self.assertFalse(talk.passes("t", {"x": "fine"}))
        self.assertIn("ZeroDivisionError", talk.records[0]["message"])
        talk = Talk(made._replace(outbound_rules=(broken,), rules=()))
        self.assertTrue(talk.answer(text_result("x"))["result"]["isError"])


class Batches(unittest.TestCase):
    def test_each_id_is_answered_once(self) -> None:
        talk = Talk(DENY_EVIL)
        calls = [request("tools/call", {"name": "t", "arguments": {"x": text}}, number)
                 for number, text in enumerate(("a", "evil", "b", "evil"))]
        out = talk.client(calls)
        self.assertEqual([item["id"] for item in json.loads(out["server"])], [0, 2])
        self.assertEqual([item["id"] for item in json.loads(out["client"])], [1, 3])
        out = talk.server([{"jsonrpc": "2.0", "id": number, "result": text_result("ok")} for number in (0, 2)])
        self.assertEqual([item["id"] for item in json.loads(out["client"])], [0, 2])
        self.assertEqual(len(talk.records), 6)

    def test_allowed_items_stay_as_they_are(self) -> None:
        talk = Talk(DENY_EVIL)
        first = CALL.replace(b'"b"', b"1.0")
        out = talk.feed("client", b" [ " + first + b" , " + CALL.replace(b'"b"', b'"evil"').replace(b'"id":1', b'"id":2') + b"]\n")
        self.assertEqual(out["server"], b"[" + first + b"]\n")

    def test_a_batch_of_refusals_reaches_nobody(self) -> None:
        out = Talk(DENY_EVIL).client([request("tools/call", {"name": "t", "arguments": {"x": "evil"}})])
        self.assertEqual(out["server"], b"")
        self.assertEqual(len(json.loads(out["client"])), 1)

    def test_redaction_inside_a_batch(self) -> None:
        talk = Talk(mcpwall.builtin_policy("default"))
        talk.client([request("tools/call", {"name": "t"}, 1), request("tools/call", {"name": "t"}, 2)])
        out = talk.server([{"jsonrpc": "2.0", "id": 1, "result": text_result(f"key {GITHUB_TOKEN} end")},
                           {"jsonrpc": "2.0", "id": 2, "result": text_result("plain")}])
        self.assertNotIn(GITHUB_TOKEN.encode(), out["client"])
        self.assertEqual(json.loads(out["client"])[1]["result"], text_result("plain"))


class ServerLines(unittest.TestCase):
    def test_unreadable_answers_become_errors_under_their_id(self) -> None:
        answer = b'{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"x"}]}}'
        for name, data in {"duplicate member": answer.replace(b'"text":"x"', b'"text":"x","text":"y"'),
                           "invalid UTF-8": answer.replace(b'"x"', b'"\xff"'), "NaN": answer.replace(b'"x"', b"NaN"),
                           "too deep": answer.replace(b'"x"', b"[" * 300 + b"]" * 300),
                           "CR inside": answer.replace(b"{", b"{\r", 1)}.items():
            with self.subTest(name):
                talk = Talk()
                talk.call("t", {}, 7)
                got = json.loads(talk.feed("server", data + b"\n")["client"])
                self.assertEqual(got["id"], 7)
                self.assertIn("BLOCKED BY MCPWALL", json.dumps(got))
                self.assertEqual(talk.records[-1]["action"], "deny")
                self.assertEqual(talk.feed("server", data + b"\n")["client"], b"")    # nobody waits for it any more

    def test_what_is_no_message_goes_to_stderr_only(self) -> None:
        talk = Talk(mcpwall.builtin_policy("default"))
        out = talk.feed("server", f"Server ready \x1b[31m token {GITHUB_TOKEN}\n".encode())
        self.assertEqual(out, {"client": b"", "server": b""})
        self.assertEqual(len(talk.records), 1)
        self.assertIn("Server ready", talk.notes[0])
        self.assertNotIn("\x1b", talk.notes[0])
        self.assertNotIn(GITHUB_TOKEN, talk.notes[0] + json.dumps(talk.records))

    def test_answers_pass_as_the_same_bytes(self) -> None:
        for result in (b'{ "content":[ {"type":"text","text":"\\u00e4\\/"} ] }', b'{"x":[1.0,9007199254740993,1e400,-0]}'):
            talk = Talk(mcpwall.builtin_policy("default"))
            talk.call("t", {}, 7)
            data = b'{"jsonrpc":"2.0", "id":7,"result":' + result + b"}\r\n"
            self.assertEqual(talk.feed("server", data)["client"], data)

    def test_an_answer_nobody_asked_for_meets_every_refusing_rule_and_no_allowing_one(self) -> None:
        rules = {"version": 1, "outbound_rules": [
            {"name": "a", "match": {"tool": "*"}, "action": "allow"},
            {"name": "d", "match": {"tool": "other", "response_contains": "forbidden"}, "action": "deny"}]}
        talk = Talk(rules)
        self.assertEqual(talk.answer(text_result("forbidden"), tool="mine")["result"], text_result("forbidden"))
        out = talk.server({"jsonrpc": "2.0", "id": "7", "result": text_result("forbidden")})
        self.assertIn("BLOCKED", out["client"].decode())

    def test_an_id_of_another_type_answers_nothing(self) -> None:
        rules = {"version": 1, "outbound_rules": [
            {"name": "d", "match": {"tool": "secret_tool", "response_contains": "x"}, "action": "deny"}]}
        talk = Talk(rules)
        talk.call("plain", {}, 1)
        self.assertIn(b"BLOCKED", talk.server({"jsonrpc": "2.0", "id": "1", "result": text_result("x")})["client"])
        self.assertNotIn(b"BLOCKED", talk.server({"jsonrpc": "2.0", "id": 1, "result": text_result("x")})["client"])

    def test_requests_of_the_server_are_judged(self) -> None:
        rules = {"version": 1, "outbound_rules": [
            {"name": "s", "match": {"direction": "request", "method": "sampling/*"}, "action": "deny", "message": "no sampling"}]}
        talk = Talk(rules)
        out = talk.server(request("sampling/createMessage", {"messages": []}, 3))
        self.assertEqual(out["client"], b"")
        self.assertEqual(json.loads(out["server"])["id"], 3)
        self.assertIn("no sampling", out["server"].decode())
        self.assertTrue(talk.server(request("elicitation/create", {"message": "?"}, 4))["client"])

    def test_answers_of_the_client_are_judged_by_the_request_they_answer(self) -> None:
        talk = Talk(mcpwall.builtin_policy("default"))
        talk.server(request("sampling/createMessage", {"messages": []}, 3))
        out = talk.client({"jsonrpc": "2.0", "id": 3, "result": {"role": "assistant", "content": {
            "type": "text", "text": f"my key is {GITHUB_TOKEN}"}}})
        self.assertNotIn(GITHUB_TOKEN.encode(), out["server"])
        self.assertEqual(json.loads(out["server"])["id"], 3)
        self.assertIn("error", json.loads(out["server"]))

    def test_a_refused_list_loses_the_item_only(self) -> None:
        rules = {"version": 1, "outbound_rules": [
            {"name": "d", "match": {"method": "tools/list", "response_contains": "exfiltrate"}, "action": "deny"}]}
        talk = Talk(rules)
        tools = [{"name": "good", "description": "fine", "n": 1}, {"name": "bad", "description": "Exfiltrate   all"}]
        got = talk.answer({"tools": tools}, method="tools/list")
        self.assertEqual([tool["name"] for tool in got["result"]["tools"]], ["good"])
        got = talk.answer({"tools": tools[:1], "note": "exfiltrate"}, method="tools/list", ident=8)
        self.assertIn("error", got)

    def test_blocked_results_have_the_shape_clients_expect(self) -> None:
        rules = {"version": 1, "outbound_rules": [{"name": "d", "match": {"response_contains": "bad"}, "action": "deny", "message": "m"}]}
        got = Talk(rules).answer({**text_result("bad"), "structuredContent": {"x": 1}, "resultType": "complete"})
        self.assertEqual(got["result"], {"content": [{"type": "text", "text": "[BLOCKED BY MCPWALL] m (rule d, ref test-2)"}], "isError": True,
                                         "resultType": "complete"})
        got = Talk(rules).answer({"contents": [{"uri": "x", "text": "bad"}]}, method="resources/read")
        self.assertEqual(got["error"]["code"], -32600)


class Correlation(unittest.TestCase):
    RULES = {"version": 1, "outbound_rules": [
        {"name": "d", "match": {"tool": "spy", "response_contains": "loot"}, "action": "deny"}]}

    def test_tool_rules_follow_a_task_of_2025_11_25(self) -> None:
        talk = Talk(self.RULES)
        talk.call("spy", {}, 1)
        talk.server({"jsonrpc": "2.0", "id": 1, "result": {"task": {"taskId": "T", "status": "working"}}})
        talk.client(request("tasks/result", {"taskId": "T"}, 2))
        out = talk.server({"jsonrpc": "2.0", "id": 2, "result": text_result("loot")})
        self.assertTrue(json.loads(out["client"])["result"]["isError"])
        talk.call("other", {}, 3)
        talk.server({"jsonrpc": "2.0", "id": 3, "result": {"task": {"taskId": "U", "status": "working"}}})
        talk.client(request("tasks/result", {"taskId": "U"}, 4))
        self.assertNotIn(b"BLOCKED", talk.server({"jsonrpc": "2.0", "id": 4, "result": text_result("loot")})["client"])

    def test_tool_rules_follow_a_task_of_2026_07_28(self) -> None:
        talk = Talk(self.RULES)
        talk.call("spy", {}, 1)
        talk.server({"jsonrpc": "2.0", "id": 1, "result": {"resultType": "task", "taskId": "T", "status": "working"}})
        note = {"jsonrpc": "2.0", "method": "notifications/tasks", "params": {
            "taskId": "T", "status": "completed", "result": text_result("loot")}}
        self.assertEqual(talk.server(note)["client"], b"")
        talk.client(request("tasks/get", {"taskId": "T"}, 2))
        out = talk.server({"jsonrpc": "2.0", "id": 2, "result": {"taskId": "T", "status": "completed", "result": text_result("loot")}})
        self.assertIn(b"BLOCKED", out["client"])

    def test_two_requests_under_one_id_are_answered_strictly(self) -> None:
        talk = Talk(self.RULES)
        talk.call("spy", {}, 1)
        talk.call("other", {}, 1)
        self.assertIn(b"BLOCKED", talk.server({"jsonrpc": "2.0", "id": 1, "result": text_result("loot")})["client"])

    def test_two_requests_under_ids_that_many_take_for_one_are_answered_strictly(self) -> None:
        for first, second in ((1, "1"), ("1", 1), (-1, "-1"), ("-1", -1)):
            talk = Talk(self.RULES)
            talk.call("spy", {}, first)
            talk.call("other", {}, second)
            with self.subTest(first=first, second=second):
                self.assertIn(b"BLOCKED", talk.server({"jsonrpc": "2.0", "id": second, "result": text_result("loot")})["client"])

    def test_one_id_used_again_and_again_is_bounded(self) -> None:
        talk = Talk(self.RULES)
        talk.call("spy", {}, 1)
        for number in range(50):
            talk.call(f"other{number}", {}, 1)
        self.assertIn(b"BLOCKED", talk.server({"jsonrpc": "2.0", "id": 1, "result": text_result("loot")})["client"])
        self.assertTrue(talk.server({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "loot"}})["client"])

    def test_pending_requests_are_bounded(self) -> None:
        with mock.patch.object(mcpwall, "MAX_PENDING", 3):
            talk = Talk()
            for number in range(3):
                self.assertTrue(talk.call("t", {}, number)["server"])
            refused = json.loads(talk.call("t", {}, 3)["client"])
            self.assertIn("already wait", refused["error"]["message"])
            talk.server({"jsonrpc": "2.0", "id": 1, "result": {}})
            self.assertTrue(talk.call("t", {}, 3)["server"])

    def test_a_cancelled_request_waits_no_longer(self) -> None:
        with mock.patch.object(mcpwall, "MAX_PENDING", 1):
            talk = Talk()
            talk.call("t", {}, 5)
            self.assertFalse(talk.call("t", {}, 6)["server"])
            talk.client({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}})
            self.assertTrue(talk.call("t", {}, 6)["server"])


class TooLong(unittest.TestCase):
    RULES = {"version": 1, "settings": {"max_message_bytes": 2000}}

    def test_a_long_request_is_refused_under_its_id(self) -> None:
        for body in (CALL.replace(b'"b"', b'"' + b"x" * 300_000 + b'"'),
                     b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"t","arguments":{"a":"' + b"x" * 300_000 + b'"}},"id":1}'):
            for size in (1 << 20, 1000):
                talk = Talk(self.RULES)
                out = b""
                data = body + b"\n" + CALL.replace(b'"id":1', b'"id":2') + b"\n"
                forwarded = b""
                for at in range(0, len(data), size):
                    got = talk.feed("client", data[at:at + size])
                    out, forwarded = out + got["client"], forwarded + got["server"]
                self.assertEqual(json.loads(out)["id"], 1)
                self.assertIn("max_message_bytes", json.loads(out)["error"]["message"])
                self.assertEqual(json.loads(forwarded)["id"], 2)

    def test_a_long_answer_becomes_an_error(self) -> None:
        talk = Talk(self.RULES)
        talk.call("t", {}, 1)
        out = talk.feed("server", b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"' + b"x" * 9000 + b'"}]}}\n')
        self.assertEqual(json.loads(out["client"])["id"], 1)
        talk.call("t", {}, 9)       # an id in the middle: answered, since only one waits
        out = talk.feed("server", b'{"jsonrpc":"2.0","result":{"x":"' + b"x" * 200_000 + b'"},"id":9,"y":"' + b"x" * 200_000 + b'"}\n')
        self.assertEqual(json.loads(out["client"])["id"], 9)

    def test_what_was_skipped_is_not_kept(self) -> None:
        lines = mcpwall.Lines(2000)
        for _ in range(50):
            self.assertEqual(lines.feed(b"x" * 100_000), [])
        self.assertLess(lines.held, 400_000)


class Redaction(unittest.TestCase):
    def setUp(self) -> None:
        self.talk = Talk(mcpwall.builtin_policy("default"))

    def test_only_the_secret_changes(self) -> None:
        raw = ('{"jsonrpc":"2.0","id":7,"result":{ "n":1.0, "content":[{"type":"text","text":"\\u00e4 tok=' + GITHUB_TOKEN
               + ' \\/ \\ud83d\\ude00"}] }}')
        self.talk.call("t", {}, 7)
        got = self.talk.feed("server", raw.encode() + b"\n")["client"].decode()
        self.assertEqual(got, raw.replace(GITHUB_TOKEN, mcpwall.MARKER) + "\n")

    def test_every_place_that_carries_text(self) -> None:
        secret = GITHUB_TOKEN
        talk = self.talk
        for place, body in {
            "structured": {"result": {"content": [], "structuredContent": {"env": {"TOKEN": secret, "n": 3}}}},
            "key": {"result": {"content": [], "structuredContent": {secret: 1}}},
            "error message": {"error": {"code": -1, "message": f"bad {secret}"}},
            "error data": {"error": {"code": -1, "message": "bad", "data": {"x": [secret]}}},
            "resource": {"result": {"contents": [{"uri": "file:///x", "text": f"t={secret}"}]}},
            "meta": {"result": {"_meta": {"x": secret}}},
        }.items():
            with self.subTest(place):
                talk.call("t", {}, 7)
                got = talk.server({"jsonrpc": "2.0", "id": 7, **body})["client"]
                self.assertNotIn(secret.encode(), got)
                self.assertIn(mcpwall.MARKER.encode(), got)
        for method, params in (("notifications/message", {"level": "info", "data": f"x {secret}"}),
                               ("notifications/progress", {"progressToken": 1, "progress": 1, "message": secret})):
            got = talk.server({"jsonrpc": "2.0", "method": method, "params": params})["client"]
            self.assertNotIn(secret.encode(), got)
            self.assertTrue(got)
        self.assertNotIn(secret, json.dumps(talk.records))

    def test_media_and_opaque_strings_are_never_touched(self) -> None:
        blob = "iVBORw0KGgo" + "AKIA" + "2E7GTQ3NVBXW5KLM" + "ghp" + "Z" * 40 + "=="
        result = {"content": [{"type": "image", "data": blob, "mimeType": "image/png"}, {"type": "audio", "data": blob, "mimeType": "a/b"},
                              {"type": "resource", "resource": {"uri": "x://y", "blob": blob}}],
                  "resultType": "input_required", "requestState": GITHUB_TOKEN}
        self.assertEqual(self.talk.answer(result)["result"], result)
        listed = {"resources": [], "nextCursor": GITHUB_TOKEN}
        self.assertEqual(self.talk.answer(listed, method="resources/list", ident=8)["result"], listed)

    def test_tokens_are_opaque_where_the_protocol_has_them_only(self) -> None:
        for number, result in enumerate(({"content": [], "nextCursor": GITHUB_TOKEN}, {"content": [], "requestState": GITHUB_TOKEN},
                                         {"content": [], "_meta": {"traceparent": GITHUB_TOKEN}}, {"content": [], "taskId": GITHUB_TOKEN})):
            self.assertNotIn(GITHUB_TOKEN, json.dumps(self.talk.answer(result, ident=number)), result)
        trace = {"content": [], "_meta": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1,b=x"}}
        self.assertEqual(self.talk.answer(trace, ident=10)["result"], trace)

    def test_a_text_in_base64_is_judged_and_encoded_again(self) -> None:
        def blob(text: str, encoding: str = "utf-8") -> str:
            return base64.b64encode(text.encode(encoding)).decode()
        for number, encoding in enumerate(("utf-8", "utf-16", "utf-16-le", "utf-16-be")):
            got = self.talk.answer({"contents": [{"uri": "x://y", "blob": blob(f"key = {GITHUB_TOKEN}\n\u00e4", encoding)}]},
                                   method="resources/read", ident=number)
            self.assertEqual(base64.b64decode(got["result"]["contents"][0]["blob"]).decode(encoding), f"key = {mcpwall.MARKER}\n\u00e4")
        picture = {"content": [{"type": "image", "mimeType": "image/svg+xml", "data": blob(f"<svg><!-- {GITHUB_TOKEN} --></svg>")}]}
        got = self.talk.answer(picture, ident=9)["result"]["content"][0]["data"]
        self.assertEqual(base64.b64decode(got).decode(), f"<svg><!-- {mcpwall.MARKER} --></svg>")
        fine = {"contents": [{"uri": "x://y", "blob": blob("nothing secret\n") + "\n"}, {"uri": "x://z", "blob": "AAECAwQ="}]}
        self.assertEqual(self.talk.answer(fine, method="resources/read", ident=10)["result"], fine)

    def test_in_a_url_the_marker_is_a_part_of_the_url(self) -> None:
        got = self.talk.answer(text_result(f"clone https://bot:{GITHUB_TOKEN}@host.example/x.git (see {GITHUB_TOKEN})"))
        self.assertEqual(got["result"]["content"][0]["text"],
                         f"clone https://bot:{mcpwall.MARKER_IN_URL}@host.example/x.git (see {mcpwall.MARKER})")
        again = self.talk.answer(got["result"], ident=9)["result"]
        self.assertEqual(again, got["result"])

    def test_opaque_by_place_not_by_name(self) -> None:
        got = self.talk.answer({"content": [], "structuredContent": {"cursor": GITHUB_TOKEN, "requestState": GITHUB_TOKEN,
                                                                     "data": GITHUB_TOKEN, "type": "image!"}})
        self.assertNotIn(GITHUB_TOKEN, json.dumps(got))
        got = self.talk.answer({"content": [{"type": "image", "data": f"text {GITHUB_TOKEN}"}]}, ident=8)
        self.assertNotIn(GITHUB_TOKEN, json.dumps(got))

    def structured(self, schema: object, value: object, text: str = "see there") -> dict:
        """What the client gets of a structured result of a tool with this output schema."""
        talk = Talk(mcpwall.builtin_policy("default"))
        tool = {"name": "look", "inputSchema": {"type": "object"}, "outputSchema": schema}
        talk.answer({"tools": [tool]}, method="tools/list", ident=1)
        return talk.answer({**text_result(text), "structuredContent": value}, tool="look", ident=2)["result"]

    def test_a_structured_result_still_fits_its_schema(self) -> None:
        def fits(schema: dict, text: str) -> str | None:
            """The redacted string, None when the call was answered by an error."""
            got = self.structured({"type": "object", "properties": {"a": {"type": "array", "items": schema}}}, {"a": ["x", text]})
            self.assertNotIn(GITHUB_TOKEN, json.dumps(got))
            if got.get("isError"):
                self.assertNotIn("structuredContent", got)
                self.assertIn("output schema", got["content"][0]["text"])
                return None
            self.assertEqual(got["structuredContent"]["a"][0], "x")
            return got["structuredContent"]["a"][1]

        token, url = GITHUB_TOKEN, f"https://bot:{GITHUB_TOKEN}@host.example/x.git"
        self.assertEqual(fits({"type": "string"}, f"key {token}"), f"key {mcpwall.MARKER}")
        self.assertEqual(fits({"type": "string", "format": "uri"}, url), f"https://bot:{mcpwall.MARKER_IN_URL}@host.example/x.git")
        self.assertEqual(fits({"type": "string", "maxLength": 12}, token[:0] + token), mcpwall.MARKER[:12])
        self.assertEqual(fits({"type": "string", "pattern": "^[A-Z-]+$"}, token), mcpwall.MARKER_IN_URL)
        self.assertRegex(fits({"type": "string", "pattern": "^[a-zA-Z]{3}_[a-zA-Z0-9]{36}$"}, token) or "", "^[xX]{3}_[xX0]{36}$")
        self.assertEqual(fits({"type": "string", "format": "uuid"}, token), "00000000-0000-0000-0000-000000000000")
        self.assertEqual(fits({"anyOf": [{"type": "null"}, {"type": "string", "minLength": 1}]}, token), mcpwall.MARKER)
        for schema in ({"type": "string", "enum": [token, "x"]}, {"type": "string", "const": token}, {"type": "string", "format": "unheard-of"},
                       {"type": "string", "pattern": "^ghp_[a-z]"}, {"not": {"type": "number"}}, {"$ref": "https://elsewhere.example/s"},
                       {"type": "string", "minLength": 60}):
            self.assertIsNone(fits(schema, token), schema)

    def test_a_structured_result_by_reference(self) -> None:
        schema = {"type": "object", "$defs": {"key": {"type": "string", "maxLength": 8}}, "properties": {"k": {"$ref": "#/$defs/key"}},
                  "additionalProperties": {"type": "string", "pattern": "^[A-Z-]+$"}}
        got = self.structured(schema, {"k": GITHUB_TOKEN, "other": GITHUB_TOKEN}, f"text {GITHUB_TOKEN}")
        self.assertEqual(got["structuredContent"], {"k": mcpwall.MARKER[:8], "other": mcpwall.MARKER_IN_URL})
        self.assertEqual(got["content"][0]["text"], f"text {mcpwall.MARKER}")

    def test_a_secret_as_the_name_of_a_member_has_no_room(self) -> None:
        self.assertTrue(self.structured({"type": "object"}, {GITHUB_TOKEN: 1})["isError"])

    def test_without_an_output_schema_nothing_is_asked_of_the_marker(self) -> None:
        got = self.talk.answer({"content": [], "structuredContent": {"k": GITHUB_TOKEN}}, ident=3)["result"]
        self.assertEqual(got["structuredContent"], {"k": mcpwall.MARKER})

    def test_redacted_twice_is_redacted_once(self) -> None:
        once = self.talk.answer(text_result(f"a {GITHUB_TOKEN} b {AWS_KEY}"))["result"]
        self.assertEqual(self.talk.answer(once, ident=9)["result"], once)


class Records(unittest.TestCase):
    def test_one_record_a_message_both_ways(self) -> None:
        talk = Talk(server="fs")
        talk.client({"jsonrpc": "2.0", "method": "notifications/initialized"})
        talk.call("t", {"a": 1}, 1)
        talk.server({"jsonrpc": "2.0", "id": 1, "result": {}})
        talk.server({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}})
        self.assertEqual([(r["seq"], r["direction"], r["method"], r["tool"], r["id"], r["action"]) for r in talk.records], [
            (1, "inbound", "notifications/initialized", None, None, "allow"), (2, "inbound", "tools/call", "t", 1, "allow"),
            (3, "outbound", "response", "t", 1, "allow"), (4, "outbound", "notifications/progress", None, None, "allow")])
        first = talk.records[0]
        self.assertEqual(first["ts"], "2027-01-15T08:00:00.250Z")
        self.assertEqual((first["session"], first["server"], first["rule"]), ("test", "fs", None))
        self.assertEqual(set(first), {"ts", "session", "seq", "server", "direction", "method", "tool", "id", "action", "rule",
                                      "message", "bytes", "ref", "policy", "wall", "v", "prev"})
        self.assertEqual((first["ref"], first["v"], first["wall"], first["prev"]), ("test-1", 1, mcpwall.__version__, None))
        for before, record in zip(talk.records, talk.records[1:]):
            line = json.dumps(before, ensure_ascii=False, separators=(",", ":"))
            self.assertEqual(record["prev"], mcpwall.sha256(line.encode())[:32])

    def test_a_refused_call_is_recorded_with_what_decided_and_what_it_was(self) -> None:
        talk = Talk("version: 1\nextends: default\n")
        for path in ("~/.ssh/id_rsa", "a" * 300 + "/../.ssh/id_rsa", "x\n/.ssh/id_rsa"):
            talk.call("read_file", {"path": path})
            record = talk.records[-1]
            self.assertEqual(record["action"], "deny")
            self.assertLessEqual(len(record["subject"]), 200)
            self.assertTrue(record["subject"].isprintable())
        self.assertEqual(talk.records[0]["subject"], "~/.ssh/id_rsa")
        digests = []
        for arguments in ({"path": "~/.ssh/id_rsa", "a": 1}, {"a": 1, "path": "~/.ssh/id_rsa"}, {"a": 2, "path": "~/.ssh/id_rsa"}):
            talk.call("read_file", arguments)
            digests.append(talk.records[-1]["digest"])
        self.assertEqual((digests[0] == digests[1], digests[0] == digests[2], len(digests[0])), (True, False, 32))
        talk.call("run_command", {"command": ["rm", "-rf", "/"]})
        self.assertIn("rm -rf /", talk.records[-1]["subject"])
        talk.call("post", {"text": f"the token is {GITHUB_TOKEN}"})
        self.assertEqual((talk.records[-1]["action"], talk.records[-1].get("subject")), ("deny", None))
        talk.call("read_file", {"path": f"~/.ssh/{GITHUB_TOKEN}"})
        self.assertNotIn(GITHUB_TOKEN[8:], json.dumps(talk.records[-1]))
        talk.call("read_file", {"path": "README.md"})
        self.assertNotIn("digest", talk.records[-1])

    def test_a_monitor_says_what_would_have_been_done(self) -> None:
        talk = Talk("version: 1\nextends: default\nsettings: {mode: monitor}\n")
        self.assertTrue(talk.call("read_file", {"path": "~/.ssh/id_rsa"})["server"])
        self.assertEqual([talk.records[-1][key] for key in ("action", "would", "subject")], ["log_only", "deny", "~/.ssh/id_rsa"])
        talk.call("read_file", {"path": "README.md"}, 2)
        self.assertNotIn("would", talk.records[-1])

    def test_arguments_of_refused_calls_are_logged_where_that_is_wanted(self) -> None:
        for setting, refused, allowed in (("none", "[REDACTED]", None), ("denied", {"path": "~/.ssh/id_rsa", "b": mcpwall.MARKER}, None),
                                          ("full", {"path": "~/.ssh/id_rsa", "b": mcpwall.MARKER}, {"path": "x"})):
            talk = Talk({"version": 1, "extends": "default", "settings": {"log_args": setting}})
            talk.call("read_file", {"path": "~/.ssh/id_rsa", "b": GITHUB_TOKEN})
            talk.call("read_file", {"path": "x"}, 2)
            self.assertEqual([record.get("args") for record in talk.records], [refused, allowed])

    def test_a_full_log_takes_refusals_alone_and_says_how_much_was_left_out(self) -> None:
        talk = Talk(DENY_EVIL + "settings: {log_max_mb: 1}\n")
        for number in range(1, 4000):
            talk.call("x" * 300, {}, number)
        spared = sum(record.spared for record in talk.effects)
        self.assertGreater(spared, 100)
        self.assertEqual(len([note for note in talk.notes if "log_max_mb" in note]), 1)
        talk.call("run", {"x": "evil"}, 5000)
        last = talk.effects[-1]
        self.assertEqual((last.spared, last.fields["action"], last.fields["left_out"]), (False, "deny", spared))
        kept = [record for record in talk.effects if not record.spared]
        self.assertEqual([record.fields["seq"] for record in kept], list(range(1, len(kept) + 1)))
        for before, record in zip(kept, kept[1:]):
            self.assertEqual(record.fields["prev"], mcpwall.sha256(before.line.encode())[:32])
        self.assertLess(sum(len(record.line) for record in kept), 1.1 * (1 << 20))
        talk.wall_clock += 86_400
        talk.call("a", {}, 5001)
        self.assertFalse(talk.effects[-1].spared)

    def test_a_full_log_refuses_where_the_audit_is_required(self) -> None:
        talk = Talk(DENY_EVIL + "settings: {log_max_mb: 1, audit_required: true}\n")
        number = 0
        while talk.call("x" * 300, {}, number)["server"]:
            number += 1
            self.assertLess(number, 5000)
        self.assertIn("log_max_mb", talk.records[-1]["message"])
        self.assertTrue(talk.client(request("ping", {}, 9999))["server"])

    def test_the_policy_in_force_is_named_by_its_content(self) -> None:
        names = []
        for text in (DENY_EVIL, DENY_EVIL, DENY_EVIL + "settings: {log_level: warn}\n"):
            talk = Talk(text)
            talk.call("x")
            names.append(talk.records[0]["policy"])
        self.assertRegex(names[0], "^[0-9a-f]{12}$")
        self.assertEqual((names[0] == names[1], names[0] == names[2]), (True, False))

    def test_arguments_are_logged_on_request_without_secrets(self) -> None:
        talk = Talk({"version": 1, "settings": {"log_args": "full"}})
        talk.call("t", {"a": 1, "b": f"x {GITHUB_TOKEN}"})
        self.assertEqual(talk.records[0]["args"], {"a": 1, "b": f"x {mcpwall.MARKER}"})

    def test_no_secret_in_the_log_wherever_it_stands(self) -> None:
        for body in (request("tools/call", {"name": GITHUB_TOKEN}), request("tools/call", {"name": "t"}, GITHUB_TOKEN),
                     request(GITHUB_TOKEN, {}), request("tools/call", {"name": "t", "arguments": {GITHUB_TOKEN: 1}}),
                     request("tools/call", {"name": "t", "arguments": {"x": GITHUB_TOKEN}})):
            for rules in ("version: 1", mcpwall.builtin_policy("default"), {"version": 1, "settings": {"log_args": "full"}}):
                talk = Talk(rules)
                fields = [effect.fields for effect in talk.session.receive("client", line(body)) if isinstance(effect, mcpwall.Record)]
                talk.client(body)
                self.assertNotIn(GITHUB_TOKEN, json.dumps(talk.records) + json.dumps(fields))

    def test_findings_name_pattern_and_place_never_text(self) -> None:
        talk = Talk(mcpwall.builtin_policy("default"))
        talk.answer(text_result("fine", f"x {GITHUB_TOKEN}"))
        found = talk.records[-1]
        self.assertEqual(found["findings"], [{"pattern": "github-token", "pointer": "/result/content/1/text"}])
        self.assertEqual(found["redacted_patterns"], ["github-token"])

    def test_hashes_of_findings(self) -> None:
        talk = Talk({"version": 1, "extends": "default", "settings": {"log_redacted": "hash"}})
        talk.answer(text_result(f"x {GITHUB_TOKEN} {GITHUB_TOKEN}"))
        hashes = [one["hash"] for one in talk.records[-1]["findings"]]
        self.assertEqual(len(set(hashes)), 1)
        self.assertRegex(hashes[0], r"^[0-9a-f]{16}$")

    def test_withheld_calls_are_refused(self) -> None:
        session = Talk({"version": 1, "settings": {"audit_required": True}}).session
        effects = session.receive("client", CALL + b"\n" + line({"jsonrpc": "2.0", "method": "notifications/x"}))
        kept = session.withhold(effects)
        sends = {effect.peer: effect.data for effect in kept if isinstance(effect, mcpwall.Send)}
        self.assertNotIn("server", sends)
        self.assertIn("audit log cannot be written", sends["client"].decode())
        late = session.receive("server", line({"jsonrpc": "2.0", "id": 1, "result": text_result("x")}))
        self.assertIsNone(next(effect.fields["tool"] for effect in late if isinstance(effect, mcpwall.Record)))   # nobody waits

    def test_every_line_is_the_json_of_its_fields(self):
        talk = Talk("version: 1\nextends: default\n", 'a "server"')
        for number, name in enumerate(("read_file", "b\u00fccher", 'odd "name"', AWS_KEY, "x" * 900)):
            for ident in (number, f"id {number}"):
                asked = request("tools/call", {"name": name, "arguments": {"path": "a.txt"}}, ident)
                for peer, body in (("client", asked), ("server", {"jsonrpc": "2.0", "id": ident, "result": text_result("fine")})):
                    for effect in talk.session.receive(peer, line(body)):
                        if isinstance(effect, mcpwall.Record):
                            self.assertEqual(effect.line, json.dumps(effect.fields, separators=(",", ":")))


class Chunks(unittest.TestCase):
    def test_any_chunking_has_the_same_effects_property(self) -> None:
        number = seed()
        rng = random.Random(number)
        end = time.monotonic() + fuzz_seconds()
        samples = [row[0] for row in ClientLines.REFUSED.values() if len(row[0]) < 5000]
        while time.monotonic() < end:
            lines = [rng.choice((CALL, CALL.replace(b'"b"', b'"evil"'), b"", b"\r", rng.choice(samples), CALL + b"\r")) for _ in range(8)]
            stream = b"\n".join(lines) + rng.choice((b"", b"\n"))
            whole = self.run_through([stream])
            cuts = sorted(rng.randrange(len(stream) + 1) for _ in range(rng.randrange(6)))
            parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)])]
            self.assertEqual(self.run_through([part for part in parts if part]), whole, f"MCPWALL_SEED={number}")

    def run_through(self, parts: list) -> tuple:
        talk = Talk(DENY_EVIL)
        client = server = b""
        for part in [*parts, b""]:
            out = talk.feed("client", part)
            client, server = client + out["client"], server + out["server"]
        return client, server, talk.records

    @unittest.skipUnless(os.name == "posix", "needs symbolic links")
    def test_a_link_that_changes_between_chunks_is_seen(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            top = os.path.realpath(folder)
            os.makedirs(top + "/proj/plain")
            os.makedirs(top + "/u/.ssh")
            where = mcpwall.PathContext(top + "/u", top + "/proj", top + "/proj", False, False, mcpwall.resolve_path)
            talk = Talk(mcpwall.builtin_policy("default", where))
            for target in ("plain", "../u/.ssh", None, "../u/.ssh", "plain"):
                if os.path.lexists(top + "/proj/way"):
                    os.unlink(top + "/proj/way")
                if target:
                    os.symlink(target, top + "/proj/way")
                for path in ("way/x", "way/x", "way/deep/er/x", top + "/proj/way"):
                    self.assertEqual(talk.passes("read_file", {"path": path}), target in ("plain", None), (target, path))

    def test_fuzz_never_raises_and_forwards_only_what_came_in(self) -> None:
        number = seed()
        rng = random.Random(number)
        end = time.monotonic() + fuzz_seconds()
        default = mcpwall.builtin_policy("default")
        while time.monotonic() < end:
            data = bytearray(rng.choice((CALL, b"[" + CALL + b"]", b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}]}}')))
            for _ in range(rng.randrange(4)):
                at = rng.randrange(len(data) + 1)
                data[at:at + rng.randrange(3)] = rng.choice((b"\\u0061", b"\r", b"\x00", b"{", b"}", b"[", b'"', b",", b"null",
                                                             b"\xff", b'"id":2,', b"1e999", b"\xe2\x80\x8b", bytes([rng.randrange(256)])))
            raw = bytes(data).replace(b"\n", b" ")
            for peer in ("client", "server"):
                talk = Talk(default)
                talk.call("t", {}, 1)
                out = talk.feed(peer, raw + b"\n")
                other = "server" if peer == "client" else "client"
                if out[other] and not out[peer] and b"BLOCKED" not in out[other]:
                    self.assertIn(out[other], (raw + b"\n",), f"MCPWALL_SEED={number}")


class Library(unittest.TestCase):
    def test_a_call_is_judged_by_its_tool_and_arguments(self) -> None:
        wall = mcpwall.Wall(policy("version: 1\nextends: default\nrules:\n  - {name: git, match: {server: git, tool: x}, action: deny}\n"))
        self.assertEqual(wall.check_call("read_file", {"path": "~/.ssh/id_rsa"}).rule, "block-ssh-keys")
        self.assertEqual(wall.check_call("read_file", {"path": "a.py"}).action, "allow")
        self.assertEqual([wall.check_call("x", {}, server).action for server in ("git", "fs", "")], ["deny", "allow", "allow"])
        self.assertEqual(wall.check_call("x", {}, memory=mcpwall.Memory()).action, "allow")
        for wrong in ({"a": object()}, {"a": float("nan")}, [1]):
            with self.assertRaises((TypeError, ValueError)):
                wall.check_call("x", wrong)

    def test_decide_says_what_it_takes(self) -> None:
        with self.assertRaisesRegex(TypeError, "check_call"):
            mcpwall.Wall(policy("version: 1\n")).decide({"method": "tools/call"})


if __name__ == "__main__":
    unittest.main()
