// What the two TypeScript clients share; the same as steps.py.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

// The SDKs are installed in a folder of their own, which is not beside this file.
export const require = createRequire(join(process.env.INTEROP_NODE, "index.js"));
export const FORM = { person: "Ada ☃", colour: "grün" };
export const REPLY = "Der Schnee fällt. 雪が降る。";
const TIME_LIMIT_S = 60;
const WALL_ASKS = "May the model ";
export const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

export class Steps {
    constructor(client, options) {
        this.client = client;
        this.options = options;
        this.events = [];
        this.approvals = [...(options.approvals ?? [])];
        this.ended = [];
    }

    note(kind, value) {
        this.events.push([kind, value]);
    }

    // What the server may ask and tell: the answers of a user, a model and a host.
    answers() {
        return {
            "sampling/createMessage": ({ params }) => {
                this.note("sampling", params);
                return { role: "assistant", content: { type: "text", text: REPLY }, model: "interop", stopReason: "endTurn" };
            },
            "elicitation/create": ({ params }, context) => {
                this.note("elicitation", params);
                return this.answer(params.message, context?.signal ?? context?.mcpReq?.signal);
            },
            "roots/list": () => {
                this.note("roots", {});
                return { roots: this.options.roots.map((uri) => ({ uri, name: "project" })) };
            },
        };
    }

    async answer(message, signal) {
        if (!message.startsWith(WALL_ASKS)) {
            return this.options.elicit === "decline" ? { action: "decline" } : { action: "accept", content: FORM };
        }
        let answer = this.approvals.shift();
        if (answer.answer !== undefined) {
            signal?.addEventListener("abort", () => this.note("withdrawn", message));
            await pause(answer.s ?? 0);
            while (answer.after && !this.ended.includes(answer.after)) await pause(0.02);
            answer = answer.answer;
        }
        return typeof answer === "string" ? { action: "accept", content: { answer } } : answer;
    }

    async outcome(step) {
        try {
            return { result: (await this.carryOut(step)) ?? null };
        } catch (error) {
            if (error.code === undefined) throw error;
            return { error: { code: error.code, message: error.message, data: error.data ?? null } };
        } finally {
            this.ended.push(step.tool ?? "");
        }
    }

    async carryOut(step) {
        const client = this.client;
        switch (step.do) {
            case "tools": return client.listTools();
            case "all_tools": return this.allTools();
            case "resources": return client.listResources();
            case "templates": return client.listResourceTemplates();
            case "prompts": return client.listPrompts();
            case "call": return this.call(step);
            case "read": return client.readResource({ uri: step.uri });
            case "prompt": return client.getPrompt({ name: step.name, arguments: step.arguments });
            case "complete":
                return client.complete({ ref: step.ref, argument: step.argument, ...(step.context && { context: { arguments: step.context } }) });
            case "ping": return client.ping();
            case "level": return client.setLoggingLevel(step.level);
            case "roots_changed": return client.sendRootsListChanged();
            case "parallel": return Promise.all(step.calls.map((call) => this.outcome({ do: "call", ...call })));
            case "settle": return pause(step.s);
            case "cancel": return this.cancel(step);
            case "listen": return this.listen(step);
            case "task": return this.task(step);
        }
        throw new Error(`unknown step ${step.do}`);
    }

    async allTools() {
        const tools = [];
        let page;
        do {
            page = await this.client.listTools(page && { cursor: page.nextCursor });
            tools.push(...page.tools);
        } while (page.nextCursor !== undefined);
        return tools.map((tool) => [tool.name, tool.description]);
    }

    callOptions(step) {
        return {
            ...(step.progress && { onprogress: (p) => this.note("progress", [p.progress, p.total ?? null, p.message ?? null]) }),
            ...(step.limit_s && { timeout: step.limit_s * 1000 }),
        };
    }

    async cancel(step) {
        const stop = new AbortController();
        const said = this.call({ ...step, do: "call" }, stop.signal).then(() => false, () => true);
        await pause(step.after_s);
        stop.abort("no longer wanted");
        return { cancelled: await said };
    }
}

export async function run(connect) {
    const done = [];
    for (const session of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
        let steps;
        try {
            const late = new Promise((_, no) => setTimeout(() => no(new Error("time limit")), TIME_LIMIT_S * 1000).unref());
            const talk = async () => {
                steps = await connect(session, session.options ?? {});
                const outcomes = [];
                for (const step of session.steps) outcomes.push(await steps.outcome(step));
                const began = performance.now();
                await steps.client.close();
                const close_s = (performance.now() - began) / 1000;
                return { server: steps.server(), outcomes, events: steps.events, close_s };
            };
            done.push(await Promise.race([talk(), late]));
        } catch (error) {
            done.push({ fault: String(error.stack ?? error) });
            await steps?.client.close().catch(() => {});
        }
    }
    writeFileSync(process.argv[3], JSON.stringify(done));
    process.exit(0);
}
