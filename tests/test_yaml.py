"""The YAML subset: exact values or a refusal with line and column, linear time, and what `to_yaml` writes."""
import json
import math
import os
import random
import sys
import time
import unittest

from tests.support import ENDS_S, mcpwall
from mcpwall import PolicyError, parse_yaml, to_yaml, yaml_lines

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "data", "yaml_cases.json"), encoding="utf-8") as file:
    CASES = json.load(file)


def exact(value):
    """*value* in a form that tells 1 from 1.0 and True, -0.0 from 0.0, and one order of keys from another."""
    if isinstance(value, dict):
        return "map", [(exact(key), exact(item)) for key, item in value.items()]
    if isinstance(value, list):
        return "list", [exact(item) for item in value]
    return type(value).__name__, repr(value)


def refusal(text):
    """The PolicyError for *text*; None when it is read."""
    try:
        parse_yaml(text, "p.yml")
    except PolicyError as error:
        return error
    return None


class Reading(unittest.TestCase):
    def test_documents_give_exactly_this_value(self):
        for text, value in CASES["read"]:
            with self.subTest(text=text):
                self.assertEqual(exact(parse_yaml(text)), exact(value))

    def test_line_ends_and_marks_do_not_change_the_value(self):
        for text, value in CASES["read"]:
            if "\r" in text or text.startswith("\ufeff"):
                continue
            with self.subTest(text=text):
                self.assertEqual(exact(parse_yaml(text.replace("\n", "\r\n"))), exact(value))
                self.assertEqual(exact(parse_yaml("\ufeff" + text)), exact(value))

    def test_a_document_below_a_key_or_in_a_list_keeps_its_value(self):
        """Indentation does not count: block text of the top level and document markers are left out."""
        for text, value in CASES["read"]:
            if text[:1] in "|>\ufeff" or "---" in text or "..." in text or "\r" in text or "\\" in text:
                continue
            text = text if text.endswith("\n") else text + "\n"
            below = "".join("   " + line + "\n" if line else "\n" for line in text[:-1].split("\n"))
            with self.subTest(text=text):
                self.assertEqual(exact(parse_yaml("k:\n" + below)), exact({"k": value}))
                self.assertEqual(exact(parse_yaml("-\n" + below + "- z\n")), exact([value, "z"]))

    def test_floats_that_json_cannot_write(self):
        for text, value in ((".inf", math.inf), (".Inf", math.inf), ("+.INF", math.inf), ("-.inf", -math.inf),
                            ("1e400", math.inf), ("-0.0", -0.0), ("-0e0", -0.0)):
            self.assertEqual(repr(parse_yaml(text)), repr(value), text)
        for text in (".nan", ".NaN", ".NAN"):
            self.assertTrue(math.isnan(parse_yaml(text)), text)
        self.assertEqual(exact(parse_yaml("-0")), ("int", "0"))

    def test_the_longest_numbers_and_keys_and_the_deepest_nesting(self):
        self.assertEqual(parse_yaml("9" * 4300), int("9" * 4300))
        self.assertEqual(parse_yaml("k" * 1024 + ": 1"), {"k" * 1024: 1})
        for text in ("[" * 100 + "]" * 100, "- " * 100 + "x", "{a: " * 100 + "1" + "}" * 100,
                     "".join(" " * depth + "a:\n" for depth in range(100)) + " " * 100 + "x"):
            self.assertIsNone(refusal(text), text[:20])
            deeper = "[" + text + "]" if text[0] == "[" else "- " + text.replace("\n", "\n  ")
            self.assertIsNotNone(refusal(deeper), text[:20])

    def test_a_policy_written_by_hand(self):
        text = (
            "version: 1                      # no web after client data\n"
            "extends: company-laptop\nwithout: [block-package-install]\nrules:\n"
            "  - name: fixture-keys-are-fake\n"
            "    match: {server: filesystem, tool: read_*,\n"
            "      arguments: {path: {under: \"${PROJECT_DIR}/tests\"}}}\n"
            "    action: allow\n\n"
            "  # never\n"
            "  - name: select-only\n"
            "    match: {server: postgres, arguments: {sql: {regex: \"^\\\\s*(SELECT|EXPLAIN)\\\\b\"}}}\n"
            "    unless: {arguments: {sql: {regex: [\";\\\\s*\\\\S\", '\\b(COPY|dblink)\\b']}}}\n"
            "    message: >-\n      Only reading.\n      Ask Ann.\n    action: deny\n")
        self.assertEqual(parse_yaml(text), {
            "version": 1, "extends": "company-laptop", "without": ["block-package-install"], "rules": [
                {"name": "fixture-keys-are-fake", "action": "allow",
                 "match": {"server": "filesystem", "tool": "read_*",
                           "arguments": {"path": {"under": "${PROJECT_DIR}/tests"}}}},
                {"name": "select-only", "message": "Only reading. Ask Ann.", "action": "deny",
                 "match": {"server": "postgres", "arguments": {"sql": {"regex": r"^\s*(SELECT|EXPLAIN)\b"}}},
                 "unless": {"arguments": {"sql": {"regex": [r";\s*\S", r"\b(COPY|dblink)\b"]}}}}]})


