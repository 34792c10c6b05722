"""Globs of policies: meaning, refusals, time."""
from __future__ import annotations

import json
import os
import random
import time
import unittest

from mcpwall import PolicyError, compile_glob
from tests.support import ENDS_S

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "globs.jsonl")
FUZZ_S = float(os.environ.get("MCPWALL_FUZZ", "0.5"))

REFUSED = {     # pattern: words of the message
    "": "is empty", "{,}": "is empty", "!x": "unless:", "#x": "\\#", "a|b": "{a,b}", "delete_*|remove_*": "{a,b}", "(a|b)": "{a,b}", "@(a)": "extended", "!(a)": "starts with !",
    "a!(b)": "extended", "+(a)": "extended", "*(a)": "extended", "?(a)": "extended", "[a": "opens no class", "a[": "opens no class", "[!]": "opens no class",
    "[[:alpha:]]": "opens no class", "[z-a]": "out of order", "{a": "never closed", "{a,{b}": "never closed", "a}": "without its {", "a\\": "backslash",
    "a**": "no more than *", "**.pem": "no more than *", "***": "write *", "{*,b}*": "no more than *", "{1..3}": "ranges", "{a..c}": "ranges", "a/../b": "segment",
    "./a": "segment", "..": "segment", "a/{.,b}": "segment", "[a/b]": "class", "[{a,b}]": "class", "{[a,b],c}": "class", "a\\/b": "no meaning", "${a,b}": "$", "{\n,a}": "line end",
    "{a,b}" * 9: "256", "{" + ",".join("abc" * 100) + "}": "256", "\ud800": "surrogate", "a" * 30_000: "longer",
}


class Meaning(unittest.TestCase):
    def test_as_in_minimatch_with_dot(self) -> None:
        with open(DATA, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file][1:]
        self.assertGreater(len(rows), 250)
        for pattern, good, bad in rows:
            for what in ("argument", "path"):
                glob = compile_glob(pattern, what)
                self.assertEqual([text for text in good if not glob.matches(text)], [], pattern)
                self.assertEqual([text for text in bad if glob.matches(text)], [], pattern)
            name = compile_glob(pattern)    # never narrower; wider only where a star crosses / or takes . and ..
            self.assertEqual([text for text in good if text and not name.matches(text)], [], pattern)
            self.assertEqual([text for text in bad if "/" not in text and text not in (".", "..") and name.matches(text)], [], pattern)

    def test_a_star_matches_every_name(self) -> None:
        for pattern in ("*", "**"):
            for name in ("a", "fs/read", ".", "..", "/", "//", "a/", "\n", "é", "😀", ".x/..", "\ud800"):
                self.assertTrue(compile_glob(pattern).matches(name), name)
            self.assertFalse(compile_glob(pattern).matches(""))

    def test_stars_in_names_cross_slashes(self) -> None:
        for pattern, good, bad in (("fs/*", ["fs/a", "fs/a/b", "fs/.."], ["fs/", "fs", "fsa"]), ("*_file", ["read_file", "fs/read_file", "_file"], ["read_file2"]),
                                   ("**/read", ["read", "/read", "a/b/read"], ["xread"]), ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb"]), ("fs/**", ["fs/", "fs/x"], ["fs"]),
                                   ("notifications/*", ["notifications/progress", "notifications/a/b"], ["notifications/", "notification/x"]), ("a?b", ["axb", "a😀b"], ["a/b", "ab"])):
            glob = compile_glob(pattern)
            self.assertEqual([name for name in good if not glob.matches(name)], [], pattern)
            self.assertEqual([name for name in bad if glob.matches(name)], [], pattern)

    def test_traversal_is_never_under_a_star(self) -> None:
        glob = compile_glob("/srv/**", "argument")
        self.assertTrue(glob.matches("/srv/a/.b/c") and glob.matches("/srv//a"))
        self.assertFalse(any(map(glob.matches, ("/srv/../etc/passwd", "/srv/a/..", "/srv/./a", "/srv", "srv/a", "/SRV/a"))))

    def test_literal(self) -> None:
        for pattern, literal in (("read_file", "read_file"), (r"a\*b", "a*b"), ("[_]x", "_x"), ("${HOME}/x", "${HOME}/x"), ("a*", None), ("{a,b}", None), ("a?", None)):
            self.assertEqual(compile_glob(pattern).literal, literal)

    def test_escapes_are_literal(self) -> None:
        self.assertTrue(compile_glob(r"*\{x\}").matches("a{x}"))
        self.assertTrue(compile_glob(r"C:\\{a,b}\\*", "argument").matches("C:\\a\\x"))


class Refusals(unittest.TestCase):
    def test_constructs(self) -> None:
        for pattern, words in REFUSED.items():
            with self.subTest(pattern=pattern[:40]):
                with self.assertRaises(PolicyError) as caught:
                    compile_glob(pattern)
                self.assertIn(words, caught.exception.problem)

    def test_any_text_is_a_glob_or_refused(self) -> None:
        seed = random.randrange(1 << 30)
        rnd, end = random.Random(seed), time.monotonic() + FUZZ_S
        while time.monotonic() < end:
            pattern = "".join(rnd.choices("ab*?[]{},/\\!^-.$é\n", k=rnd.randrange(1, 12)))
            text = "".join(rnd.choices("ab*[]{},/\\!.é", k=rnd.randrange(8)))
            try:
                for what in ("name", "argument"):
                    compile_glob(pattern, what).matches(text)
            except PolicyError:
                pass
            except Exception as fault:
                self.fail(f"seed {seed}: {pattern!r} on {text!r}: {fault!r}")


class Time(unittest.TestCase):
    def test_no_name_is_slow(self) -> None:
        texts = ["a" * 100_000, "a/" * 20_000, "abc/" * 20_000, "/" * 100_000, ("a" * 999 + "/") * 100]
        for pattern in ("*a*a*a*a*b", "*?a?a?a?a?b", "**/*a*/*b*/**/*c*/d", "**/?????????[ab]*x", "**/a/**/a/**/a/**/b", "*[ab]*[ab]*[ab]*c"):
            for what in ("name", "argument"):
                glob = compile_glob(pattern, what)
                for text in texts:
                    start = time.process_time()
                    glob.matches(text)
                    self.assertLess(time.process_time() - start, ENDS_S, (pattern, what, text[:9]))

    def test_hostile_patterns_fail_quickly(self) -> None:
        for pattern in ("{a," * 59 + "b" + "}" * 59, "{" * 5000, "{a,b}" * 4000, "{" + "a," * 9000 + "}", "[" * 10_000, "*" * 10_000, "**/" * 6000 + "a", "{{a,b},{c,d}}" * 50):
            start = time.process_time()
            try:
                compile_glob(pattern).matches("a" * 1000)
            except PolicyError:
                pass
            self.assertLess(time.process_time() - start, ENDS_S, pattern[:20])


if __name__ == "__main__":
    unittest.main()
