"""Strict JSON, the order of strings, envelopes."""
from __future__ import annotations

import base64
import json
import random
import unittest
from typing import Any

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

    def test_a_name_that_occurs_twice_among_many_objects_is_found_property(self) -> None:
        rng = random.Random(seed())
        words = ("a", "b:", ":", '"', "\\", '\\":', "c\n", "", "\u00e9:", "{", '":', "[,]")
        for _ in range(50):
            objects = [[(rng.choice(words) + str(number), rng.choice((rng.choice(words), 1, None, "x:" * 5, [rng.choice(words)])))
                        for number in range(rng.randrange(3))] for _ in range(300)]
            twice = rng.random() < .5
            if twice:
                pairs = objects[rng.randrange(300)]
                pairs += [("n:", 1)] * 2
                rng.shuffle(pairs)
            raws = ["{" + ", ".join(f"{json.dumps(key)}{rng.choice(('', ' '))}: {json.dumps(value)}" for key, value in pairs) + "}"
                    for pairs in objects]
            text = f'[{rng.choice((",", " , ")).join(raws)}]'
            if twice:
                with self.assertRaisesRegex(mcpwall.MessageError, "twice"):
                    mcpwall.load_json(text)
            else:
                self.assertEqual(mcpwall.load_json(text), json.loads(text))

    def test_depth_is_found_among_many_objects(self) -> None:
        many, limit = "[" + '{"a":1},' * 300 + "%s]", mcpwall.MAX_DEPTH
        mcpwall.load_json(many % ("[" * (limit - 1) + "]" * (limit - 1)))
        for text, why in (("[" * limit + "]" * limit, "nested"), ('{"a":1,"a":2}' + "," + "[" * limit + "]" * limit, "twice"),
                          ("[" * limit + '{"a":1,"a":2}' + "]" * limit, "twice"), ('{"a":1,"a":2},nul', "twice"), ("nul", "not JSON")):
            with self.assertRaisesRegex(mcpwall.MessageError, why):
                mcpwall.load_json(many % text)


def simple_strings(value: Any, name: str = "", path: "tuple[Any, ...]" = ()) -> "list[tuple[str, str | None, tuple[Any, ...]]]":
    """(text, name, path) of every string, one step at a time."""
    if isinstance(value, str):
        return [(value, name, path)]
    if isinstance(value, dict):
        return [row for key, child in value.items()
                for row in [(key, None, (*path, key)), *simple_strings(child, key, (*path, key))]]
    return [row for index, child in enumerate(value) for row in simple_strings(child, name, (*path, index))
            ] if isinstance(value, list) else []


def judged(member: str, items: "list[Any]") -> "list[str]":
    """What is judged of a result with these *items*."""
    body = json.loads(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {member: items}}))
    method = "tasks/list" if member == "tasks" else "tools/call"
    texts: "list[str]" = mcpwall.judged_texts(mcpwall.Message("server", "response", body, "", method, None, "s"))
    return texts


class Strings(unittest.TestCase):
    def test_many_alike_are_read_as_each_alone_property(self) -> None:
        rng = random.Random(seed())

        def item() -> Any:
            return rng.choice((
                lambda: {rng.choice("abc"): rng.choice(("", "x", "y")) for _ in range(rng.randrange(4))},
                lambda: {}, lambda: "text", lambda: {"n": 1, "t": "s"}, lambda: {"l": ["x", {"k": "v"}]}, lambda: [{"q": "r"}] * 70))()

        for _ in range(12):
            kinds = [item() for _ in range(rng.randrange(1, 3))]
            value = {"first": [rng.choice(kinds) for _ in range(rng.choice((3, 70, 5000)))], "then": {"a": [item()] * 65, "b": "c"}}
            rows = simple_strings(value)
            texts, names = mcpwall.strings_of(value)
            self.assertEqual([*zip(texts, names)], [row[:2] for row in rows])
            asked = rng.sample(range(len(rows)), min(len(rows), 20)) + [len(rows) + 5]
            self.assertEqual(mcpwall.paths_of(value, asked), {place: rows[place][2] for place in asked[:-1]})

    def test_media_and_tokens_are_seen_the_same_among_many_property(self) -> None:
        rng = random.Random(seed())
        said = base64.b64encode(b"a text, said in base64").decode()
        items: "list[Any]" = [
            {"type": "image", "data": ""}, {"type": "image", "data": "AAAA"}, {"type": "image", "data": said},
            {"type": "text", "data": said}, {"type": "audio", "data": "no base64!"}, {"blob": "AAAA"}, {"blob": said, "uri": "u"},
            {"taskId": ""}, {"taskId": "task"}, {"taskId": "task", "cursor": "c"}, {"type": "text", "text": "t"},
            {"name": "n", "text": "t"}, {"type": "resource", "resource": {"blob": "AAAA"}}, {"data": "AAAA", "n": 1}]
        for _ in range(30):
            some = rng.sample(items, rng.randrange(1, 3))
            many = [rng.choice(some) for _ in range(rng.choice((64, 100)))]
            for where in ("content", "contents", "tasks", "other"):
                head = len(judged(where, []))
                alone = [text for one in many for text in judged(where, [one])[head:]]
                self.assertEqual(judged(where, many)[head:], alone, (where, some))

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