class Refusing(unittest.TestCase):
    def test_what_is_not_supported_is_refused_by_name_and_place(self):
        for text, words, line, column in CASES["refused"]:
            with self.subTest(text=text[:80]):
                error = refusal(text)
                self.assertIsNotNone(error, "was read")
                self.assertIn(words, error.problem)
                self.assertEqual((error.file, error.line, error.column), ("p.yml", line, column))

    def test_the_message_names_file_line_and_column(self):
        self.assertEqual(str(refusal("a: 1\nb: &x 2\n")),
                         "p.yml:2:4: anchors are not supported: write the value out; text that starts with & must "
                         "be quoted")

    def test_every_cut_of_a_refused_document_ends_in_a_value_or_a_refusal(self):
        for text, *_ in CASES["refused"] + CASES["read"]:
            for end in range(min(len(text), 60)):
                refusal(text[:end])
                refusal(text[end:end + 60])


class Lines(unittest.TestCase):
    def test_every_value_has_the_line_of_its_key_or_dash(self):
        value, lines = yaml_lines("# c\nrules:\n  - name: a\n    match:\n      'x/y~z': [1,\n"
                                  "        {b: 2}]\n\n  -\n    - q\n")
        self.assertEqual(value, {"rules": [{"name": "a", "match": {"x/y~z": [1, {"b": 2}]}}, ["q"]]})
        self.assertEqual(lines, {
            "": 2, "/rules": 2, "/rules/0": 3, "/rules/0/name": 3, "/rules/0/match": 4,
            "/rules/0/match/x~1y~0z": 5, "/rules/0/match/x~1y~0z/0": 5, "/rules/0/match/x~1y~0z/1": 6, "/rules/0/match/x~1y~0z/1/b": 6,
            "/rules/1": 8, "/rules/1/0": 9})

    def test_there_is_a_line_for_every_pointer_and_no_other(self):
        def pointers(value, at=""):
            yield at
            for step, item in value.items() if isinstance(value, dict) else (
                    enumerate(value) if isinstance(value, list) else ()):
                yield from pointers(item, at + mcpwall.pointer((step,)))
        for text, _ in CASES["read"]:
            value, lines = yaml_lines(text)
            self.assertEqual(set(lines), set(pointers(value)), text)
            self.assertTrue(all(1 <= line <= max(1, len(text.split("\n"))) for line in lines.values()), text)

    def test_long_pointers_of_many_values_do_not_fill_the_memory(self):
        text = "".join(" " * depth + "k" * 1000 + ":\n" for depth in range(99)) + " " * 99
        text += "[" + "1," * 9000 + "]\n"
        value, lines = yaml_lines(text)
        self.assertLess(sum(map(len, lines)), mcpwall.MAX_YAML_POINTERS + 200_000)


