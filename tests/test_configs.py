"""Client configs: every host's row, splices that touch nothing else, files that stay whole."""
from __future__ import annotations

import errno
import fnmatch
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from typing import Any, Callable
from unittest import mock

from tests.support import ENDS_S, mcpwall

DATA = os.path.join(os.path.dirname(__file__), "data")
WALL = ["/usr/bin/python3", "/opt/my tools/mcpwall.py"]
POSIX = os.name == "posix"
FUZZ_SECONDS = float(os.environ.get("MCPWALL_FUZZ", "0.5"))


def host_cases() -> list[dict[str, Any]]:
    with open(os.path.join(DATA, "configs_hosts.json"), encoding="utf-8") as stream:
        return json.load(stream)


def config(form: str = "json", keys: tuple[str, ...] = ("mcpServers",), path: str = "/x") -> mcpwall.ConfigFile:
    return mcpwall.ConfigFile(("x",), "user", path, keys, form)


def set_wall(text: str, path: Any, wall: list[str] | None, form: str = "json") -> str:
    return mcpwall.set_walls(text, [(path, wall)], form)


def servers_of(text: str, file: mcpwall.ConfigFile) -> dict[str, mcpwall.Server]:
    return {server.name: server for server in mcpwall.list_servers(file, text)}


def write(path: str, data: bytes | str) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(data.encode() if isinstance(data, str) else data)
    return path


def read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


class Folder(unittest.TestCase):
    """Tests with an empty home, a project and a root for what administrators manage."""

    def setUp(self) -> None:
        box = tempfile.TemporaryDirectory()
        self.addCleanup(box.cleanup)
        self.box = os.path.realpath(box.name)
        self.home, self.project, self.root = (os.path.join(self.box, name) for name in ("home", "work [1]", "root"))
        os.mkdir(self.home)
        os.mkdir(self.project)
        self.lock = os.path.join(self.home, ".mcpwall", "lock")

    def expand(self, path: str) -> str:
        if path.startswith("./"):
            return os.path.join(self.project, path[2:])
        return self.home + path[1:] if path.startswith("~") else self.root + "/" + path.lstrip("/")

    def file(self, text: bytes | str, name: str = "servers.json") -> mcpwall.ConfigFile:
        path = write(os.path.join(self.home, name), text)
        return config(mcpwall.config_form(path), path=path)


class Hosts(Folder):
    def test_every_host(self) -> None:
        for number, case in enumerate(host_cases()):
            with self.subTest(client=case["client"], path=case["path"], platform=case["platform"]):
                if case["platform"] == "win32" and case["scope"] == "managed" and os.name == "nt":
                    continue
                self.home, self.project, self.root = (os.path.join(self.box, str(number), name)
                                                      for name in ("h", "p [1]", "r"))
                os.makedirs(self.home)
                os.makedirs(self.project)
                self.check_host(case)

    def check_host(self, case: dict[str, Any]) -> None:
        newline = case.get("newline", "\n")
        text = ("\ufeff" if case.get("bom") else "") + newline.join(case["lines"]) + newline
        path = write(self.expand(case["path"]), text)
        environ = {name: self.expand(value) for name, value in case.get("environ", {}).items()}
        files = mcpwall.find_configs(self.home, self.project, environ, case["platform"], self.root + "/")
        file = next(f for f in files if f.path == os.path.abspath(path) and f.scope == case["scope"])
        self.assertIn(case["client"], file.clients)
        self.assertEqual(file.project, self.project if case["scope"] == "project" else None)
        read_text = mcpwall.decode_config(path, mcpwall.read_config(path))
        self.assertEqual(read_text, text)
        found = {server.name: server for server in mcpwall.list_servers(file, read_text)}
        self.assertEqual(list(found), list(case["servers"]))
        for name, expected in case["servers"].items():
            server = found[name]
            self.assertIsNone(server.wrapper)
            if expected is None:
                self.assertNotEqual(server.why_not, "", name)
            elif isinstance(expected, str):
                self.assertIn("lines to paste", server.why_not)
                self.assertEqual("paste " + " ".join(server.argv), expected)
                self.check_paste(server)
            else:
                self.assertEqual((server.why_not, list(server.argv)), ("", expected), name)
                self.check_splice(file, text, server)

    def check_splice(self, file: mcpwall.ConfigFile, text: str, server: mcpwall.Server) -> None:
        words = mcpwall.wall_words(server, WALL)
        wrapped = mcpwall.wrap_server(text, server.path, words, file.form)
        now = servers_of(wrapped, file)[server.name]
        self.assertEqual(now.argv, server.argv)
        self.assertEqual(now.wrapper.options["server-name"], server.name)
        self.assertEqual(now.wrapper.options.get("project"), server.project)
        self.assertEqual(now.wrapper.wall, tuple(words))
        others = [s for s in mcpwall.list_servers(file, text) if s.name != server.name]
        self.assertEqual([(s.name, s.entry) for s in others],
                         [(s.name, s.entry) for s in mcpwall.list_servers(file, wrapped) if s.name != server.name])
        self.assertEqual(wrapped.count("\r"), wrapped.count("\n") if "\r" in text else 0)
        self.assertEqual(mcpwall.unwrap_server(wrapped, server.path, file.form), text)
        self.assertEqual(set_wall(wrapped, server.path, words, file.form), wrapped)

    def check_paste(self, server: mcpwall.Server) -> None:
        lines = mcpwall.lines_to_paste(server, mcpwall.wall_words(server, WALL))
        value = mcpwall.parse_yaml("\n".join(lines))
        self.assertEqual([value[next(iter(value))], *value["args"]],
                         [*mcpwall.wall_words(server, WALL), *server.argv])

    def test_every_row_of_the_table_has_a_case(self) -> None:
        cases = host_cases()
        for row in mcpwall.HOST_FILES.strip().splitlines():
            clients, scope, _, template = (cell.strip() for cell in row.split("|"))
            for client in clients.split():
                hit = any(case["client"] == client and case["scope"] == scope and fnmatch.fnmatch(case["path"], pattern)
                          for case in cases for pattern in mcpwall.host_paths(
                              template, "~", ".", case.get("environ", {}), case["platform"]))
                self.assertTrue(hit, row)

    def test_a_file_of_two_hosts_comes_once(self) -> None:
        write(os.path.join(self.home, ".cursor", "mcp.json"), '{"mcpServers": {"a": {"command": "b"}}}')
        files = mcpwall.find_configs(self.home, self.home, {}, "linux")
        self.assertEqual([(f.clients, f.scope) for f in files], [(("cursor",), "user")])
        write(os.path.join(self.project, ".mcp.json"), "{}")
        files = mcpwall.find_configs(self.home, self.project, {}, "linux")
        self.assertIn(("claude-code", "copilot"), [f.clients for f in files])

    def test_project_files_of_the_checkout_above(self) -> None:
        write(os.path.join(self.project, ".git", "HEAD"), "")
        write(os.path.join(self.project, ".mcp.json"), "{}")
        below = os.path.join(self.project, "src", "deep")
        os.makedirs(below)
        [file] = mcpwall.find_configs(self.home, below, {}, "linux")
        self.assertEqual((file.path, file.project), (os.path.join(self.project, ".mcp.json"), self.project))

    def test_a_list_of_servers_in_json(self) -> None:
        text = '{"mcpServers": [{"name": "a", "command": "x"}, {"name": "b", "command": "y"}]}'
        server = servers_of(text, config())["b"]
        wrapped = mcpwall.wrap_server(text, server.path, [*WALL, "--"])
        self.assertEqual(servers_of(wrapped, config())["a"].entry, {"name": "a", "command": "x"})
        self.assertEqual(mcpwall.unwrap_server(wrapped, server.path), text)


