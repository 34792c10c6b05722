"""The relay: finding and starting the server, writing to peers, and conversations with real child processes."""
from __future__ import annotations

import base64
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
import unittest
from unittest import mock

from tests.support import TOP, WALL, mcpwall, seed

HERE = os.path.dirname(os.path.abspath(__file__))
SERVER = [sys.executable, "-I", "-S", os.path.join(HERE, "data", "relay_server.py")]
RELAY = [sys.executable, "-S", os.path.join(HERE, "data", "relay_wall.py")]
POSIX = os.name == "posix"
LONG = 20.0     # seconds after which a test that waits has failed
PLACES = []     # the folder of this run


def setUpModule():
    PLACES.append(tempfile.mkdtemp(prefix="mcpwall-test-"))


def tearDownModule():
    shutil.rmtree(PLACES.pop(), True)


def folder():
    return tempfile.mkdtemp(dir=PLACES[-1])


def environment(**more):
    return {**os.environ, "PYTHONPATH": TOP, **more}


def request(ident, text="hello", method="tools/call"):
    params = {"name": "echo", "arguments": {"text": text}}
    return json.dumps({"jsonrpc": "2.0", "id": ident, "method": method, "params": params}).encode() + b"\n"


def denied(ident):
    params = {"name": "read_file", "arguments": {"path": "/home/user/.ssh/id_rsa"}}
    return json.dumps({"jsonrpc": "2.0", "id": ident, "method": "tools/call", "params": params}).encode() + b"\n"


def alive(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:     # a zombie that nobody has collected is dead
            return stream.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return True


def wait_until(condition, seconds=LONG):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain")
        time.sleep(0.005)


class Host:
    """A wall with a server behind it, and the host's end of its pipes."""

    def __init__(self, *habit, options=None, command=None, **popen):
        self.place = folder()
        self.pids_file = os.path.join(self.place, "pids")
        environ = environment(HOME=self.place, PIDS=self.pids_file, VARIABLE="handed on")
        server = command if command is not None else [*SERVER, *map(str, habit)]
        self.errors = open(os.path.join(self.place, "stderr"), "w+b")
        arguments = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.errors, **popen}
        self.wall = subprocess.Popen([*RELAY, json.dumps(options or {}), *server], env=environ, cwd=self.place,
                                     bufsize=0, **arguments)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in [self.wall.pid, *(self.pids() if os.path.exists(self.pids_file) else [])]:
            if alive(pid):
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        self.wall.wait(LONG)
        for stream in (self.wall.stdin, self.wall.stdout, self.errors):
            if stream is not None:
                stream.close()

    def send(self, data):
        view = memoryview(data)
        while view:
            view = view[self.wall.stdin.write(view):]

    def line(self):
        """The next message from the wall; None at the end."""
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.wall.stdout], [], [], LONG)
            if not ready:
                raise AssertionError("no answer in time; stderr: " + self.stderr())
            data = os.read(self.wall.stdout.fileno(), 1 << 20)
            if not data:
                return None
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def lines(self):
        """All messages until the end."""
        found = []
        while True:
            message = self.line()
            if message is None:
                return found
            found.append(message)

    def ask(self, ident, **more):
        self.send(request(ident, **more))
        answer = self.line()
        assert answer["id"] == ident, answer
        return answer

    def status(self):
        return self.wall.wait(LONG)

    def stderr(self):
        with open(self.errors.name, encoding="utf-8") as stream:
            return stream.read()

    def pids(self):
        """Process ids of the server and what it started."""
        with open(self.pids_file) as stream:
            return [int(line) for line in stream]


def end(host):
    """Close the host's end of the wall's input; (exit status, seconds it took)."""
    start = time.monotonic()
    host.wall.stdin.close()
    status = host.status()
    return status, time.monotonic() - start


