"""A server that does what the official ones do not: the same tools on the Python SDK 1.x (FastMCP) and 2.x (MCPServer).

What it says is made of its arguments and constants, so that two runs say the same.
"""
from __future__ import annotations

import base64
import os
import signal
import sys
import time
import warnings
from typing import Annotated, Any

import anyio
from pydantic import BaseModel

try:
    from mcp import types
    from mcp.server.fastmcp import Context, FastMCP, Image
    NEW = False
except ImportError:
    import mcp_types as types
    from mcp.server.mcpserver import Context, ElicitationResult, Image, ListRoots, MCPServer, Resolve, Sample
    from mcp.server.mcpserver import Elicit as Ask
    NEW = True
    warnings.simplefilter("ignore")     # of what is deprecated in 2026-07-28 and still to be tested

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
# Put together here, so that no scanner of repositories takes it for a real one.
AWS_KEY = "AKIA" + "2E7GTQ3NVBXW5KLM"
LINE = "Zeile: ä€😀 雪が降る — “quoted” \\ \t \u2028 ümläut\n"

server = MCPServer("peer", instructions="Ask me anything. ☃") if NEW else FastMCP("peer", instructions="Ask me anything. ☃")
stopped = 0


class Weather(BaseModel):
    city: str
    degrees: float
    tags: list[str]


class Form(BaseModel):
    person: str
    colour: str


@server.tool()
def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


@server.tool()
def weather(city: str) -> Weather:
    """Structured output."""
    return Weather(city=city, degrees=-1.5, tags=["snow", "雪"])


@server.tool()
async def echo(text: str, wait_s: float = 0) -> str:
    """The text, after a while."""
    await anyio.sleep(wait_s)
    return text


@server.tool()
def picture() -> Image:
    """A picture of one pixel."""
    return Image(data=PIXEL, format="png")


@server.tool()
def embedded() -> list[types.TextContent | types.AudioContent | types.EmbeddedResource | types.ResourceLink]:
    """One of each other kind of content."""
    sound = base64.b64encode(bytes(range(256)) * 8).decode()
    mime = {"mime_type": "audio/wav"} if NEW else {"mimeType": "audio/wav"}
    return [
        types.TextContent(type="text", text="three more follow"),
        types.AudioContent(type="audio", data=sound, **mime),
        types.EmbeddedResource(type="resource", resource=types.TextResourceContents(uri="peer://text", text="schön")),
        types.EmbeddedResource(type="resource", resource=types.BlobResourceContents(uri="peer://blob", blob=sound)),
        types.ResourceLink(type="resource_link", uri="peer://item/7", name="seven"),
    ]


@server.tool(structured_output=False)
def big(megabytes: float) -> str:
    """A text of so many megabytes of UTF-8."""
    return LINE * int(megabytes * 1_000_000 / len(LINE.encode()))


@server.tool(structured_output=False)
def size(text: str) -> str:
    """How many bytes of UTF-8 arrived."""
    return str(len(text.encode()))


@server.tool()
def leak() -> dict[str, Any]:
    """A secret, in text and in structured output."""
    return {"before": "the key is", "key": AWS_KEY, "after": ["☃", f"({AWS_KEY})"]}


@server.tool()
def fail(why: str) -> str:
    """An error of the tool."""
    raise ValueError(why)


@server.tool()
async def steps(count: int, ctx: Context) -> str:
    """Progress; the answer some time later, since some clients forget about progress once they have it."""
    for i in range(count):
        await ctx.report_progress(i + 1, count + 1, f"step {i + 1} ☃")
    await anyio.sleep(0.3)
    return "done"


@server.tool()
async def speak(ctx: Context) -> str:
    """Log messages, one of them with a secret."""
    await ctx.log("info", "ein Wort ☃")
    await ctx.log("warning", f"using {AWS_KEY}")
    return "spoken"


@server.tool()
def die() -> str:
    """Ends the server without a word."""
    os._exit(3)


@server.tool()
async def doze(seconds: float) -> str:
    """Sleeps, and remembers that it was woken."""
    global stopped
    try:
        await anyio.sleep(seconds)
    except anyio.get_cancelled_exc_class():
        stopped += 1
        raise
    return "slept"


@server.tool()
def woken() -> int:
    """How many dozes were cancelled."""
    return stopped


if NEW:
    @server.tool()
    async def touch(ctx: Context) -> str:
        """Tells those who listen that the resources have changed."""
        await ctx.notify_resources_changed()
        return "touched"

    def question(text: str) -> Sample:
        return Sample([types.SamplingMessage(role="user", content=types.TextContent(type="text", text=text))], max_tokens=50)

    def form() -> Ask[Form]:
        return Ask("Who, and which colour? ☃", Form)

    def roots() -> ListRoots:
        return ListRoots()

    @server.tool()
    async def ask_model(text: str, said: Annotated[types.CreateMessageResult, Resolve(question)]) -> str:
        """Sampling."""
        return f"model said: {said.content.text}"

    @server.tool()
    async def ask_user(said: Annotated[ElicitationResult[Form], Resolve(form)]) -> str:
        """Elicitation."""
        return f"{said.action}: {said.data.model_dump_json()}" if said.action == "accept" else said.action

    @server.tool()
    async def where(said: Annotated[types.ListRootsResult, Resolve(roots)]) -> str:
        """Roots."""
        return " ".join(str(root.uri) for root in said.roots)
else:
    @server.tool()
    async def ask_model(text: str, ctx: Context) -> str:
        """Sampling."""
        message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=text))
        said = await ctx.session.create_message([message], max_tokens=50)
        return f"model said: {said.content.text}"

    @server.tool()
    async def ask_user(ctx: Context) -> str:
        """Elicitation."""
        said = await ctx.elicit("Who, and which colour? ☃", Form)
        return f"{said.action}: {said.data.model_dump_json()}" if said.action == "accept" else said.action

    @server.tool()
    async def where(ctx: Context) -> str:
        """Roots."""
        return " ".join(str(root.uri) for root in (await ctx.session.list_roots()).roots)


@server.resource("peer://text", mime_type="text/plain")
def text_resource() -> str:
    """A text."""
    return "schön, 雪 😀\n"


@server.resource("peer://blob", mime_type="application/octet-stream")
def blob_resource() -> bytes:
    """Bytes that look like nothing."""
    return bytes(range(256)) * 4


@server.resource("peer://item/{number}")
def item(number: str) -> str:
    """One of many."""
    return f"item {number}"


@server.prompt()
def greet(name: str) -> str:
    """A prompt."""
    return f"Say hello to {name} ☃"


@server.completion()
async def complete(ref: Any, argument: Any, context: Any) -> Any:
    names = [name for name in ("Ada", "Alan", "Grace") if name.startswith(argument.value)]
    more = {"has_more": False} if NEW else {"hasMore": False}
    return types.Completion(values=names, total=len(names), **more)


if __name__ == "__main__":
    stubborn = os.environ.get("PEER_STUBBORN", "")
    if stubborn == "very":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("peer: ready ☃", file=sys.stderr, flush=True)
    if os.environ.get("PEER_BANNER"):
        print("Welcome to peer!", flush=True)
    server.run("stdio")
    if stubborn:
        time.sleep(60)
