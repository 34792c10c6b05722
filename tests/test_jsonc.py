"""JSON and JSONC with places: values as `json` reads them, spans that are exact, errors that say where."""
from __future__ import annotations

import json
import os
import random
import time
import unittest
from typing import Any

from tests.support import ENDS_S, mcpwall

FUZZ_SECONDS = float(os.environ.get("MCPWALL_FUZZ", "0.3"))


class Values(unittest.TestCase):
    def test_strict_json(self) -> None:
        for text in ('{}', '[]', '"x"', '0', '-0', '1e5', '-1.25E-3', 'true', 'false', 'null', ' [ ] ', '"\\u00e9\\n\\/"',
                     '{"a": {"b": [1, [2, {}]]}, "c": "d"}', '\r\n\t{"a" :\n1 }\n', '"\u2028"', '"\\ud83d\\ude00"', '"\\ud83d"'):
            for comments in (False, True):
                with self.subTest(text=text, comments=comments):
                    self.assertEqual(mcpwall.parse_jsonc(text, comments).value, json.loads(text))

    def test_comments_and_trailing_commas(self) -> None:
        text = '\ufeff// a\r\n{ /* b */ "k" /**/ : // c\n [1, 2, /* d */ ], "u": "http://x/*", } // end'
        self.assertEqual(mcpwall.parse_jsonc(text).value, {"k": [1, 2], "u": "http://x/*"})
        for strict in ('// a\n1', '1 /* b */', '[1,]', '{"a": 1,}', '\ufeff\ufeff1'):
            with self.subTest(strict=strict), self.assertRaises(mcpwall.PolicyError):
                mcpwall.parse_jsonc(strict, comments=False)
        self.assertEqual(mcpwall.parse_jsonc("\ufeff1", comments=False).value, 1)

    def test_refusals_say_where(self) -> None:
        for text, line, column, words in (
                ("", 1, 1, "ends here"), ("\ufeff", 1, 1, "ends here"), (" \n ", 2, 2, "ends here"), ("{", 1, 2, "ends here"),
                ('{"a": 1\n "b": 2}', 2, 2, "expected `,` or `}`"), ('[1 2]', 1, 4, "expected `,` or `]`"),
                ('{a: 1}', 1, 2, "double quotes"), ("{'a': 1}", 1, 2, "double quotes"), ('{"a" 1}', 1, 6, "expected `:`"),
                ('[,]', 1, 2, "expected a value"), ('{,}', 1, 2, "double quotes"), ('[1,,2]', 1, 4, "expected a value"),
                ('01', 1, 1, "expected a value"), ('1.', 1, 1, "expected a value"), ('.5', 1, 1, "expected a value"),
                ('+1', 1, 1, "expected a value"), ('0x1', 1, 1, "expected a value"), ('NaN', 1, 1, "expected a value"),
                ('[Infinity]', 1, 2, "expected a value"), ('truex', 1, 1, "expected a value"), ('True', 1, 1, "expected a value"),
                ('1é', 1, 1, "expected a value"), ('1 2', 1, 3, "follows"), ('{} }', 1, 4, "follows"), ('[1]/', 1, 4, "follows"),
                ('\n "ab', 2, 2, "no end"), ('"a\nb"', 1, 3, "control character"), ('"\\x41"', 1, 2, "escape"),
                ('"\\u12"', 1, 3, "escape"), ('/* a', 1, 1, "no end"), ('[1, /* a', 1, 5, "no end"),
                ('/', 1, 1, "expected a value"),
                ('1e999', 1, 1, "too large"), ("1" * 5000, 1, 1, "too large"), ("[" * 300, 1, 257, "deeper"),
                ('\ufeff{"é": x}', 1, 7, "expected a value"), ('# a\n1', 1, 1, "expected a value"),
                ('\u00a01', 1, 1, "expected a")):
            with self.subTest(text=text[:40]):
                with self.assertRaises(mcpwall.PolicyError) as caught:
                    mcpwall.parse_jsonc(text)
                fault = caught.exception
                self.assertEqual((fault.line, fault.column), (line, column))
                self.assertIn(words, fault.problem)
                self.assertEqual(str(fault.located("f.json"))[:len(f"f.json:{line}:{column}: ")], f"f.json:{line}:{column}: ")

    def test_the_deepest_that_is_read(self) -> None:
        self.assertEqual(mcpwall.parse_jsonc("[" * 256 + "]" * 256).end, 512)
        mcpwall.parse_jsonc('{"a":' * 256 + "1" + "}" * 256)
        with self.assertRaises(mcpwall.PolicyError):
            mcpwall.parse_jsonc('{"a":' * 257 + "1" + "}" * 257)