class Conversations(unittest.TestCase):
    def gone(self, host):
        """Nobody is left behind."""
        wait_until(lambda: not any(map(alive, host.pids())), 2.0)

    def test_question_and_answer(self):
        with Host("good") as host:
            for ident in range(20):
                self.assertEqual(host.ask(ident)["result"]["content"][0]["text"], "ok")
            self.assertEqual(host.line() if end(host)[0] else None, None)
            self.gone(host)
            self.assertEqual(host.stderr(), "")

    def test_denied_call_is_answered_and_logged_before(self):
        log = folder()
        with Host("good", options={"log": log}) as host:
            host.send(denied(1) + request(2) + denied(3))
            answers = {answer["id"]: answer for answer in (host.line(), host.line(), host.line())}
            self.assertIn("error", answers[1])
            self.assertIn("result", answers[2])
            self.assertIn("error", answers[3])
            name, = os.listdir(log)
            with open(os.path.join(log, name)) as stream:
                self.assertEqual(len([json.loads(line) for line in stream]), 4)
            self.assertEqual(end(host)[0], 0)

    def test_answers_and_audit_lines_of_many_calls(self):
        count, log = 1000, folder()
        with Host("good", options={"log": log}) as host:
            sender = threading.Thread(target=host.send, args=(b"".join(request(i) for i in range(count)),))
            sender.start()
            self.assertEqual([host.line()["id"] for _ in range(count)], list(range(count)))
            sender.join()
            self.assertEqual(end(host)[0], 0)
        with open(os.path.join(log, os.listdir(log)[0])) as stream:
            self.assertEqual(len([json.loads(line) for line in stream]), 2 * count)

    @unittest.skipUnless(POSIX, "descriptors and process groups")
    def test_server_gets_our_environment_folder_and_stderr_and_nothing_else(self):
        leak, other = os.pipe()
        os.set_inheritable(leak, True)
        with Host("tell", pass_fds=[leak]) as host:
            told = json.loads(host.ask(1)["result"]["content"][0]["text"])
            self.assertEqual(told, {"fds": [0, 1, 2], "cwd": os.path.realpath(host.place), "variable": "handed on",
                                    "blocking": True, "leads": True})
            self.assertEqual(end(host)[0], 0)
            self.assertIn("from the server\n", host.stderr())
        os.close(leak)
        os.close(other)

    @unittest.skipUnless(sys.platform == "linux", "/proc")
    def test_server_does_not_inherit_ignored_signals(self):
        with Host(command=["sh", "-c", "grep SigIgn /proc/self/status >&2"]) as host:
            host.status()
            ignored = int(host.stderr().split()[1], 16)
            self.assertFalse(ignored & (1 << (signal.SIGPIPE - 1)), host.stderr())

    def test_end_of_input_is_passed_on_and_the_rest_delivered(self):
        with Host("verbose", 500, 3) as host:
            host.wall.stdin.close()
            self.assertEqual([int(line["params"]["logger"]) for line in host.lines()], list(range(500)))
            self.assertEqual(host.status(), 3)
            self.gone(host)

    def test_answer_of_a_server_that_exits_at_once(self):
        with Host("hasty", 7) as host:
            self.assertIn("result", host.ask(1))
            self.assertEqual(host.status(), 7)      # though our input is still open
            self.gone(host)

    def test_slow_host_gets_all_that_a_dead_server_said(self):
        with Host("verbose", 150, 0, 10_000, options={"patience": {"drain": 0.1}}) as host:     # more than all pipes hold
            host.wall.stdin.close()
            time.sleep(0.25)
            self.assertEqual(len(host.lines()), 150)
            self.assertEqual(host.status(), 0)

    def test_host_that_reads_nothing_does_not_keep_us_for_ever(self):
        with Host("verbose", 100, 0, options={"patience": {"reader": 0.3}}) as host:
            self.assertLess(end(host)[1], LONG)
            self.gone(host)

    def test_death_in_the_middle_of_a_line(self):
        with Host("half") as host:
            host.ask(1)
            rest = host.lines()
            self.assertEqual([line for line in rest if line.get("method")], [])
            self.assertEqual(host.status(), 5)

    @unittest.skipUnless(POSIX, "signals")
    def test_death_by_signal(self):
        for number in (signal.SIGKILL, signal.SIGABRT):
            with Host("suicide", int(number)) as host:
                self.assertEqual(host.status(), 128 + number)

    def test_rubbish_on_stdout_goes_to_stderr(self):
        with Host("rubbish") as host:
            host.ask(1)
            self.assertEqual(end(host)[0], 0)
            self.assertIn("Welcome to the \\x1b[31mserver", host.stderr())
            self.assertNotIn("\x1b", host.stderr())

    def test_flood_while_the_host_does_not_read(self):
        with Host("flood", 10_000, 300) as host:     # 3 MB: more than all pipes hold
            time.sleep(0.3)
            host.send(request(1))
            ids = [host.line().get("id") for _ in range(301)]
            self.assertEqual(ids, [None] * 300 + [1])
            self.assertEqual(end(host)[0], 0)

    def test_both_directions_full(self):
        with Host("flood", 10_000, 250) as host:     # 2.5 MB; the other way 300 KB, and refusals for more than a pipe
            sender = threading.Thread(target=host.send, args=(b"".join(
                denied(ident) if ident % 3 == 0 else request(ident, "x" * 400) for ident in range(900)),))
            sender.start()
            time.sleep(0.2)
            answers = [host.line() for _ in range(1150)]
            sender.join()
            self.assertEqual(sorted(a["id"] for a in answers if "id" in a), list(range(900)))
            self.assertEqual(sum("error" in a for a in answers), 300)
            self.assertEqual(end(host)[0], 0)

    def test_host_that_reads_only_after_all_is_sent(self):
        with Host("good") as host:
            host.send(b"".join(denied(ident) for ident in range(900)))      # 180 KB of refusals wait for it
            self.assertEqual([host.line()["id"] for _ in range(900)], list(range(900)))
            self.assertEqual(end(host)[0], 0)

    def test_server_that_stalls_while_much_comes_in(self):
        with Host("stalled", 0.3) as host:
            host.ask(0)
            big = request(1, text="some words " * 60_000)
            sender = threading.Thread(target=host.send, args=(b"".join(
                big.replace(b'"id": 1', b'"id": %d' % ident) for ident in range(1, 9)),))
            sender.start()
            self.assertEqual([host.line()["id"] for _ in range(8)], list(range(1, 9)))
            sender.join()
            self.assertEqual(end(host)[0], 0)


