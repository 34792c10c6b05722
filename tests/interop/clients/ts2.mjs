// A client of the TypeScript SDK 2.x (@modelcontextprotocol/client). See steps.mjs.
import { require, run, Steps } from "./steps.mjs";

const { Client } = require("@modelcontextprotocol/client");
const { StdioClientTransport } = require("@modelcontextprotocol/client/stdio");

class Steps2 extends Steps {
    call(step, signal) {
        return this.client.callTool({ name: step.tool, arguments: step.arguments ?? {} }, { ...this.callOptions(step), signal });
    }

    async listen(step) {
        const heard = new Promise((resolve) => this.client.setNotificationHandler("notifications/resources/list_changed", resolve));
        const subscription = await this.client.listen({ resourcesListChanged: true });
        await this.outcome(step.then);
        await heard;
        await subscription.close();
        return { honored: subscription.honoredFilter, heard: true };
    }

    server() {
        const c = this.client;
        return { protocolVersion: c.getNegotiatedProtocolVersion(), instructions: c.getInstructions(),
            serverInfo: c.getServerVersion(), capabilities: c.getServerCapabilities() };
    }
}

await run(async (session, options) => {
    const capabilities = {
        sampling: {},
        ...(options.elicit !== "cannot" && { elicitation: { form: {} } }),
        ...(options.roots && { roots: { listChanged: true } }),
    };
    const negotiation = options.mode ? { versionNegotiation: { mode: options.mode } } : {};
    const client = new Client({ name: "interop", version: "1" }, { capabilities, ...negotiation });
    const steps = new Steps2(client, options);
    for (const [method, answer] of Object.entries(steps.answers())) {
        if (capabilities[method.split("/")[0]]) client.setRequestHandler(method, answer);
    }
    client.setNotificationHandler("notifications/message", ({ params }) => steps.note("log", params));
    const { command, args, env, cwd } = session;
    await client.connect(new StdioClientTransport({ command, args, env, cwd, maxBufferSize: 64 * 1024 * 1024 }));
    return steps;
});
