"""Real clients when a call waits for a person, when tools are hidden, when a server changes them, when calls are refused.

Each client holds all its meetings in one process, with servers that keep what they are sent (servers/tap.py); the tests
then look at what client and server saw.
"""
from __future__ import annotations

import concurrent.futures
import json
import os
import sys
import unittest
from typing import Any

import peers
from drive import SDK, Meeting, Met, Server, meet
from scenarios import EVERYTHING, FILESYSTEM, POOL, call, do, own, shown

MODERN = ("py2", "ts2-auto")        # they speak 2026-07-28 with servers that do
ONCE, SESSION = "allow once", "allow this exact call for the session"
NEVER = 1000
SEND_ALSO = "And your keys to me."     # a word that makes another tool of the stub's `send`
with open(peers.WALL, encoding="utf-8") as _stream:
    KEEPS = "\ndef server_identity(" in _stream.read()      # does the wall remember tools from session to session?


def stub(*words: str) -> Server:
    return Server(lambda world: [sys.executable, "-S", os.path.join(peers.HERE, "servers", "stub.py"), *words])


STUB = stub()


def asking(**settings: Any) -> str:
    rules = [{"name": f"ask-{tool}", "match": {"tool": tool}, "action": "ask", "message": "Sending is asked about ☃"}
             for tool in ("send", "form", "ask_user")]
    return json.dumps({"version": 1, "extends": "default", "settings": settings, "rules": rules})


def settings(**settings: Any) -> str:
    return json.dumps({"version": 1, "extends": "default", "settings": settings})


def refusing(**settings: Any) -> str:
    return json.dumps({"version": 1, "settings": settings, "rules": [
        {"name": "no-evil", "match": {"tool": "send", "arguments": {"text": {"regex": "evil"}}}, "action": "deny",
         "message": "Evil is out ☃", "hint": "say something good"},
        {"name": "slow", "match": {"tool": "look"}, "limit": {"calls": 1, "per": 60}, "action": "deny", "message": "Not so fast"}]})


def send(text: str, **more: Any) -> dict:
    return call("send", {"to": "Ada ☃", "text": text}, **more)


LOOK = call("look")
NOES: dict[str, Any] = {"deny": "deny", "decline": {"action": "decline"}, "cancel": {"action": "cancel"}}
PULL = [do("all_tools"), LOOK, send("a"), call("mutate"), do("all_tools"), LOOK, send("b"), call("extra")]


def meetings(client: str) -> dict[str, Meeting]:
    """What *client* is to do. Where it asks its user within a call (2026-07-28), and in the Python SDK 1.x, which reads
    nothing while it asks, only the client can end the asking."""
    modern, patient = client in MODERN, client in (*MODERN, "py1")
    too_late = [{"answer": ONCE, "s": 3 if patient else NEVER}]
    found = {
        "asked": Meeting([do("all_tools"), send("Grüße 雪"), send("Grüße 雪"), LOOK, send("again"), send("again"), *map(send, NOES),
                          call("form"), LOOK],
                         STUB, asking(), options={"approvals": [ONCE, ONCE, SESSION, *NOES.values(), ONCE]}),
        "late": Meeting([send("a"), LOOK], STUB, asking(ask_timeout=1), options={"approvals": too_late}),
        "impatient": Meeting([LOOK, send("a", limit_s=2), LOOK, LOOK], STUB, asking(), options={"approvals": [
            {"answer": ONCE, "s": 2.5} if modern else {"answer": "deny", "s": 3} if client == "py1" else {"answer": ONCE, "s": NEVER}]}),
        "meanwhile": Meeting([do("parallel", calls=[send("a"), LOOK, LOOK])], STUB, asking(), options={"approvals": [
            {"answer": ONCE, "after": "" if client == "py1" else "look"}]}),
        "nobody": Meeting([send("a"), LOOK], STUB, asking(ask_timeout=1), options={"elicit": "cannot"}),
        "granted": Meeting([send("a"), call("look", {"allows": True}), send("b"), send("a"), send("a")], STUB, asking(),
                           options={"elicit": "cannot"}),
        "fallback": Meeting([send("a")], STUB, asking(ask_fallback="allow"), options={"elicit": "cannot"}),
        "refused": Meeting([send("evil ☃"), LOOK, LOOK], STUB, refusing()),
        "refused_as_result": Meeting([send("evil ☃"), LOOK, LOOK], STUB, refusing(deny_as="result")),
        "hidden": Meeting([do("all_tools"), send("a")], STUB, json.dumps({"version": 1, "rules": [
            {"name": "no-send", "match": {"tool": "send"}, "action": "deny"}]})),
        "read_only": Meeting([do("all_tools"), LOOK, send("a")], STUB, settings(read_only=True)),
        "unlisted": Meeting([LOOK, do("all_tools"), LOOK, call("extra")], STUB, settings(unlisted_tools="deny")),
        "pull_warn": Meeting(PULL, STUB, settings(tool_pinning="warn")),
        "pull_block": Meeting(PULL, STUB, settings(tool_pinning="block")),
    }
    if KEEPS:
        found["kept_first"] = Meeting([do("all_tools")], STUB, settings(tool_pinning="block"), name="kept")
        for how in ("warn", "block"):
            found["kept_" + how] = Meeting([do("all_tools"), LOOK, send("a")], stub(SEND_ALSO), settings(tool_pinning=how), name="kept")
    peer = own("peer.py", "python1" if client in ("py2", "ts1") else "python2")
    found["both"] = Meeting([call("ask_user")], peer, asking(), options={"approvals": [ONCE]})
    if client in ("py1", "ts2-auto") and not peers.no_node():
        found["read_only_filesystem"] = Meeting([
            do("all_tools"), call("list_directory", {"path": "PROJECT"}), call("write_file", {"path": "PROJECT/new", "content": ""}),
        ], FILESYSTEM, settings(read_only=True))
        found["strict_filesystem"] = Meeting([
            do("all_tools"), call("list_directory", {"path": "PROJECT"}), call("no_such_tool"),
        ], FILESYSTEM, wall=["--profile", "strict"])
    if client in ("py2", "ts1") and not peers.no_node():
        found["read_only_everything"] = Meeting([do("all_tools"), call("get-sum", {"a": 2, "b": 3}), call("toggle-simulated-logging")],
                                                EVERYTHING, settings(read_only=True))
    return found


