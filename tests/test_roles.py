"""What tools do and what their arguments are for: every row of the two tables has samples and near misses."""
from __future__ import annotations

import json
import os
import random
import unittest

from tests.support import mcpwall

with open(os.path.join(os.path.dirname(__file__), "data", "roles.json"), encoding="utf-8") as stream:
    DATA = json.load(stream)
EXCUSES = {"content", "query", "pattern", "exclusion", "choice", "number", "name"}
ACCUSES = {"command", "code", "read", "write", "address"}


def rows(table: str) -> list[tuple[set[str], set[str], set[str]]]:
    """(what it says, words, words of the tool) of each row."""
    found = []
    for line in table.strip().split("\n"):
        says, _, rest = line.partition(": ")
        words, _, tools = rest.partition(" of ")
        found.append((set(says.split()), set(words.split()), set(tools.split())))
    return found


class Tables(unittest.TestCase):
    def test_arguments(self) -> None:
        for tool, name, roles in DATA["arguments"]:
            with self.subTest(tool=tool, name=name):
                self.assertEqual(" ".join(sorted(mcpwall.argument_roles(tool, name))), roles)

    def test_tools(self) -> None:
        for tool, acts in DATA["tools"]:
            with self.subTest(tool=tool):
                self.assertEqual(" ".join(sorted(mcpwall.tool_acts(tool))), acts)

    def test_every_row_has_a_sample(self) -> None:
        names = [set(self.spellings(name)) for _, name, _ in DATA["arguments"]]
        for _, words, _ in rows(mcpwall.ARGUMENT_ROLES):
            self.assertTrue(any(words & spelled for spelled in names), sorted(words))
        tools = {word for tool, _ in DATA["tools"] for word in mcpwall.name_words(tool)}
        for _, words, _ in rows(mcpwall.TOOL_ACTS):
            self.assertTrue(words & tools, sorted(words))

    @staticmethod
    def spellings(name: str) -> list[str]:
        words = mcpwall.name_words(name)
        return ["_".join(words), "*" + "_".join(words[-1:]), "*" + "_".join(words[-2:]), "".join(words[:1]) + "*"]

    def test_no_word_stands_twice_where_the_second_never_counts(self) -> None:
        seen: set[str] = set()
        for _, words, tools in rows(mcpwall.ARGUMENT_ROLES):
            self.assertEqual(seen & words, set())
            seen |= set() if tools else words
        seen.clear()
        for _, words, _ in rows(mcpwall.TOOL_ACTS):
            self.assertEqual(seen & words, set())
            seen |= words


class Roles(unittest.TestCase):
    def test_all_spellings_of_a_name_are_one(self) -> None:
        for spelled in ("outputPath", "output_path", "output-path", "OutputPath", "OUTPUT_PATH", "output.path"):
            self.assertEqual(mcpwall.argument_roles("t", spelled), {"place", "write"}, spelled)

    def test_what_nobody_foresaw_is_accused_of_everything_and_excused_from_nothing(self) -> None:
        for name in ("zork", "", "x1", "\u043f\u0443\u0442\u044c", "a" * 5000):
            self.assertEqual(mcpwall.argument_roles("frobnicate", name), ACCUSES | {"unknown"}, name[:20])

    def test_what_is_no_text_is_a_number_whatever_its_name(self) -> None:
        for value in (1, 1.5, True, False, None):
            self.assertEqual(mcpwall.argument_roles("read_file", "path", value), {"number"})

    def test_a_choice_is_one_only_while_it_is_a_word(self) -> None:
        self.assertEqual(mcpwall.argument_roles("t", "encoding", "utf-8"), {"choice"})
        for value in ("../x", "a b", "x;id", "~/.ssh", ".env", "http://x", "a\nb", "-x y", "x" * 100):
            self.assertIn("unknown", mcpwall.argument_roles("t", "encoding", value), value)

    def test_random_names_are_excused_or_accused(self) -> None:
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        words = [word.strip("*") for _, words, _ in rows(mcpwall.ARGUMENT_ROLES) for word in words] + ["x", "", "\u00df", "9"]
        for _ in range(2000):
            name = rng.choice(("_", "-", "", " ")).join(rng.choice(words) for _ in range(rng.randrange(4)))
            tool = "_".join(rng.choice(words) for _ in range(rng.randrange(3)))
            roles = mcpwall.argument_roles(tool, name)
            self.assertTrue(roles & (EXCUSES | ACCUSES | {"credential"}), (seed, tool, name))
            self.assertFalse("place" in roles and not roles & {"read", "write"}, (seed, tool, name))
            self.assertFalse("unknown" in roles and roles & EXCUSES, (seed, tool, name))


if __name__ == "__main__":
    unittest.main()