class Entries(unittest.TestCase):
    def test_what_cannot_be_covered(self) -> None:
        for entry, why in (
                (None, "not an object"), ([], "not an object"), ("npx", "not an object"), ({}, "no command"),
                ({"command": ""}, "empty"), ({"command": "  "}, "empty"), ({"command": 3}, "not text"),
                ({"command": []}, "not text"), ({"command": ["a", 1]}, "not text"),
                ({"command": "a", "args": "b"}, "not text"), ({"command": "a", "args": None}, "not text"),
                ({"command": "a", "args": [1]}, "not text"), ({"command": {"args": []}}, "no command"),
                ({"url": "https://x"}, "url"), ({"httpUrl": "https://x"}, "httpUrl"), ({"uri": "https://x"}, "uri"),
                ({"command": "a", "serverUrl": "https://x"}, "serverUrl"), ({"type": "sse", "command": "a"}, "sse"),
                ({"type": "http\x1b[31m", "command": "a"}, "x1b"), ({"transport": "sse", "command": "a"}, "sse"),
                ({"transport": {"type": "http", "url": "x"}}, "http"), ({"command": "npx -y pkg"}, "command line")):
            with self.subTest(entry=entry):
                self.assertIn(why, mcpwall.launch_argv(entry)[1])

    def test_program_paths_with_spaces_are_programs(self) -> None:
        for program in ("C:\\Program Files\\nodejs\\npx.cmd", "/Applications/My App.app/run", "${HOME}/a b", "./a b"):
            self.assertEqual(mcpwall.launch_argv({"command": program}), ([program], ""))

    def test_walls_are_recognised(self) -> None:
        for argv, count in (
                (["python3", "/x/mcpwall.py", "--", "npx", "a"], 3), (["mcpwall", "-c", "p.yml", "--", "x"], 4),
                (["C:\\py\\python.exe", "C:\\t\\MCPWALL.PY", "--server-name", "--x", "--", "y"], 5),
                (["npx", "-y", "mcpwall", "--", "node"], 4), (["python3", "-m", "mcpwall", "--", "a"], 4),
                (["mcpwall", "--server-name=--", "--", "a", "--", "b"], 3), (["uvx", "mcpwall", "--", "a"], 3),
                (["pipx", "run", "mcpwall", "--", "a"], 4), (["uvx", "--from", "x/y", "mcpwall", "--", "a"], 5),
                (["npx", "-y", "mcpwall@0.2.0", "--", "a"], 4), (["npx", "mcpwall@latest", "-c", "p.yml", "--", "a"], 5),
                (["python3", "/opt/mcpwall-0.1.0.py", "--", "a"], 3), (["python3", "-I", "-S", "/h/.mcpwall/bin/mcpwall-0a1b2c3d", "--", "a"], 5),
                (["env", "A=b", "python3.12", "-I", "/x/mcpwall.py", "--", "a"], 6), (["cmd", "/c", "mcpwall", "--", "a"], 4),
                (["my-python-dev", "/x/mcpwall.py", "--server-name", "n", "--", "a"], 5)):
            with self.subTest(argv=argv):
                self.assertEqual(mcpwall.wrapper_of(argv).wall, tuple(argv[:count]))
        for argv in ([], ["npx"], ["mcpwall"], ["mcpwall", "--"], ["mcpwall", "check", "--", "x"],
                     ["npx", "--", "mcpwall", "--", "x"], ["sh", "-c", "mcpwall", "--", "x"], ["--", "mcpwall"],
                     ["node", "server.js", "/home/me/mcpwall", "--", "foo"],
                     ["npx", "-y", "s", "/src/mcpwall", "--", "x"],
                     ["python3", "-u", "s.py", "/src/mcpwall", "--", "x"], ["python3", "-m", "s", "mcpwall", "--", "x"],
                     ["server", "--root", "/src/mcpwall", "--", "x"],
                     ["npx", "server", "/home/me/mcpwall"], ["python3", "my-mcpwall.py", "--", "x"]):
            with self.subTest(argv=argv):
                self.assertIsNone(mcpwall.wrapper_of(argv))

    def test_what_is_written(self) -> None:
        server = servers_of(json.dumps({"mcpServers": {"-n": {"command": "x"}}}), config())["-n"]
        self.assertEqual(mcpwall.wall_words(server, WALL, ["--profile", "strict"]),
                         [*WALL, "--server-name=-n", "--profile", "strict", "--"])
        local = server._replace(name="n", project="/srv/a b")
        self.assertEqual(mcpwall.wall_words(local, WALL),
                         [*WALL, "--server-name", "n", "--project", "/srv/a b", "--"])


    def test_variables_that_an_entry_sets(self) -> None:
        for entry, names in (
                ({"command": "x", "env": {"A": "1", "B": ""}}, ["A", "B"]), ({"command": ["x"], "environment": {"A": "1"}}, ["A"]),
                ({"cmd": "x", "envs": {"A": "1"}, "env_keys": ["B", "A"]}, ["A", "B"]), ({"command": "x"}, []), ("x", []),
                ({"command": "x", "env": {"A": "1"}, "env_vars": ["B", {"name": "C", "source": "local"}, 3, {}]}, ["A", "B", "C"]),
                ({"command": {"path": "x", "env": {"A": "1"}}}, ["A"]), ({"transport": {"command": "x", "env": {"A": "1"}}}, ["A"]),
                ({"command": "x", "env": ["A=secret", "B"]}, ["A", "B"]), ({"command": "x", "env": "A"}, []), ({"command": "x", "env": None}, [])):
            with self.subTest(entry=entry):
                self.assertEqual(mcpwall.entry_variables(entry), names)

    def test_variables_are_named_to_the_wall(self) -> None:
        def words(entry: Any) -> list[str]:
            server = servers_of(json.dumps({"mcpServers": {"n": entry}}), config())["n"]
            return mcpwall.wall_words(server, ["w"])[3:-1]

        self.assertEqual(words({"command": "x", "env": {"A": "v", "B_2": "v", "C(X86)": "v"}}), ["--env", "A,B_2,C(X86)"])
        self.assertEqual(words({"command": "x", "env": {"A b": "v", "C,D": "v", "E*": "v", "-F": "v", "": "v", "2G": "v"}}), [])
        wall = ["/x/mcpwall.py", "--env", "A,B_*", "--env=C", "--", "x"]
        self.assertEqual(words({"command": "python3", "args": wall, "env": dict.fromkeys(("A", "B_1", "C", "D"), "v")}), ["--env", "D"])
        self.assertEqual(mcpwall.wrapper_of(["mcpwall", *wall[1:]]).options, {"env": "A,B_*,C"})


