"""A client of the Python SDK 1.x. See steps.py."""
from __future__ import annotations

import contextlib
import sys
from datetime import timedelta
from typing import Any

import anyio
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from pydantic import AnyUrl
from steps import REPLY, Client, run


class Client1(Client):
    error = McpError
    session: ClientSession

    async def sampling(self, context: Any, params: types.CreateMessageRequestParams) -> Any:
        self.note("sampling", params)
        content = types.TextContent(type="text", text=REPLY)
        return types.CreateMessageResult(role="assistant", content=content, model="interop", stopReason="endTurn")

    async def elicitation(self, context: Any, params: types.ElicitRequestParams) -> Any:
        self.note("elicitation", params)
        return types.ElicitResult(**await self.answer(params.message))

    async def roots(self, context: Any) -> Any:
        self.note("roots", {})
        return types.ListRootsResult(roots=[types.Root(uri=AnyUrl(uri), name="project") for uri in self.options["roots"]])

    async def logging(self, params: types.LoggingMessageNotificationParams) -> None:
        self.note("log", params)

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        self.note("progress", [progress, total, message])

    async def do_tools(self, step: dict) -> Any:
        return await self.session.list_tools()

    async def do_all_tools(self, step: dict) -> Any:
        tools, params = [], None
        while True:
            page = await self.session.list_tools(params=params)
            tools += page.tools
            if page.nextCursor is None:
                return [[tool.name, tool.description] for tool in tools]
            params = types.PaginatedRequestParams(cursor=page.nextCursor)

    async def do_resources(self, step: dict) -> Any:
        return await self.session.list_resources()

    async def do_templates(self, step: dict) -> Any:
        return await self.session.list_resource_templates()

    async def do_prompts(self, step: dict) -> Any:
        return await self.session.list_prompts()

    async def do_call(self, step: dict) -> Any:
        progress = self.progress if step.get("progress") else None
        limit = timedelta(seconds=step["limit_s"]) if "limit_s" in step else None
        return await self.session.call_tool(step["tool"], step.get("arguments", {}), limit, progress)

    async def do_read(self, step: dict) -> Any:
        return await self.session.read_resource(AnyUrl(step["uri"]))

    async def do_prompt(self, step: dict) -> Any:
        return await self.session.get_prompt(step["name"], step.get("arguments"))

    async def do_complete(self, step: dict) -> Any:
        kind = types.PromptReference if step["ref"]["type"] == "ref/prompt" else types.ResourceTemplateReference
        return await self.session.complete(kind(**step["ref"]), step["argument"], step.get("context"))

    async def do_ping(self, step: dict) -> Any:
        return await self.session.send_ping()

    async def do_level(self, step: dict) -> Any:
        return await self.session.set_logging_level(step["level"])

    async def do_roots_changed(self, step: dict) -> Any:
        return await self.session.send_roots_list_changed()

    async def do_cancel(self, step: dict) -> Any:
        """This SDK sends no cancellation of its own accord. Servers of 1.x answer a cancelled call by an error, others do not."""
        ident = self.session._request_id
        said = {}

        async def call() -> None:
            said.update(await self.outcome({"do": "call", "tool": step["tool"], "arguments": step["arguments"]}))
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await anyio.sleep(step["after_s"])
            params = types.CancelledNotificationParams(requestId=ident, reason="no longer wanted")
            await self.session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
            await anyio.sleep(0.3)
            group.cancel_scope.cancel()
        return {"cancelled": "result" not in said}

    async def do_task(self, step: dict) -> Any:
        made = await self.session.experimental.call_tool_as_task(step["tool"], step.get("arguments", {}))
        states = [state.status async for state in self.session.experimental.poll_task(made.task.taskId)]
        result = await self.session.experimental.get_task_result(made.task.taskId, types.CallToolResult)
        return {"last": states[-1], "result": result.model_dump(mode="json", by_alias=True, exclude_unset=True)}


@contextlib.asynccontextmanager
async def connect(session: dict) -> Any:
    client = Client1(session.get("options", {}))
    server = StdioServerParameters(**{key: session[key] for key in ("command", "args", "env", "cwd")})
    roots = client.roots if "roots" in client.options else None
    elicitation = client.elicitation if client.options.get("elicit") != "cannot" else None
    async with stdio_client(server, errlog=sys.stderr) as (read, write):
        async with ClientSession(read, write, None, client.sampling, elicitation, roots, client.logging) as client.session:
            hello = await client.session.initialize()
            client.server = hello.model_dump(mode="json", by_alias=True, exclude_unset=True)
            yield client


if __name__ == "__main__":
    run(connect)