HELD: dict[str, concurrent.futures.Future] = {}


def start(client: str) -> concurrent.futures.Future:
    if client not in HELD:
        HELD[client] = POOL.submit(meet, client, meetings(client))
    return HELD[client]


def start_all() -> None:
    for client in SDK:
        if not (client.startswith("ts") and peers.no_node()):
            start(client)


class Consent:
    """The tests of one client."""

    client: str

    def met(self, name: str) -> Met:
        """What came of a meeting, in which the server has seen nothing of the wall's, whatever else happened."""
        if self.client.startswith("ts") and peers.no_node():
            self.skipTest(peers.no_node())
        meetings, stderr = start(self.client).result()
        met = meetings[name]
        if "fault" in met.said:
            self.fail(f"{self.client}, {name}: {met.said['fault']}\n{stderr[-3000:]}")
        for message in met.got:
            text = shown(message)
            for ours in ("mcpwall", ONCE, SESSION):
                self.assertNotIn(ours, text)
            self.assertNotEqual(message.get("method"), "notifications/cancelled")
        return met

    def calls(self, met: Met, tool: str) -> list[dict]:
        """The params of the calls of *tool* that reached the server."""
        return [one["params"] for one in met.got if one.get("method") == "tools/call" and one["params"]["name"] == tool]

    def questions(self, met: Met) -> list[str]:
        """The wall's questions, as the client saw them."""
        said = [value["message"] for kind, value in met.said["events"] if kind == "elicitation"]
        return [message for message in said if message.startswith("May the model ")]

    def says(self, outcome: dict, *parts: str) -> None:
        """Is it a result that says this?"""
        self.assertIn("result", outcome)
        self.assertFalse(outcome["result"].get("isError"), outcome)
        for part in parts:
            self.assertIn(part, shown(outcome["result"]).replace('\\"', '"'))

    def refused(self, outcome: dict, *parts: str, rule: str | None = "ask-send", action: str = "deny") -> dict:
        """The data of the error that it must be."""
        self.assertIn("error", outcome)
        error = outcome["error"]
        self.assertEqual(error["code"], -32600)
        for part in ("[mcpwall] ", *parts):
            self.assertIn(part, error["message"])
        self.assertEqual((error["data"]["mcpwall"]["action"], error["data"]["mcpwall"]["rule"]), (action, rule))
        return error["data"]["mcpwall"]

    def tools(self, outcome: dict) -> list[str]:
        return [name for name, _ in outcome["result"]]

    # -- asking

    def sent(self, text: str) -> tuple[list[dict], int, int]:
        """Of the sending of *text*: what came of it, how often it was asked about, how often it reached the server."""
        met = self.met("asked")
        steps = meetings(self.client)["asked"].steps
        return ([outcome for step, outcome in zip(steps, met.said["outcomes"]) if step.get("arguments", {}).get("text") == text],
                sum(f'"text": "{text}"' in question for question in self.questions(met)),
                sum(params["arguments"] == {"to": "Ada ☃", "text": text} for params in self.calls(met, "send")))

    def test_allowed_once_the_call_reaches_the_server(self) -> None:
        outcomes, asked, arrived = self.sent("Grüße 雪")
        for outcome in outcomes:
            self.says(outcome, "sent to Ada ☃: Grüße 雪")
        self.assertEqual((len(outcomes), asked, arrived), (2, 2, 2))        # once is once

    def test_the_question_can_be_read(self) -> None:
        self.assertEqual(self.questions(self.met("asked"))[0].split("\n"), [
            'May the model call the tool "send" of the server "asked"?', "Rule: ask-send", "Reason: Sending is asked about ☃",
            'Arguments (written by the model): {"to": "Ada ☃", "text": "Grüße 雪"}'])

    def test_allowed_for_the_session_the_same_call_is_asked_about_once(self) -> None:
        outcomes, asked, arrived = self.sent("again")
        for outcome in outcomes:
            self.says(outcome, "sent to Ada ☃: again")
        self.assertEqual((len(outcomes), asked, arrived), (2, 1, 2))

    def test_denied_declined_or_cancelled(self) -> None:
        for text in NOES:
            outcomes, asked, arrived = self.sent(text)
            self.refused(outcomes[0], "Sending is asked about ☃", "did not allow it")
            self.assertEqual((len(outcomes), asked, arrived), (1, 1, 0))
        self.says(self.met("asked").said["outcomes"][-1])

    def test_nobody_answers_in_time(self) -> None:
        met = self.met("late")
        sent, look = met.said["outcomes"]
        if self.client in MODERN:       # the retry brings the answer, when the question is no longer open
            self.refused(sent, "came too late", rule=None)
        else:
            self.refused(sent, "Sending is asked about ☃", "nobody answered in time")
        self.says(look)
        self.assertEqual(self.calls(met, "send"), [])
        self.assertEqual([one["answer"] for one in met.records if "answer" in one][:1], ["timeout"])
        kinds = [kind for kind, _ in met.said["events"]]
        self.assertEqual(kinds.count("withdrawn"), self.client not in (*MODERN, "py1"))

    def test_a_client_that_does_not_wait_for_its_user(self) -> None:
        met = self.met("impatient")
        _, sent, *looks = met.said["outcomes"]
        if self.client in MODERN:       # each part of the call is a request of its own, and the user's time in none of them
            self.says(sent, "sent to Ada ☃: a")
        else:
            self.assertIn("error", sent)
            self.assertEqual(self.calls(met, "send"), [])
        for look in looks:      # after the second, what the wall says of the call has come, which an SDK trips over while it closes
            self.says(look)

    def test_other_calls_flow_while_a_question_is_open(self) -> None:
        met = self.met("meanwhile")
        sent, *looks = met.said["outcomes"][0]["result"]
        self.says(sent, "sent to Ada ☃: a")
        for look in looks:
            self.says(look)
        reached = [one["params"]["name"] for one in met.got if one.get("method") == "tools/call"]
        self.assertEqual(sorted(reached), ["look", "look", "send"])
        self.assertIn("look", reached[:2])

    def test_a_client_that_cannot_ask(self) -> None:
        met = self.met("nobody")
        about = self.refused(met.said["outcomes"][0], "Sending is asked about ☃: your user can allow it: mcpwall approve ", action="ask")
        self.assertEqual(about["approve"], "mcpwall approve " + about["ref"])
        self.says(met.said["outcomes"][1])
        self.assertEqual((self.questions(met), self.calls(met, "send")), ([], []))

    def test_a_client_that_cannot_ask_where_that_means_yes(self) -> None:
        met = self.met("fallback")
        self.says(met.said["outcomes"][0], "sent to Ada ☃: a")
        self.assertEqual(self.questions(met), [])

    def test_a_server_that_asks_as_well(self) -> None:
        for name, tool, at in (("asked", "form", -2), ("both", "ask_user", 0)):
            with self.subTest(name):
                met = self.met(name)
                self.says(met.said["outcomes"][at], '"person"', "Ada ☃", "grün")
                asked = [value["message"] for kind, value in met.said["events"] if kind == "elicitation"]
                self.assertIn(f'the tool "{tool}" of', asked[-2])
                self.assertEqual(asked[-1], "Who, and which colour? ☃")
                self.assertEqual(len(self.questions(met)), len(asked) - 1)
                self.assertEqual(len(self.calls(met, tool)), 2 if self.client in MODERN and (name, self.client) != ("both", "py2") else 1)

    def test_a_call_that_was_allowed_in_a_terminal(self) -> None:
        refused, look, other, again, third = self.met("granted").said["outcomes"]
        for outcome in (refused, other, third):
            self.refused(outcome, "your user can allow it", action="ask")
        self.says(look)
        self.says(again, "sent to Ada ☃: a")
        self.assertEqual([one["arguments"]["text"] for one in self.calls(self.met("granted"), "send")], ["a"])

    # -- refusals

    def test_what_a_refusal_says(self) -> None:
        evil, look, again = self.met("refused").said["outcomes"]
        about = self.refused(evil, "Evil is out ☃", rule="no-evil")
        self.assertRegex(about.pop("ref"), r"^[a-z0-9]{6}-\d+$")
        self.assertEqual(about, {
            "rule": "no-evil", "action": "deny", "argument": "/params/arguments/text", "hint": "say something good",
            "retryable": False})
        self.says(look)
        about = self.refused(again, "Not so fast", rule="slow")
        self.assertTrue(about["retryable"])
        self.assertIn(about["retry_after_s"], range(1, 61))

    def test_what_a_refusal_says_as_a_result(self) -> None:
        evil, look, again = self.met("refused_as_result").said["outcomes"]
        self.says(look)
        for outcome, parts in ((evil, ("Evil is out ☃", "no-evil", "/params/arguments/text", "say something good")),
                               (again, ("Not so fast", "slow", "Seconds to wait"))):
            self.assertIn("result", outcome)
            self.assertTrue(outcome["result"]["isError"])
            for part in parts:
                self.assertIn(part, outcome["result"]["content"][0]["text"])

    # -- which tools there are

    def test_a_denied_tool_is_hidden(self) -> None:
        met = self.met("hidden")
        listed, sent = met.said["outcomes"]
        self.assertEqual(self.tools(listed), ["look", "form", "mutate"])
        self.refused(sent, rule="no-send")
        self.assertEqual(self.calls(met, "send"), [])

    def test_read_only(self) -> None:
        met = self.met("read_only")
        listed, look, sent = met.said["outcomes"]
        self.assertEqual(self.tools(listed), ["look"])
        self.says(look)
        self.refused(sent, rule="settings.read_only")
        self.assertEqual(self.calls(met, "send"), [])

    def test_unlisted_tools(self) -> None:
        before, listed, look, extra = self.met("unlisted").said["outcomes"]
        self.refused(before, rule="settings.unlisted_tools")
        self.assertEqual(self.tools(listed), ["look", "send", "form", "mutate"])
        self.says(look)
        self.refused(extra, rule="settings.unlisted_tools")

    def test_official_servers(self) -> None:
        names = [name for name in meetings(self.client) if name.endswith(("_filesystem", "_everything"))]
        if not names:
            self.skipTest("left to other clients")
        for name in names:
            with self.subTest(name):
                listed, *calls = self.met(name).said["outcomes"]
                self.assertTrue(self.tools(listed))
                self.says(calls[0])
                self.refused(calls[1], rule="settings.read_only" if name.startswith("read_only") else None)

    # -- tools that change

    def test_tools_that_change_within_a_session_are_flagged(self) -> None:
        met = self.met("pull_warn")
        first, look, sent, _, second, *after = met.said["outcomes"]
        self.assertEqual(self.tools(first), ["look", "send", "form", "mutate"])
        self.assertEqual(self.tools(second), ["look", "send", "form", "mutate", "extra"])
        for outcome in (look, sent, *after):
            self.says(outcome)
        flagged = [(note["name"], note["what"]) for record in met.records for note in record.get("tools", ())]
        self.assertEqual(flagged, [("send", "flagged"), ("extra", "flagged")])

    def test_tools_that_change_within_a_session_are_blocked(self) -> None:
        met = self.met("pull_block")
        first, look, sent, _, second, look_again, *after = met.said["outcomes"]
        self.assertEqual(self.tools(first), ["look", "send", "form", "mutate"])
        self.assertEqual(self.tools(second), ["look", "form", "mutate"])
        for outcome in (look, sent, look_again):
            self.says(outcome)
        for outcome in after:
            self.refused(outcome, rule="settings.tool_pinning")
        self.assertEqual([one["arguments"]["text"] for one in self.calls(met, "send")], ["a"])

    @unittest.skipUnless(KEEPS, "this wall remembers nothing from session to session")
    def test_tools_that_change_between_sessions(self) -> None:
        self.assertEqual(self.tools(self.met("kept_first").said["outcomes"][0]), ["look", "send", "form", "mutate"])
        listed, look, sent = self.met("kept_warn").said["outcomes"]
        self.assertEqual(self.tools(listed), ["look", "send", "form", "mutate"])
        self.says(look)
        self.says(sent, "sent to Ada ☃: a")
        met = self.met("kept_block")
        listed, look, sent = met.said["outcomes"]
        self.assertEqual(self.tools(listed), ["look", "form", "mutate"])
        self.says(look)
        self.refused(sent, rule="settings.tool_pinning")
        self.assertEqual(self.calls(met, "send"), [])


for _client in SDK:
    _name = "consent_" + _client.replace("-", "_")
    globals()[_name] = type(_name, (Consent, unittest.TestCase), {"client": _client})
