"""Regexes of policies: meaning, refusals, literals, time."""
from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
import unittest
import warnings
from collections.abc import Iterator

from tests.support import ENDS_S, fuzz_seconds, mcpwall, seed
from mcpwall import Budget, BudgetSpent, PolicyError, compile_regex

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "regex.jsonl")

REFUSED = {     # pattern: words of the message
    r"a\Z": "no \\Z; write ^", r"\Aa": "no \\A", r"\a": "write a", r"\G": "no \\G", r"\h": "write h", r"\e": "write e", r"\R": "write R",
    r"\p{L}": "flag u", r"\P{L}": "flag u", r"\cJ": "\\xHH", r"(a)\1": "back references", r"\k<n>": "back references",
    r"\07": "octal", r"\101": "octal", r"\8": "octal", r"\u{41}": "four hex", r"\x4": "two hex", r"\uD83D": "surrogate", "\ud83d": "surrogate",
    "[]a]": "[] matches nothing", "[]": "[] matches nothing", "[^]a]": "any character", "[a": "never closed", "[[:alpha:]]": "a-z", "[z-a]": "out of order",
    "(?i)rm": "[Rr][Mm]", "(?i:rm)": "[Rr][Mm]", "(?s).": "inline flags", "(?P<n>x)": "(?<name>", "(?P=n)": "(?<name>", "(?#x)": "comments",
    "(?>a)": "atomic", "(?(1)a|b)": "conditions", "a++": "possessive", "a*+": "possessive", "a{2}+": "possessive", "a**": "repeat of a repeat",
    "a{2}{3}": "repeat of a repeat", "{2}": "nothing to repeat", "*a": "nothing to repeat", "a|?": "nothing to repeat", "^*": "nothing to repeat", r"\b+": "nothing to repeat",
    "(?=a)*": "nothing to repeat", "(?<=a)+": "nothing to repeat", "(": "never closed", "(a": "never closed", "a)": "without its (", "\\": "single backslash",
    "x{3,1}": "write {1,3}", "(?<=a+)b": "no fixed length", "(?<!a|b*)c": "no fixed length", "(?<n>a)(?<n>b)": "two groups named n",
    "/rm/i": "between the slashes", "/a b/gi": "between the slashes", "a{99999}": "repeats more than", "((a{1,90}b){1,90}c){1,9}": "in all",
    "(" * 70 + ")" * 70: "nested", "a" * 30_000: "longer than",
}
AMBIGUOUS = [        # what a backtracking engine needs exponential time for
    "(a+)+", "(a*)*", "(a|aa)*", "(a|a)*", "((a+))+", "(a+)+$", "(.*a){12}", "(.*,){11}P", "^(a|aa){2,60}!$", r"^(\w+\s?)*$", r"(\s|\n)*x",
    "(x{1,50}){1,50}", "([a-zA-Z]+)*$", "(a|a?)+", r"(\w|\d)+x", "(a?b?)*c", "(a(x?|y?)b)*c", r"(\\.|[^\"])*\"", "(?:(?:a+)b?)*c", "(x+x+)+y",
    "(a{1,5}){20}", "((a|b)*c?)*d", "(?=(a+)+b)", "(x(?!(a+)+b))y", "(ab|a|b)*c", "(.|.)*", "(a|b|ab)*c", "((((a)+)))+", "(a+|b+|ab)*c", "([ab]*b){11}",
    r"^(([a-z])+.)+[A-Z]([a-z])+$", r"(\d+,?)*;", "(a+){11,}", "((x{1,9}){1,9}){1,9}",
]
HONEST = [
    r"(curl|wget|fetch).*\|.*(bash|sh|zsh)", r"curl.*\|.*bash", r"[A-Za-z0-9/+=]{40}", r"eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
    r"(mongodb|postgres|mysql|redis)://[^\s]+:[^\s]+@", r"rm\s+-rf\s+[/~*]", r"\bdanger\s+--force\b", r"^/srv/vault/.*\.json$", "(a|b)+c", r".*\.env$",
    r"^\s*(SELECT|EXPLAIN)\b", r";\s*\S", "[a-z]+@", r"(?:(?!foo).)*bar", r"([0-9]{1,3}\.){3}[0-9]{1,3}", r"^(\/[\w-]+)+\/?$", "/etc/", "/etc/passwd",
    r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==)?$", "([a-z]+,)*x", r"(\.\./){3,}", r'"(?:\\.|[^"\\])*"', r"(foo|bar)*baz", r"(.|\n)*x", "(x{1,50}y)*z",
    r"[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}", r"^([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]{2,}$", r"(?:-[a-zA-Z]+\s+)*-[a-zA-Z]*r", r"(\s+--?\w+)*\s+/",
    "([0-9a-f]{2}:){15}[0-9a-f]{2}", "([0-9a-f]{2}){8,}", r"(?:^|[;&|]\s*)(?:sudo\s+)?dd\s+if=", "(a?)*b", "", "a{0,1000}", "[A-Za-z0-9+/]{500,}", r"(?<n>\w+)=\S*",
]


def budget(seconds: float = 10) -> Budget:
    return Budget(seconds)


@contextlib.contextmanager
def by_machine() -> Iterator[None]:
    """Nothing is given to Python's `re`."""
    keep, mcpwall.RE_STEPS = mcpwall.RE_STEPS, 0
    try:
        yield
    finally:
        mcpwall.RE_STEPS = keep


def answers(source: str, fold: bool, *texts: str) -> Iterator[tuple[str, bool, list[tuple[int, int]]]]:
    """(text, whether it matches, the spans), by each of the ways a text can take."""
    for way in (contextlib.nullcontext(), by_machine()):
        with way:
            regex = compile_regex(source, fold)
            for text in texts:
                hit = regex.search(text, budget())
                assert hit == regex.search(text, budget(), text.lower()), (source, text)
                yield text, hit, regex.finditer_spans(text, budget())


class Meaning(unittest.TestCase):
    def setUp(self) -> None:
        caught = warnings.catch_warnings()
        caught.__enter__()
        self.addCleanup(caught.__exit__, None, None, None)
        warnings.simplefilter("error")      # no pattern makes `re` warn

    def test_as_in_javascript(self) -> None:
        with open(DATA, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file][1:]
        self.assertGreater(len(rows), 300)
        for pattern, fold, texts in rows:
            literals = compile_regex(pattern, fold).literals
            for text, hit, spans in answers(pattern, fold, *texts):
                with self.subTest(pattern=pattern, fold=fold, text=text):
                    self.assertEqual((hit, [list(span) for span in spans]), (texts[text] is not None, texts[text] or []))
                    self.assertTrue(not hit or literals is None or any(literal in text.lower() for literal in literals))

    def test_astral_characters_count_once(self) -> None:
        for pattern, text in ((r"^.$", "😀"), ("^[😀]$", "😀"), (r"^\uD83D\uDE00$", "😀"), (r"^\S$", "😀"), ("^[^a]$", "😀"),
                              (r"^[\u0080-\uFFFF]$", "😀"), (r"^😀{2}$", "😀😀")):
            self.assertEqual({hit for _, hit, _ in answers(pattern, False, text)}, {True}, pattern)

    def test_an_escaped_caret_is_no_anchor(self) -> None:
        texts = ("ab^5", "ab" * 20_000 + "^5")
        self.assertEqual({hit for _, hit, _ in answers(r"\^\d", False, *texts)}, {True})
        self.assertEqual({hit for _, hit, _ in answers(r"^\d", False, *texts)}, {False})

    def test_lone_surrogates_in_the_text(self) -> None:
        self.assertTrue(compile_regex("a.b").search("a\ud800b", budget()))
        self.assertEqual(compile_regex("x+").finditer_spans("\udfffxx\ud800", budget()), [(1, 3)])


class Refusals(unittest.TestCase):
    def test_constructs_that_mean_something_else(self) -> None:
        for pattern, words in REFUSED.items():
            with self.subTest(pattern=pattern[:40]):
                with self.assertRaises(PolicyError) as caught:
                    compile_regex(pattern)
                self.assertIn(words, caught.exception.problem)
                self.assertNotIn("\n", str(caught.exception))

    def test_honest_ones_load(self) -> None:
        for pattern in HONEST:
            with self.subTest(pattern=pattern):
                compile_regex(pattern)
                compile_regex(pattern, ignore_case=True)

    def test_any_text_is_a_regex_or_refused(self) -> None:
        rnd = random.Random(3)
        for _ in range(1500):
            source = "".join(rnd.choices("ab\\()[]{}|*+?^$.,-:=!<>019xuéß\n \ud800", k=rnd.randrange(12)))
            try:
                compile_regex(source, rnd.random() < .3).search("ab01", budget())
            except PolicyError:
                pass

    def test_hostile_patterns_load_or_fail_quickly(self) -> None:
        for pattern in ("(" * 50 + "a" + ")*" * 50, "(a{1,9}b){1,9}" * 100, "(?:" * 59 + "a|b" + ")?c" * 59, "a{10000}", "(a|b|c|d|e" + "|xyz" * 2000 + ")*",
                        "[" + "a-z" * 5000 + "]", "(x{1,300}y)*", "((a{1,20}b){1,20}c)*", "|" * 15000, "(a?){9}" * 200, "." * 9999, "(?!a)" * 4000, "|".join(map(chr, range(0x4E00, 0x6E00))), "".join(map(chr, range(0x4E00, 0x7000))) + "+",
                        "(" + "|".join(f"{a}{b}" for a in "abcdefghi" for b in "0123456789") + ")*x", "(a|" + "b?" * 380 + "c)*", "(" + "a?b" * 150 + ")*"):
            start = time.process_time()
            try:
                compile_regex(pattern).search("ab" * 3000, Budget(0.2))
            except (PolicyError, BudgetSpent):
                pass
            self.assertLess(time.process_time() - start, ENDS_S, pattern[:40])


class Literals(unittest.TestCase):
    def test_what_is_found(self) -> None:
        for pattern, expected in ((r"(curl|wget|fetch).*\|.*(bash|sh|zsh)", {"curl", "wget", "fetch"}), (r".*\.env$", {".env"}), (r"\bDROP\s+TABLE\b", {"table"}),
                                  (r"AKIA[0-9A-Z]{16}", {"akia"}), (r"[Rr][Mm] -rf", {"rm -rf"}), (r"x|yy", None), (r"a?b?", None), ("(?=secret)x", None),
                                  ("(ab)?", None), ("(abc){2,}", {"abc"}), ("café", None), ("x{,_v2}", {"x{,_v2}"})):
            self.assertEqual(compile_regex(pattern).literals, expected, pattern)
        self.assertEqual(compile_regex("Kelvin", ignore_case=True).literals, {"kelvin"})


class Linear(unittest.TestCase):
    def test_no_shape_is_refused_and_none_is_slow(self) -> None:
        start = time.process_time()
        for pattern in AMBIGUOUS:
            for text in ("a" * 30_000 + "!", "ab " * 10_000, "x" * 20_000 + "\n", "1," * 10_000):
                with self.subTest(pattern=pattern, text=text[:3]):
                    hits = [hit for _, hit, _ in answers(pattern, False, text[-12:])]
                    regex = compile_regex(pattern)
                    self.assertIsInstance(regex.search(text, budget(ENDS_S)), bool)
                    self.assertEqual(len(set(hits)), 1)
        self.assertLess(time.process_time() - start, ENDS_S)

    def test_what_ambiguous_ones_match(self) -> None:
        many = "a" * 30_000
        for pattern, good, bad in ((r"^(a+)+$", many, many + "!"), (r"^(a|a)*b$", many + "b", many), (r"^(.*)*x$", many + "x", many + "\nx"),
                                   (r"^(a|aa){2,60}!$", "a" * 120 + "!", "a" * 121 + "!"), (r"^([a-zA-Z]+)*$", many, many + "1"),
                                   (r"^((a{1,9}){1,9}){1,9}$", "a" * 729, "a" * 730), (r"^(.*,){11}P$", "," * 11 + "P", "," * 10 + "P"),
                                   (r"^(x(?!(a+)+b))+y$", "xxy", "xxaaby"), (r"(\\.|[^\"])*\"", many + '"', many)):
            with self.subTest(pattern=pattern):
                self.assertTrue(compile_regex(pattern).search(good, budget()))
                self.assertFalse(compile_regex(pattern).search(bad, budget()))

    def test_large_counters_are_small_states(self) -> None:
        size = 300_000
        for pattern, good, bad in (("x[a-z]{1,5000}!", "x" * size + "!", "x" * size), ("[A-Za-z0-9+/]{4000,}=", "A" * size + "=", "A" * 3999 + "="),
                                   ("[0-9a-f]{9000}", "a" * 9000, ("a" * 8999 + " ") * 9), ("(?:^|,)a{0,4000}b", "," + "a" * 4000 + "b", "," + "a" * 4001 + "b"),
                                   ("b.{20,3000}c", "b" * size + "c", "b" * size + "\n" + "." * 4000 + "c")):
            with self.subTest(pattern=pattern):
                self.assertTrue(compile_regex(pattern).search(good, budget()))
                self.assertFalse(compile_regex(pattern).search(bad, budget()))
                self.assertEqual(len({hit for _, hit, _ in answers(pattern, False, good[-300:])}), 1)

    def test_a_thousand_patterns_compile_quickly(self) -> None:
        start = time.process_time()
        for number in range(125):
            for pattern in HONEST[:8]:
                compile_regex(pattern.replace("s", f"s{number}", 1))
        self.assertLess(time.process_time() - start, ENDS_S)   # 0.04 s on an idle machine

    def test_hostile_texts_are_answered_or_the_budget_is_spent(self) -> None:
        size = 1 << 19
        cases = [(r"(curl|wget|fetch).*\|.*(bash|sh|zsh)", ("curl |" * size)[:size] + "ba"), (r".*\.env$", ".env" * (size // 4) + "x"), ("a+b", "a" * size),
                 (r"\s+$", " " * size + "x"), (r"rm\s+-rf\s+/", ("rm " + " " * 500) * (size // 500) + "-rf"), (r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+", "eyJ" * (size // 3)),
                 (r"(\w+\.)+com$", "a." * (size // 2)), (r"x*x*x*x*y", "x" * size + "z"), (r"(a|b)*a(a|b){14}!", "".join(random.Random(1).choices("ab", k=size // 4))),
                 (r"(?=.*\d)(?=.*[A-Z])a(?!.*b)", "ab" * (size // 4)), (r"[a-z]{500}!", "a" * size), (r"(a?){10}(a){10}b", "a" * size),
                 (r".*a.*b.*c.*d.*e.*f", "abcde" * (size // 5)), (r"([a-z]{1,20}){1,5}!", "abc" * (size // 3))]
        for pattern, text in cases:
            regex = compile_regex(pattern)
            for limit, run in ((0.15, regex.search), (0.05, regex.finditer_spans)):
                start = time.process_time()
                try:
                    self.assertFalse(run(text, Budget(limit)), pattern)
                except BudgetSpent:
                    pass
                self.assertLess(time.process_time() - start, ENDS_S, pattern)

    def test_the_largest_message(self) -> None:
        text = "curl bas|" * (16 * 1024 * 1024 // 9)
        start = time.process_time()
        try:
            self.assertFalse(compile_regex(r"curl.*\|.*bash").search(text + "bas", Budget(0.3)))
        except BudgetSpent:
            pass
        self.assertLess(time.process_time() - start, ENDS_S)

    def test_states_are_dropped_and_made_anew(self) -> None:
        keep, mcpwall.MACHINE_BYTES = mcpwall.MACHINE_BYTES, 20_000
        try:
            text = "".join(random.Random(2).choices("abc", k=20_000))
            regex = compile_regex(r"(a|b)*a(a|b|c){6}c.*\d")
            self.assertFalse(regex.search(text, budget()))
            self.assertTrue(regex.search(text + "5", budget()))
        finally:
            mcpwall.MACHINE_BYTES = keep

    def test_any_thread(self) -> None:
        regex = compile_regex(r"(curl|wget).*\|.*sh")
        text, found = "curl " * 5000 + "|" * 5000 + "s", []  # type: str, list[bool]
        def run() -> None:
            found.append(regex.search(text, budget()) is False and regex.search(text + "h", budget()))
        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(found, [True] * 4)


class Tree:
    """A random pattern with what it means: an oracle that knows nothing of the module, and walks as JavaScript's rules are written."""

    CHARS = {"a": "a", "b": "b", "A": "A", "é": "é", "-": "-", r"\.": ".", r"\^": "^", "[ab]": "ab", "[a-c]": "abc", r"\d": "0123456789", "1": "1"}
    WORD = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

    def __init__(self, rnd: random.Random, depth: int = 0) -> None:
        kind = rnd.choice(["char"] * 6 + ["not", "dot", "at", "cat", "cat", "cat", "alt", "rep", "rep", "look"] if depth < 4 else ["char", "dot"])
        self.kind = "cat" if depth == 0 else kind
        self.parts = [Tree(rnd, depth + 1) for _ in range({"cat": rnd.randrange(1, 4), "alt": 2, "rep": 1, "look": 1}.get(self.kind, 0))]
        if self.kind == "rep" and self.parts[0].bare():
            self.kind = "cat"           # to repeat a place is refused
        self.text = rnd.choice(list(self.CHARS) if self.kind == "char" else ["^", "$", r"\b", r"\B"])
        self.least, self.most, sign = rnd.choice([(0, 99, "*"), (1, 99, "+"), (0, 1, "?"), (2, 2, "{2}"), (1, 3, "{1,3}"), (0, 2, "{0,2}"), (2, 99, "{2,}")])
        self.lazy, self.negate = rnd.random() < .3, rnd.random() < .4
        inner = "".join(part.source for part in self.parts)
        self.source = {"char": self.text, "not": "[^a]", "dot": ".", "at": self.text, "cat": inner, "rep": f"(?:{inner}){sign}{'?' * self.lazy}",
                       "look": f"(?{'!' if self.negate else '='}{inner})",
                       "alt": "(?:" + "|".join(part.source for part in self.parts) + ")"}[self.kind]

    def bare(self) -> bool:
        return self.kind in ("at", "look") or self.kind == "cat" and len(self.parts) == 1 and self.parts[0].bare()

    def ends(self, text: str, at: int) -> Iterator[int]:
        """Where a match that begins here may end, in the order in which they are tried."""
        left.pop()      # raises IndexError when it takes too long
        char, kind = text[at:at + 1], self.kind
        if kind == "char":
            yield from [at + 1] * (char != "" and char in self.CHARS[self.text])
        elif kind in ("not", "dot"):
            yield from [at + 1] * (char not in ("" if kind == "not" else "\n\r\u2028\u2029") and char != "" and (kind == "dot" or char != "a"))
        elif kind == "at":
            edge = (text[at - 1:at] in self.WORD and at > 0) != (char in self.WORD and char != "")
            yield from [at] * {"^": at == 0, "$": at == len(text), r"\b": edge, r"\B": not edge}[self.text]
        elif kind == "look":
            yield from [at] * (any(True for _ in self.parts[0].ends(text, at)) != self.negate)
        elif kind == "alt":
            for part in self.parts:
                yield from part.ends(text, at)
        elif kind == "cat":
            yield from self.sequence(text, at, 0)
        else:
            yield from self.rounds(text, at, 0)

    def sequence(self, text: str, at: int, number: int) -> Iterator[int]:
        if number == len(self.parts):
            yield at
            return
        for end in self.parts[number].ends(text, at):
            yield from self.sequence(text, end, number + 1)

    def rounds(self, text: str, at: int, done: int) -> Iterator[int]:
        if self.lazy and done >= self.least:
            yield at
        if done < self.most:
            for end in self.parts[0].ends(text, at):
                if end > at or done < self.least:
                    yield from self.rounds(text, end, done + 1)
        if not self.lazy and done >= self.least:
            yield at

    def spans(self, text: str) -> list[tuple[int, int]]:
        """All matches, the empty ones too."""
        found, at = [], 0
        while at <= len(text):
            end = next(self.ends(text, at), -1)
            if end >= 0:
                found.append((at, end))
            at = end if end > at else at + 1
        return found


left: list[int] = []


class Fuzz(unittest.TestCase):
    def test_random_patterns_mean_what_javascript_says(self) -> None:
        used = seed()
        rnd, end, count = random.Random(used), time.monotonic() + fuzz_seconds(.5), 0
        while time.monotonic() < end or count < 50:
            tree = Tree(rnd)
            literals = compile_regex(tree.source).literals
            for _ in range(4):
                text = "".join(rnd.choices("abA1é -.\n\u2028^_c"[:rnd.choice([2, 4, 13])], k=rnd.randrange(10)))
                place = f"seed {used}: {tree.source!r} on {text!r}"
                left[:] = range(20_000)
                try:
                    expected = tree.spans(text)
                except IndexError:      # the oracle needs exponential time
                    continue
                for _, hit, spans in answers(tree.source, False, text):
                    self.assertEqual((hit, spans), (bool(expected), [span for span in expected if span[1] > span[0]]), place)
                self.assertTrue(not expected or literals is None or any(literal in text.lower() for literal in literals), place)
                count += 1

    def test_long_texts_are_judged_as_by_the_machine(self) -> None:
        used = seed()
        rnd, end, count = random.Random(used), time.monotonic() + fuzz_seconds(.5), 0
        while time.monotonic() < end or count < 5:
            tree = Tree(rnd)
            text = "".join(rnd.choices("abA1é -.\n^_c", k=rnd.choice([300, 3000, 18_000])))
            try:
                found = list(answers(tree.source, rnd.random() < .3, text))
            except BudgetSpent:
                continue
            self.assertEqual(found[0], found[1], f"seed {used}: {tree.source!r} on {len(text)} characters")
            count += 1


if __name__ == "__main__":
    unittest.main()
