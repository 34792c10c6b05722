"""The audit log, and what is said on stderr."""
from __future__ import annotations

import io
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import types
import unittest
from unittest import mock

from tests.support import ENDS_S, mcpwall

try:
    import resource
except ImportError:         # Windows
    resource = None

POSIX = os.name == "posix"
NOON = 1_790_000_000.0      # 2026-09-21T14:13:20Z
TODAY, TOMORROW = "2026-09-21.jsonl", "2026-09-22.jsonl"
FIELDS = {"ts": "2026-09-21T14:13:20.000Z", "direction": "inbound", "method": "tools/call", "tool": "read_file",
          "id": 1, "action": "allow", "rule": None, "message": None}


class Clock:
    def __init__(self, now=NOON):
        self.now = now

    def __call__(self):
        return self.now


class LogCase(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="mcpwall-audit-")
        self.addCleanup(shutil.rmtree, self.top, True)
        self.place = os.path.join(self.top, "home", "logs")
        self.clock = Clock()
        self.log = mcpwall.AuditLog(self.place, self.clock)
        self.addCleanup(self.log.close)

    def path(self, name=TODAY):
        return os.path.join(self.place, name)

    def lines(self, name=TODAY):
        with open(self.path(name), encoding="utf-8") as stream:
            return [json.loads(line) for line in stream]

    def refused(self, words, log=None):
        log = log or self.log
        self.assertFalse(log.append(['{"n":1}']))
        self.assertIn(words, log.problem)
        self.assertNotIn("\n", log.problem)

    def mode(self, path):
        return os.stat(path).st_mode & 0o7777


