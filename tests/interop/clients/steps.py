"""What the two Python clients share: they carry out conversations that are given as data and write down what came of them.

A conversation is a list of steps (`{"do": "call", "tool": …}`); what came of it are the outcomes of the steps, the
events (log messages, progress, what the server asked of the client) and how long closing took. The TypeScript clients
do the same, so that one description of a conversation serves all of them.
"""
from __future__ import annotations

import json
import sys
import time
import traceback
from typing import Any, Callable

import anyio

FORM = {"person": "Ada ☃", "colour": "grün"}    # what the user fills in
REPLY = "Der Schnee fällt. 雪が降る。"              # what the model says
TIME_LIMIT_S = 60       # for one session; a peer that says nothing must not hang the tests
WALL_ASKS = "May the model "                    # begins a question of the wall's own


def plain(value: Any) -> Any:
    """*value* as JSON, with what was on the wire and nothing made up by the SDK."""
    return value.model_dump(mode="json", by_alias=True, exclude_unset=True) if hasattr(value, "model_dump") else value


class Client:
    """One connection. Subclasses know an SDK; whatever raises the SDK's own error is an outcome, all else is a fault."""

    error: type[Exception] = Exception

    def __init__(self, options: dict) -> None:
        self.options = options
        self.events: list = []
        self.approvals = list(options.get("approvals", ()))
        self.ended: list[str] = []      # the tools whose calls have ended

    def note(self, kind: str, value: Any) -> None:
        self.events.append([kind, plain(value)])

    async def answer(self, message: str) -> dict:
        """The user's answer to an elicitation. To those of the wall, the option `approvals` has the answers, one after another:
        a word of the form's, or {"action"}, both maybe as {"answer", "after": a tool whose call must have ended, "s": seconds}."""
        if not message.startswith(WALL_ASKS):
            return {"action": "decline"} if self.options.get("elicit") == "decline" else {"action": "accept", "content": FORM}
        answer = self.approvals.pop(0)
        if isinstance(answer, dict) and "answer" in answer:
            try:
                await anyio.sleep(answer.get("s", 0))
                while answer.get("after", "") not in ("", *self.ended):
                    await anyio.sleep(0.02)
            except anyio.get_cancelled_exc_class():
                self.note("withdrawn", message)
                raise
            answer = answer["answer"]
        return {"action": "accept", "content": {"answer": answer}} if isinstance(answer, str) else answer

    async def outcome(self, step: dict) -> Any:
        try:
            return {"result": plain(await self.carry_out(step))}
        except self.error as error:
            return {"error": {"code": error.error.code, "message": error.error.message, "data": error.error.data}}
        finally:
            self.ended.append(step.get("tool", ""))

    async def carry_out(self, step: dict) -> Any:
        if step["do"] == "parallel":
            results: list = [None] * len(step["calls"])

            async def one(i: int, call: dict) -> None:
                results[i] = await self.outcome({"do": "call", **call})
            async with anyio.create_task_group() as group:
                for i, call in enumerate(step["calls"]):
                    group.start_soon(one, i, call)
            return results
        if step["do"] == "settle":      # notifications have no order with answers in every SDK
            return await anyio.sleep(step["s"])
        return await getattr(self, "do_" + step["do"])(step)


async def converse(make: Callable, session: dict) -> dict:
    """What came of one session."""
    with anyio.fail_after(TIME_LIMIT_S):
        async with make(session) as client:
            outcomes = [await client.outcome(step) for step in session["steps"]]
            began = time.monotonic()
    return {"server": client.server, "outcomes": outcomes, "events": client.events, "close_s": time.monotonic() - began}


def run(make: Callable) -> None:
    """The main program: sessions from the file argv[1], one after another, to the file argv[2]."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        sessions = json.load(stream)
    done = []
    for session in sessions:
        try:
            done.append(anyio.run(converse, make, session))
        except BaseException:
            done.append({"fault": traceback.format_exc()})
    with open(sys.argv[2], "w", encoding="utf-8") as stream:
        json.dump(done, stream)
