"""What a start costs: what is imported, and our stand-in for typing.NamedTuple. (The lean start of a script: test_cli.)"""
from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
import typing
import unittest

from tests.support import mcpwall

FOLDER = os.path.dirname(os.path.abspath(mcpwall.__file__))


class Imports(unittest.TestCase):
    def test_a_relay_imports_nothing_it_can_do_without(self) -> None:
        code = ("import sys; sys.path.insert(0, sys.argv[1])\n"
                "import mcpwall; mcpwall.Session(mcpwall.Wall(mcpwall.load_policy()), 's').prepare()\n"
                "print(*sys.modules)")
        done = subprocess.run([sys.executable, "-I", "-S", "-c", code, FOLDER], capture_output=True, check=True, timeout=60)
        loaded = set(done.stdout.decode().split())
        self.assertIn("mcpwall", loaded)
        self.assertEqual(loaded & {"typing", "subprocess", "dataclasses", "inspect", "hashlib", "_hashlib", "tempfile", "difflib", "shlex", "argparse"}, set())


    def test_an_old_python_is_told_so_in_one_line(self) -> None:
        code = "import runpy, sys; sys.version_info = (3, 8, 10); runpy.run_path(sys.argv[1], run_name='__main__')"
        done = subprocess.run([sys.executable, "-c", code, mcpwall.__file__], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, rb"^mcpwall needs Python 3\.9 or later, not \S+\s*$")


class Pair(mcpwall.NamedTuple):
    """Two."""
    left: int
    right: str = "r"

    @property
    def both(self) -> str:
        return f"{self.left}{self.right}"


class Same(typing.NamedTuple):
    """Two."""
    left: int
    right: str = "r"


class Tuples(unittest.TestCase):
    def test_they_are_what_typing_makes(self) -> None:
        pair, same = Pair(1), Same(1)
        self.assertEqual(pair, same)
        self.assertEqual(repr(pair), repr(same).replace("Same", "Pair"))
        for name in ("_fields", "_field_defaults", "__doc__", "__module__", "__mro__"):
            self.assertEqual(str(getattr(Pair, name)).replace("Pair", "Same"), str(getattr(Same, name)), name)
        self.assertEqual((pair.left, pair.right, pair.both), (1, "r", "1r"))
        self.assertEqual(pair._replace(right="x"), Pair(1, right="x"))
        self.assertEqual(copy.deepcopy(pair), pair)
        self.assertIs(type(pair._replace(left=2)), Pair)
        for wrong in (lambda: Pair(), lambda: Pair(1, "2", 3), lambda: pair._replace(middle=0)):
            self.assertRaises((TypeError, ValueError), wrong)
        with self.assertRaises(AttributeError):
            pair.left = 2


class Contents(unittest.TestCase):
    def test_the_contents_are_the_banners(self) -> None:
        with open(mcpwall.__file__, encoding="utf-8") as stream:
            banners = re.findall(r"(?m)^# (\d+)\. (.*)$", stream.read())
        self.assertEqual(re.findall(r"(?m)^    (\d+)\. +(.*)$", mcpwall.__doc__ or "")[1:], banners)


if __name__ == "__main__":
    unittest.main()
