"""A client of the Python SDK 2.x. See steps.py."""
from __future__ import annotations

import contextlib
import warnings
from typing import Any

import anyio
import mcp_types as types
from mcp import MCPError, StdioServerParameters
from mcp.client import Client as SdkClient
from steps import REPLY, Client, plain, run

warnings.simplefilter("ignore")     # of what is deprecated in 2026-07-28 and still to be tested


class Client2(Client):
    error = MCPError
    sdk: SdkClient

    async def sampling(self, context: Any, params: types.CreateMessageRequestParams) -> Any:
        self.note("sampling", params)
        content = types.TextContent(type="text", text=REPLY)
        return types.CreateMessageResult(role="assistant", content=content, model="interop", stop_reason="endTurn")

    async def elicitation(self, context: Any, params: types.ElicitRequestParams) -> Any:
        self.note("elicitation", params)
        return types.ElicitResult(**await self.answer(params.message))

    async def roots(self, context: Any) -> Any:
        self.note("roots", {})
        return types.ListRootsResult(roots=[types.Root(uri=uri, name="project") for uri in self.options["roots"]])

    async def logging(self, params: types.LoggingMessageNotificationParams) -> None:
        self.note("log", params)

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        self.note("progress", [progress, total, message])

    async def do_tools(self, step: dict) -> Any:
        return await self.sdk.list_tools()

    async def do_all_tools(self, step: dict) -> Any:
        tools, cursor = [], None
        while True:
            page = await self.sdk.list_tools(cursor=cursor)
            tools += page.tools
            if page.next_cursor is None:
                return [[tool.name, tool.description] for tool in tools]
            cursor = page.next_cursor

    async def do_resources(self, step: dict) -> Any:
        return await self.sdk.list_resources()

    async def do_templates(self, step: dict) -> Any:
        return await self.sdk.list_resource_templates()

    async def do_prompts(self, step: dict) -> Any:
        return await self.sdk.list_prompts()

    async def do_call(self, step: dict) -> Any:
        progress = self.progress if step.get("progress") else None
        return await self.sdk.call_tool(step["tool"], step.get("arguments", {}), progress_callback=progress,
                                        read_timeout_seconds=step.get("limit_s"))

    async def do_read(self, step: dict) -> Any:
        return await self.sdk.read_resource(step["uri"])

    async def do_prompt(self, step: dict) -> Any:
        return await self.sdk.get_prompt(step["name"], step.get("arguments"))

    async def do_complete(self, step: dict) -> Any:
        kind = types.PromptReference if step["ref"]["type"] == "ref/prompt" else types.ResourceTemplateReference
        return await self.sdk.complete(kind(**step["ref"]), step["argument"], step.get("context"))

    async def do_ping(self, step: dict) -> Any:
        return await self.sdk.send_ping()

    async def do_level(self, step: dict) -> Any:
        return await self.sdk.set_logging_level(step["level"])

    async def do_roots_changed(self, step: dict) -> Any:
        return await self.sdk.send_roots_list_changed()

    async def do_listen(self, step: dict) -> Any:
        async with self.sdk.listen(resources_list_changed=True) as subscription:
            await self.outcome(step["then"])
            event = await subscription.__anext__()
            return {"honored": plain(subscription.honored), "heard": type(event).__name__}

    async def do_cancel(self, step: dict) -> Any:
        with anyio.move_on_after(step["after_s"]) as scope:
            await self.sdk.call_tool(step["tool"], step["arguments"])
        return {"cancelled": scope.cancelled_caught}


@contextlib.asynccontextmanager
async def connect(session: dict) -> Any:
    client = Client2(session.get("options", {}))
    server = StdioServerParameters(**{key: session[key] for key in ("command", "args", "env", "cwd")})
    more = {"mode": client.options["mode"]} if "mode" in client.options else {}
    if "roots" in client.options:
        more["list_roots_callback"] = client.roots
    if client.options.get("elicit") != "cannot":
        more["elicitation_callback"] = client.elicitation
    async with SdkClient(server, sampling_callback=client.sampling,
                         logging_callback=client.logging, log_level="debug", **more) as client.sdk:
        client.server = {"protocolVersion": client.sdk.protocol_version, "instructions": client.sdk.instructions,
                         "serverInfo": plain(client.sdk.server_info), "capabilities": plain(client.sdk.server_capabilities)}
        yield client


if __name__ == "__main__":
    run(connect)