class Writing(LogCase):
    def test_dicts_and_json_lines(self):
        self.assertTrue(self.log.append([{"n": 1, "text": "größe\n\u2028"}, '{"n":2,"text":"größe"}']))
        self.assertTrue(self.log.append(['{"n":3}']))
        self.assertIsNone(self.log.problem)
        self.assertEqual([line["n"] for line in self.lines()], [1, 2, 3])
        self.assertEqual(self.lines()[0]["text"], "größe\n\u2028")

    def test_lone_surrogate(self):
        self.assertTrue(self.log.append([{"n": "\ud800"}, '{"n":"\udfff"}']))
        self.assertEqual([line["n"] for line in self.lines()], ["\ud800", "\udfff"])

    def test_what_is_no_record_is_refused_without_raising(self):
        for bad in ([object()], [{"n": {1, 2}}], [None, {1: object()}]):
            self.assertFalse(self.log.append(bad))
            self.assertIn("audit log", self.log.problem)
        self.assertTrue(self.log.append(['{"n":1}']))

    def test_one_write_for_all(self):
        with mock.patch.object(mcpwall, "log_write", side_effect=os.write) as write:
            self.log.append([{"n": number} for number in range(50)])
        self.assertEqual(write.call_count, 1)

    @unittest.skipUnless(POSIX, "file modes")
    def test_modes(self):
        before = os.umask(0)
        try:
            self.assertTrue(self.log.append(['{"n":1}']))
        finally:
            os.umask(before)
        self.assertEqual(self.mode(self.path()), 0o600)
        self.assertEqual(self.mode(self.place), 0o700)
        self.assertEqual(self.mode(os.path.dirname(self.place)), 0o700)
        self.assertFalse(os.get_inheritable(self.log._fd))

    @unittest.skipUnless(POSIX, "file modes")
    def test_modes_of_what_is_there(self):
        os.makedirs(self.place)
        os.chmod(self.place, 0o755)
        with open(self.path(), "w") as stream:
            stream.write('{"n":0}\n')
        os.chmod(self.path(), 0o644)
        self.assertTrue(self.log.append(['{"n":1}']))
        self.assertEqual((self.mode(self.path()), self.mode(self.place)), (0o600, 0o700))
        self.log.close()
        os.chmod(self.place, 0o755)
        with open(self.path("notes.txt"), "w"):     # somebody's folder for other things too: left alone
            pass
        self.assertTrue(self.log.append(['{"n":2}']))
        self.assertEqual(self.mode(self.place), 0o755)

    def test_next_day(self):
        self.log.append(['{"n":1}'])
        self.clock.now += 86400
        self.log.append(['{"n":2}'])
        self.clock.now -= 86400                     # a clock that is set back
        self.log.append(['{"n":3}'])
        self.assertEqual([line["n"] for line in self.lines()], [1, 3])
        self.assertEqual([line["n"] for line in self.lines(TOMORROW)], [2])

    def test_midnight_to_the_second(self):
        self.clock.now = (NOON // 86400 + 1) * 86400 - 0.001
        self.log.append(['{"n":1}'])
        self.clock.now += 0.002
        self.log.append(['{"n":2}'])
        self.assertEqual([line["n"] for line in self.lines()], [1])
        self.assertEqual([line["n"] for line in self.lines(TOMORROW)], [2])

    def test_deleted_while_running(self):
        for remove in (lambda: os.remove(self.path()), lambda: shutil.rmtree(self.place),
                       lambda: os.replace(self.path(), self.path("old"))):
            self.log.append(['{"n":1}'])
            remove()
            self.clock.now += 2
            self.assertTrue(self.log.append(['{"n":2}']))
            self.assertEqual([line["n"] for line in self.lines()], [2])

    def test_another_wall_makes_the_directory_at_the_same_time(self):
        place = os.path.join(self.place, "a", "b")
        mkdir = os.mkdir

        def late(path, *args):
            if path == place and os.path.isdir(os.path.dirname(path)) and not os.path.isdir(path):
                mkdir(path, *args)          # just before we do
            mkdir(path, *args)

        with mock.patch.object(os, "mkdir", late):
            log = mcpwall.AuditLog(place, self.clock)
            self.addCleanup(log.close)
            self.assertTrue(log.append(['{"n":1}']), log.problem)

    def test_many_walls_share_a_day(self):
        code = ("import sys, mcpwall; log = mcpwall.AuditLog(sys.argv[1], lambda: %r)\n"
                "for n in range(300):\n"
                "    assert log.append([{'wall': sys.argv[2], 'n': n, 'pad': 'x' * (n * 7 %% 3000)}] * 3)" % NOON)
        environ = dict(os.environ, PYTHONPATH=os.path.dirname(os.path.abspath(mcpwall.__file__)))
        walls = [subprocess.Popen([sys.executable, "-c", code, self.place, str(wall)], env=environ)
                 for wall in range(4)]
        self.assertEqual([wall.wait() for wall in walls], [0] * 4)
        seen = self.lines()
        self.assertEqual(len(seen), 4 * 900)
        for wall in range(4):
            mine = [line["n"] for line in seen if line["wall"] == str(wall)]
            self.assertEqual(mine, [n for n in range(300) for _ in range(3)])


class Keeping(LogCase):
    def test_only_files_named_like_ours_are_removed_when_they_are_old(self):
        folder, log = self.top, mcpwall.AuditLog(self.top, lambda: NOON, keep_days=2)
        today = time.strftime("%Y-%m-%d", time.gmtime(NOON))
        names = ["2020-01-01.jsonl", "2020-01-01.jsonl.gz", "notes.txt", "mine-2020-01-01.jsonl", today + ".jsonl", "9999-01-01.jsonl"]
        for name in names:
            open(os.path.join(folder, name), "w").close()
        self.assertTrue(log.append(["{}"]))
        log.close()
        left = set(os.listdir(folder))
        self.assertEqual([name in left for name in names], [False, True, True, True, True, True])


class Trouble(LogCase):
    def test_no_home(self):
        for directory in (None, "", "~", "~/.mcpwall/logs"):
            self.refused("HOME", mcpwall.AuditLog(directory, self.clock))

    def test_directory_is_a_file_and_then_is_not(self):
        os.makedirs(os.path.dirname(self.place))
        with open(self.place, "w"):
            pass
        self.refused("Not a directory")
        os.remove(self.place)
        self.assertTrue(self.log.append(['{"n":2}']))
        self.assertIsNone(self.log.problem)
        self.assertEqual([line["n"] for line in self.lines()], [2])

    @unittest.skipUnless(POSIX and os.getuid() != 0, "root writes anywhere")
    def test_no_permission(self):
        os.makedirs(os.path.dirname(self.place), mode=0o500)
        self.refused("Permission denied")
        os.chmod(os.path.dirname(self.place), 0o700)
        self.assertTrue(self.log.append(['{"n":2}']))

    def test_disk_full(self):
        self.log.append(['{"n":1}'])
        with mock.patch.object(mcpwall, "log_write", side_effect=OSError(28, "No space left on device")):
            self.refused("No space left on device")
        self.log.append(['{"n":3}'])
        self.assertEqual([line["n"] for line in self.lines()], [1, 3])

    def test_disk_full_in_the_middle_of_a_line(self):
        def torn(fd, data):
            return os.write(fd, data[:-4])
        for _ in range(2):
            with mock.patch.object(mcpwall, "log_write", side_effect=torn):
                self.refused("No space left")
        with mock.patch.object(mcpwall, "log_write", side_effect=OSError(28, "No space left on device")):
            self.refused("No space left")
        self.assertTrue(self.log.append(['{"n":4}']))
        self.assertTrue(self.log.append(['{"n":5}']))
        with open(self.path()) as stream:
            self.assertEqual(stream.read().split("\n"), ['{"n"', '{"n"', '{"n":4}', '{"n":5}', ''])

    @unittest.skipUnless(resource, "no file size limit")
    def test_real_limit(self):
        code = ("import resource, sys, mcpwall\n"
                "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
                "log = mcpwall.AuditLog(sys.argv[1], lambda: %r)\n"
                "done = [log.append(['{\"n\":%%d}' %% n]) for n in range(200)]\n"
                "assert done[0] and not done[-1] and log.problem, (done, log.problem)\n"
                "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))\n"
                "assert log.append(['{\"n\":\"last\"}']) and not log.problem" % NOON)
        environ = dict(os.environ, PYTHONPATH=os.path.dirname(os.path.abspath(mcpwall.__file__)))
        subprocess.run([sys.executable, "-c", code, self.place], env=environ, check=True)
        with open(self.path()) as stream:
            lines = stream.read().split("\n")
        self.assertEqual(json.loads(lines[-2]), {"n": "last"})

    def test_line_that_another_wall_left_unfinished(self):
        os.makedirs(self.place)
        with open(self.path(), "w") as stream:
            stream.write('{"n":0}\n{"n":')
        self.assertTrue(self.log.append(['{"n":1}']))
        with open(self.path()) as stream:
            self.assertEqual(stream.read().split("\n"), ['{"n":0}', '{"n":', '{"n":1}', ''])


@unittest.skipUnless(POSIX, "links and owners")
class Foreign(LogCase):
    """What somebody else may have put where the log should be."""

    def setUp(self):
        super().setUp()
        self.victim = os.path.join(self.top, "victim")
        with open(self.victim, "w") as stream:
            stream.write("precious\n")

    def untouched(self):
        with open(self.victim) as stream:
            self.assertEqual(stream.read(), "precious\n")

    def test_file_is_a_symlink(self):
        os.makedirs(self.place)
        os.symlink(self.victim, self.path())
        self.refused("symlink")
        self.untouched()
        os.remove(self.path())
        os.symlink(os.path.join(self.top, "nowhere"), self.path())
        self.refused("symlink")
        self.assertFalse(os.path.exists(os.path.join(self.top, "nowhere")))

    def test_file_becomes_a_symlink(self):
        self.log.append(['{"n":1}'])
        os.remove(self.path())
        os.symlink(self.victim, self.path())
        self.clock.now += 2
        self.refused("symlink")
        self.untouched()

    def test_file_is_a_hard_link(self):
        os.makedirs(self.place)
        os.link(self.victim, self.path())
        self.refused("hard link")
        self.untouched()

    def test_file_is_a_fifo_or_a_directory(self):
        os.makedirs(self.place)
        os.mkfifo(self.path())
        self.refused("plain file")
        os.remove(self.path())
        os.mkdir(self.path())
        self.refused("audit log")

    def test_directory_is_a_link_of_our_own(self):
        real = os.path.join(self.top, "disk")
        os.makedirs(os.path.dirname(self.place))
        os.symlink(real, self.place)
        self.refused("audit log")                   # dangling: nothing is created at its end
        self.assertFalse(os.path.exists(real))
        os.mkdir(real)
        self.assertTrue(self.log.append(['{"n":1}']))
        self.assertEqual(os.listdir(real), [TODAY])

    def owned_by(self, uid, what):
        """os.lstat and os.fstat as if what they show of type *what* (link, directory, file) were *uid*'s."""
        kinds = {"link": 0o120000, "directory": 0o040000, "file": 0o100000}
        def changed(real):
            def call(*args, **more):
                seen = real(*args, **more)
                if seen.st_mode & 0o170000 != kinds[what]:
                    return seen
                names = ("st_mode", "st_nlink", "st_size", "st_ino", "st_dev")
                return types.SimpleNamespace(st_uid=uid, **{name: getattr(seen, name) for name in names})
            return call
        patches = [mock.patch.object(os, name, changed(getattr(os, name))) for name in ("lstat", "fstat")]
        for patch in patches:
            patch.start()
        return lambda: [patch.stop() for patch in patches]

    def test_directory_is_a_link_of_somebody_else(self):
        real = os.path.join(self.top, "disk")
        os.mkdir(real)
        os.makedirs(os.path.dirname(self.place))
        os.symlink(real, self.place)
        stop = self.owned_by(54321, "link")
        try:
            self.refused("symlink of another user")
        finally:
            stop()
        self.assertEqual(os.listdir(real), [])

    def test_directory_or_file_of_somebody_else(self):
        os.makedirs(self.place)
        for what in ("directory", "file"):
            stop = self.owned_by(54321, what)
            try:
                self.refused("belongs to another user")
            finally:
                stop()


class OtherPlatform(LogCase):
    """Windows: no openat, no O_NOFOLLOW, appending is not atomic. The same code, run here."""

    def test_line_that_another_wall_left_unfinished(self):
        os.makedirs(self.place)
        with open(self.path(), "w") as stream:
            stream.write('{"n":')
        self.assertTrue(self.log.append(['{"n":1}']))
        with open(self.path()) as stream:
            self.assertEqual(stream.read(), '{"n":\n{"n":1}\n')

    def setUp(self):
        super().setUp()
        patch = mock.patch.object(mcpwall, "open_log", mcpwall.open_log_by_path)
        patch.start()
        self.addCleanup(patch.stop)

    def test_writing(self):
        self.assertTrue(self.log.append(['{"n":1}']))
        self.clock.now += 86400
        self.assertTrue(self.log.append(['{"n":2}']))
        self.assertEqual([line["n"] for line in self.lines()], [1])
        self.assertEqual([line["n"] for line in self.lines(TOMORROW)], [2])

    @unittest.skipUnless(POSIX, "links")
    def test_symlink(self):
        os.makedirs(self.place)
        os.symlink(os.path.join(self.top, "elsewhere"), self.path())
        self.refused("symlink")
        self.assertEqual(os.listdir(self.top), ["home"])

    def test_lock_around_a_write(self):
        calls, refusals = [], [True]

        def locking(fd, how, size):
            calls.append((how, size, os.lseek(fd, 0, os.SEEK_CUR)))
            if refusals:
                raise PermissionError(13, refusals.pop())       # another wall is writing
        fake = types.SimpleNamespace(LK_NBLCK=1, LK_UNLCK=2, locking=locking)
        with mock.patch.dict(sys.modules, msvcrt=fake), \
                mock.patch.object(mcpwall, "log_write", mcpwall.log_write_locked):
            self.assertTrue(self.log.append(['{"n":1}']))
            self.assertTrue(self.log.append(['{"n":2}']))
        self.assertEqual(calls, [(1, 1, 1 << 40), *[(1, 1, 1 << 40), (2, 1, 1 << 40)] * 2])
        self.assertEqual([line["n"] for line in self.lines()], [1, 2])

    def test_a_lock_that_is_never_let_go_or_not_to_be_had(self):
        def locking(fd, how, size):
            raise OSError(fault, "no")
        fake = types.SimpleNamespace(LK_NBLCK=1, LK_UNLCK=2, locking=locking)
        with mock.patch.dict(sys.modules, msvcrt=fake), mock.patch.object(mcpwall, "LOG_LOCK_S", 0.0), \
                mock.patch.object(mcpwall, "log_write", mcpwall.log_write_locked):
            fault = 13
            self.assertFalse(self.log.append(['{"n":1}']))
            self.assertIn("another wall holds it", self.log.problem)
            fault = 45
            self.assertTrue(self.log.append(['{"n":2}']))
        self.assertEqual([line["n"] for line in self.lines()], [2])


    def test_colours_only_on_a_console_that_takes_them(self):
        modes = []

        def kernel(knows, allows):
            return types.SimpleNamespace(GetStdHandle=lambda which: which, GetConsoleMode=lambda handle, mode: knows,
                                         SetConsoleMode=lambda handle, mode: modes.append((handle, mode)) or allows)
        self.assertEqual([mcpwall.shows_colours(kernel(*answers)) for answers in ((1, 1), (1, 0), (0, 1))], [True, False, False])
        self.assertEqual(modes, [(0xFFFFFFF4, 4)] * 2)
        self.assertTrue(mcpwall.shows_colours(None))

    def test_windows_functions_are_not_to_be_had_elsewhere_or_are_all_there(self):
        import ctypes
        with mock.patch.object(ctypes, "WinDLL", lambda name: mock.Mock(), create=True):
            kernel = mcpwall.windows_kernel(windows=True)
        self.assertEqual(kernel.OpenProcess.restype, ctypes.c_void_p)
        with mock.patch.dict(sys.modules, ctypes=None):
            self.assertIsNone(mcpwall.windows_kernel(windows=True))
        with mock.patch.dict(sys.modules, ctypes=mock.Mock(WinDLL=self.fail)):
            self.assertIsNone(mcpwall.windows_kernel(windows=False))


def told(**more):
    return {**FIELDS, **more}


class Lines(unittest.TestCase):
    """The format of decisions on stderr."""

    def line(self, colour=False, **more):
        return mcpwall.decision_text(told(**more), colour)

    def test_format(self):
        self.assertEqual(self.line(), "ALLOW tools/call read_file")
        self.assertEqual(self.line(action="deny", rule="block-ssh-keys", message="Blocked: access to SSH keys"),
                         "DENY tools/call read_file [block-ssh-keys] - Blocked: access to SSH keys")
        self.assertEqual(self.line(action="redact", direction="outbound", method="response", rule="r"),
                         "REDACT outbound response read_file [r]")
        self.assertEqual(self.line(action="ask", tool=None, method="ping"), "ASK ping")
        self.assertEqual(self.line(action="log_only", method=None), "LOG read_file")

    def test_time_is_local(self):
        stream = io.StringIO()
        reporter = mcpwall.Reporter(stream, clock=lambda: NOON)
        reporter.decisions([told()])
        reporter.close(5.0)
        stamp = time.strftime("[%H:%M:%S]", time.localtime(NOON))
        self.assertEqual(stream.getvalue(), f"{stamp} ALLOW tools/call read_file\n")

    def test_colours(self):
        for action, code in (("allow", 32), ("deny", 31), ("ask", 33), ("redact", 36), ("log_only", 34)):
            word = "LOG" if action == "log_only" else action.upper()
            self.assertEqual(self.line(True, action=action), f"\x1b[{code}m{word}\x1b[0m tools/call read_file")

    def test_nothing_of_a_message_acts_on_the_terminal(self):
        for char in ("\x1b]0;title\x07", "\r", "\n", "\x9b2J", "\u202e", "\u2028", "\ud800", "\x00", "\u200b"):
            for key in ("method", "tool", "rule", "message"):
                text = self.line(**{key: f"a{char}b"})
                self.assertTrue(text.isprintable(), ascii(text))
                self.assertTrue(text.encode())


class Stderr(unittest.TestCase):
    """What reaches the stream, and that a stream in trouble does no harm."""

    def said(self, level, use, **more):
        stream = io.StringIO()
        reporter = mcpwall.Reporter(stream, level, clock=Clock(), **more)
        use(reporter)
        reporter.close(5)
        return re.sub(r"(?m)^\[\d\d:\d\d:\d\d\] ", "", stream.getvalue())

    def test_levels(self):
        def use(reporter):
            reporter.decisions([told(action=action) for action in
                                ("allow", "deny", "ask", "redact", "log_only")])
            for level in ("debug", "info", "warn", "error"):
                reporter.say(level, level)
        quiet, loud = ["ALLOW", "ASK", "LOG"], ["DENY", "REDACT"]
        for level, words in (("debug", quiet + loud + ["debug", "info", "warn", "error"]),
                             ("info", quiet + loud + ["info", "warn", "error"]),
                             ("warn", loud + ["warn", "error"]), ("error", ["error"])):
            lines = self.said(level, use).splitlines()
            self.assertEqual(sorted(line.replace("mcpwall: ", "").split()[0] for line in lines), sorted(words))

    def test_colour_only_on_a_terminal_and_when_wanted(self):
        class Terminal(io.StringIO):
            def isatty(self):
                return True
        for stream, no_color, expected in ((io.StringIO(), "", False), (Terminal(), "", True),
                                           (Terminal(), "1", False)):
            with mock.patch.dict(os.environ, NO_COLOR=no_color):
                self.assertEqual(bool(mcpwall.Reporter(stream).colour), expected)

    def test_same_decision_again_and_others_between(self):
        def use(reporter):
            for number in range(1200):
                reporter.decisions([told(tool=f"t{number % 600}")])
        self.assertEqual(self.said("info", use).splitlines(), [f"ALLOW tools/call t{n % 600}" for n in range(1200)])

    def test_own_lines_are_made_printable(self):
        self.assertEqual(self.said("info", lambda reporter: reporter.say("warn", "a\x1b[2Jb\nc")),
                         "mcpwall: a\\x1b[2Jb\\nc\n")

    def test_reader_that_does_not_read(self):
        unread, stderr = os.pipe()
        with open(stderr, "w") as stream:
            reporter = mcpwall.Reporter(stream, "info")
            start = time.process_time()
            for number in range(20_000):
                reporter.decisions([told(tool="x" * 100)])
            reporter.close(0.05)
            self.assertLess(time.process_time() - start, ENDS_S)
            seen = b""
            while b"left out" not in seen:          # and it goes on when somebody reads
                if not reporter._lines:
                    reporter.say("info", "there")
                seen += os.read(unread, 1 << 16)
            while reporter._lines or reporter._busy:
                if select.select([unread], [], [], 0.01)[0]:
                    os.read(unread, 1 << 16)
        os.close(unread)

    def test_broken_and_missing_streams(self):
        read_end, write_end = os.pipe()
        os.close(read_end)
        closed = io.StringIO()
        closed.fileno = lambda: write_end
        for stream in (None, closed):
            reporter = mcpwall.Reporter(stream, "info")
            for _ in range(3):
                reporter.say("error", "hello")
                reporter.decisions([told()])
                reporter.close(5)
        os.close(write_end)

    def test_many_threads(self):
        def use(reporter):
            threads = [threading.Thread(target=lambda: [reporter.say("info", "hello") for _ in range(200)])
                       for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(self.said("info", use), "mcpwall: hello\n" * 800)


if __name__ == "__main__":
    unittest.main()
