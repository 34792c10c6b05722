"""What a start costs: what is imported, and launchers. (How a script goes on from its cached code: test_cli.)"""
from __future__ import annotations

import ast
import collections
import copy
import gc
import json
import os
import random
import re
import shutil
import subprocess
import sys
import typing
import unittest

from tests import sections
from tests.support import ALONE, MODULE, TOP, WALL, InEmptyHome, keep_code, mcpwall


class Imports(unittest.TestCase):
    def test_a_relay_imports_nothing_it_can_do_without(self) -> None:
        code = ("import sys; sys.path.insert(0, sys.argv[1])\n"
                "import mcpwall; mcpwall.Session(mcpwall.Wall(mcpwall.load_policy()), 's').prepare()\n"
                "print(*sys.modules)")
        done = subprocess.run([*ALONE, "-c", code, TOP], capture_output=True, check=True, timeout=60)
        loaded = set(done.stdout.decode().split())
        self.assertIn("mcpwall", loaded)
        self.assertEqual(loaded & {"subprocess", "dataclasses", "inspect", "hashlib", "_hashlib", "tempfile", "difflib", "shlex", "argparse", "typing"}, set())

    def test_records_are_named_tuples(self) -> None:
        class Theirs(typing.NamedTuple):
            name: str
            size: int = 0
            parts: tuple[str, ...] = ()

            def twice(self) -> int:
                return 2 * self.size

        class Ours(mcpwall.NamedTuple):
            name: str
            size: int = 0
            parts: tuple[str, ...] = ()

            def twice(self) -> int:
                return 2 * self.size

        kinds: list[typing.Any] = [Theirs, Ours]
        for what in (lambda kind: tuple(kind("a")), lambda kind: kind(size=2, name="b").twice(), lambda kind: kind._fields,
                     lambda kind: kind._field_defaults, lambda kind: kind("a", 1)._replace(size=3, parts=("x",))[1:],
                     lambda kind: kind("a")._asdict(), lambda kind: repr(kind("a", 5)).split("(")[1], lambda kind: {kind("a"): 1} == {("a", 0, ()): 1},
                     lambda kind: type(copy.deepcopy(kind("a"))) is kind, lambda kind: kind("a") < ("b",), lambda kind: [*kind("q", 1, ())]):
            self.assertEqual(*map(what, kinds))

        class Odd(mcpwall.NamedTuple):
            new: str
            cls: str
            tuple: int = 1

        self.assertEqual(Odd(new="a", cls="b"), ("a", "b", 1))
        for kind in kinds:
            for values, named in (((), {}), (("a", 1, (), 2), {}), (("a",), {"other": 1}), (("a",), {"name": "b"})):
                with self.assertRaises(TypeError):
                    kind(*values, **named)
            with self.assertRaises(AttributeError):
                kind("a").name = "b"
            with self.assertRaises(AttributeError):
                kind("a").other = "b"
            with self.assertRaises((ValueError, TypeError)):
                kind("a")._replace(other="b")

    def test_importing_it_leaves_the_garbage_collector_as_it_was(self) -> None:
        for switch, on in (("enable", "True"), ("disable", "False")):
            code = f"import gc, sys; gc.{switch}(); sys.path.insert(0, sys.argv[1]); import mcpwall; print(gc.isenabled())"
            done = subprocess.run([*ALONE, "-c", code, TOP], capture_output=True, check=True, timeout=60)
            self.assertEqual(done.stdout.decode().strip(), on)

    def test_an_old_python_is_told_so_in_one_line(self) -> None:
        code = "import runpy, sys; sys.path[:0] = sys.argv[1:]; sys.version_info = (3, 8, 10); runpy.run_module('mcpwall', run_name='__main__')"
        done = subprocess.run([*ALONE, "-c", code, TOP], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, rb"^mcpwall needs Python 3\.9 or later, not \S+\s*$")


