// A client of the TypeScript SDK 1.x (@modelcontextprotocol/sdk). See steps.mjs.
import { require, run, Steps } from "./steps.mjs";

const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = require("@modelcontextprotocol/sdk/client/stdio.js");
const types = require("@modelcontextprotocol/sdk/types.js");

class Steps1 extends Steps {
    call(step, signal) {
        return this.client.callTool({ name: step.tool, arguments: step.arguments ?? {} }, undefined, { ...this.callOptions(step), signal });
    }

    async task(step) {
        const states = [];
        const stream = this.client.experimental.tasks.callToolStream({ name: step.tool, arguments: step.arguments ?? {} }, types.CallToolResultSchema, { task: { ttl: 60000 } });
        for await (const message of stream) {
            if (message.type === "taskStatus" || message.type === "taskCreated") states.push(message.task.status);
            if (message.type === "error") throw message.error;
            if (message.type === "result") return { last: states.at(-1), result: message.result };
        }
    }

    server() {
        const c = this.client;
        return { instructions: c.getInstructions(), serverInfo: c.getServerVersion(), capabilities: c.getServerCapabilities() };
    }
}

await run(async (session, options) => {
    const capabilities = {
        sampling: {},
        ...(options.elicit !== "cannot" && { elicitation: { form: {} } }),
        ...(options.roots && { roots: { listChanged: true } }),
    };
    const client = new Client({ name: "interop", version: "1" }, { capabilities });
    const steps = new Steps1(client, options);
    const answers = steps.answers();
    client.setRequestHandler(types.CreateMessageRequestSchema, answers["sampling/createMessage"]);
    if (capabilities.elicitation) client.setRequestHandler(types.ElicitRequestSchema, answers["elicitation/create"]);
    if (options.roots) client.setRequestHandler(types.ListRootsRequestSchema, answers["roots/list"]);
    client.setNotificationHandler(types.LoggingMessageNotificationSchema, ({ params }) => steps.note("log", params));
    const { command, args, env, cwd } = session;
    await client.connect(new StdioClientTransport({ command, args, env, cwd, maxBufferSize: 64 * 1024 * 1024 }));
    return steps;
});