def random_value(choose, depth=3):
    """A random JSON-like value, rich in text that looks like something else."""
    kind = choose.random()
    if depth and kind < 0.25:
        return [random_value(choose, depth - 1) for _ in range(choose.randint(0, 4))]
    if depth and kind < 0.5:
        return {random_text(choose): random_value(choose, depth - 1) for _ in range(choose.randint(0, 4))}
    return random_text(choose) if kind < 0.85 else choose.choice(
        [None, True, False, 0, -1, 10 ** 30, 1.5, -0.0, 1e300, 1e-7, 1e16, 5.0, math.inf, -math.inf])


def random_text(choose):
    if choose.random() < 0.4:
        return choose.choice(WORDS)
    return "".join(choose.choice("ab :#-'\"[]{},\\\t\n.é\x00\x85\u2028\ufeff\U0001f600?*&!|>%@`~=0_/$^()<+;")
                   for _ in range(choose.randint(0, 8)))


WORDS = ("a b null ~ true no 1 1.0 1e3 0x1F 0o7 .inf .nan 1_000 2001-12-14 1:30 << = - -- --- ... ? : # - | > @ "
         "` % & * ! read_* **/id_rsa ${HOME}/x ~/x C:\\dir http://x/?a=b#c ^\\s*(SELECT|b)$ it's [x] {a,b} a:b key "
         "name rules").split()
WORDS += ["", " ", "a: b", "a #b", "x ", " x", "- a", "say \"it's\"", "two\nlines\n", "trailing:"]
PIECES = WORDS + ["\n", "\n  ", "\n    ", " ", ": ", "- ", "\n- ", ", ", "'", '"', "\\", "[", "]", "{", "}", "#", " #",
                  "\t", "|\n", ">-\n", "|2\n", "\r\n", "\r", "\n\n", "---\n", "a: ", "\n  b: ", "\ufeff", "\x00",
                  "\ud800"]


def mutated(choose, text):
    """*text* with a few characters or lines lost, repeated or put in."""
    for _ in range(choose.randint(1, 3)):
        start = choose.randint(0, len(text))
        end = start + choose.choice((0, 0, 1, 1, 3, 10))
        text = text[:start] + choose.choice((choose.choice(PIECES), "", text[start:end] * 2)) + text[end:]
    return text


class Writing(unittest.TestCase):
    def test_what_is_written_reads_back_equal(self):
        choose = random.Random(20)
        for _ in range(1500):
            value = random_value(choose)
            text = to_yaml(value, width=choose.choice((10, 40, 100)))
            self.assertEqual(exact(parse_yaml(text)), exact(value), text)
            self.assertNotIn("\t", text)
            self.assertFalse(any(line != line.rstrip() for line in text.split("\n")), text)

    def test_every_case_is_written_and_read_back(self):
        for _, value in CASES["read"]:
            self.assertEqual(exact(parse_yaml(to_yaml(value))), exact(value))

    def test_it_looks_like_written_by_hand(self):
        policy = {"version": 1, "settings": {"log_dir": "~/.mcpwall/logs"}, "rules": [
            {"name": "a",
             "match": {"tool": ["read_*", "ls"], "arguments": {"q": {"regex": r"^\s*(rm|mv)\b"}}}},
            {"name": "b", "match": {}, "message": "it's \"no\"", "on": "yes", "n": [[1, None], {"x": []}]}]}
        self.assertEqual(to_yaml(policy), (
            "version: 1\nsettings:\n  log_dir: ~/.mcpwall/logs\nrules:\n  - name: a\n    match:\n"
            "      tool: [read_*, ls]\n      arguments:\n        q:\n          regex: ^\\s*(rm|mv)\\b\n\n"
            "  - name: b\n    match: {}\n    message: it's \"no\"\n    'on': 'yes'\n    'n':\n"
            "      - [1, null]\n      - x: []\n"))

    def test_what_has_no_yaml_form_is_refused(self):
        deep = []
        for _ in range(200):
            deep = [deep]
        for value in ({1: 2}, {None: 2}, {"k" * 1025: 1}, ["\ud800"], [b"x"], {"a": (1,)}, deep):
            with self.assertRaises(PolicyError):
                to_yaml(value)


