"""A server with tasks (2025-11-25), on the Python SDK 1.x: a call is answered by a handle, its result comes later."""
from __future__ import annotations

import anyio
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

AWS_KEY = "AKIA" + "2E7GTQ3NVBXW5KLM"
SAYS = {"tell": "nothing special ☃", "leak": f"the key is {AWS_KEY}", "plans": "the plan is TOP-SECRET today"}
server = Server("tasks")
server.experimental.enable_tasks()


@server.list_tools()
async def tools() -> list[types.Tool]:
    execution = types.ToolExecution(taskSupport=types.TASK_REQUIRED)
    return [types.Tool(name=name, description="Later.", inputSchema={"type": "object"}, execution=execution) for name in SAYS]


@server.call_tool()
async def call(name: str, arguments: dict) -> types.CreateTaskResult:
    async def work(task: object) -> types.CallToolResult:
        await anyio.sleep(0.2)
        return types.CallToolResult(content=[types.TextContent(type="text", text=SAYS[name])])
    return await server.request_context.experimental.run_task(work)


async def main() -> None:
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