class Splices(unittest.TestCase):
    def check(self, text: str, expected: str, name: str = "a", form: str = "json") -> None:
        file = config(form, ("mcp_servers",) if form == "toml" else ("mcpServers",))
        server = servers_of(text, file)[name]
        self.assertEqual(server.why_not, "")
        wrapped = mcpwall.wrap_server(text, server.path, ["py", "mcpwall.py", "--"], form)
        self.assertEqual(wrapped, expected)
        self.assertEqual(mcpwall.unwrap_server(wrapped, server.path, form), text)

    def test_forms_of_json(self) -> None:
        for before, after in (
                ('{"command": "x"}', '{"command": "py", "args": [ "mcpwall.py", "--", "x" ]}'),
                ('{"command": "x", "args": []}', '{"command": "py", "args": ["mcpwall.py", "--", "x"]}'),
                ('{"command": "x", "args": [ ]}', '{"command": "py", "args": ["mcpwall.py", "--", "x" ]}'),
                ('{"args": [ ], "command": "x"}', '{"args": ["mcpwall.py", "--", "x" ], "command": "py"}'),
                ('{"command": "\\u0078", "args": ["1"]}', '{"command": "py", "args": ["mcpwall.py", "--", "\\u0078", "1"]}'),
                ('{"command": ["x", "1"]}', '{"command": ["py", "mcpwall.py", "--", "x", "1"]}'),
                ('{\n "command": "x" // c\n}', '{\n "command": "py",\n "args": [ "mcpwall.py", "--", "x" ] // c\n}'),
                ('{"command": "x", "args": [\n  "1"\n]}',
                 '{"command": "py", "args": [\n  "mcpwall.py",\n  "--",\n  "x",\n  "1"\n]}'),
                ('{"command": "x", "args": [ /* c */ "1",]}',
                 '{"command": "py", "args": [ /* c */ "mcpwall.py", "--", "x", "1",]}'),
                ('{"command": "x", "args": [ // c\n]}', '{"command": "py", "args": ["mcpwall.py", "--", "x" // c\n]}'),
                ('{"command": {"path": "x"}}', '{"command": {"path": "py", "args": [ "mcpwall.py", "--", "x" ]}}')):
            with self.subTest(before=before):
                self.check(f'{{"mcpServers": {{"a": {before}}}}}', f'{{"mcpServers": {{"a": {after}}}}}')

    def test_forms_of_toml(self) -> None:
        for before, after in (
                ('command = "x"', 'command = "py"\nargs = [ "mcpwall.py", "--", "x" ]'),
                ("command = 'x\\' # c", 'command = "py"\nargs = [ "mcpwall.py", "--", \'x\\\' ] # c'),
                ('command = "x"\nargs = []', 'command = "py"\nargs = ["mcpwall.py", "--", "x"]'),
                ('args = [ # c\n "1" ]\ncommand = "x"', 'args = [ # c\n "mcpwall.py",\n "--",\n "x",\n "1" ]\ncommand = "py"')):
            with self.subTest(before=before):
                head, tail = "[x]\ny = 1\n[mcp_servers.a]\n", "\n[z]\ncommand = 'k'\n"
                self.check(head + before + tail, head + after + tail, form="toml")

    def test_toml_that_is_not_plain(self) -> None:
        file = config("toml", ("mcp_servers",))
        for text in ('mcp_servers = {a = {command = "x", args = ["1"]}}', '[mcp_servers]\na = {command = "x", args = ["1"]}',
                     '[mcp_servers]\na.command = "x"\na.args = ["1"]', 'mcp_servers.a.command = "x"\nmcp_servers.a.args = ["1"]'):
            with self.subTest(text=text):
                server = servers_of(text, file)["a"]
                self.assertEqual(server.argv, ("x", "1"))
                self.assertIn("lines to paste", server.why_not)
                lines = ['command = "py"', 'args = ["--", "x", "1"]']
                if text.startswith("[mcp_servers]\na = {"):
                    lines = ['a = { command = "py", args = ["--", "x", "1"] }']
                self.assertEqual(mcpwall.lines_to_paste(server, ["py", "--"]), lines)
                with self.assertRaises(mcpwall.ConfigError):
                    mcpwall.wrap_server(text, server.path, ["py", "mcpwall.py", "--"], "toml")

    def test_the_line_for_an_inline_table_keeps_its_other_keys(self) -> None:
        text = "[mcp_servers]\n'a b' = {command='x', env={K=\"v\", 'o.p'='q'}, t=30, on=true, l=[1, {}]}\n"
        file = config("toml", ("mcp_servers",))
        server = servers_of(text, file)["a b"]
        [line] = mcpwall.lines_to_paste(server, ["py", "/x/mcpwall.py", "--"])
        self.assertEqual(line, '"a b" = { command = "py", args = ["/x/mcpwall.py", "--", "x"], '
                               'env = { K = "v", "o.p" = "q" }, t = 30, on = true, l = [1, {}] }')
        pasted = servers_of("[mcp_servers]\n" + line, file)["a b"]
        self.assertEqual((pasted.argv, pasted.line), (("x",), 2))
        self.assertIsNotNone(pasted.wrapper)
        self.assertEqual({**pasted.entry, **server.entry, "args": 0}, {**server.entry, "args": 0})

    def test_toml_that_cannot_be_read(self) -> None:
        for text, line in (('a = "x', 1), ("\n[mcp_servers.a\n", 2), ("a\n", 1), ("a = \n", 1), ("a = [1\nb = 2", 2),
                           ('a = """x', 1), ("a = 1 2\n", 1), ('a = "\\q"', 1), ("[mcp_servers.a]\n[mcp_servers.a]", 2),
                           ("[mcp_servers.a]\ncommand = 'x'\ncommand = 'y'", 3), ("a = " + "[" * 70, 1),
                           ("[mcp_servers.a]\n[[mcp_servers.a]]", 2)):
            with self.subTest(text=text):
                with self.assertRaises(mcpwall.PolicyError) as caught:
                    mcpwall.list_servers(config("toml", ("mcp_servers",), "/x.toml"), text)
                self.assertIn(f"/x.toml:{line}:", str(caught.exception))

    def test_names_that_occur_twice_are_refused(self) -> None:
        for text in ('{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}',
                     '{"mcpServers": {}, "mcpServers": {"a": {"command": "y"}}}',
                     '{"mcpServers": {"a": {"command": "x", "command": "y"}}}',
                     '{"mcpServers": {"a": {"command": "x", "args": [], "args": []}}}'):
            with self.subTest(text=text), self.assertRaises(mcpwall.ConfigError) as caught:
                mcpwall.wrap_server(text, ("mcpServers", "a"), [*WALL, "--"])
            self.assertIn("occurs twice", str(caught.exception))

    def test_refusals(self) -> None:
        text = '{"mcpServers": {"a": {"command": "x"}, "r": {"url": "https://x"}}}'
        wrapped = mcpwall.wrap_server(text, ("mcpServers", "a"), [*WALL, "--"])
        for function, arguments in (
                (mcpwall.wrap_server, (text, ("mcpServers", "b"), WALL)),
                (mcpwall.wrap_server, (text, ("mcpServers", "r"), WALL)),
                (mcpwall.wrap_server, (wrapped, ("mcpServers", "a"), WALL)),
                (mcpwall.unwrap_server, (text, ("mcpServers", "a"))),
                (mcpwall.wrap_server, (text, ("mcpServers", "a"), ["/x\udcff", "--"]))):
            with self.assertRaises(mcpwall.ConfigError):
                function(*arguments)

    def test_a_wall_is_replaced(self) -> None:
        text = '{"mcpServers": {"a": {"command": "x", "args": ["1"]}}}'
        path = ("mcpServers", "a")
        first = set_wall(text, path, ["/old/mcpwall.py", "--"])
        second = set_wall(first, path, [*WALL, "--profile", "strict", "--"])
        self.assertEqual(second, mcpwall.wrap_server(text, path, [*WALL, "--profile", "strict", "--"]))
        self.assertEqual(set_wall(second, path, None), text)
        self.assertEqual(set_wall(text, path, None), text)

    def test_many_walls_at_once(self) -> None:
        text = json.dumps({"mcpServers": {"a": {"command": "x"}, "b": {"command": "y"}, "c": {"command": "z"}},
                           "projects": {"/p": {"history": [1, "2"], "mcpServers": {"a": {"command": "x", "args": ["1"]}}}}})
        paths = [("mcpServers", "a"), ("projects", "/p", "mcpServers", "a"), ("mcpServers", "b")]
        walls = [(path, [*WALL, "--server-name", path[-1], "--"]) for path in paths]
        one_by_one = text
        for path, wall in walls:
            one_by_one = set_wall(one_by_one, path, wall)
        self.assertEqual(mcpwall.set_walls(text, walls), one_by_one)
        old = mcpwall.wrap_server(text, paths[0], ["/old/mcpwall.py", "--"])
        self.assertEqual(mcpwall.set_walls(old, walls), one_by_one)
        mixed = mcpwall.set_walls(one_by_one, [(paths[0], None), walls[1], (paths[2], ["/new/mcpwall.py", "--"])])
        self.assertEqual(mcpwall.set_walls(mixed, [(path, None) for path in paths]), text)
        with self.assertRaises(mcpwall.ConfigError):
            mcpwall.set_walls(text, [*walls, (("mcpServers", "none"), WALL)])
        self.assertEqual(mcpwall.set_walls(text, []), text)

    def test_megabytes_of_history_take_no_time(self) -> None:
        history = [{"display": 'fix "it", {please}', "n": n, "ok": None} for n in range(15_000)]
        servers = {f"s{n}": {"command": "x"} for n in range(50)}
        text = json.dumps({"projects": {"/p": {"history": history, "mcpServers": servers}}, "h": history}, indent=1)
        file = config("json", ("projects", "*", "mcpServers"))
        start = time.process_time()
        found = mcpwall.list_servers(file, text)
        wrapped = mcpwall.set_walls(text, [(s.path, [*WALL, "--"]) for s in found])
        self.assertLess(time.process_time() - start, ENDS_S)
        self.assertEqual([s.wrapper is None for s in mcpwall.list_servers(file, wrapped)], [False] * 50)
        self.assertEqual(mcpwall.set_walls(wrapped, [(s.path, None) for s in found]), text)
        self.assertEqual(text[:text.index('"s49"')].count("\n") + 1, found[-1].line)

    def test_unwrap_after_the_user_edited(self) -> None:
        wrapped = '{"mcpServers": {"a": {"command": "py", "args": ["mcpwall.py", "--", "x", ], "env": {"N": "1"}}}}'
        self.assertEqual(mcpwall.unwrap_server(wrapped, ("mcpServers", "a")),
                         '{"mcpServers": {"a": {"command": "x", "args": [ ], "env": {"N": "1"}}}}')


