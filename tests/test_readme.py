"""The README's transcripts are run again, and what it says about keys and limits is held against the module."""
from __future__ import annotations

import os
import re
import shlex
import subprocess
import unittest

from tests.support import WALL, InEmptyHome, mcpwall

ROOT = os.path.dirname(os.path.abspath(mcpwall.__file__))
README = os.path.join(ROOT, "README.md")


@unittest.skipUnless(os.path.exists(README), "the module stands alone")
class Readme(InEmptyHome):
    def setUp(self) -> None:
        super().setUp()
        with open(README, encoding="utf-8") as stream:
            self.text = stream.read()

    def test_transcripts_are_what_comes_out(self) -> None:
        blocks = re.findall(r"```console\n(.*?)```", self.text, re.DOTALL)
        self.assertTrue(blocks)
        for block in blocks:
            for part in re.split(r"(?m)^\$ ", block)[1:]:
                command, _, expected = part.partition("\n")
                words = shlex.split(command)
                self.assertEqual(words[:2], ["python3", "mcpwall.py"])
                done = subprocess.run([*WALL, *words[2:]], cwd=self.project,
                                      env={**self.environ, "PYTHONIOENCODING": "utf-8"}, capture_output=True)
                self.assertEqual(done.stdout.decode() + done.stderr.decode(), expected, command)

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

    def test_public_names_are_named(self) -> None:
        for name in mcpwall.__all__:
            self.assertTrue(hasattr(mcpwall, name), name)
            self.assertTrue(getattr(mcpwall, name).__doc__ if name.isidentifier() and not name.isupper() else True, name)


if __name__ == "__main__":
    unittest.main()