@unittest.skipUnless(POSIX, "signals")
class Ends(unittest.TestCase):
    gone = Conversations.gone

    def test_signals_go_to_the_server(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number), Host("patient") as host:
                host.line()
                host.wall.send_signal(number)
                self.assertIn(host.status(), (128 + number, 1 if number == signal.SIGINT else 128 + number))
                self.gone(host)

    def test_server_may_take_its_time_and_say_goodbye(self):
        with Host("polite", 0.2, 9) as host:
            host.line()
            host.wall.terminate()
            self.assertEqual([line["params"]["data"] for line in host.lines()], ["bye"])
            self.assertEqual(host.status(), 9)

    def test_signal_that_is_ignored_escalates(self):
        with Host("ignoring", options={"patience": {"kill": 0.2}}) as host:
            host.line()
            host.wall.terminate()
            self.assertEqual(host.status(), 137)
            self.gone(host)

    def test_a_signal_in_the_middle_of_a_judgement(self):
        for habit, status in (("long_line", 128 + signal.SIGTERM), ("ignoring_and_talking", 137)):
            with self.subTest(habit), Host(habit, options={"slow": 60, "patience": {"kill": 0.1, "drain": 0.1}}) as host:
                wait_until(lambda host=host: os.path.exists(host.pids_file + ".slow"))
                start = time.monotonic()
                host.wall.terminate()
                self.assertEqual(host.status(), status)
                self.assertLess(time.monotonic() - start, LONG)     # of 60
                self.gone(host)

    def test_the_end_of_input_in_the_middle_of_a_judgement(self):
        with Host("long_line", options={"slow": 60, "patience": {"reader": 0.1}}) as host:
            wait_until(lambda: os.path.exists(host.pids_file + ".slow"))
            self.assertEqual(end(host)[0], 0)
            self.gone(host)

    def test_what_a_launcher_leaves_behind_serves_on(self):
        with Host("launcher", 3) as host:
            for ident in range(3):
                self.assertEqual(host.ask(ident)["id"], ident)
                time.sleep(0.2)
            self.assertEqual(end(host)[0], 3)           # the launcher's own
            self.gone(host)

    def test_what_a_launcher_leaves_behind_ends_with_the_host(self):
        with Host("launcher", 0, "patient", options={"patience": {"linger": 0.3}}) as host:
            host.line()
            host.ask(1)
            self.assertEqual(end(host)[0], 0)
            self.gone(host)

    def test_what_a_launcher_leaves_behind_gets_signals(self):
        with Host("launcher", 4, "ignoring", options={"patience": {"kill": 0.3}}) as host:
            host.line()
            host.wall.terminate()
            self.assertEqual(host.status(), 4)
            self.gone(host)

    def test_sooner_when_the_host_has_closed_our_input(self):
        with Host("ignoring", options={"patience": {"kill": 60, "hurry": 0.2}}) as host:
            host.line()
            host.wall.stdin.close()
            time.sleep(0.2)
            self.assertIsNone(host.wall.poll())     # it may still be at work
            host.wall.terminate()
            self.assertEqual(host.status(), 137)
            self.gone(host)

    def test_signal_while_the_host_does_not_read(self):
        with Host("flood", 10_000, 300, options={"patience": {"drain": 0.2}}) as host:
            wait_until(lambda: os.path.exists(host.pids_file))
            time.sleep(0.1)
            host.wall.terminate()
            start = time.monotonic()
            self.assertEqual(host.status(), 143)
            self.assertLess(time.monotonic() - start, LONG)
            self.gone(host)

    def test_second_interrupt_kills(self):
        with Host("ignoring", options={"patience": {"kill": 60}}) as host:
            host.line()
            host.wall.send_signal(signal.SIGINT)
            time.sleep(0.1)
            host.wall.send_signal(signal.SIGINT)
            self.assertEqual(host.status(), 137)
            self.gone(host)

    def test_a_killed_wall_leaves_no_server_behind(self):
        for habit, number in (("ignoring", 1), ("parent ignoring", 2), ("stopped", 1)):
            with self.subTest(habit), Host(*habit.split(), start_new_session=True) as host:
                host.line()
                wait_until(lambda host=host, number=number: len(host.pids()) == number)
                pids = host.pids()
                os.killpg(host.wall.pid, signal.SIGKILL)        # as hosts do
                wait_until(lambda pids=pids: not any(map(alive, pids)))

    def test_the_watcher_ends_with_the_relay(self):
        with Host("good", 3) as host:
            host.ask(1)
            children = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True).stdout.splitlines()
            watchers = [int(line.split()[0]) for line in children if line.split()[1] == str(host.wall.pid) and "mcpwall-watch" in line]
            self.assertEqual(len(watchers), 1)
            self.assertEqual(end(host)[0], 3)
            self.assertFalse(alive(watchers[0]))

    def test_ignored_hangup_stays_ignored(self):
        with Host("patient", options={"nohup": True}) as host:
            host.line()
            host.wall.send_signal(signal.SIGHUP)
            self.assertIn("result", host.ask(1))
            host.wall.terminate()
            self.assertEqual(host.status(), 143)

    def test_exit_status_where_children_were_ignored(self):
        with Host("good", 8, options={"childless": True}) as host:
            host.ask(1)
            self.assertEqual(end(host)[0], 8)

    def test_stopped_server(self):
        with Host("stopped") as host:
            host.line()
            host.wall.terminate()
            self.assertEqual(host.status(), 143)
            self.gone(host)

    def test_host_closes_our_output(self):
        with Host("patient", options={"patience": {"vanished": 0.05}}) as host:
            host.line()
            host.wall.stdout.close()                # nothing is written: noticed all the same
            self.assertEqual(host.status(), 143)
            self.gone(host)

    def test_host_closes_our_output_and_the_server_writes(self):
        with Host("flood", 10_000, 300, options={"patience": {"vanished": 0.05}}) as host:
            host.line()
            host.wall.stdout.close()
            self.assertIn(host.status(), (0, 143))
            self.gone(host)

    def test_host_dies_while_somebody_holds_its_pipes(self):
        read_end, write_end = os.pipe()
        with Host("patient", options={"patience": {"vanished": 0.05}}, stdin=read_end) as host:
            os.close(read_end)
            host.line()
            self.assertIsNone(host.wall.poll())
            host.wall.terminate()
        os.close(write_end)

    def test_parent_dies(self):
        place = folder()
        environ = environment(PIDS=os.path.join(place, "pids"))
        options = json.dumps({"patience": {"vanished": 0.05}})
        code = ("import subprocess, sys, time\n"
                "print(subprocess.Popen(sys.argv[1:]).pid, flush=True); time.sleep(60)")
        inner, outer = os.pipe(), os.pipe()         # the wall's pipes outlive its parent
        parent = subprocess.Popen([sys.executable, "-I", "-S", "-c", code, *RELAY, options, *SERVER, "patient"],
                                  stdin=inner[0], stdout=outer[1], env=environ)
        with open(outer[0], "rb", buffering=0) as output:
            wall = int(output.readline())
            self.assertIn(b"ready", output.readline())
            parent.kill()
            parent.wait()
            wait_until(lambda: not alive(wall), 5)
        with open(environ["PIDS"]) as stream:
            self.assertFalse(alive(int(stream.read())))
        for fd in (*inner, outer[1]):
            os.close(fd)

    def test_grandchild_that_holds_the_pipe(self):
        for child in ("silent", "sleeper"):
            short = {"patience": {"drain": 0.2, "group": 0.2}}
            with self.subTest(child), Host("parent", child, 4, options=short) as host:
                host.ask(1)
                status, seconds = end(host)
                self.assertEqual(status, 4)
                self.assertLess(seconds, LONG)
                self.assertEqual(len(host.pids()), 2)
                self.gone(host)

    def test_grandchildren_get_the_signal(self):
        with Host("parent", "sleeper", options={"patience": {"group": 0.1}}) as host:
            host.ask(1)
            host.wall.terminate()
            self.assertEqual(host.status(), 143)
            self.gone(host)

    def test_server_closes_its_output(self):
        with Host("mute") as host:
            host.ask(1)
            self.assertIsNone(host.line())
            self.assertEqual(end(host)[0], 0)

    def test_server_closes_its_input(self):
        with Host("closed") as host:
            host.ask(1)
            self.assertEqual([int(line["params"]["logger"]) for line in host.lines()], [0, 1, 2])
            self.assertEqual(host.status(), 0)

    def test_fault_of_ours_ends_everything(self):
        for peer in ("client", "server"):
            with self.subTest(peer), Host("patient", options={"fault": peer}) as host:
                if peer == "client":
                    host.line()
                    host.send(request(1))
                self.assertEqual(host.status(), 70)
                self.assertIn("internal fault, the server was stopped: KeyError", host.stderr())
                self.assertNotIn("secret", host.stderr())
                self.gone(host)

    @unittest.skipUnless(sys.platform == "linux", "reads /proc")
    def test_idle_wall_costs_nothing(self):
        with Host("good") as host:
            host.ask(1)
            host.ask(2)         # what is made ready behind the first answer is there
            def used():
                with open(f"/proc/{host.wall.pid}/stat", "rb") as stream:
                    return sum(map(int, stream.read().rpartition(b")")[2].split()[11:13]))
            before = used()
            time.sleep(0.3)
            self.assertLessEqual(used() - before, 1)
            self.assertEqual(end(host)[0], 0)


