"""Runs all tests, in a process for each core: `python3 -m tests`. (`python3 -m unittest` does so in one.)

Each process takes a few tests of one class, runs them, says how they went and takes the next ones, those that take long first. So the
module is compiled once for all of them and imported once by each, and no long module keeps the others waiting. Ends as unittest does:
`Ran N tests in S`, then OK or FAILED; the exit status is 1 when any failed. Arguments are unittest's own, such as `-k NAME`.
"""
from __future__ import annotations

import argparse
import concurrent.futures
import gc
import json
import os
import queue
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Iterator

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
MANY = 8        # tests of one class at a time
SLOW = ("test_cases", "test_relay", "test_hook", "test_start", "test_cli", "test_views", "test_regex", "test_policy")      # these first
COUNTS = ("failures", "errors", "skipped")


def tests_of(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        yield from tests_of(test) if isinstance(test, unittest.TestSuite) else [test]


def pieces() -> list[list[str]]:
    """The names of all tests in pieces, the slow ones first; of a module that cannot be imported its own name."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-k", action="append")
    chosen, loader = parser.parse_known_args()[0].k, unittest.TestLoader()
    loader.testNamePatterns = chosen and [pattern if "*" in pattern else f"*{pattern}*" for pattern in chosen]
    by_class: dict[str, list[str]] = {}
    for test in tests_of(loader.discover(HERE, top_level_dir=TOP)):
        name = test.id().rpartition("._FailedTest.")[2]
        by_class.setdefault(name.rpartition(".")[0], []).append(name)
    cut = [names[at:at + MANY] for names in by_class.values() for at in range(0, len(names), MANY)]
    slow = {f"tests.{module}": number for number, module in enumerate(SLOW)}
    return sorted(cut, key=lambda names: slow.get(".".join(names[0].split(".")[:2]), len(slow)))


def work() -> None:
    """A process that runs what it is told: reads names, a JSON list on each line of stdin, and answers each with a line on stdout."""
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)       # what tests print goes the way of what unittest says
    sys.stdout = sys.stderr
    import tests.support  # noqa: F401
    gc.freeze()         # the module itself is no garbage
    for order in orders:
        began = os.times()
        ran = unittest.main(None, argv=["python3 -m unittest", *sys.argv[2:], *json.loads(order)], exit=False).result
        sys.stderr.flush()
        spent = sum(os.times()[:4]) - sum(began[:4])        # of what they started, too
        told = {"ran": ran.testsRun, "good": ran.wasSuccessful(), "seconds": spent}
        answers.write(json.dumps({**told, **{kind: len(getattr(ran, kind)) for kind in COUNTS}}).encode() + b"\n")
        answers.flush()


class Worker:
    """A process that does `work`; one that ends before its time is followed by another."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.process: subprocess.Popen | None = None
        self.said = tempfile.TemporaryFile()

    def run(self, names: list[str]) -> tuple[list[str], dict, str]:
        """(*names*, what came of them, what was printed)"""
        if self.process is None:
            flags = ["-X", "dev"] if sys.flags.dev_mode else []
            self.process = subprocess.Popen([sys.executable, *flags, "-m", "tests", "--work", *sys.argv[1:]], cwd=TOP, env=self.environment,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said)
        try:
            self.process.stdin.write(json.dumps(names).encode() + b"\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        ended = "" if answer else f"{' '.join(names)}: the process ended with status {self.process.wait()}\n"
        if ended:
            self.process = None
        self.said.seek(0)
        text = self.said.read().decode("utf-8", "replace")
        self.said.seek(0)
        self.said.truncate()
        return names, json.loads(answer or b"{}"), text + ended

    def end(self) -> None:
        if self.process:
            self.process.communicate()
        self.said.close()


def main() -> int:
    began = time.monotonic()
    modules: dict[str, list[float]] = {}
    counts = dict.fromkeys(("ran", *COUNTS), 0)
    bad = False
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    number = (os.cpu_count() or 1) + 1      # some tests only wait

    def run(names: list[str]) -> tuple[list[str], dict, str]:
        worker = idle.get()
        try:
            return worker.run(names)
        finally:
            idle.put(worker)

    with tempfile.TemporaryDirectory(prefix="mcpwall-code-") as compiled, concurrent.futures.ThreadPoolExecutor(number) as pool:
        sys.dont_write_bytecode, sys.pycache_prefix = False, compiled
        os.environ["PYTHONPYCACHEPREFIX"] = compiled
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        running = [pool.submit(run, names) for names in pieces()]
        for _ in range(number):
            idle.put(Worker(environment))
        try:
            for piece in concurrent.futures.as_completed(running):
                names, told, text = piece.result()
                for kind in counts:
                    counts[kind] += told.get(kind, kind == "errors")
                if not told.get("good"):
                    bad = True
                    print(text, flush=True)
                module = modules.setdefault(".".join(names[0].split(".")[:2]), [0, 0])
                module[0] += told.get("ran", 0)
                module[1] += told.get("seconds", 0)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            for _ in range(number):
                idle.get().end()
    for name, (ran, seconds) in sorted(modules.items()):
        print(f"{name:28} {ran:4} tests, {seconds:6.2f} s of processor time")
    print(f"\n{'-' * 70}\nRan {counts.pop('ran')} tests in {time.monotonic() - began:.3f}s\n")
    said = [f"{kind}={count}" for kind, count in counts.items() if count]
    print(("FAILED" if bad else "OK") + (f" ({', '.join(said)})" if said else ""))
    return bad


if __name__ == "__main__":
    sys.exit(work() if sys.argv[1:2] == ["--work"] else main())
