#!/usr/bin/env python3
"""How often the built-in policies are right: `make accuracy`, or `python3 tests/accuracy.py [--seed N] [--count N] [--show N]`.

Two tables. The first sends generated everyday messages through a Session with the default policy and counts how many
were touched, that is denied, redacted or changed in a single byte. The second sends the labelled cases under
tests/data, and one generated secret of each kind, through the policy that is meant to judge them. Rates come with
their Wilson 95 % intervals. Exit status 1 when more than 0.1 % of the everyday messages were touched.
"""
from __future__ import annotations

import argparse
import base64
import hashlib
import json
import math
import os
import random
import sys
from typing import Any, Sequence, Callable, Iterator

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import mcpwall  # noqa: E402

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
GAP = "|~|"                 # stands inside made-up secrets of the data files, so that repository scanners stay quiet
HOME, PROJECT = "/home/u", "/home/u/proj"
TOUCHED_AIM = 0.001


# -- driving the wall ---------------------------------------------------------

class Wall:
    """One session after the handshake; tells what became of single messages. Bytes in and bytes out, nothing else."""

    def __init__(self, policy: str, tools: Sequence[str] = ("read_file",)) -> None:
        context = mcpwall.PathContext(HOME, PROJECT, PROJECT, False, False, lambda path: path)
        self.session = mcpwall.Session(mcpwall.Wall(mcpwall.builtin_policy(policy, context)), clock=lambda: 1_800_000_000.0)
        self.policy, self.last_id = policy, 0
        if tools:       # some policies refuse what was never listed
            self.request("tools/list", {})
            self.answer({"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in tools]})

    def feed(self, peer: str, body: dict[str, Any]) -> tuple[bytes, dict[str, bytes]]:
        line = json.dumps(body, ensure_ascii=self.last_id % 2 == 0).encode() + b"\n"    # both spellings of non-ASCII text
        out = {"client": b"", "server": b""}
        for effect in self.session.receive(peer, line):
            if isinstance(effect, mcpwall.Send):
                out[effect.peer] += effect.data
        return line, out

    def request(self, method: str, params: dict[str, Any]) -> bool:
        """Did the request reach the server as it was?"""
        self.last_id += 1
        line, out = self.feed("client", {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params})
        return out["server"] == line

    def answer(self, result: dict[str, Any]) -> tuple[bool, str]:
        """Did the answer to the latest request reach the client as it was, and what reached it?"""
        line, out = self.feed("server", {"jsonrpc": "2.0", "id": self.last_id, "result": result})
        return out["client"] == line, out["client"].decode()

    def passes(self, case: dict[str, Any]) -> tuple[bool, str]:
        """Does the message of *case* pass untouched? And what reached the other side, for a look at secrets."""
        if case["dir"] == "in":
            untouched = self.request("tools/call", {"name": case["tool"], "arguments": case["arguments"]})
            if untouched:
                self.answer({"content": [{"type": "text", "text": "ok"}]})
            return untouched, ""
        if "tools" in case:
            first = Wall(self.policy, ())       # a server of its own: another list of the same would be a changed one
            first.request("tools/list", {})
            return first.answer({"tools": case["tools"]})
        if not self.request("tools/call", {"name": "read_file", "arguments": {"path": PROJECT + "/notes.txt"}}):
            raise SystemExit("the policy refuses even to read a project file; answers cannot be judged")
        return self.answer(case.get("result") or {"content": case.get("content") or [{"type": "text", "text": case["text"]}]})


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The Wilson 95 % interval of a rate."""
    if not total:
        return 0.0, 1.0
    z, rate = 1.96, hits / total
    middle, spread = rate + z * z / (2 * total), z * math.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total))
    return max(0.0, (middle - spread) / (1 + z * z / total)), min(1.0, (middle + spread) / (1 + z * z / total))


def row(name: str, what: str, hits: int, total: int) -> str:
    low, high = wilson(hits, total)
    rate = f"{hits / total:7.2%}" if total else "      –"
    return f"{name:34} {what:16} {hits:6} of {total:6} {rate}   [{low:6.2%}, {high:6.2%}]"


# -- everyday messages --------------------------------------------------------

NOUNS = ("account address batch branch buffer cache channel client cluster column config cursor customer driver event export "
         "field filter folder graph handler header image index invoice job key label layer ledger locale message metric model "
         "module node order packet page parser payment plugin policy pool prompt query queue record region report request "
         "result role route rule schema secret server session shard signal source stream system tag task template tenant "
         "thread token tool trace user vault view volume widget window worker").split()
PLAIN = [noun for noun in NOUNS if noun not in ("key", "secret", "token")]     # random text under these names is a secret
VERBS = ("add apply build check clear close copy count create delete drop emit encode fetch filter find flush forget format "
         "handle ignore import insert inspect join list load lock map merge move notify open override parse patch print push "
         "read remove rename render reset resolve route run save scan send show skip sort split start stop store sync tell "
         "test trim update upload validate verify wait watch wrap write").split()
SENTENCES = {
    "en": ("The {n} was moved into the {m} so that the {o} no longer waits for it.",
    "Please {v} the {n} before you {w} the {m}.",
           "You can ignore the {n} if the {m} is empty.", "IMPORTANT: back up the {n} before you {v} the {m}.",
           "The user may {v} every {n}; an administrator may also {w} it.", "See the instructions in docs/{n}.md for the {m}.",
           "Do not {v} a {n} without a {m}.", "The previous {n} is kept until the {m} has been {v}ed.",
           "If the {n} fails, the system shows the {m} and the user is asked to try again.",
           "Always {v} the {n} first; the {m} depends on it.", "Our assistant {n} now explains why a {m} was refused."),
    "de": ("Der {n} wird erst geschlossen, wenn die {m} fertig ist.",
    "Bitte vor dem Neustart die {n} sichern; die Anleitung steht auf Seite {i}.",
           "Der Benutzer sieht die {n} nicht, solange {m} fehlt.", "Größe und Überblick der {n} ändern sich nicht."),
    "fr": ("Le {n} est déplacé avant que la {m} ne soit prête.",
    "Suivez les instructions ci-dessus pour {n}, puis vérifiez {m}.",
           "L'utilisateur reçoit un message dès que {n} est terminé."),
    "es": ("El {n} se guarda después de cada {m}.", "Siga las instrucciones anteriores si {n} no aparece.",
    "El usuario puede borrar {n} en {i} días."),
    "it": ("Il {n} viene salvato prima della {m}.", "L'utente può ignorare {n} se {m} è vuoto."),
    "pt": ("O {n} é guardado antes de {m}.", "O usuário não precisa de {n} para abrir {m}."),
    "nl": ("De {n} wordt opgeslagen voordat de {m} begint.", "Volg de instructies op pagina {i} voor {n}."),
    "pl": ("Przed zapisaniem {n} należy sprawdzić {m}.", "Użytkownik widzi {n} dopiero po {m}."),
    "ru": ("Запись {n} обновляется после {m}.", "Пользователь получит {n} через {i} минут."),
    "ja": ("{n}は{m}の後に更新されます。", "{i}ページの指示に従って{n}を設定してください。"),
    "zh": ("{n}在{m}之后更新。", "用户可以在第{i}页查看{n}的说明。"),
    "fa": ("می‌خواهم {n} را پس از {m} ببینم.",), "ar": ("يتم حفظ {n} قبل {m}.",), "hi": ("{m} के बाद {n} सहेजा जाता है।",),
}
FILES = ("src/{n}/{m}.{e}", "lib/{n}-{m}.{e}", "docs/{n}.md", "tests/test_{n}_{m}.{e}", "config/{n}.example.yml",
    "assets/{n}-{h8}.{e}",
         "packages/{n}/README.md", "{n}/.env.example", "infra/{n}/main.tf", "migrations/{i:04}_{v}_{n}.sql",
         "public/{n}.pem.md")
COMMANDS = ("git status --short", "git log --oneline -n {i}", "git diff {h8}..{h7} -- {f}", "git checkout -b feature/{n}-{m}",
            "git commit -m '{v} {n}: {s}'", "git push origin feature/{n}", "npm test -- --grep '{n}'", "npm run build",
            "pytest -q {f} -k {n}",
            "python3 -m unittest tests.test_{n}", "cargo test {n}::{m}", "go test ./... -run Test{N}", "make {v}-{n}",
            "ls -la {f}",
            "grep -rn '{n}_{m}' src | head -{i}", "rg -l '{v} {n}'", "sed -n '{i},+20p' {f}", "find . -name '*.{e}' -newer {f}",
            "cat {f} | wc -l", "rm -f build/{n}.o", "mkdir -p out/{n} && cp {f} out/{n}/", "docker compose logs --tail {i} {n}",
            "docker build -t {n}:{i} .", "kubectl get pods -l app={n}", "kubectl logs deploy/{n} --since={i}m",
            "curl -s http://localhost:{p}/{n}/{m}",
            "jq '.{n}[] | .{m}' data/{n}.json", "tar czf {n}-{i}.tar.gz dist", "psql -c 'SELECT count(*) FROM {n}s'",
            "terraform plan -out {n}.plan",
            "node scripts/{v}-{n}.js --limit {i}", "time ./bin/{n} --{v} {m}", "echo '{s}' >> NOTES.md",
            "awk -F, '{{print $2}}' data/{n}.csv",
            "ruff check {f} --fix", "tsc --noEmit -p {n}", "FOO={n} BAR={i} ./run.sh {v}", "ps aux | grep {n}",
            "df -h && free -m", "du -sh {n}/*")


class Maker:
    """Everyday messages, drawn with one random generator. Every method named `make_*` is one sort of message."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.sorts: list[Callable[[], dict[str, Any]]] = [getattr(self, name) for name in sorted(dir(self))
            if name.startswith("make_")]

    def message(self) -> dict[str, Any]:
        sort = self.rng.choice(self.sorts)
        return {"dir": "out", **sort(), "sort": sort.__name__[5:]}

    # words and lines

    def hex(self, count: int) -> str:
        return "".join(self.rng.choices("0123456789abcdef", k=count))

    def fill(self, template: str) -> str:
        rng, noun = self.rng, lambda: self.rng.choice(NOUNS)
        file = rng.choice(FILES) if "{f}" in template else ""
        values = {"n": noun(), "m": noun(), "o": noun(), "N": noun().title(), "M": noun().title(), "v": rng.choice(VERBS),
                  "w": rng.choice(VERBS), "i": rng.randrange(1, 400), "p": rng.randrange(3000, 9000), "h7": self.hex(7),
                  "h8": self.hex(8), "h40": self.hex(40), "h64": self.hex(64), "u": self.uuid(),
                  "e": rng.choice("py ts js go rs java rb php css html json toml svg png".split())}
        values["q"] = rng.choice(PLAIN)
        if file:
            values["f"] = file.format(**values)
        values["s"] = f"{values['v']} the {values['m']} of each {values['o']}"
        return template.format(**values)

    def uuid(self) -> str:
        text = self.hex(32)
        return "-".join((text[:8], text[8:12], "4" + text[13:16], "a" + text[17:20], text[20:]))

    def stamp(self) -> str:
        r = self.rng.randrange
        return f"2026-{r(1, 13):02}-{r(1, 29):02}T{r(24):02}:{r(60):02}:{r(60):02}.{r(1000):03}Z"

    def lines(self, low: int, high: int, *templates: str) -> str:
        return "\n".join(self.fill(self.rng.choice(templates)) for _ in range(self.rng.randrange(low, high)))

    def base64(self, size: int) -> str:
        return base64.b64encode(self.rng.getrandbits(8 * size).to_bytes(size, "big")).decode()

    def prose(self, low: int = 2, high: int = 9) -> str:
        language = self.rng.choice(sorted(SENTENCES)) if self.rng.random() < 0.6 else "en"
        return self.rng.choice((" ", "\n", "\n\n")).join(
            self.fill(self.rng.choice(SENTENCES[language])) for _ in range(self.rng.randrange(low, high)))

    # answers of servers

    def make_prose(self) -> dict[str, Any]:
        return {"text": self.prose()}

    def make_markdown(self) -> dict[str, Any]:
        return {"text": self.fill("# {N} {m}\n\n![build](https://ci.example.com/{n}.svg?branch=main)\n\n") + self.prose()
                + "\n\n```sh\n" + self.lines(1, 5, *COMMANDS) + "\n```\n\n" + self.lines(2, 6, "- [ ] {s}",
                    "- **{n}**: {s} (#{i})", "> {s}")
                + self.rng.choice(("\n<!-- TODO: move this block -->", "\n<!-- generated, do not edit -->",
                    "\n👩‍💻 🏳️‍🌈 ✔️", ""))}

    def make_python(self) -> dict[str, Any]:
        return {"text": self.lines(6, 40, "def {v}_{n}({m}: str, limit: int = {i}) -> list[{N}]:",
            "    \"\"\"Return the {n} of this {m}.\"\"\"",
                "    return [{n} for {n} in self.{m}s if {n}.{o} != {i}]",
                "from .{n} import {N}, {v}_{m}  # noqa: F401",
                "    if {n} is None:  # type: ignore[{m}]", "    logger.info('{v} %s', {n}.id)",
                "    {n} = os.environ.get('{N}_{M}', '')",
                "    password = getpass.getpass('{n}: ')", "    token = self.{n}.{v}(token=None)", "",
                "class {N}{M}(Base):",
                "    assert {v}({n}) == '{h8}'", "# the user is told about {n} when {m} is done",
                "    {n}_key = hashlib.sha256({m}).hexdigest()")}

    def make_script(self) -> dict[str, Any]:
        return {"text": self.lines(6, 40, "export const {v}{N} = async ({n}: {M}): Promise<{N}[]> => {{",
            "  const {{ {n}, {m} }} = await api.{v}({{ id: {i} }});",
                "  // eslint-disable-next-line no-{n}-{m}", "import {{ {N} }} from '@acme/{n}';", "}}",
                "  if (!{n}?.{m}) throw new Error(`no {n}: ${{{m}}}`);",
                "  <div className=\"{n}-{m}\" style={{{{ display: 'none' }}}} onClick={{() => {v}({i})}}>",
                "  headers: {{ Authorization: `Bearer ${{{n}Token}}` }},",
                "  const secret = process.env.{N}_SECRET ?? '';",
                "describe('{n}', () => it('{v}s the {m}', () => expect({v}({i})).toBe('{h7}')));")}

    def make_systems_code(self) -> dict[str, Any]:
        return {"text": self.lines(6, 40, "pub fn {v}_{n}(&self, {m}: &str) -> Result<{N}, {M}Error> {{",
            "func (s *{N}) {v}({n} context.Context) (*{M}, error) {{",
                "    let {n} = self.{m}.iter().map(|{o}| {o}.{v}()).collect::<Vec<_>>();",
                "\tif err != nil {{ return nil, fmt.Errorf(\"{v} {n}: %w\", err) }}",
                "static int {v}_{n}(struct {m} *{o}, size_t len) {{ return {i}; }}",
                "#include <{n}/{m}.h>",
                "    public List<{N}> {v}By{M}(String {n}) {{ return repo.{v}({n}); }}",
                "SELECT {n}_id, count(*) FROM {m}s WHERE {q} = '{h8}' GROUP BY 1;",
                "$this->{n}->{v}('{m}');", "}}")}

    def make_minified(self) -> dict[str, Any]:
        return {"text": "".join(self.fill("function {h7}(e,t){{return e&&t?n.{v}(e):o.{n}(t,{i})}};")
            for _ in range(self.rng.randrange(20, 90)))}

    def make_log(self) -> dict[str, Any]:
        return {"text": "\n".join(self.stamp() + self.fill(self.rng.choice((
            " INFO  {n}.{m}: {v} took {i} ms", " WARN  retry {i} of {n}: connection reset by peer", " ERROR {N}Error: {s}",
            " DEBUG trace={h8}{h8}{h8}{h8} span={h8}{h8}", " INFO user {u} opened {f}", " INFO GET /{n}/{i}?{q}={h8} 200 {i}ms",
            " INFO system: disk check finished", " INFO silently skipped {i} duplicates")))
            for _ in range(self.rng.randrange(4, 60)))}

    def make_terminal(self) -> dict[str, Any]:
        return {"text": self.lines(3, 20, "\x1b[32m✓\x1b[0m {v} {n} \x1b[90m({i} ms)\x1b[0m",
            "\x1b[1;31mFAILED\x1b[0m tests/test_{n}.py::test_{v}", "\x1b[2K\r{i}% {n}",
                "drwxr-xr-x  2 dev dev 4096 Mar {p} {n}", "{h40} refs/heads/{n}",
                "added {i} packages in {i}s")}

    def make_diff(self) -> dict[str, Any]:
        return {"text": self.fill("diff --git a/{f} b/{f}\nindex {h7}..{h7} 100644\n--- a/x\n+++ b/x\n@@ -{i},7 +{i},9 @@\n")
                + self.lines(4, 25, "-    {n} = {v}({m})", "+    {n} = {v}({m}, {o}={i})", "     return {n}", "+# {s}",
                    "-{h40}", "+  \"{n}\": \"^{i}.0.1\",")}

    def make_json(self) -> dict[str, Any]:
        def field() -> tuple[str, Any]:
            name = self.rng.choice(NOUNS)
            if name not in PLAIN:
                return name, self.rng.choice((None, True, self.rng.randrange(5000), self.rng.choice(NOUNS)))
            return name, self.rng.choice((self.uuid(), self.rng.random(), self.stamp(), self.rng.choice(NOUNS), None,
                                           self.hex(64),
                                          self.fill("https://api.example.com/{n}/{i}?page={i}&sort={m}")))
        rows = [dict(field() for _ in range(5)) for _ in range(self.rng.randrange(1, 20))]
        return {"text": json.dumps({"items": rows, "next": self.base64(18)}, indent=self.rng.choice((None, 2)))}

    def make_structured(self) -> dict[str, Any]:
        body = {"id": self.uuid(), "sha": self.hex(40), "count": self.rng.randrange(10 ** 9), "title": self.prose(1, 2)}
        return {"result": {"content": [{"type": "text", "text": json.dumps(body)}], "structuredContent": body}}

    def make_yaml(self) -> dict[str, Any]:
        return {"text": self.lines(6, 30, "{n}:", "  {m}: {i}", "  - name: {n}-{m}",
            "    image: registry.example.com/{n}/{m}@sha256:{h64}", "  {N}_TOKEN: ${{{{ secrets.{N}_TOKEN }}}}",
                "    password: <your-{n}-password>", "    secretKeyRef: {{name: {n}, key: {m}}}",
                "  api_key: ${{{N}_API_KEY}}", "# {s}")}

    def make_lock(self) -> dict[str, Any]:
        return {"text": self.rng.choice((
            lambda: "\n".join(self.fill('    "node_modules/{n}-{m}": {{"version": "{i}.1.0", "integrity": "sha512-')
                              + self.base64(64) + '"},' for _ in range(12)),
            lambda: self.lines(6, 30, "{n}-{m}=={i}.2.0 \\\n    --hash=sha256:{h64}"),
            lambda: "\n".join(self.fill("github.com/acme/{n} v1.{i}.0 h1:") + self.base64(32) for _ in range(12)),
            lambda: self.lines(6, 30, "[[package]]\nname = \"{n}-{m}\"\nversion = \"1.{i}.0\"\nchecksum = \"{h64}\""),
            lambda: self.lines(6, 30, "{h64}  {n}-{i}.tar.gz", "{h40}  {n}.zip")))()}

    def make_table(self) -> dict[str, Any]:
        return {"text": self.rng.choice(("|{n}|{m}|{o}|\n|---|---|---|\n", "{n},{m},{o}\n", "")).format(n="id", m="name",
            o="total")
                + self.lines(4, 40, "| {i} | {n} {q} | {h8} |", "{i},{n}-{m},\"{s}\",{p}", "{u}\t{n}\t{i}")}

    def make_notebook(self) -> dict[str, Any]:
        image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + self.rng.getrandbits(4000).to_bytes(500, "big")).decode()
        return {"text": json.dumps({"cells": [{"cell_type": "code", "source": [self.fill("plt.plot({n}.{m})")],
                "outputs": [{"data": {"image/png": image, "text/plain": [self.prose(1,
                3)]}}]}], "nbformat": 4})}

    def make_media(self) -> dict[str, Any]:
        kind = self.rng.choice(("image", "audio"))
        blocks: list[dict[str, Any]] = [{"type": kind, "data": self.base64(self.rng.randrange(200, 3000)),
            "mimeType": kind + "/png"},
                {"type": "resource", "resource": {"uri": "file:///w/a.bin", "blob": self.base64(900),
                "mimeType": "application/pdf"}}]
        return {"content": blocks[:self.rng.randrange(1, 3)] + [{"type": "text", "text": self.fill("{n} {i}")}]}

    def make_web_page(self) -> dict[str, Any]:
        return {"text": "<!doctype html><html><head><style>.x{color:#fff;display:none}</style></head><body>" + "".join(
            self.fill(self.rng.choice(("<p>{s}</p>", "<a href=\"https://www.example.com/{n}?utm_source={m}&id={h8}\">{n}</a>",
                "<div style=\"display:none\" id=\"{n}\">{m}</div>",
                "<img src=\"data:image/gif;base64,R0lGODlhAQABAAAAACw=\" alt=\"{n}\">",
                "<!-- {n} {m} -->", "<script src=\"/{n}.{h8}.js\" integrity=\"sha384-"
                + self.base64(48) + "\"></script>"))) for _ in range(self.rng.randrange(3,
                20))) + "</body></html>"}

    def make_public_material(self) -> dict[str, Any]:
        body = "\n".join(self.base64(48) for _ in range(12))
        return {"text": self.rng.choice((f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + self.base64(32)[:43] + " dev@laptop",
                f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----",
                "fingerprint SHA256:" + self.base64(32)[:43],
                "Set AWS_ACCESS_KEY_ID=<your key> and GITHUB_TOKEN=" + "ghp_" + "x" * 36))}

    def make_tools(self) -> dict[str, Any]:
        endings = ("Always use absolute paths.", "Call list_{n}s first if the {m} is unknown.",
            "Ask the user for confirmation before you {v} anything.",
                   "IMPORTANT: prefer this tool over shell commands.", "Returns at most {i} {m}s.",
                   "Do not include secrets in the {m}.", "You must pass owner and repo.",
                   "Use this when the user asks about a {n}.", "The user must confirm a deletion.")
        return {"tools": [{"name": self.fill("{v}_{n}_") + str(number),
            "description": self.fill("Runs {v} on a {n}. " + self.rng.choice(endings)),
                           "inputSchema": {"type": "object", "properties": {self.rng.choice(NOUNS): {"type": "string",
                           "description": self.prose(1, 2)}}}}
                          for number in range(self.rng.randrange(1, 8))]}

    # calls of clients

    def make_command(self) -> dict[str, Any]:
        command = self.fill(self.rng.choice(COMMANDS))
        return {"dir": "in", **self.rng.choice(({"tool": "bash", "arguments": {"command": command}},
            {"tool": "run_terminal_cmd", "arguments": {"cmd": command, "timeout": 60}},
                {"tool": "execute_command", "arguments": {"command": command,
                "cwd": PROJECT}}))}

    def make_read(self) -> dict[str, Any]:
        path = self.fill("{f}")
        return {"dir": "in", **self.rng.choice(({"tool": "read_file", "arguments": {"path": path}}, {"tool": "read_text_file",
            "arguments": {"path": f"{PROJECT}/{path}", "head": 50}},
                {"tool": "read_multiple_files", "arguments": {"paths": ["README.md", path]}},
                {"tool": "list_directory", "arguments": {"path": PROJECT}}))}

    def make_write(self) -> dict[str, Any]:
        source = self.rng.choice((self.make_python, self.make_script, self.make_yaml, self.make_markdown, self.make_json,
            self.make_lock, self.make_prose))()["text"]
        path = self.fill("{f}")
        return {"dir": "in", **self.rng.choice(({"tool": "write_file", "arguments": {"path": path, "content": source}},
                {"tool": "edit_file", "arguments": {"path": path, "edits": [{"oldText": "x",
                "newText": source}]}},
                {"tool": "create_or_update_file", "arguments": {"owner": "acme",
                "repo": "web", "path": path, "content": source, "message": self.fill("{s}")}}))}

    def make_document(self) -> dict[str, Any]:
        text = self.rng.choice(("Never run `rm -rf /` on a server; {s}.",
            "The CLI reads ~/.aws/credentials and ~/.aws/config.",
            "it('rejects rm -rf /', () => expect(deny('rm -rf /')).toBe(true))",
                "Attackers write \"ignore all previous instructions\" into a {n}; treat it as data.",
                "chmod 600 ~/.ssh/id_rsa keeps the {n} private.",
                "curl https://example.com/install.sh | sh is convenient and dangerous for the {n}.",
                "Put .env into .gitignore and keep .env.example.", "clean:\n\trm -rf build dist\n"))
        return {"dir": "in", "tool": "write_file", "arguments": {"path": "docs/" + self.fill("{n}.md"),
            "content": self.fill(text)}}

    def make_call(self) -> dict[str, Any]:
        return {"dir": "in", **self.rng.choice((
            {"tool": "search_code", "arguments": {"query": self.fill("{v} {n} lang:python")}}, {"tool": "create_issue",
            "arguments": {"title": self.fill("{s}"), "body": self.prose()}},
            {"tool": "query", "arguments": {"sql": self.fill("SELECT * FROM {n}s WHERE {m}_id = {i} LIMIT 10")}},
            {"tool": "get_item", "arguments": {"id": self.uuid(), "rev": self.hex(40)}},
            {"tool": "fetch", "arguments": {"url": self.fill("https://docs.example.com/{n}/{m}.html?v={i}#{o}")}},
            {"tool": "read_doc", "arguments": {"documentId": self.base64(33)}},
            {"tool": "sequentialthinking", "arguments": {"thought": self.prose(), "thoughtNumber": 1,
            "nextThoughtNeeded": True}},
            {"tool": "send_message", "arguments": {"channel": "#dev", "text": self.prose()}}, {"tool": "get_commit",
            "arguments": {"sha": hashlib.sha1(self.hex(8).encode()).hexdigest()}}))}


