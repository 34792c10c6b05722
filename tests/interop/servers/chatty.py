"""A server without an SDK that prints what is no message, or spells its ids as fractions: HABIT is json, banner or float.

Its tools with an output schema return what a wall takes out, under a format, a length and a pattern; `closed` leaves no room for a marker.
"""
from __future__ import annotations

import json
import os
import sys

HABIT = os.environ.get("HABIT", "")
KEY = "AKIA" + "2E7GTQ3NVBXW5KLM"          # made up; the same as drive.AWS_KEY


def tool(name: str, **properties: dict) -> dict:
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"name": name, "description": f"Gives {name}.", "inputSchema": {"type": "object"}, **({"outputSchema": schema} if properties else {})}


TOOLS = [
    tool("look"),
    tool("plain", key={"type": "string"}), tool("link", url={"type": "string", "format": "uri"}), tool("short", key={"type": "string", "maxLength": 20}),
    tool("shouting", key={"type": "string", "pattern": "^[A-Z0-9-]+$"}), tool("closed", key={"type": "string", "enum": [KEY, "none"]}),
]
VALUES = {"plain": {"key": f"key {KEY}"}, "link": {"url": f"https://bot:{KEY}@host.example/x"}, "short": {"key": KEY}, "shouting": {"key": KEY}, "closed": {"key": KEY}}
PRINTED = {
    "json": ['{"level":30,"time":1767225600000,"id":%s,"msg":"got it"}', '{"jsonrpc":"2.0","result":null}', '["a","list"]', "7"],
    "banner": ["[dotenv@17.2.3] injecting env (3) from .env", "[WARN] no configuration file", "[main] INFO com.example.Server - up", "{ port: 0 }",
               '{"jsonrpc":"2.0","id":null,"method":"notifications/progress","params":{"progressToken":1,"progress":1}}',
               '{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":[]}'],
}


def write(text: str) -> None:
    sys.stdout.buffer.write(text.encode() + b"\n")
    sys.stdout.buffer.flush()


def result(method: str, params: dict) -> dict | None:
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "chatty", "version": "1"}}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        value = VALUES.get(params["name"])
        return {"content": [{"type": "text", "text": f"{params['name']} is done"}], **({"structuredContent": value} if value else {})}
    return {} if method == "ping" else None


for line in PRINTED.get(HABIT, ()) if HABIT == "banner" else ():
    write(line)
for raw in sys.stdin.buffer:
    got = json.loads(raw)
    ident = got.get("id")
    for line in PRINTED.get(HABIT, ()):
        write(line.replace("%s", json.dumps(ident)))
    if ident is None or "method" not in got:
        continue
    made = result(got["method"], got.get("params", {}))
    body = {"result": made} if made is not None else {"error": {"code": -32601, "message": "not here"}}
    spelled = f"{ident:.1f}" if HABIT == "float" and isinstance(ident, int) else json.dumps(ident)
    write(f'{{"jsonrpc":"2.0","id":{spelled},{json.dumps(body)[1:]}')