class Places(unittest.TestCase):
    TEXT = '{\n "a": [10,\n  {"b": null}],\n // c\n "c/d~": "x",\n "a": 2\n}'

    def test_spans_are_the_source(self) -> None:
        node = mcpwall.parse_jsonc(self.TEXT)
        self.assertEqual([(self.TEXT[m.key_start:m.key_end], self.TEXT[m.node.start:m.node.end]) for m in node.members],
                         [('"a"', '[10,\n  {"b": null}]'), ('"c/d~"', '"x"'), ('"a"', "2")])
        self.assertEqual([self.TEXT[n.start:n.end] for n in node.members[0].node.members], ["10", '{"b": null}'])
        self.assertIsNone(node.members[1].node.members)

    def test_names_that_occur_twice(self) -> None:
        node = mcpwall.parse_jsonc(self.TEXT)
        self.assertEqual(node.value, {"a": 2, "c/d~": "x"})
        self.assertEqual([(member.key, mcpwall.line_and_column(self.TEXT, member.key_start)) for member in node.members],
                         [("a", (2, 2)), ("c/d~", (5, 2)), ("a", (6, 2))])

    def test_lines(self) -> None:
        self.assertEqual(mcpwall.node_lines(self.TEXT, mcpwall.parse_jsonc(self.TEXT)),
                         {"": 1, "/a": 6, "/a/0": 2, "/a/1": 3, "/a/1/b": 3, "/c~1d~0": 5})

    def test_long_names_do_not_multiply(self) -> None:
        text = '{"' + "k" * 100_000 + '": {"v": [' + "1," * 50_000 + "1]}}"
        self.assertEqual(mcpwall.node_lines(text, mcpwall.parse_jsonc(text)), {"": 1})


class Ways(unittest.TestCase):
    def test_what_is_not_on_the_way_is_its_source(self) -> None:
        text = '{"a": {"b": [1, {"c": 2}], "d": [3]}, "e": {"b": "x"}, "f": 1}'
        self.assertEqual(mcpwall.parse_jsonc(text, True, [("a", "b")]).value,
                         {"a": {"b": [1, {"c": 2}], "d": "[3]"}, "e": '{"b": "x"}', "f": "1"})
        node = mcpwall.parse_jsonc(text, True, [("*", "b"), ("a", "b", 1)])
        self.assertEqual(node.value, {"a": {"b": [1, {"c": 2}], "d": "[3]"}, "e": {"b": "x"}, "f": 1})
        self.assertEqual([text[m.node.start:m.node.end] for m in node.members[0].node.members],
                         ['[1, {"c": 2}]', "[3]"])
        self.assertEqual(mcpwall.parse_jsonc("[[1], [2]]", True, [(1,)]).value, ["[1]", [2]])

    def test_all_of_it_is_checked(self) -> None:
        for rest in ("[1 2]", "NaN", "[1, Infinity]", "-Infinity", "01", "1.", "1e999", "truex", '"a\nb"', '"\\x"', "{a: 1}",
                     "[1,]]",
                     "1" * 5000, "[" * 300 + "]" * 300 + "x", "[" * 100_000, '"', "", "/* x"):
            for text in ('{"w": 1, "r": ' + rest + "}", '{"r": ' + rest + ', "w": 1}'):
                with self.subTest(text=text[:40]), self.assertRaises(mcpwall.PolicyError):
                    mcpwall.parse_jsonc(text, True, [("w",)])

    def test_comments_are_walked(self) -> None:
        text = '{"r": [1, /* ] */ {"x": 2,},], // }\n "w": {"y": 1}}'
        self.assertEqual(mcpwall.parse_jsonc(text, True, [("w",)]).value, {"r": [1, {"x": 2}], "w": {"y": 1}})