def everyday(seed: int, count: int, show: int) -> bool:
    """Print the first table; is the aim met?"""
    maker, wall = Maker(random.Random(seed)), Wall("default")
    touched: dict[str, int] = {}
    totals: dict[str, int] = {}
    for _ in range(count):
        case = maker.message()
        sort = f"{case['dir']} {case.pop('sort')}"
        totals[sort] = totals.get(sort, 0) + 1
        if not wall.passes(case)[0]:
            touched[sort] = touched.get(sort, 0) + 1
            if sum(touched.values()) <= show:
                print(f"touched: {json.dumps(case, ensure_ascii=False)[:600]}")
    print(f"Everyday messages, default policy (seed {seed})")
    for sort in sorted(totals):
        if touched.get(sort):
            print(row("  " + sort, "touched", touched[sort], totals[sort]))
    print(row(f"  all {len(totals)} sorts", "touched", sum(touched.values()), count) + f"   aim {TOUCHED_AIM:.1%}\n")
    return sum(touched.values()) <= TOUCHED_AIM * count


# -- labelled cases -----------------------------------------------------------

def labelled() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(policy, category, case) of every labelled case under tests/data; `label` says what should become of it."""
    for case in load("injection.json", []):
        yield "strict", "injection: " + case["category"], case
    for group in load("commands.json", []):
        for command in group["commands"]:
            call = command if isinstance(command, dict) and "arguments" in command else {"tool": "bash",
                "arguments": {"command": command}}
            label = "allow" if group["category"].startswith("allow") else "deny"
            yield "default", "commands: " + group["category"], {"dir": "in", "label": label, **call}
    paths = load("paths.json", {})
    for rule, examples in paths.get("sensitive", {}).items():
        for path in examples:
            yield "company-laptop", "paths: " + rule, {"dir": "in", "label": "deny", "tool": "read_file",
                "arguments": {"path": path}}
    for path in paths.get("harmless", []):
        yield "company-laptop", "paths: harmless", {"dir": "in", "label": "allow", "tool": "read_file",
            "arguments": {"path": path}}
    for file in sorted(os.listdir(DATA)):
        for case in load(file, []) if file.startswith("secrets") and file.endswith(".json") else []:
            area = "harmless" if case["label"] == "allow" else case["category"]
            yield "default", "secrets: " + area, {"dir": "out", **case}
    for name, _, example in mcpwall.secret_kinds():
        yield "default", "secrets: one of each kind", {"dir": "out", "label": "redact", "example": example,
            "text": f"# settings\n{example}\n# end"}


def load(name: str, default: Any) -> Any:
    path = os.path.join(DATA, name)
    if not os.path.exists(path):
        return default
    with open(path, encoding="utf-8") as file:
        return json.loads(file.read().replace(GAP, ""))


def leaks(secret: str, reached: str) -> bool:
    """Does a run of 16 characters of *secret* (all of it, when it is shorter) stand in the JSON text *reached*?"""
    runs = {json.dumps(secret[at:at + 16], ensure_ascii=ascii)[1:-1] for at in range(max(1, len(secret) - 15))
            for ascii in (False, True)}
    return any(run in reached for run in runs)


def score(show: int) -> None:
    """Print the second table."""
    walls: dict[str, Wall] = {}
    counts: dict[tuple[str, str, str], list[int]] = {}
    for policy, category, case in labelled():
        wall = walls.get(policy) or walls.setdefault(policy, Wall(policy))
        untouched, reached = wall.passes(case)
        if case["label"] == "redact":
            untouched = leaks(case["secret"], reached) if "secret" in case else json.dumps(case["example"])[1:-1] in reached
        harmless = case["label"] == "allow"
        tally = counts.setdefault((policy, category, "false positives" if harmless else "recall"), [0, 0])
        tally[0] += not untouched
        tally[1] += 1
        if untouched != harmless and show > 0:
            show -= 1
            print(f"{'refused' if harmless else 'missed'}: {category}: {json.dumps(case, ensure_ascii=False)[:300]}")
    print("Labelled cases")
    totals: dict[tuple[str, str], list[int]] = {}
    for (policy, category, what), (hits, total) in sorted(counts.items()):
        print(row(f"  {category} ({policy})"[:34], what, hits, total))
        tally = totals.setdefault((category.split(":")[0], what), [0, 0])
        tally[0], tally[1] = tally[0] + hits, tally[1] + total
    for (area, what), (hits, total) in sorted(totals.items()):
        print(row("all " + area, what, hits, total))


def main() -> int:
    parser = argparse.ArgumentParser(description="Recall and false positives of the built-in policies.")
    parser.add_argument("--seed", type=int, default=20260728, help="of the generated messages")
    parser.add_argument("--count", type=int, default=12_000, help="of generated messages")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print the first N mistakes of each table")
    options = parser.parse_args()
    good = everyday(options.seed, options.count, options.show)
    score(options.show)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