class Generated(unittest.TestCase):
    """Random documents: the splice changes the entry's command and nothing else, and comes out again."""

    def setUp(self) -> None:
        self.seed = random.randrange(1 << 32)
        self.dice = random.Random(self.seed)

    def blank(self, comments: bool = True) -> str:
        kinds = ["", " ", "\n", "\t", "  ", "\r\n", "\n    "]
        return "".join(self.dice.choice(kinds + (["/* c \" { */", "// [ \" '\n"] if comments else []))
                       for _ in range(self.dice.randrange(3)))

    def string(self, text: str) -> str:
        return '"' + "".join(f"\\u{ord(c):04x}" if self.dice.random() < .1 and ord(c) < 65536
                             else json.dumps(c, ensure_ascii=self.dice.random() < .5)[1:-1] for c in text) + '"'

    def value(self, depth: int = 0) -> str:
        pick = self.dice.randrange(4 if depth > 2 else 6)
        if pick < 4:
            return [self.string(self.name()), "true", "-1.5e3", "null"][pick]
        return self.container([self.value(depth + 1) for _ in range(self.dice.randrange(3))] if pick == 4 else
                              [(self.name() + str(i), self.value(depth + 1)) for i in range(self.dice.randrange(3))])

    def name(self) -> str:
        return self.dice.choice(["a", "__proto__", "x.y", 'q"u', "ключ", "", "😀", "b\\s", "n\nl", "/", "~1", "mcpServers",
                                 "--", "-c", "${X}", "mcpwall"])

    def container(self, items: list[Any]) -> str:
        inside = [f"{self.blank()}{self.string(item[0])}{self.blank()}:{self.blank()}{item[1]}{self.blank()}"
                  if isinstance(item, tuple) else self.blank() + item + self.blank() for item in items]
        brackets = "{}" if items and isinstance(items[0], tuple) or not items and self.dice.random() < .5 else "[]"
        trailing = "," + self.blank() if items and self.dice.random() < .2 else ""
        return brackets[0] + (",".join(inside) or self.blank()) + trailing + brackets[1]

    def entry(self) -> str:
        words = [self.string(self.name()) for _ in range(self.dice.randrange(4))]
        program = self.string(self.dice.choice(["npx", "C:\\p q\\x", "/usr/bin/é", "${X}", "uvx"]))
        arguments = "[" + ",".join(self.blank() + word + self.blank() for word in words) + (
            "," + self.blank() if words and self.dice.random() < .2 else self.blank() if not words else "") + "]"
        shape = self.dice.randrange(5)
        if shape == 0:
            items = [("command", "[" + self.blank() + program + "".join("," + self.blank() + w for w in words) + "]")]
        else:
            items = [("path" if shape == 1 else "command", program)]
            if self.dice.random() < .8:
                items.insert(self.dice.randrange(2), ("args", arguments))
            if shape in (1, 2):
                items = [("command" if shape == 1 else "transport", self.container(items))]
        for key in ("env", "disabled", "cwd"):
            if self.dice.random() < .4:
                items.insert(self.dice.randrange(len(items) + 1), (key, self.value()))
        return self.container(items)

    def test_json(self) -> None:
        end = time.monotonic() + FUZZ_SECONDS
        while time.monotonic() < end:
            names = list(dict.fromkeys(self.name() for _ in range(3)))
            servers = self.container([(name, self.entry()) for name in names])
            rest = [(f"k{i}", self.value()) for i in range(2)] + [("mcpServers", servers)]
            self.dice.shuffle(rest)
            text = self.dice.choice(["", "\ufeff"]) + self.blank() + self.container(rest) + self.blank()
            for server in mcpwall.list_servers(config(), text):
                with self.subTest(seed=self.seed, text=text, name=server.name):
                    self.check(text, server)

    def check(self, text: str, server: mcpwall.Server) -> None:
        self.assertEqual(server.why_not, "")
        if server.wrapper:
            return      # the dice made `mcpwall -- …`
        words = mcpwall.wall_words(server, WALL)
        wrapped = mcpwall.wrap_server(text, server.path, words)
        node = mcpwall.parse_jsonc(text)
        for step in server.path:
            node = next(m.node for m in node.members if m.key == step)
        self.assertTrue(wrapped.startswith(text[:node.start + 1]) and wrapped.endswith(text[node.end - 1:]))
        now = servers_of(wrapped, config())[server.name]
        self.assertEqual((now.argv, now.wrapper.wall), (server.argv, tuple(words)))
        self.assertEqual(mcpwall.unwrap_server(wrapped, server.path), text)

    def test_toml(self) -> None:
        try:
            import tomllib
        except ImportError:
            tomllib = None  # type: ignore[assignment]
        file = config("toml", ("mcp_servers",))
        end = time.monotonic() + FUZZ_SECONDS / 2
        while time.monotonic() < end:
            text = self.toml()
            before = tomllib.loads(text) if tomllib else None
            if before is not None:
                self.assertEqual({s.name: s.argv for s in mcpwall.list_servers(file, text)}, {
                    name: (entry["command"], *entry.get("args", ())) for name, entry in before["mcp_servers"].items()})
            for server in mcpwall.list_servers(file, text):
                with self.subTest(seed=self.seed, text=text, name=server.name):
                    words = mcpwall.wall_words(server, WALL)
                    wrapped = mcpwall.wrap_server(text, server.path, words, "toml")
                    if before is not None:
                        after = tomllib.loads(wrapped)
                        entry = after["mcp_servers"][server.name]
                        self.assertEqual([entry.pop("command"), *entry.pop("args")], [*words, *server.argv])
                        entry.update({k: v for k, v in before["mcp_servers"][server.name].items()
                                      if k in ("command", "args")})
                        self.assertEqual(after, before)
                    self.assertEqual(mcpwall.unwrap_server(wrapped, server.path, "toml"), text)

    def toml(self) -> str:
        line = lambda: self.dice.choice(["", "# c \" [x]\n", "\n", "  "])  # noqa: E731
        word = lambda: self.dice.choice(['"a\\tb"', "'lit\\'", '"\\u0041\\"#"', "'--'", '"[x]"', '""', "'''m\n'l'''",
                                         '"""\nq"" \\\n  x"""'])  # noqa: E731
        parts = [line(), "top = 1979-05-27 07:32:00Z\n", line()]
        for index in range(self.dice.randrange(1, 4)):
            name = self.dice.choice(["s%d", "'q.%d'", '"u\\u0041 %d"']) % index
            rows = ["command = " + self.dice.choice(['"npx"', "'C:\\x y'"]) + self.dice.choice(["", " # c", "  "])]
            if self.dice.random() < .7:
                items = [self.dice.choice(["", " ", "\n  ", " # c\n "]) + word() for _ in range(self.dice.randrange(4))]
                rows.append("args = [" + ",".join(items) + self.dice.choice(["", " ", "\n"]) + "]")
            for extra in ("enabled = true", "t.x = 3.5", "arr = [[1, 2], {a = 'b'}]", "f = -inf"):
                if self.dice.random() < .3:
                    rows.append(extra)
            self.dice.shuffle(rows)
            parts += [f"[ mcp_servers . {name} ]\n", *(line() + row + "\n" for row in rows), line()]
            if self.dice.random() < .4:
                parts.append(f"[mcp_servers.{name}.env]\nK = {word()}\n")
        parts.append("[z]\ncommand = 'other'\nargs = ['x']")
        text = "".join(parts)
        return text.replace("\n", "\r\n") if self.dice.random() < .3 else text