class Hostile(unittest.TestCase):
    def test_random_documents_give_a_value_or_a_policy_error(self):
        seconds = float(os.environ.get("MCPWALL_FUZZ", "0"))
        seed = random.randrange(10 ** 6) if seconds else 1
        print(f"yaml fuzz seed {seed}", file=sys.stderr) if seconds else None
        choose, end, count = random.Random(seed), time.monotonic() + seconds, 0
        while count < 4000 or time.monotonic() < end:
            count += 1
            kind = choose.random()
            text = (mutated(choose, choose.choice(CASES["read"])[0]) if kind < 0.6 else
                    "".join(choose.choice(PIECES) for _ in range(choose.randint(1, 12))) if kind < 0.8 else
                    mutated(choose, to_yaml(random_value(choose))))
            try:
                value, lines = yaml_lines(text)
            except PolicyError as error:
                self.assertTrue(error.line >= 1 and error.column >= 1 and error.problem, (seed, text))
                self.assertLessEqual(error.line, text.count("\n") + 2, (seed, text))
            except Exception as error:
                self.fail(f"seed {seed}: {type(error).__name__} for {text!r}")
            else:
                self.assertEqual(exact(parse_yaml(to_yaml(value))), exact(value), (seed, text))

    def test_long_and_odd_texts_come_to_an_end(self):
        shapes = {
            "[": ("", "[", ""), "- ": ("", "- ", ""), "escapes": ('"', "\\\\", '"'), "cut escape": ('"', '"\\', ""),
            "colons": ("", ":", ""), "colon spaces": ("", ": ", ""), "blank lines": ("a: b", "\n", " c"),
            "blank lines in quotes": ("a: 'b", "\n", " c'"), "open quote": ("a: 'b", "\n c", ""),
            "quotes": ("", "'", ""), "double quotes": ("", '"', ""), "plain lines": ("a: b\n", " c\n", ""),
            "list": ("", "- a\n", ""), "flow": ("[", "1,", "]"), "flow pairs": ("[", "a: b,", "]"),
            "flow comments": ("[", " #\n", ""), "open braces": ("", "{a: ", ""),
            "literal": ("a: |\n", " b\n\n", ""), "folded": ("a: >\n", " b\n  c\n\n", ""),
            "literal blanks": ("a: |\n", "\n", " x\n"), "hashes": ("a", " a#", ""), "digits": ("a: ", "1", "x"),
            "dots": ("a: 1.", "1", "."), "spaces": ("a:", " ", "b"), "tabs": ("a: '", "\t", "'"),
            "blank": ("", " \n", ""), "ends": ("a\n", "...\n", ""), "documents": ("", "---\n", ""),
            "carriage returns": ("", "\r", ""), "deep list": ("- " * 99 + "a", "\n" + " " * 198 + "b", ""),
            "anchors": ("", "&a ", "")}
        deep = "".join(" " * depth + "k" * 50 + ":\n" for depth in range(98)) + " " * 99
        shapes["long pointers"] = (deep + "[", "1,", "]\n")

        for name, (head, body, tail) in shapes.items():     # a quadratic reader would need minutes
            started = time.process_time()
            refusal(head + body * (60_000 // len(body)) + tail)
            self.assertLess(time.process_time() - started, ENDS_S, name)

    def test_many_keys_and_deep_staircases(self):
        self.assertEqual(len(parse_yaml("".join(f"k{number}: v\n" for number in range(20_000)))), 20_000)
        for step in ("a:\n", "-\n", "a: [\n", "- - - \n"):
            error = refusal("".join(" " * 3 * depth + step for depth in range(300)))
            self.assertIsNotNone(error)


if __name__ == "__main__":
    unittest.main()
