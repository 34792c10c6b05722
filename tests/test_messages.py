"""Strict JSON, the order of strings, envelopes."""
from __future__ import annotations

import json
import random
import unittest

from tests.support import mcpwall, seed


class StrictJson(unittest.TestCase):
    REFUSED = ("", " ", "NaN", "-Infinity", '{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"x":[{"b":1,"b":1}]}', "[1,]", "{'a':1}", "01", "+1",
               ".5", "1.", "[1]x", "[1] [2]", "\ufeff[]", "\x0b1", "\x85[]", '"\x01"', '"\\ud800"', '{"\\udc00":1}', '"\\x"', "tru",
               "[" * 257 + "]" * 257, "7" * 5000, "// c\n1", "1 // c")
    TAKEN = ("1", " [1] \r\n", '"\u2028\x7f"', '"\\ud83d\\ude00"', "-0", "1e400", "9007199254740993", "[" * 256 + "]" * 256, '{"":{"":1}}', "7" * 4300)

    def test_refused(self) -> None:
        for text in self.REFUSED:
            with self.assertRaises(mcpwall.MessageError, msg=text[:40]):
                mcpwall.load_json(text)

    def test_taken_with_the_value_of_json(self) -> None:
        for text in self.TAKEN:
            self.assertEqual(mcpwall.load_json(text), json.loads(text), text[:40])

    def test_a_flood_of_values_is_refused_before_it_is_built(self) -> None:
        with self.assertRaisesRegex(mcpwall.MessageError, "two million"):
            mcpwall.load_json("[" + "1," * 2_000_001 + "1]")


class Strings(unittest.TestCase):
    def test_document_order_and_names(self) -> None:
        value = json.loads('{"a":"1","b":{"c":["2",{"d":"3"}]},"e":5}')
        texts, names = mcpwall.strings_of(value)
        self.assertEqual(texts, ["a", "1", "b", "c", "2", "d", "3", "e"])
        self.assertEqual(names, [None, "a", None, None, "c", None, "d", None])

    def test_paths_belong_to_ordinals_property(self) -> None:
        number = seed()
        rng = random.Random(number)

        def value(depth: int) -> object:
            kind = rng.randrange(6 if depth else 3)
            return "s" if kind == 0 else 1 if kind == 1 else None if kind == 2 else \
                [value(depth - 1) for _ in range(rng.randrange(4))] if kind == 3 else \
                {f"k{n}": value(depth - 1) for n in range(rng.randrange(4))}
        for _ in range(200):
            root = {"root": value(4)}
            texts, names = mcpwall.strings_of(root)
            for ordinal, (text, name) in enumerate(zip(texts, names)):
                node = root
                path = mcpwall.paths_of(root, (ordinal,))[ordinal]
                for step in path:
                    node = node[step]
                if name is None:
                    self.assertEqual(path[-1], text, f"MCPWALL_SEED={number}")
                else:
                    self.assertEqual(node, text, f"MCPWALL_SEED={number}")

    def test_pointer_escapes(self) -> None:
        self.assertEqual(mcpwall.pointer(("a/b", 0, "~")), "/a~1b/0/~0")

    def test_printable(self) -> None:
        self.assertEqual(mcpwall.printable("a\x1b[2J\u202eb\n"), "a\\x1b[2J\\u202eb\\n")
        self.assertEqual(mcpwall.printable("a\u3164\ufe0fб"), "a\\u3164\\ufe0fб")
        self.assertEqual(len(mcpwall.printable("x" * 500)), 200)

    def test_a_name_that_is_no_string_where_names_mean_nothing(self) -> None:
        for name in ({}, [], 5, None):
            body = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": "u", "name": name}}
            self.assertEqual(mcpwall.message_kind(body, "client"), "request")


class Names(unittest.TestCase):
    def test_names_of_servers(self) -> None:
        for command, name in (("npx -y @modelcontextprotocol/server-filesystem /tmp", "filesystem"), ("uvx mcp-server-git", "git"),
                              ("python3 -m mcp_server_time", "time"), ("/usr/bin/node /opt/x/github-mcp-server/index.js", "index"),
                              ("cmd /c npx -y foo-mcp@1.2.3", "foo"), ("docker run -i --rm mcp/fetch", "fetch"), ("python3", "python3")):
            self.assertEqual(mcpwall.server_name_of(command.split()), name, command)


if __name__ == "__main__":
    unittest.main()
