"""Regexes of policies: meaning, refusals, ambiguity, literals, time."""
from __future__ import annotations

import json
import os
import random
import re
import threading
import time
import unittest
import warnings

import mcpwall
from tests.support import ENDS_S
from mcpwall import Budget, BudgetSpent, PolicyError, compile_regex

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "regex.jsonl")
FUZZ_S = float(os.environ.get("MCPWALL_FUZZ", "0.5"))

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
EXPONENTIAL = [
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


def answers(regex: mcpwall.Regex, text: str) -> list[bool]:
    """Whether *text* matches, by each of the ways a long or short text can take."""
    found = [regex.search(text, budget()), regex.search(text, budget(), text.lower())]
    for kind in (0, 2):
        plan = regex._plan(kind)
        machine = plan.machine(roams=not plan.anchored, stops=True)
        found.append(machine.search(text, plan.marks(text, budget()), budget()))
        if plan.step:
            plan.step, keep = 2, plan.step
            found.append(plan.find(text, 0, budget()) is not None)
            plan.step = keep
    return found


def spans(regex: mcpwall.Regex, text: str) -> list[list[tuple[int, int]]]:
    """The spans, by each of the ways."""
    whole, starts = regex._plan(2), regex._plan(1)
    kept = whole.short, whole.step, starts.step
    found = [regex.finditer_spans(text, budget())]
    try:
        whole.short = -1
        found.append(regex.finditer_spans(text, budget()))
        whole.step = 0
        found.append(regex.finditer_spans(text, budget()))
        starts.step = 0
        found.append(regex.finditer_spans(text, budget()))
    finally:
        whole.short, whole.step, starts.step = kept
    return found


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
            regex = compile_regex(pattern, fold)
            for text, expected in texts.items():
                with self.subTest(pattern=pattern, fold=fold, text=text):
                    self.assertEqual(set(answers(regex, text)), {expected is not None})
                    for found in spans(regex, text):
                        self.assertEqual([list(span) for span in found], expected or [])
                    if expected is not None and regex.literals is not None:
                        self.assertTrue(any(literal in text.lower() for literal in regex.literals))

    def test_astral_characters_count_once(self) -> None:
        for pattern, text in ((r"^.$", "😀"), ("^[😀]$", "😀"), (r"^\uD83D\uDE00$", "😀"), (r"^\S$", "😀"), ("^[^a]$", "😀"),
                              (r"^[\u0080-\uFFFF]$", "😀"), (r"^😀{2}$", "😀😀")):
            self.assertEqual(set(answers(compile_regex(pattern), text)), {True}, pattern)

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

    def test_exponential(self) -> None:
        for pattern in EXPONENTIAL:
            with self.subTest(pattern=pattern), self.assertRaisesRegex(PolicyError, "exponentially|too large"):
                compile_regex(pattern)

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
        keep, mcpwall._MACHINE_BYTES = mcpwall._MACHINE_BYTES, 20_000
        try:
            text = "".join(random.Random(2).choices("abc", k=20_000))
            regex = compile_regex(r"(a|b)*a(a|b|c){6}c.*\d")
            self.assertFalse(regex.search(text, budget()))
            self.assertTrue(regex.search(text + "5", budget()))
        finally:
            mcpwall._MACHINE_BYTES = keep

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


class Fuzz(unittest.TestCase):
    """All ways of searching agree with `re` on the translation, and the literals are in every match."""

    ATOMS = ["a", "b", "ab", "A", ".", r"\d", r"\w", r"\s", r"\S", "[ab]", "[^a]", "[a-c]", r"\b", r"\B", "^", "$", "é", "-", r"\.", "1", r"\n", "x"]

    def pattern(self, rnd: random.Random, depth: int = 0) -> str:
        parts = []
        for _ in range(rnd.choice([1, 1, 2, 2, 3, 4])):
            atom = rnd.choice(self.ATOMS)
            if depth < 3 and rnd.random() < .25:
                atom = rnd.choice(["(", "(?:", "(?=", "(?!", "("]) + self.pattern(rnd, depth + 1) + ")"
            if rnd.random() < .3 and atom not in (r"\b", r"\B", "^", "$") and not atom.startswith(("(?=", "(?!")):
                atom = (f"({atom})" if len(atom) > 1 and atom[0] not in "(\\[" else atom) + rnd.choice(["*", "+", "?", "*?", "+?", "{2}", "{1,3}", "{2,}", "{0,2}?"])
            parts.append(atom)
        text = "".join(parts)
        return text if rnd.random() < .8 else text + "|" + self.pattern(rnd, depth + 1)

    def test_all_ways_agree(self) -> None:
        seed = random.randrange(1 << 30)
        rnd, end, count = random.Random(seed), time.monotonic() + FUZZ_S, 0
        while time.monotonic() < end:
            source, fold = self.pattern(rnd), rnd.random() < .3
            try:
                regex = compile_regex(source, fold)
            except PolicyError:
                continue
            exact = re.compile(mcpwall._to_python(regex._node), re.ASCII) if mcpwall._fits_re(regex._node) else None
            for _ in range(6):
                text = "".join(rnd.choices("abABx1é -.\n\u2028\u017f\u212a"[:rnd.choice([3, 8, 15])], k=rnd.randrange(14)))
                place = f"seed {seed}: {source!r} fold={fold} on {text!r}"
                found = set(answers(regex, text))
                self.assertEqual(len(found), 1, place)
                if exact is not None:
                    self.assertEqual(found, {exact.search(text) is not None}, place)
                ways = spans(regex, text)
                self.assertTrue(all(way == ways[0] for way in ways), f"{place}: {ways}")
                if exact is not None and mcpwall._width(regex._node)[0] > 0:
                    self.assertEqual([m.span() for m in exact.finditer(text) if m.end() > m.start()], ways[0], place)
                if found == {True} and regex.literals:
                    self.assertTrue(any(literal in text.lower() for literal in regex.literals), place)
                count += 1
        self.assertGreater(count, 20)


if __name__ == "__main__":
    unittest.main()