class LogTrouble(unittest.TestCase):
    def test_going_on_without_a_log(self):
        with tempfile.NamedTemporaryFile(dir=PLACES[-1]) as file, Host("good", options={"log": file.name}) as host:
            host.ask(1)
            host.ask(2)
            self.assertEqual(end(host)[0], 0)
            self.assertEqual(host.stderr().count("audit log"), 1)
            self.assertIn("going on without it", host.stderr())

    def test_refusing_without_a_log(self):
        with tempfile.NamedTemporaryFile(dir=PLACES[-1]) as file, \
                Host("good", options={"log": file.name, "required": True}) as host:
            host.send(request(1))
            self.assertIn("error", host.line())
            self.assertEqual(end(host)[0], 0)
            self.assertIn("calls are refused", host.stderr())

    def test_nobody_reads_stderr(self):
        unread, stderr = os.pipe()
        with Host("good", options={"level": "info"}, stderr=stderr) as host:
            os.close(stderr)
            sender = threading.Thread(target=host.send, args=(b"".join(request(i) for i in range(1500)),))
            sender.start()
            for ident in range(1500):               # 3,000 lines: two pipes full
                self.assertEqual(host.line()["id"], ident)
            sender.join()
            self.assertLess(end(host)[1], LONG)
            self.assertEqual(host.wall.returncode, 0)
        os.close(unread)

    def test_stderr_is_closed(self):
        unread, stderr = os.pipe()
        os.close(unread)
        with Host("good", options={"level": "info"}, stderr=stderr) as host:
            os.close(stderr)
            for ident in range(3):
                host.ask(ident)
            self.assertEqual(end(host)[0], 0)