class Shortcuts(unittest.TestCase):
    """What spares a start the compiling of a regex leaves out nothing that the regex matches."""

    def texts(self, words: str, most: int) -> typing.Iterator[str]:
        seed = random.randrange(1 << 32)
        rng, pieces = random.Random(seed), words.split("|")
        with self.subTest(seed=seed):
            for _ in range(20_000):
                yield "".join(rng.choice(pieces) for _ in range(rng.randint(0, most)))

    def test_code(self) -> None:
        found = [text for text in self.texts("import|from|fn|x|a.b|$| |\t|\n|= |=|(|)|()|=>|async |#!|python|<?php|%%|//|@|é|_|1|git", 6)
                 if mcpwall.code_first.match(text)]
        self.assertGreater(len(found), 1000)
        self.assertEqual([text for text in found if not mcpwall.may_begin_code(text)], [])

    def test_folders(self) -> None:
        found = [text for text in self.texts("dir|cwd|_|work|ing|path|project|root|base|location|folder|workspace|x|pwd|chdir|directory", 4)
                 if mcpwall.folder_name.search(text)]
        self.assertGreater(len(found), 1000)
        self.assertEqual([text for text in found if not text.endswith(mcpwall.FOLDER_ENDS)], [])

    def test_tools_that_read(self) -> None:
        for text in self.texts("read|open|get|_|file|tail|load|Stat|-|\u017f|tat|a|view|Cat|head|down", 4):
            self.assertEqual(mcpwall.reads_files(text), mcpwall.reading_tool.search(text) is not None, text)

    def test_globs_of_plain_words(self) -> None:
        for text in self.texts("tools|/|call|x_1|//|.|a", 5):
            for what in ("name", "path"):
                spelled = mcpwall.compile_glob("[t]ools/call", what)        # no plain word, and the same names
                self.assertEqual(mcpwall.compile_glob("tools/call", what).matches(text), spelled.matches(text), (what, text))
            self.assertEqual(mcpwall.compile_glob("*").matches(text), mcpwall.compile_glob("{*,*}").matches(text), text)


class Contents(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        with open(MODULE, encoding="utf-8") as stream:
            cls.source = stream.read()
        cls.found = sections.sections(cls.source)

    def test_the_contents_are_the_banners(self) -> None:
        listed = re.findall(r"(?m)^    (\d+)\. +(.*?)  +(opens|means|closes|serves people)$", mcpwall.__doc__ or "")
        self.assertEqual(listed[1:], [(str(one.number), one.name, one.kind) for one in self.found])
        self.assertEqual([one.number for one in self.found], list(range(2, len(self.found) + 2)))

    def test_what_can_let_a_message_pass_is_read_in_an_hour(self) -> None:
        self.assertLessEqual(sum(one.lines for one in self.found if one.kind == "opens"), sections.MOST_THAT_OPENS)

    def test_no_section_takes_a_name_that_another_has(self) -> None:
        gc.disable()        # which takes as long again
        self.addCleanup(gc.enable)
        tree = ast.parse(self.source)
        bound = []
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                bound.append(node.name)
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
            bound += [name.id for target in targets for name in ast.walk(target)
                      if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)]
        self.assertEqual([name for name, count in collections.Counter(bound).items() if count > 1], [])