class Generated(unittest.TestCase):
    def setUp(self) -> None:
        self.seed = random.randrange(1 << 32)
        self.dice = random.Random(self.seed)

    def value(self, depth: int = 0) -> Any:
        pick = self.dice.randrange(8 if depth < 4 else 6)
        if pick < 6:
            return [None, True, -7, 2.5e-3, "é\U0001f600\\\"/\n", "// no /* comment"][pick]
        items = [self.value(depth + 1) for _ in range(self.dice.randrange(4))]
        return items if pick == 6 else {f"k{i}\u0416": item for i, item in enumerate(items)}

    def test_any_value_in_any_spelling(self) -> None:
        end = time.monotonic() + FUZZ_SECONDS
        while time.monotonic() < end:
            value = self.value()
            text = json.dumps(value, ensure_ascii=self.dice.random() < .5, indent=self.dice.choice([None, 0, 3]))
            for comments in (False, True):
                node = mcpwall.parse_jsonc(text, comments)
                self.assertEqual((node.value, node.start, node.end), (value, 0, len(text)), self.seed)
            self.check_spans(text, node)

    def check_spans(self, text: str, node: mcpwall.Node) -> None:
        self.assertEqual(json.loads(text[node.start:node.end]), node.value, self.seed)
        for child in node.members or ():
            if isinstance(child, mcpwall.Member):
                self.assertEqual(json.loads(text[child.key_start:child.key_end]), child.key)
                child = child.node
            self.check_spans(text, child)

    @staticmethod
    def finite(lexeme: str) -> float:
        """1e511 is refused, since in a configuration nobody means infinity."""
        number = float(lexeme)
        if number in (float("inf"), float("-inf")):
            raise ValueError(lexeme)
        return number

    def test_rubbish_is_refused_or_read_as_json_reads_it(self) -> None:
        alphabet = ['{', '}', '[', ']', ',', ':', '"', '\\', '"a"', '1', '-', 'e5', 'true', ' ', '\n', '/', '//', '/*', '*/',
                    '\ufeff', 'é', '\\u0061', '.0']
        end = time.monotonic() + FUZZ_SECONDS
        while time.monotonic() < end:
            text = "".join(self.dice.choice(alphabet) for _ in range(self.dice.randrange(12)))
            try:
                mcpwall.parse_jsonc(text)
            except mcpwall.PolicyError:
                pass
            try:
                ours: Any = mcpwall.parse_jsonc(text, comments=False).value
            except mcpwall.PolicyError:
                ours = "refused"
            try:
                theirs: Any = json.loads(text[1:] if text.startswith("\ufeff") else text, parse_float=self.finite)
            except ValueError:
                theirs = "refused"
            self.assertEqual(ours, theirs, (self.seed, text))


class Hostile(unittest.TestCase):
    def test_large_and_odd_texts_take_linear_time(self) -> None:
        for unit, count in (('"\\', 1_000_000), ("/**/", 300_000), ("//\n", 300_000), ("[", 1_000_000), ("/*", 1_000_000),
                            (" ", 4_000_000), ("1", 4_000_000), ('{"a":', 500_000), ("[1,/*", 300_000), ("[],", 1_000_000)):
            start = time.process_time()
            with self.assertRaises(mcpwall.PolicyError):
                mcpwall.parse_jsonc(unit * count)
            self.assertLess(time.process_time() - start, ENDS_S, unit)

    def test_limits(self) -> None:
        with self.assertRaises(mcpwall.PolicyError):
            mcpwall.parse_jsonc(" " * (mcpwall.MAX_SOURCE_CHARS + 1))
        limit, mcpwall.MAX_SOURCE_VALUES = mcpwall.MAX_SOURCE_VALUES, 100
        self.addCleanup(setattr, mcpwall, "MAX_SOURCE_VALUES", limit)
        mcpwall.parse_jsonc("[" + "1," * 98 + "1]")
        with self.assertRaises(mcpwall.PolicyError):
            mcpwall.parse_jsonc("[" + "1," * 100 + "1]")


if __name__ == "__main__":
    unittest.main()