def seen_behind_cmd(line):
    """The words that a C program gets from *line*, after cmd.exe: first variables, then quotes, then the rules of argv."""
    line = line[line.index(" /c ") + 5:-1]          # /s: without the first and the last quote
    known, at = {"PATH": "a&b", "A": '"'}, 0
    while "%" in line[at:]:
        at = line.index("%", at)
        end = line.find("%", at + 1)
        name, _, part = line[at + 1:end].partition(":") if end > 0 else ("", "", "")
        if name.upper() in ("CD", *known):
            value = "" if part == "~," else known.get(name.upper(), "C:\\")
            line = line[:at] + value + line[end + 1:]
            at += len(value)
        else:
            at += 1
    outside = "".join(line.split('"')[::2])
    assert not set(outside) - set(" "), outside     # nothing that cmd would act on
    words, word, quoted, at = [], "", False, 0
    while at < len(line):
        slashes = len(line[at:]) - len(line[at:].lstrip("\\"))
        at += slashes
        if line[at:at + 1] == '"':
            word += "\\" * (slashes // 2)
            if slashes % 2 or quoted and line[at + 1:at + 2] == '"':
                word, at = word + '"', at + (not slashes % 2)
            else:
                quoted = not quoted
        else:
            word += "\\" * slashes
            if line[at:at + 1] == " " and not quoted:
                words, word = [*words, word], ""
            else:
                word += line[at:at + 1]
        at += 1
    return [*words, word]


class Commands(unittest.TestCase):
    """What is started for a name, and what is said when nothing can be."""

    def setUp(self):
        self.place = folder()

    def file(self, name, text="#!/bin/sh\n", mode=0o755):
        path = os.path.join(self.place, *name.split("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as stream:
            stream.write(text)
        os.chmod(path, mode)
        return path

    def refused(self, status, name, **environ):
        with self.assertRaises(mcpwall.CommandError) as caught:
            mcpwall.find_command(name, environ)
        self.assertEqual(caught.exception.status, status)
        self.assertIn(name, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))

    @unittest.skipUnless(POSIX, "file modes")
    def test_path_is_searched_in_order(self):
        self.file("a/server", mode=0o644)
        second, third = self.file("b/server"), self.file("c/server")
        os.makedirs(os.path.join(self.place, "d", "server"))
        path = [os.path.join(self.place, name) for name in "dabc"]
        self.assertEqual(mcpwall.find_command("server", {"PATH": ":".join(path)}, windows=False), second)
        self.assertEqual(mcpwall.find_command(third, {}, windows=False), third)
        self.refused(126, "server", PATH=path[1])
        self.refused(127, "server", PATH=path[0])
        self.refused(127, "server", PATH="")
        self.refused(126, self.place)
        self.refused(127, os.path.join(self.place, "nothing"))

    def test_windows_endings(self):
        cmd, exe = self.file("b/npx.cmd", mode=0o644), self.file("c/npx.exe", mode=0o644)
        self.file("a/npx", mode=0o644)
        environ = {"PATH": ";".join(os.path.join(self.place, name) for name in ("a", "", "b", "c"))}
        self.assertEqual(mcpwall.find_command("npx", environ, windows=True), cmd)
        self.assertEqual(mcpwall.find_command("npx.exe", environ, windows=True), exe)
        self.assertEqual(mcpwall.find_command(exe[:-4], environ, windows=True), exe)
        self.assertEqual(mcpwall.find_command("npx", {**environ, "PATHEXT": ".EXE"}, windows=True), exe)
        self.assertEqual(mcpwall.find_command("npx", {**environ, "PATHEXT": ";.CMD;"}, windows=True), cmd)
        self.assertEqual(mcpwall.find_command("npx", {"PATH": f'"{os.path.dirname(exe)}"'}, windows=True), exe)
        with self.assertRaises(mcpwall.CommandError):
            mcpwall.find_command("uvx", environ, windows=True)

    def test_batch_files_get_arguments_as_they_are_or_are_refused(self):
        line = mcpwall.batch_command_line(r"C:\node\npx.cmd", ["-y", "a b", "a&b|c>d^e", "C:\\dir\\", ""],
                                          {"COMSPEC": r"C:\Windows\cmd.exe"})
        self.assertEqual(line, r'"C:\Windows\cmd.exe" /e:on /v:off /d /s /c ""C:\node\npx.cmd" "-y" "a b" "a&b|c>d^e" '
                               r'"C:\dir\\" """')
        for environ in ({}, {"SYSTEMROOT": r"C:\Windows"}):      # what hosts hand on: no COMSPEC, and a folder may hold a cmd.exe
            self.assertTrue(mcpwall.batch_command_line("x.cmd", [], environ).startswith(r'"C:\Windows\System32\cmd.exe" '))
        for word, written in (("https://u:p%40ss@h/%PATH%", "https://u:p%%cd:~,%40ss@h/%%cd:~,%PATH%%cd:~,%"),
                              ('{"a": "b&c"}', '{""a"": ""b&c""}'), ('a\\\\"b\\c', 'a\\\\\\\\""b\\c'), ('a"', 'a""')):
            line = mcpwall.batch_command_line("x.cmd", [word], {})
            self.assertTrue(line.endswith(f'/c ""x.cmd" "{written}""'), line)
        dice = random.Random(seed())
        for _ in range(300):
            words = ["".join(dice.choice('a"\\%&^ !|PATH') for _ in range(dice.randrange(12))) for _ in range(3)]
            line = mcpwall.batch_command_line("x.cmd", words, {})
            self.assertEqual(seen_behind_cmd(line), ["x.cmd", *words], line)
        for bad in ("a secret\nb", "a secret\rb", "a secret\0"):
            with self.assertRaises(mcpwall.CommandError) as caught:
                mcpwall.batch_command_line("x.cmd", ["-y", bad], {})
            self.assertEqual(caught.exception.status, 126)
            self.assertIn("argument 2", str(caught.exception))
            self.assertNotIn("secret", str(caught.exception))

    def test_exit_status_and_message(self):
        for command, status, words in (
                (["no-such-server"], 127, "no-such-server: not found in PATH"),
                (["./no-such-server"], 127, "./no-such-server: no such file"),
                ([self.place], 126, "is a directory"),
                ([self.file("plain", mode=0o644)], 126, "is not executable"),
                ([self.file("lost", "#!/no/such/interpreter\n")], 126, "its interpreter does not exist"),
                ([], 127, "no server command")) if POSIX else ():
            with self.subTest(command), Host(command=command) as host:
                self.assertEqual(host.status(), status)
                self.assertIn(words, host.stderr())
                self.assertEqual(host.stderr().count("\n"), 1)

    @unittest.skipUnless(POSIX, "shell scripts")
    def test_script_without_interpreter_line(self):
        with Host(command=[self.file("script", "exit 6\n"), "argument"]) as host:
            self.assertEqual(host.status(), 6)


class ServerEnvironment(unittest.TestCase):
    """What the server gets of our environment, by `settings.env` and `--env`."""

    OURS = {"HOME": "/h", "PATH": "/bin", "LANG": "C", "LC_ALL": "C", "TMPDIR": "/t", "https_proxy": "http://p", "HTTP_PROXY": "http://p",
            "SSL_CERT_FILE": "/c", "XDG_CACHE_HOME": "/x", "GITHUB_TOKEN": "t", "GITHUB_USER": "u", "Path": "odd", "EDITOR": "vi",
            "XDG_RUNTIME_DIR": "/run/user/1", "TERM": "() { :; }", "BASH_FUNC_x%%": "() { :; }", "LCX": "1", "": "nameless"}
    FEW = {"HOME", "PATH", "LANG", "LC_ALL", "TMPDIR", "https_proxy", "HTTP_PROXY", "SSL_CERT_FILE", "XDG_CACHE_HOME"}

    def names(self, setting, names=(), windows=False, environ=None):
        environ = self.OURS if environ is None else environ
        handed_on, withheld = mcpwall.server_environment(environ, setting, names, windows)
        self.assertEqual({**handed_on, **withheld}, environ)
        self.assertFalse(handed_on.keys() & withheld.keys())
        return set(handed_on)

    def test_inherit_hands_on_everything(self):
        self.assertEqual(self.names("inherit"), set(self.OURS))
        self.assertEqual(self.names("inherit", ["GITHUB_TOKEN"]), set(self.OURS))

    def test_minimal_hands_on_what_the_sdks_do_and_where_things_are(self):
        self.assertEqual(self.names("minimal"), self.FEW)

    def test_a_list_hands_on_what_its_globs_match_as_well(self):
        self.assertEqual(self.names(["GITHUB_*", "EDIT?R"]), self.FEW | {"GITHUB_TOKEN", "GITHUB_USER", "EDITOR"})
        self.assertEqual(self.names(["github_*"]), self.FEW)
        self.assertEqual(self.names(["BASH_FUNC_*"]), self.FEW | {"BASH_FUNC_x%%"})

    def test_named_variables_pass_whatever_the_setting(self):
        self.assertEqual(self.names("minimal", ["GITHUB_TOKEN", "TERM"]), self.FEW | {"GITHUB_TOKEN", "TERM"})
        self.assertEqual(self.names(["EDITOR"], ["GITHUB_{USER,TOKEN}"]), self.FEW | {"EDITOR", "GITHUB_USER", "GITHUB_TOKEN"})

    def test_case_does_not_count_on_windows(self):
        ours = {"Path": "a", "SystemRoot": "b", "ComSpec": "c", "ProgramFiles(x86)": "d", "ProgramData": "e", "windir": "f", "Temp": "g",
                "Github_Token": "h", "HOME": "i", "http_proxy": "j", "USER": "k", "PSModulePath": "l"}
        few = {"Path", "SystemRoot", "ComSpec", "ProgramFiles(x86)", "ProgramData", "windir", "Temp", "http_proxy"}
        self.assertEqual(self.names("minimal", (), True, ours), few)
        self.assertEqual(self.names(["github_*"], ["home", "[p]smodulePATH"], True, ours), few | {"Github_Token", "HOME", "PSModulePath"})
        sdks = ("APPDATA HOMEDRIVE HOMEPATH LOCALAPPDATA PATH PATHEXT PROCESSOR_ARCHITECTURE PROGRAMFILES SYSTEMDRIVE SYSTEMROOT TEMP "
                "USERNAME USERPROFILE")
        self.assertEqual(self.names("minimal", (), True, dict.fromkeys(sdks.split(), "x")), set(sdks.split()))

    @unittest.skipUnless(POSIX, "the habits need it")
    def test_what_arrives_at_the_server(self):
        secret = "c0rrect!h0rse"
        for setting, options, expected in (
                ('"inherit"', [], {"GITHUB_TOKEN", "OTHER", "VARIABLE"}), ('"minimal"', ["--env", "PIDS"], set()),
                ('"minimal"', ["--env", "PIDS,NONE", "--env=GITHUB_*"], {"GITHUB_TOKEN"}),
                ('["OTHER", "PIDS"]', ["--env", "VARI?BLE"], {"OTHER", "VARIABLE"})):
            with self.subTest(setting=setting, options=options), PolicyHost(
                    setting, options, "variables", GITHUB_TOKEN=secret, OTHER="1") as host:
                given = json.loads(host.ask(1)["result"]["content"][0]["text"])
                self.assertLessEqual({"HOME", "PATH", "PIDS"}, given.keys())
                self.assertEqual(given.keys() & {"GITHUB_TOKEN", "OTHER", "VARIABLE"}, expected)
                self.assertNotIn(secret, host.stderr())
                self.assertEqual("withholds" in host.stderr(), setting != '"inherit"')

    @unittest.skipUnless(POSIX, "the habits need it")
    def test_the_value_of_a_withheld_variable_passes_in_neither_direction(self):
        secret = 'c0rrect "h0rse'
        for setting, withheld in (('"minimal"', True), ('"inherit"', False)):
            with PolicyHost(setting, ["--env", "PIDS"], "good", command=[*SERVER, "serve", f"it is {secret}."], DB_PASSWORD=secret) as host:
                answer = host.ask(1)
                expected = "it is [REDACTED BY MCPWALL]." if withheld else f"it is {secret}."
                self.assertEqual(answer["result"]["content"][0]["text"], expected)
                for number, text in enumerate((f"x{secret}y", base64.b64encode(secret.encode() * 3).decode()), 2):
                    self.assertEqual("error" in host.ask(number, text=text), withheld)
                host.wall.stdin.close()
                host.status()
                said = host.stderr() + host.log()
                self.assertEqual("withheld-variable DB_PASSWORD" in said, withheld)
                self.assertNotIn("h0rse", said)


class PolicyHost(Host):
    """A host whose wall is started by the command line, with a policy that sets `env`."""

    def __init__(self, setting, options, *habit, command=None, **variables):
        self.place = folder()
        self.pids_file = os.path.join(self.place, "pids")
        policy = os.path.join(self.place, "policy.yml")
        with open(policy, "w", encoding="utf-8") as stream:
            stream.write(f"extends: default\nsettings: {{env: {setting}, log_dir: {json.dumps(self.place)}}}\n")
        environ = environment(HOME=self.place, PIDS=self.pids_file, VARIABLE="handed on", **variables)
        self.errors = open(os.path.join(self.place, "stderr"), "w+b")
        self.wall = subprocess.Popen([*WALL, "-c", policy, *options, "--", *(command or [*SERVER, *habit])],
                                     env=environ, cwd=self.place, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=self.errors)
        self.rest = b""

    def log(self):
        for name in os.listdir(self.place):
            if name.endswith(".jsonl"):
                with open(os.path.join(self.place, name), encoding="utf-8") as stream:
                    return stream.read()
        raise AssertionError("no log")


class Outlets(unittest.TestCase):
    """Writing to a peer that may not read."""

    def setUp(self):
        self.read_end, write_end = os.pipe()
        self.shut = []
        self.outlet = mcpwall.Outlet(write_end, lambda fd: (self.shut.append(fd), os.close(fd)))
        self.addCleanup(os.close, self.read_end)

    def read(self, size):
        data = b""
        while len(data) < size:
            data += os.read(self.read_end, size - len(data))
        return data

    def test_post_never_waits(self):
        self.outlet.post(b"a" * 300_000)
        self.outlet.post(b"b" * 300_000)
        self.outlet.close()
        self.assertTrue(self.outlet.busy)
        self.assertEqual(self.shut, [])
        self.assertEqual(self.read(600_000), b"a" * 300_000 + b"b" * 300_000)
        self.assertEqual(os.read(self.read_end, 1), b"")
        wait_until(lambda: not self.outlet.busy)
        self.assertEqual(len(self.shut), 1)

    def test_small_posts_leave_at_once(self):
        before = threading.active_count()
        for _ in range(10):
            self.outlet.post(b"line\n")
        self.assertEqual(threading.active_count(), before)
        self.assertEqual(self.read(50), b"line\n" * 10)

    def test_post_without_poll(self):
        """Where pipes cannot be polled (Windows) every post goes by a thread."""
        whole, mcpwall.poll_fd = mcpwall.poll_fd, lambda *_: 0
        try:
            for number in range(20):
                self.outlet.post(b"%d\n" % number)
                self.assertFalse(mcpwall.reader_gone(self.outlet.fd))
        finally:
            mcpwall.poll_fd = whole
        self.assertEqual(self.read(50), b"".join(b"%d\n" % number for number in range(20)))

    def test_lines_of_two_threads_stay_whole(self):
        lines = 400
        def post():
            for number in range(lines):
                self.outlet.post(b"p%d " % number + b"x" * 997 + b"\n")
        def send():
            for number in range(lines):
                self.outlet.send(b"s%d " % number + b"y" * 2997 + b"\n")
        threads = [threading.Thread(target=target) for target in (post, send)]
        for thread in threads:
            thread.start()
        with open(os.dup(self.read_end), "rb") as stream:
            seen = [stream.readline().split()[0] for _ in range(2 * lines)]
        for thread in threads:
            thread.join()
        for kind in (b"p", b"s"):
            self.assertEqual([word for word in seen if word[:1] == kind],
                             [kind + b"%d" % number for number in range(lines)])

    def test_bound(self):
        self.outlet.post(b"x" * (mcpwall.OUTBOX_BYTES + 200_000))
        waiting = threading.Thread(target=self.outlet.post, args=(b"end",))
        waiting.start()
        waiting.join(0.05)
        self.assertTrue(waiting.is_alive())         # too much waits: whoever posts has to
        self.outlet.post(b"!", bounded=False)       # but not the main thread
        self.read(mcpwall.OUTBOX_BYTES + 200_000)
        self.assertEqual(sorted(self.read(4)), sorted(b"end!"))
        waiting.join()

    def test_reader_goes_away(self):
        other, write_end = os.pipe()
        outlet = mcpwall.Outlet(write_end, os.close)
        os.close(other)
        self.assertTrue(not POSIX or mcpwall.reader_gone(write_end))
        outlet.send(b"x")
        self.assertTrue(outlet.broken)
        outlet.send(b"x")
        outlet.post(b"x")
        outlet.close()
        self.assertFalse(outlet.busy)
        self.assertFalse(outlet.open)


class Embedded(unittest.TestCase):
    """The relay in a thread of another program, with other descriptors."""

    @unittest.skipUnless(POSIX, "process ids")
    def test_in_a_thread(self):
        fd, os.environ["PIDS"] = tempfile.mkstemp(dir=PLACES[-1])
        os.close(fd)
        stdin, host_out = os.pipe()
        host_in, stdout = os.pipe()
        session = mcpwall.Session(mcpwall.Wall(mcpwall.builtin_policy("default")))
        reporter = mcpwall.Reporter(None)
        status = []
        thread = threading.Thread(target=lambda: status.append(
            mcpwall.relay(session, [*SERVER, "good", "3"], None, reporter, stdin=stdin, stdout=stdout)))
        thread.start()
        os.write(host_out, request(1))
        self.assertIn(b'"result"', os.read(host_in, 65536))
        os.close(host_out)
        thread.join(LONG)
        self.assertEqual(status, [3])
        self.assertEqual(os.read(host_in, 1), b"")
        for fd in (stdin, host_in, stdout):
            os.close(fd)


class Kernel:
    """The functions of Windows that we call; *refusing* names those that fail."""

    def __init__(self, *refusing):
        self.refusing, self.calls = refusing, []

    def __getattr__(self, name):
        def call(*args):
            self.calls.append((name, *args))
            return 0 if name in self.refusing else 77
        return call

    def names(self):
        return [call[0] for call in self.calls]


class OnWindows(unittest.TestCase):
    """What is done otherwise there, with the means of this system."""

    def start(self, *habit, kernel=None):
        fd, pids = tempfile.mkstemp(dir=PLACES[-1])
        os.close(fd)
        child = mcpwall.start_windows(SERVER[0], [*SERVER, *(habit or ("good", "5"))], {**os.environ, "PIDS": pids}, kernel)
        self.addCleanup(os.close, child.stdout)
        return child

    def test_start_and_end(self):
        child = self.start()
        os.write(child.stdin, request(1))
        self.assertIn(b'"result"', os.read(child.stdout, 65536))
        self.assertTrue(child.signal(0))
        os.close(child.stdin)
        self.assertEqual(child.wait(), 5)
        self.assertFalse(child.signal(0))

    def test_the_server_ends_with_a_wall_that_is_killed(self):
        kernel = Kernel()
        child = self.start(kernel=kernel)
        self.assertEqual(kernel.names(), ["CreateJobObjectW", "SetInformationJobObject", "AssignProcessToJobObject"])
        _, job, kind, limits, size = kernel.calls[1]
        self.assertEqual((job, kind, len(limits)), (77, 9, size))
        self.assertEqual(int.from_bytes(limits, "little") >> 128, 0x2000)
        os.close(child.stdin)
        self.assertEqual(child.wait(), 5)
        self.assertFalse(child.signal(15))      # what it has left behind ends
        self.assertEqual(kernel.calls[3:], [("TerminateJobObject", 77, 1)])

    def test_size_of_the_limits_of_a_job(self):
        import ctypes
        long, word, size = ctypes.c_int64, ctypes.c_uint32, ctypes.c_size_t
        fields = [long, long, word, size, size, word, size, word, word, *[ctypes.c_uint64] * 6, *[size] * 4]
        made = type("Limits", (ctypes.Structure,), {"_fields_": [(f"f{n}", kind) for n, kind in enumerate(fields)]})
        self.assertEqual((made.f2.offset, ctypes.sizeof(made)), (16, mcpwall.Job(None)._size))

    def test_a_server_starts_where_there_are_no_jobs(self):
        for refusing in ("CreateJobObjectW", "SetInformationJobObject", "AssignProcessToJobObject"):
            kernel = Kernel(refusing)
            child = self.start(kernel=kernel)
            os.close(child.stdin)
            self.assertEqual(child.wait(), 5)
            self.assertNotIn("TerminateJobObject", kernel.names())

    @unittest.skipUnless(POSIX, "habits of the server")
    def test_without_a_job_taskkill_is_windows_own_and_does_not_inherit_our_input(self):
        child, calls = self.start("silent"), []
        with mock.patch.object(subprocess, "call", lambda argv, **how: calls.append((argv, how))):
            self.assertTrue(child.signal(9))
        (argv, how), = calls
        self.assertEqual(argv[0], r"C:\Windows\System32\taskkill.exe")
        self.assertEqual(how["stdin"], subprocess.DEVNULL)
        self.assertTrue(child.signal(9))        # there is no such program here
        self.assertNotEqual(child.wait(), 0)
        os.close(child.stdin)

    def test_a_host_without_console_is_no_fault_of_ours(self):
        child = self.start()
        with mock.patch.object(subprocess.Popen, "send_signal", side_effect=SystemError("returned a result with an exception set")):
            self.assertTrue(child.signal(15))
        os.close(child.stdin)
        self.assertEqual(child.wait(), 5)

    def test_scripts_are_run_by_cmd(self):
        seen = []
        with mock.patch.object(subprocess, "Popen", side_effect=lambda command, **_: seen.append(command) or self.fail_to_start()):
            for name in ("npx.cmd", "x.BAT", "x.py", "x.exe", "x"):
                with self.assertRaises(mcpwall.CommandError):
                    mcpwall.start_windows("/a/" + name, [name, "1"], {"PATHEXT": ".COM;.EXE;.BAT;.CMD;.PY"})
        self.assertEqual([type(command) for command in seen], [str, str, str, list, list])

    def fail_to_start(self):
        raise OSError(2, "no such file")

    def test_lines_carry_ctrl_z_and_line_ends_as_they_are(self):
        modes = []

        def setmode(fd, mode):
            if fd == 9:
                raise OSError(9, "Bad file descriptor")
            modes.append((fd, mode))
        with mock.patch.dict(sys.modules, msvcrt=types.SimpleNamespace(setmode=setmode)):
            mcpwall.keep_bytes(0, 9, 1, windows=True)
            mcpwall.keep_bytes(3, windows=False)
        self.assertEqual(modes, [(0, 0x8000), (1, 0x8000)])

    def test_a_host_that_has_gone_is_noticed_though_its_number_stays(self):
        running = types.SimpleNamespace(OpenProcess=lambda *_: 5, WaitForSingleObject=lambda *_: 258)
        gone = mcpwall.parent_watch(running, lambda: 4711)
        self.assertFalse(gone())
        running.WaitForSingleObject = lambda *_: 0
        self.assertTrue(gone())
        self.assertFalse(mcpwall.parent_watch(Kernel("OpenProcess"), lambda: 4711)())      # no right to look
        numbers = [4711, 4711, 1]
        elsewhere = mcpwall.parent_watch(None, lambda: numbers.pop(0))
        self.assertEqual([elsewhere(), elsewhere()], [False, True])

    @unittest.skipUnless(POSIX, "where the means are others")
    def test_a_conversation_by_the_means_of_windows(self):
        """No poll, no SIGCONT, SIGHUP or masks, a job; the host is gone in the end, though its pipes stay open."""
        names = ("SIGTERM", "SIGINT", "SIG_IGN", "getsignal", "signal")
        fakes = {"signal": types.SimpleNamespace(**{name: getattr(signal, name) for name in names}), "select": types.SimpleNamespace()}
        kernel, gone = Kernel(), []
        kernel.WaitForSingleObject = lambda *_: 0 if gone else 258
        stdin, host_out = os.pipe()
        host_in, stdout = os.pipe()
        fd, pids = tempfile.mkstemp(dir=PLACES[-1])
        os.close(fd)
        session, reporter, status = mcpwall.Session(mcpwall.Wall(mcpwall.builtin_policy("default"))), mcpwall.Reporter(None), []

        def run():
            patience = mcpwall.Patience(kill=0.2, vanished=0.05, poll=0.05)
            status.append(mcpwall.relay(session, [*SERVER, "patient"], None, reporter, {**os.environ, "PIDS": pids},
                                        patience=patience, stdin=stdin, stdout=stdout))

        def start(command, environ):
            return mcpwall.start_windows(command[0], list(command), environ, kernel)
        with mock.patch.dict(sys.modules, fakes), mock.patch.object(mcpwall, "start_process", start), \
                mock.patch.object(mcpwall, "windows_kernel", lambda: kernel):
            thread = threading.Thread(target=run)
            thread.start()
            with open(host_in, "rb") as answers:
                self.assertIn(b"ready", answers.readline())
                os.write(host_out, request(1))
                self.assertIn(b'"result"', answers.readline())
                os.write(host_out, denied(2))
                self.assertIn(b'"error"', answers.readline())
                gone.append(True)
                thread.join(LONG)
        self.assertEqual(status, [128 + signal.SIGTERM])
        self.assertIn("TerminateJobObject", [name for name, *_ in kernel.calls])
        os.close(host_out)

    def test_signals_that_windows_knows(self):
        set_to = {}
        fake = types.SimpleNamespace(SIGTERM=15, SIGINT=2, SIGBREAK=21, SIG_IGN="ignored", getsignal=set_to.get,
                                     signal=lambda signum, handler: set_to.__setitem__(signum, handler) or f"before {signum}")
        with mock.patch.dict(sys.modules, signal=fake):
            restore = mcpwall.catch_signals("handler")
            self.assertEqual(set_to, {15: "handler", 2: "handler", 21: "handler"})
            restore()
        self.assertEqual(set_to[21], "before 21")

    def test_no_poll(self):
        with mock.patch.dict(sys.modules, select=types.SimpleNamespace()):
            self.assertEqual((mcpwall.poll_fd(1, 4), mcpwall.room_for(1), mcpwall.reader_gone(1)), (0, 0, False))


class OnMacOS(unittest.TestCase):
    def test_a_reader_that_has_gone_is_noticed_where_poll_tells_only_who_asks(self):
        with mock.patch.object(mcpwall, "poll_fd", lambda fd, events, seconds=0.0: 16 if events else 0):
            self.assertTrue(mcpwall.reader_gone(1))


if __name__ == "__main__":
    unittest.main()