class Launchers(InEmptyHome):
    """A launcher, in the empty home, of a copy of the file."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = os.path.join(self.home, ".mcpwall")
        self.cursor = os.path.join(self.home, ".cursor", "mcp.json")
        os.makedirs(os.path.dirname(self.cursor))
        self.entry = {"command": sys.executable, "args": ["-I", "-S", "-c", "raise SystemExit(7)"]}
        with open(self.cursor, "w", encoding="utf-8") as stream:
            json.dump({"mcpServers": {"toy": self.entry}}, stream)

    def run_wall(self, *words: str, file: str = MODULE, start: list[str] = WALL, **environ: str) -> subprocess.CompletedProcess:
        if (file, start, environ) == (MODULE, WALL, {}):
            done = self.run_here(*words)        # a process of its own would do the same, and takes a while to start
            return subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(), done.stderr.decode())
        return subprocess.run([*start, *words], cwd=self.project, env={**self.environ, "PYTHONPATH": os.path.dirname(file), **environ},
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)

    def words(self) -> list[str]:
        """What the entry starts."""
        with open(self.cursor, encoding="utf-8") as stream:
            entry = json.load(stream)["mcpServers"]["toy"]
        return [entry["command"], *entry["args"]]

    def copy(self, name: str) -> str:
        path = os.path.join(os.path.dirname(self.home), name, "mcpwall.py")
        os.makedirs(os.path.dirname(path))
        shutil.copy2(MODULE, path)
        keep_code(sys.pycache_prefix or "", path)
        return path

    def test_a_wrapped_entry_starts_from_the_cache_and_unwraps_to_what_it_was(self) -> None:
        with open(self.cursor, encoding="utf-8") as stream:
            before = stream.read()
        self.assertEqual(self.run_wall("wrap", "toy").returncode, 0)
        words = self.words()
        launcher = os.path.join(self.folder, "bin", "mcpwall")
        self.assertEqual(words[:4], [os.path.abspath(sys.executable), "-I", "-S", launcher])
        if os.name == "posix":
            self.assertEqual([os.stat(path).st_mode & 0o777 for path in (os.path.dirname(launcher), launcher)], [0o700, 0o600])
        done = subprocess.run(words, cwd=self.project, env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (7, b""), done.stderr)
        kept = [name for _, _, names in os.walk(os.path.join(self.folder, "cache")) for name in names]
        self.assertEqual(len(kept), 1, kept)
        self.assertRegex(kept[0], r"^mcpwall\..*\.pyc$")
        again = self.run_wall("wrap", "toy")
        self.assertIn("already wrapped", again.stdout)
        self.assertEqual(self.run_wall("unwrap", "--yes", "toy").returncode, 0)
        with open(self.cursor, encoding="utf-8") as stream:
            self.assertEqual(stream.read(), before)

    def test_two_copies_of_the_file_have_two_launchers(self) -> None:
        one, two = self.copy("one"), self.copy("two")
        self.run_wall("wrap", "toy", file=one)
        first = self.words()[3]
        self.run_wall("unwrap", "--yes", "toy", file=one)
        self.run_wall("wrap", "toy", file=two)
        second = self.words()[3]
        self.assertNotEqual(first, second)
        for launcher, file in ((first, one), (second, two)):
            with open(launcher, encoding="utf-8") as stream:
                self.assertIn(repr(file), stream.read())
        self.assertIn("already wrapped", self.run_wall("wrap", "toy", file=two).stdout)

    def test_status_notices_a_launcher_that_is_gone_or_starts_something_else(self) -> None:
        self.run_wall("wrap", "toy")
        launcher = self.words()[3]
        self.assertNotIn("launcher", self.run_wall("status").stdout)
        with open(launcher, encoding="utf-8") as stream:
            text = stream.read()
        for changed, said in ((text.replace(repr(MODULE), "'/elsewhere/mcpwall.py'"), "starts /elsewhere/mcpwall.py"),
                              (text + "import evil\n", "is not as mcpwall writes it"), (None, "is gone")):
            os.unlink(launcher)
            if changed is not None:
                with open(launcher, "w", encoding="utf-8") as stream:
                    stream.write(changed)
            else:
                open(launcher + "x", "w").close()
            done = self.run_wall("status")
            self.assertEqual(done.returncode, 1)
            self.assertIn(said, " ".join(done.stdout.split()))
            if changed is None:
                break
        self.assertEqual(self.run_wall("wrap", "toy").returncode, 0)
        with open(launcher, encoding="utf-8") as stream:
            self.assertEqual(stream.read(), text)

    def test_a_launcher_whose_file_is_gone_says_so_in_one_line(self) -> None:
        path = self.copy("gone")
        self.run_wall("wrap", "toy", file=path)
        os.unlink(path)
        done = subprocess.run(self.words(), cwd=self.project, env=self.environ, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout, len(done.stderr.splitlines())), (2, "", 1), done.stderr)
        self.assertIn(path, done.stderr)

    def test_entries_of_before_go_on_and_status_says_that_they_could_start_faster(self) -> None:
        self.assertEqual(self.run_wall("wrap", "--plain", "toy").returncode, 0)
        self.assertEqual(self.words()[:2], [os.path.abspath(sys.executable), MODULE])
        self.assertFalse(os.path.exists(os.path.join(self.folder, "bin")))
        self.assertIn("start without Python's cache", self.run_wall("status").stdout)
        self.assertEqual(self.run_wall("wrap", "toy").returncode, 0)
        self.assertEqual(self.words()[1:3], ["-I", "-S"])
        self.assertNotIn("start without Python's cache", self.run_wall("status").stdout)
        self.assertEqual(self.run_wall("wrap", "--plain", "toy").returncode, 0)
        self.assertEqual(self.words()[1], MODULE)

    def test_nothing_beside_the_file_or_in_the_working_directory_is_imported(self) -> None:
        path = self.copy("beside")
        self.run_wall("wrap", "toy", file=path)
        self.start_quickly(path)

        def strangers(*names: str) -> None:
            for folder in (self.project, os.path.dirname(path)):
                for name in names:
                    with open(os.path.join(folder, name + ".py"), "w", encoding="utf-8") as stream:
                        stream.write(f"raise SystemExit('{name} of a stranger')\n")

        strangers("json")           # what no interpreter imports before it comes to the script
        for home in (self.home, "relative", "/proc/none"):
            done = self.run_wall("--log-level", "error", "--", sys.executable, *self.entry["args"], start=[sys.executable, path], PYTHONPATH=".", HOME=home)
            self.assertNotIn("stranger", done.stderr)
            self.assertEqual(done.returncode, 7, done.stderr)
        strangers("re", "threading", "signal", "typing", "importlib", "sitecustomize", "usercustomize", "marshal")
        done = subprocess.run(self.words(), cwd=self.project, env={**self.environ, "PYTHONPATH": "."}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        self.assertNotIn("stranger", done.stderr)
        self.assertEqual(done.returncode, 7)


if __name__ == "__main__":
    unittest.main()
