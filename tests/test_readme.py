"""The README's transcripts are run again, and what it says about keys and limits is held against the module."""
from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import unittest
from unittest import mock

from tests import picture
from tests.support import TOP, WALL, InEmptyHome, line, mcpwall, request

ROOT = os.path.dirname(os.path.abspath(mcpwall.__file__))
README = os.path.join(ROOT, "README.md")


class Echo:
    """A terminal whose answers are seen, as when somebody types them."""

    def __init__(self, answers: list[str], screen: io.StringIO) -> None:
        self.answers, self.screen = list(answers), screen

    def isatty(self) -> bool:
        return True

    def readline(self, size: int = -1) -> str:
        answer = self.answers.pop(0) + "\n" if self.answers else ""
        self.screen.write(answer)
        return answer


@unittest.skipUnless(os.path.exists(README), "the module stands alone")
class Readme(InEmptyHome):
    def setUp(self) -> None:
        super().setUp()
        with open(README, encoding="utf-8") as stream:
            self.text = stream.read()

    def blocks(self, kind: str, under: str = "") -> list[str]:
        """The fenced blocks of a kind, in order; *under*: of the part below this heading."""
        part = re.split(rf"(?m)^#+ {re.escape(under)}\n", self.text)[1] if under else self.text
        if under:
            part = re.split(r"(?m)^# ", part)[0] if under == "Guide" else re.split(r"(?m)^#+ ", part)[0]
        found = re.findall(rf"```{kind}\n(.*?)```", part, re.DOTALL)
        self.assertTrue(found, kind)
        return found

    def talk(self, calls: list[tuple[str, dict]]) -> tuple[list[dict], str]:
        """What a host is answered by the relay before the toy server, and what stderr says."""
        relay = subprocess.Popen([*WALL, "--server-name", "fs", "--", *WALL, "demo", "--server"], cwd=self.project, env=self.environ,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        sent = [request("initialize", hello, 0), *(request("tools/call", {"name": tool, "arguments": arguments}, number)
                                                   for number, (tool, arguments) in enumerate(calls, 1))]
        answers = []
        for body in sent:
            relay.stdin.write(line(body))
            relay.stdin.flush()
            answers.append(json.loads(relay.stdout.readline()))
        _, said = relay.communicate()
        return answers, said.decode()

    def test_transcripts_are_what_comes_out(self) -> None:
        for block in self.blocks("console"):
            for part in re.split(r"(?m)^\$ ", block)[1:]:
                command, _, expected = part.partition("\n")
                words = shlex.split(command)
                if words[0] == "mcpwall":
                    continue
                self.assertEqual(words[:2], ["python3", "mcpwall.py"])
                done = subprocess.run([*WALL, *words[2:]], cwd=self.project,
                                      env={**self.environ, "PYTHONIOENCODING": "utf-8"}, capture_output=True)
                self.assertEqual(done.stdout.decode() + done.stderr.decode(), expected, command)

    def test_the_story_of_a_refused_call_is_what_comes_out(self) -> None:
        os.mkdir(os.path.join(self.project, ".git"))
        answers, _ = self.talk([("read_file", {"path": "shop/.env"}), ("run_command", {"command": "git reset --hard HEAD~3"})])
        session = answers[1]["error"]["data"]["mcpwall"]["ref"].partition("-")[0]
        for block in self.blocks("console"):
            for part in re.split(r"(?m)^\$ ", block)[1:]:
                command, _, expected = part.partition("\n")
                words = shlex.split(command.replace("k7f3qa", session))
                if words[0] != "mcpwall":
                    continue
                said = io.StringIO()
                answered = re.findall(r"(?:\[y/N\]|leaves it\)) (\S+)$", expected, re.MULTILINE)
                around = mcpwall.Surroundings(self.home, self.project, self.environ, "linux", ["mcpwall"], Echo(answered, said), said, said)
                before = os.getcwd()
                os.chdir(self.project)
                try:
                    with mock.patch.dict(os.environ, self.environ):
                        mcpwall.VERBS[words[1]](words[2:], around)
                finally:
                    os.chdir(before)
                shown = re.sub(r"(?m)^\d\d:\d\d:\d\d", "14:03:59", said.getvalue().replace(session, "k7f3qa"))
                shown = re.sub(r"refused \d+ min ago", "refused 1 min ago", shown)
                pattern = "".join(r"(?:.*\n)*?" if row.strip() == "…" else re.escape(row) for row in expected.splitlines(True))
                self.assertRegex(shown, rf"\A{pattern}\Z", f"{command}\n{shown}")

        logs = os.path.join(self.home, ".mcpwall", "logs")
        table = self.text.partition("\n## Audit log\n")[2].partition("\n## ")[0]
        for name in os.listdir(logs):
            with open(os.path.join(logs, name), encoding="utf-8") as stream:
                fields = {field for row in stream for field in json.loads(row)}
            for field in fields:
                self.assertRegex(table, rf"(?m)^\|[^|]*`{field}`", field)

    def test_every_rule_of_default_is_told_of(self) -> None:
        policy = mcpwall.builtin_policy("default")
        told = re.findall(r"`((?:block|ask|log|flag|keep|redact)-[\w-]+)`", self.text.partition("These are the rules of `default`")[2].partition("\n## ")[0])
        self.assertEqual(sorted(told), sorted(rule.name for rule in (*policy.rules, *policy.outbound_rules)))

    def test_what_is_shown_of_a_refusal_is_what_comes(self) -> None:
        answers, said = self.talk([("read_file", {"path": "~/.ssh/id_rsa"})])
        ref = answers[1]["error"]["data"]["mcpwall"]["ref"]
        shown = json.loads(re.search(r"`(\{\"code\".*\})`", self.text)[1].replace("k7f3qa-12", ref))
        self.assertEqual(answers[1]["error"], shown)
        row = re.search(r"`(\[14:03:59\] DENY .*)`\.", self.text)[1].replace("k7f3qa-12", ref)
        self.assertIn(row.partition("] ")[2] + "\n", said)

    @unittest.skipIf(os.name == "nt", "the lines are those of a POSIX shell")
    def test_the_commands_of_the_guide_do_what_they_say(self) -> None:
        servers = '{ "mcpServers": { "fs": { "command": "npx", "args": ["-y", "server-filesystem@1.2.3", "."] } } }\n'
        for folder in (".cursor", ".claude"):
            os.mkdir(os.path.join(self.home, folder))
        cursor, claude = os.path.join(self.home, ".cursor", "mcp.json"), os.path.join(self.home, ".claude", "settings.json")
        with open(cursor, "w", encoding="utf-8") as stream:
            stream.write(servers)
        self.write("team.yml", self.blocks("yaml", "Write your own policy")[0])
        start = " ".join(map(shlex.quote, WALL))
        steps = {"sudo cp mcpwall.py /opt/": "", "python3 /opt/mcpwall.py --checksum": f"{start} --checksum",
                 "alias mcpwall='python3 /opt/mcpwall.py'": f'mcpwall() {{ {start} "$@"; }}', "python3 mcpwall.py demo": "mcpwall demo",
                 "mcpwall init": "mcpwall init --all --yes", "mcpwall unwrap --all": "mcpwall unwrap --all --yes",
                 "mcpwall unwrap --hook all": "mcpwall unwrap --hook all --yes", "rm -r ~/.mcpwall": "ls ~/.mcpwall/config.yml"}
        states, script = [], ["set -e"]
        for text in "".join(self.blocks("sh", "Guide")).splitlines():
            plain = re.sub(r"\s+#.*", "", text)
            if plain in steps and not steps[plain]:
                continue
            script.append(steps.pop(plain, plain) + (" || [ $? = 1 ]" if plain == "mcpwall status" else ""))
            if plain.startswith(("mcpwall init", "mcpwall wrap")):
                script.append(f"cat {shlex.quote(cursor)} {shlex.quote(claude)} 2>&1 || true; echo ====")
        self.assertEqual(set(steps), {"sudo cp mcpwall.py /opt/"})
        done = subprocess.run(["sh", "-c", "\n".join(script)], cwd=self.project, env=self.environ, capture_output=True)
        said = done.stdout.decode()
        self.assertEqual(done.returncode, 0, said + done.stderr.decode())
        states = said.split("====")
        self.assertIn('"--server-name", "fs", "--", "npx"', states[0])
        self.assertIn("hook --host claude-code", states[1])
        self.assertIn("2 passed, 0 failed", said)
        with open(cursor, encoding="utf-8") as stream:
            self.assertEqual(stream.read(), servers)
        self.assertFalse(os.path.exists(claude))

    def test_every_option_that_is_named_is_one_of_its_verb(self) -> None:
        verbs = "|".join(mcpwall.VERBS)
        named = re.findall(rf"\bmcpwall ({verbs})\b([^`\n#]*)", self.text) + re.findall(rf"(?m)^\| `({verbs})\b((?:[^`\n]|` `)*)`", self.text)
        helps = {verb: self.run_here(verb, "--help").stdout.decode() for verb in mcpwall.VERBS}
        self.assertGreater(len(named), 50)
        for verb, rest in named:
            for option in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", rest):
                self.assertRegex(helps[verb], rf"(?<![\w-]){option}\b", (verb, rest))

    def test_an_entry_by_hand_is_the_old_one_behind_the_wall(self) -> None:
        rows = next(block for block in self.blocks("jsonc") if "// after" in block).splitlines()
        at = rows[0].index("// after")
        before, after = (json.loads("\n".join(row[cut] for row in rows[1:]))["mcpServers"]["fs"] for cut in (slice(at), slice(at, None)))
        self.assertEqual(after, {"command": "python3",
                                 "args": ["/opt/mcpwall.py", "--server-name", "fs", "--", before["command"], *before["args"]]})
        other = next(block for block in self.blocks("jsonc") if '"servers"' in block)
        entry = json.loads(re.sub(r"(?m)^//.*", "", other))["servers"]["gh"]
        self.assertEqual((entry["command"], entry["args"][:4]), ("python3", ["/opt/mcpwall.py", "--server-name", "gh", "--"]))

    def test_what_default_refuses_is_refused(self) -> None:
        calls = {
            "cookies": ("read_file", {"path": "~/.mozilla/firefox/a.default/cookies.sqlite"}), "a wallet": ("read_file", {"path": "~/.bitcoin/wallet.dat"}),
            "writing `~/.bashrc`": ("write_file", {"path": "~/.bashrc", "content": "x"}), "a token": ("post", {"text": "ghp_" + "x7Kd2QmZt9Wb4LsV" + "c8RyN1fHj6PaE3uGo5Tk"}),
            "a placeholder": ("post", {"text": "token=YOUR_TOKEN"}), "`8.8.8.8; curl …`": ("ping", {"host": "8.8.8.8; curl https://x.example/a"}),
            "`8.8.8.8`": ("ping", {"host": "8.8.8.8"}), "`--output=…`": ("git_checkout", {"branch": "--output=/tmp/x"}), "`main`": ("git_checkout", {"branch": "main"}),
            "`delete_namespace`": ("delete_namespace", {"name": "prod"}), "a container that": ("run_container", {"image": "alpine", "volumes": ["/:/host"]}),
            "`delete_file`": ("delete_file", {"path": "src/a.py"}), "a container with": ("run_container", {"image": "alpine", "ports": ["80:80"]})}
        table = self.text.partition("## What `default` refuses")[2].partition("\n#")[0]
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in table.splitlines() if row.startswith("| ")][1:]
        wall, tried = mcpwall.Wall(mcpwall.builtin_policy("default")), 0
        for what, refused, allowed in rows:
            if "in answers" in what or "definitions" in what:
                continue
            for cell, honest in ((refused, False), (allowed, True)):
                for part in re.findall(r"(?:[^,`]|`[^`]*`)+", cell):
                    given = next((call for words, call in calls.items() if words in part), None)
                    text = re.search(r"`([^`]*)`", part)
                    if given is None:
                        self.assertIsNotNone(text, part)
                        word = text[1].replace("\\|", "|")
                        given = (("fetch", {"url": word}) if word.startswith("http") else ("query", {"sql": word}) if re.match("DROP|SELECT", word)
                                 else ("read_file", {"path": word}) if re.match(r"[~.]", word) else ("run_command", {"command": word}))
                    action = wall.check_call(*given).action
                    self.assertEqual(action in ("allow", "log_only"), honest, (part, given, action))
                    self.assertTrue(honest or (action == "ask") == ("asked about" in what), (part, action))
                    tried += 1
        self.assertGreater(tried, 35)

    def test_the_example_of_embedding_runs(self) -> None:
        self.write("policy.yml", "version: 1\nextends: default\n")
        names: dict = {}
        before = os.getcwd()
        os.chdir(self.project)
        try:
            exec(self.blocks("python")[0], names)
        finally:
            os.chdir(before)
        self.assertEqual((names["decision"].action, names["decision"].rule), ("deny", "block-ssh-keys"))
        self.assertIsInstance(names["effect"], (mcpwall.Send, mcpwall.Record, mcpwall.Note))

    def test_the_examples_in_policies_pass(self) -> None:
        for under in ("Write your own policy", "Examples in a policy"):
            self.write("mine.yml", self.blocks("yaml", under)[0])
            done = self.run_here("test", "mine.yml")
            self.assertEqual(done.returncode, 0, done.stdout.decode())
        given = ("run_command", {"command": "rm -rf /srv/build"})
        self.assertEqual(mcpwall.Wall(mcpwall.builtin_policy("default")).check_call(*given).action, "deny")
        path = self.write("mine.yml", self.blocks("yaml", "Allow an honest call by hand")[0])
        wall = mcpwall.Wall(mcpwall.load_policy(config=path))
        self.assertEqual(wall.check_call(*given).action, "allow")
        self.assertEqual(wall.check_call("run_command", {"command": "rm -rf /srv/build /srv/www"}).action, "deny")

    def test_every_key_is_described(self) -> None:
        words = [*mcpwall.Settings._fields, *mcpwall.TOP_KEYS, *mcpwall.RULE_KEYS, *mcpwall.MATCH_KEYS, *mcpwall.OUTBOUND_MATCH_KEYS,
                 *mcpwall.MATCHER_WORDS, *mcpwall.COMMAND_CATEGORIES, *mcpwall.INJECTION_KINDS, *mcpwall.REQUEST_ACTIONS,
                 *mcpwall.RESPONSE_ACTIONS, "_any_value", "_any_key"]
        for word in words:
            self.assertRegex(self.text, rf"`[^`\n]*\b{re.escape(word)}\b[^`\n]*`", word)
        for name in mcpwall.BUILTIN_NAMES:
            self.assertIn(f"`{name}`", self.text)

    def test_defaults_are_as_described(self) -> None:
        for key, value in mcpwall.Settings._field_defaults.items():
            shown = "working directory" if value is None else "`true`" if value is True else "`false`" if value is False else f"`{value}`"
            self.assertRegex(self.text, rf"(?m)^\| `{key}` \| {re.escape(shown)} \|")

    def test_the_policy_language_is_that_of_its_checks(self) -> None:
        """Whatever a mistake is told to use instead stands in the row of that key."""
        def told(policy: dict) -> list[str]:
            try:
                mcpwall.parse_policy(json.dumps({"version": 1, **policy}), "policy.json")
            except mcpwall.PolicyError as fault:
                found = re.search(r"; (?:use|write) ([\w, ]+)$", str(fault))
                return re.split(r", | or ", found[1]) if found and "a " not in found[1] else []
            return []

        def rule(match: dict) -> dict:
            return {"rules": [{"name": "x", "match": {"arguments": {"_any_value": match}}, "action": "deny"}]}

        wanted = {key: told({"settings": {key: "nope"}}) for key in mcpwall.Settings._fields}
        wanted.update({word: told(rule({word: "no pe", **({"path": "x"} if word == "access" else {})}))
                       for word in ("command", "danger", "address", "sql", "access")})
        for key in ("injection", "asks", "direction"):
            wanted[key] = told({"outbound_rules": [{"name": "x", "match": {key: "no pe"}, "action": "deny"}]})
        self.assertGreater(sum(map(len, wanted.values())), 75, wanted)
        for key, values in wanted.items():
            row = re.search(rf"(?m)^\| `{key}` \|.*", self.text)
            self.assertIsNotNone(row, key)
            for value in values:
                self.assertIn(f"`{value}`", row[0] + ("`true` `false`" if value in ("true", "false") else ""), key)

    def test_limits_are_as_described(self) -> None:
        table = self.text.partition("\n### Limits\n")[2].partition("\n#")[0]
        for name in ("DEPTH", "CONTAINER_MARKS", "INTEGER_DIGITS", "NAME_CHARS", "BATCH", "PENDING", "HELD", "REFUSED", "GRANTED", "LIMITS_CALLS",
                     "TOOLS", "TASKS", "SHELL_SOURCE", "SHELL_STEPS", "SECRET_VALUES", "SECRET_VALUE_CHARS", "RULES", "REGEX_LENGTH",
                     "GLOB_ALTERNATIVES"):
            self.assertRegex(table, rf"\b{getattr(mcpwall, 'MAX_' + name):,}\b", name)
        for name in ("HELD_BYTES", "POLICY_BYTES", "CHECK_BYTES", "CONFIG_BYTES"):
            self.assertIn(f"{getattr(mcpwall, 'MAX_' + name) >> 20} MiB", table, name)

    def test_links_lead_somewhere(self) -> None:
        headings = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"(?m)^#+ (.*)", self.text)}
        for anchor in re.findall(r"\]\(#([^)]*)\)", self.text):
            self.assertIn(anchor, headings)
        for path in re.findall(r"`(\.github/\S+|default_rules\.json)`", self.text):
            self.assertTrue(os.path.exists(os.path.join(ROOT, path)), path)

    def test_the_command_line_is_that_of_help(self) -> None:
        verbs = mcpwall.help_text().partition("each with --help:\n\n")[2].partition("\n\nOptions")[0]
        self.assertIn("\n".join(line[2:] for line in verbs.split("\n")), self.text)

    def test_every_host_is_named(self) -> None:
        words = re.sub(r"[^a-z]", "", self.text.partition("finds local servers")[2].partition("asks which")[0].lower())
        for client in mcpwall.known_clients():
            self.assertIn(client.removeprefix("claude-").replace("-", ""), words)

    def test_the_example_policy_loads(self) -> None:
        for text in re.findall(r"```yaml\n(.*?)```", self.text, re.DOTALL):
            mcpwall.compile_policy([mcpwall.parse_policy(text, "readme.yml")], mcpwall.default_path_context(), "readme")

    def test_the_changelog_is_grouped_and_says_things_once(self) -> None:
        with open(os.path.join(ROOT, "CHANGELOG.md"), encoding="utf-8") as stream:
            part = re.split(r"(?m)^## ", stream.read())[1]
        self.assertEqual(re.findall(r"(?m)^### (.*)", part), ["Added", "Changed", "Fixed", "Security"])
        spans = re.findall(r"`([^`]{16,})`", re.sub(r"\s+", " ", part))
        self.assertEqual(sorted({span for span in spans if spans.count(span) > 1 and not span.startswith(("mcpwall ", "block-"))}), [])

    def test_what_to_add_where_is_there(self) -> None:
        part = self.text.partition("### How to contribute")[2]
        with open(os.path.join(ROOT, "mcpwall.py"), encoding="utf-8") as stream:
            source = stream.read()
        for name in re.findall(r"(?m)^\| [^|]* \| `([A-Z_]+)`:", part):
            self.assertRegex(source, rf"(?m)^{name} = ")
        self.assertIn("\nstdbuf | e:i:o: ", source)
        self.assertIn("\ncursor | user | mcpServers | ~/.cursor/mcp.json\n", source)
        for path in (*re.findall(r"`(tests/[\w/.]+)`", part), *(f"tests/{name}.py" for name in re.findall(r"tests\.(\w+)", part))):
            self.assertTrue(os.path.exists(os.path.join(ROOT, path)), path)
        with open(os.path.join(ROOT, "Makefile"), encoding="utf-8") as stream:
            targets = re.findall(r"(?m)^([a-z]+):", stream.read())
        for target in re.findall(r"(?m)(?:^|`)make ([a-z]+)", self.text):
            self.assertIn(target, targets)

    @unittest.skipIf(os.name == "nt", "it shows paths of a POSIX system")
    def test_the_picture_is_that_of_the_demo(self) -> None:
        with mock.patch.dict(os.environ, {"PYTHONPATH": TOP, "COLUMNS": "80"}):
            drawn = picture.picture(picture.shown(WALL))
        with open(os.path.join(ROOT, ".github", "demo.svg"), encoding="utf-8") as stream:
            self.assertEqual(stream.read(), drawn, "draw it again: python3 tests/picture.py")

    def test_public_names_are_named(self) -> None:
        named = set(re.findall(r"`(\w+)`", self.text.partition("The public names are in")[2].partition("\n\n")[0]))
        self.assertEqual(named, set(mcpwall.__all__))
        for name in mcpwall.__all__:
            self.assertTrue(hasattr(mcpwall, name), name)
            self.assertTrue(getattr(mcpwall, name).__doc__ if name.isidentifier() and not name.isupper() else True, name)


if __name__ == "__main__":
    unittest.main()