class Crash(BaseException):
    """Stands for the end of the process: whatever is called after it fails as well."""


class FaultyDisk:
    """The os module, but the call number *at* (and, after a crash, every later one) raises."""

    def __init__(self, at: int, fault: Callable[[], BaseException]) -> None:
        self.left, self.fault, self.crashed = at, fault, False

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0 or self.crashed:
                fault = self.fault()
                self.crashed = isinstance(fault, Crash)
                if self.crashed and name == "write":
                    real(arguments[0], arguments[1][:3])
                raise fault
            return real(*arguments, **named)
        return call


class Saving(Folder):
    OLD = '{"mcpServers": {"a": {"command": "x"}, "b": {"command": "y"}}}\n'

    def change(self, file: mcpwall.ConfigFile, name: str = "a", fs: Any = os) -> bool:
        return mcpwall.change_config(
            [file], lambda text: set_wall(text, ("mcpServers", name), [*WALL, "--"]), self.lock, fs)

    def backup(self, file: mcpwall.ConfigFile) -> str:
        return mcpwall.backup_of(file.path, os.path.join(os.path.dirname(self.lock), "backups"))

    def leftovers(self) -> list[str]:
        return [name for name in os.listdir(self.home) if ".tmp" in name]

    def test_a_crash_at_any_point_leaves_the_old_or_the_new_file(self) -> None:
        new = set_wall(self.OLD, ("mcpServers", "a"), [*WALL, "--"]).encode()
        seen = set()
        for fault in (Crash, lambda: OSError(28, "No space left on device"), lambda: PermissionError(13, "denied")):
            for at in range(1, 40):
                file = self.file(self.OLD)
                disk = FaultyDisk(at, fault)
                try:
                    self.change(file, fs=disk)
                except (Crash, mcpwall.ConfigError):
                    pass
                now = read(file.path)
                self.assertIn(now, (self.OLD.encode(), new))
                seen.add(now)
                if not disk.crashed:
                    self.assertEqual(self.leftovers(), [])
                backup = self.backup(file)
                if os.path.exists(backup):
                    self.assertEqual(read(backup), self.OLD.encode())
                    os.unlink(backup)
                for name in self.leftovers():
                    os.unlink(os.path.join(self.home, name))
                if disk.left > 0:
                    break
            self.assertGreater(disk.left, 0, "every call was made to fail once")
        self.assertEqual(len(seen), 2)

    def test_a_host_that_writes_meanwhile_loses_nothing(self) -> None:
        file = self.file(self.OLD)
        outer = self

        class Meddling(FaultyDisk):
            def __getattr__(self, name: str) -> Any:
                if name == "replace" and self.left > 0:
                    self.left -= 1
                    text = read(file.path).decode()
                    write(file.path, text.replace('"y"', f'"y{self.left}"'))
                return getattr(os, name)

        # the host writes before the backup takes its place, so before the comparison
        self.assertTrue(outer.change(file, fs=Meddling(2, Crash)))
        text = read(file.path).decode()
        self.assertEqual(servers_of(text, file)["b"].argv, ("y1",))
        self.assertIsNotNone(servers_of(text, file)["a"].wrapper)

    def test_changed_since_it_was_read(self) -> None:
        file = self.file(self.OLD)
        with self.assertRaises(mcpwall.ConfigChanged):
            mcpwall.save_config(file.path, b"something else", b"new", backups=os.path.join(self.home, "kept"))
        self.assertEqual(read(file.path), self.OLD.encode())
        self.assertEqual(os.listdir(self.home), ["servers.json"])

    def test_concurrent_walls_lose_nothing(self) -> None:
        names = [f"s{i}" for i in range(12)]
        file = self.file(json.dumps({"mcpServers": {name: {"command": name} for name in names}}))
        original = read(file.path)

        def each(step: Callable[[str], Any]) -> None:
            threads = [threading.Thread(target=step, args=(name,)) for name in names]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        each(lambda name: self.change(file, name))
        self.assertTrue(all(s.wrapper for s in mcpwall.list_servers(file, read(file.path).decode())))
        self.assertEqual(read(self.backup(file)), original)
        each(lambda name: mcpwall.change_config(
            [file], lambda text: set_wall(text, ("mcpServers", name), None), self.lock))
        self.assertEqual(read(file.path), original)
        self.assertEqual(sorted(os.listdir(self.home)), [".mcpwall", "servers.json"])

    def test_concurrent_processes_lose_nothing(self) -> None:
        file = self.file(self.OLD)
        code = ("import sys, mcpwall; f = mcpwall.ConfigFile(('x',), 'user', sys.argv[1], ('mcpServers',), 'json')\n"
                "mcpwall.change_config([f], lambda t: mcpwall.set_walls(t, [(('mcpServers', sys.argv[3]), "
                "['mcpwall.py', '--'])]), sys.argv[2])")
        environ = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.abspath(mcpwall.__file__))}
        walls = [subprocess.Popen([sys.executable, "-c", code, file.path, self.lock, name], env=environ) for name in "ab"]
        self.assertEqual([wall.wait(60) for wall in walls], [0, 0])
        self.assertTrue(all(s.wrapper for s in mcpwall.list_servers(file, read(file.path).decode())))

    def test_a_lock_that_is_held(self) -> None:
        with mcpwall.FileLock(self.lock):
            with self.assertRaises(mcpwall.ConfigError), mcpwall.FileLock(self.lock, 0.03):
                pass
        with mcpwall.FileLock(self.lock, 0.03):
            pass
        with mcpwall.FileLock(os.path.join(self.file("x").path, "no", "lock")):
            pass    # a home that takes no lock does not stop anybody

    def test_a_home_without_locks_keeps_nobody_waiting(self) -> None:
        def lock(name: str, *fault: Any) -> bool:
            fake = mock.Mock(LOCK_EX=2, LOCK_NB=4, LK_NBLCK=2, **{name + ".side_effect": OSError(*fault) if fault else None})
            with mock.patch.dict(sys.modules, fcntl=fake, msvcrt=fake):
                return mcpwall.try_lock(3, windows=name == "locking")
        self.assertTrue(lock("flock"))
        self.assertFalse(lock("flock", errno.EWOULDBLOCK, "held"))
        self.assertTrue(lock("flock", errno.ENOLCK, "no locks"))
        self.assertTrue(lock("locking"))
        self.assertFalse(lock("locking", errno.EACCES, "held"))

    def test_a_file_that_a_scanner_has_open_for_a_moment(self) -> None:
        class Disk(FaultyDisk):
            refusals = 2

            def replace(self, *paths: str) -> None:
                if self.refusals:
                    self.refusals -= 1
                    raise PermissionError(13, "in use")
                os.replace(*paths)
        path, checks, disk = self.file("old").path, [], Disk(99, Crash)
        with mock.patch.object(mcpwall, "REPLACE_PAUSES_S", (0.001, 0.001, 0.0)):
            mcpwall.write_whole(path, b"new", check=lambda: checks.append(1), fs=disk, windows=True)
            self.assertEqual((read(path), len(checks)), (b"new", 3))     # who wrote it meanwhile is not overwritten
            disk.refusals = 3
            with self.assertRaises(PermissionError):
                mcpwall.write_whole(path, b"newer", fs=disk, windows=True)
            disk.refusals = 1
            with self.assertRaises(PermissionError):
                mcpwall.write_whole(path, b"newer", fs=disk, windows=False)
        self.assertEqual((read(path), self.leftovers()), (b"new", []))

    @unittest.skipUnless(POSIX, "permission bits")
    def test_where_files_have_no_permission_bits(self) -> None:
        path = self.file("old").path
        os.chmod(path, 0o666)
        self.assertEqual((mcpwall.file_mode(path, windows=True), mcpwall.file_mode(path, windows=False)), (0, 0o666))
        self.assertEqual((mcpwall.is_own_backup(path, windows=True), mcpwall.is_own_backup(path, windows=False)), (True, False))

    def test_a_python_whose_files_the_host_does_not_see(self) -> None:
        store = "C:\\Program Files\\WindowsApps\\PythonSoftwareFoundation.Python.3.12_3.12.2800.0_x64__qbz5n2kfra8p0"
        config_path = "C:\\Users\\u\\AppData\\Roaming\\Claude\\claude_desktop_config.json"
        self.assertTrue(mcpwall.is_kept_private(config_path, store))
        self.assertFalse(mcpwall.is_kept_private("C:\\Users\\u\\.cursor\\mcp.json", store))
        self.assertFalse(mcpwall.is_kept_private(config_path, "C:\\Python312"))
        file = self.file(self.OLD)
        with mock.patch.object(mcpwall, "is_kept_private", lambda path: True), self.assertRaisesRegex(mcpwall.ConfigError, "python.org"):
            self.change(file)
        self.assertEqual(read(file.path), self.OLD.encode())

    def test_nothing_to_change_writes_nothing(self) -> None:
        file = self.file(self.OLD)
        before = os.stat(file.path)
        self.assertFalse(mcpwall.change_config([file], lambda text: text, self.lock))
        self.assertEqual(os.stat(file.path).st_ino, before.st_ino)

    def test_backup_and_restore(self) -> None:
        file = self.file(self.OLD)
        self.change(file, "a")
        self.change(file, "b")
        backup = self.backup(file)
        self.assertEqual(read(backup), self.OLD.encode(), "the backup knows no wall")
        if POSIX:
            self.assertEqual(os.stat(backup).st_mode & 0o777, 0o600)
        mcpwall.restore_config(file.path, self.lock)
        self.assertEqual(read(file.path), self.OLD.encode())
        self.assertFalse(os.path.exists(backup))
        with self.assertRaises(mcpwall.ConfigError):
            mcpwall.restore_config(file.path, self.lock)

    @unittest.skipUnless(POSIX, "modes")
    def test_a_backup_that_came_with_the_checkout_is_not_ours(self) -> None:
        file = self.file(self.OLD)
        backup = write(file.path + mcpwall.BACKUP_SUFFIX, "planted")
        os.chmod(backup, 0o644)
        with self.assertRaises(mcpwall.ConfigError):
            mcpwall.restore_config(file.path, self.lock)
        os.unlink(backup)
        victim = self.file("victim", "victim.txt").path
        os.symlink(victim, backup)
        self.change(file)
        self.assertEqual((read(victim), read(self.backup(file))), (b"victim", self.OLD.encode()))

    @unittest.skipUnless(POSIX, "modes, owners and links")
    def test_mode_owner_and_links_stay(self) -> None:
        file = self.file(self.OLD, "dotfiles/real.json")
        os.chmod(file.path, 0o640)
        if os.getuid() == 0:
            os.chown(file.path, 12345, 54321)
        link = os.path.join(self.home, "link.json")
        os.symlink("dotfiles/middle.json", link)
        os.symlink("real.json", os.path.join(self.home, "dotfiles", "middle.json"))
        self.assertTrue(self.change(file._replace(path=link)))
        status = os.stat(file.path)
        self.assertEqual((status.st_mode & 0o777, os.path.islink(link)), (0o640, True))
        self.assertIn(b"mcpwall", read(file.path))
        if os.getuid() == 0:
            self.assertEqual((status.st_uid, status.st_gid), (12345, 54321))

    @unittest.skipUnless(POSIX, "modes and links")
    def test_files_that_are_not_written(self) -> None:
        read_only = self.file(self.OLD, "ro.json")
        os.chmod(read_only.path, 0o444)
        hard = self.file(self.OLD, "hard.json")
        os.link(hard.path, hard.path + ".other")
        for file, why in ((read_only, "read-only"), (hard, "hard links")):
            with self.assertRaises(mcpwall.ConfigError) as caught:
                self.change(file)
            self.assertIn(why, str(caught.exception))
            self.assertEqual(read(file.path), self.OLD.encode())

    @unittest.skipIf(not POSIX or os.getuid() == 0, "nothing is forbidden to root")
    def test_missing_permissions(self) -> None:
        file = self.file(self.OLD, "sub/a.json")
        self.addCleanup(os.chmod, os.path.dirname(file.path), 0o700)
        for path, mode in ((file.path, 0o000), (file.path, 0o200), (os.path.dirname(file.path), 0o500)):
            before = os.stat(path).st_mode
            os.chmod(path, mode)
            with self.assertRaises(mcpwall.ConfigError) as caught:
                self.change(file)
            os.chmod(path, before)
            self.assertIn("ermission denied", str(caught.exception))
            self.assertEqual((read(file.path), os.listdir(os.path.dirname(file.path))), (self.OLD.encode(), ["a.json"]))

    def test_an_owner_that_cannot_be_kept(self) -> None:
        class NoChown(FaultyDisk):
            def __getattr__(self, name: str) -> Any:
                if name == "fchown":
                    raise PermissionError(1, "Operation not permitted")
                return getattr(os, name)
        if not POSIX or os.getuid() != 0:
            self.skipTest("only root can make a file of somebody else's")
        file = self.file(self.OLD)
        os.chown(file.path, 12345, 54321)
        with self.assertRaises(mcpwall.ConfigError):
            self.change(file, fs=NoChown(1, Crash))
        self.assertEqual((read(file.path), self.leftovers()), (self.OLD.encode(), []))

    def test_files_that_are_not_read(self) -> None:
        big = self.file("", "big.json").path
        os.truncate(big, 50 * 1024 * 1024)
        os.mkdir(os.path.join(self.home, "dir.json"))
        cases = [(big, "50 MB"), (os.path.join(self.home, "none.json"), "No such file"),
                 (self.file(b'{"a": "\xff"}', "latin.json").path, "not UTF-8 text (byte 7)"),
                 (self.file('{"a": 1}'.encode("utf-16"), "wide.json").path, "not UTF-8"),
                 (self.file(b"\x7fELF\0\0", "elf.json").path, "binary")]
        if POSIX:
            os.mkfifo(os.path.join(self.home, "pipe.json"))
            cases += [(os.path.join(self.home, "pipe.json"), "not a regular file"),
                      (os.path.join(self.home, "dir.json"), "")]
        for path, why in cases:
            with self.subTest(path=path), self.assertRaises(mcpwall.ConfigError) as caught:
                mcpwall.decode_config(path, mcpwall.read_config(path))
            self.assertTrue(str(caught.exception).startswith(path) and why in str(caught.exception))

    def test_files_that_do_not_parse_say_where(self) -> None:
        for name, text, where in (("a.json", '{\n  "a": tru\n}', ":2:8: "), ("b.toml", "x = 1\ny\n", ":2:2: "),
                                  ("c.yaml", "a: 1\nb: [\n", ":")):
            file = self.file(text, name)
            with self.subTest(name=name), self.assertRaises(mcpwall.PolicyError) as caught:
                mcpwall.list_servers(file, text)
            self.assertTrue(str(caught.exception).startswith(file.path + where), caught.exception)

    def test_empty_files_have_no_servers(self) -> None:
        for name in ("a.json", "b.toml"):
            for text in ("", "\ufeff", "\n \n"):
                self.assertEqual(mcpwall.list_servers(self.file(text, name), text), [])


if __name__ == "__main__":
    unittest.main()
