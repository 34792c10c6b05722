"""A server whose tools and instructions stand in a file: tools_server.py FILE, FILE holding {"tools": […], "instructions": …}."""
import json
import sys

for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    with open(sys.argv[1], encoding="utf-8") as stream:
        said = json.load(stream)
    method = message.get("method")
    if method == "initialize":
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "t", "version": "1"},
                  "instructions": said.get("instructions", "")}
    elif method == "tools/list":
        result = {"tools": said["tools"]}
    else:
        result = {"content": [{"type": "text", "text": "ok"}]}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
