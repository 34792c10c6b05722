"""Runs all tests, a process for each core: `python3 -m tests`. (`python3 -m unittest discover -s tests -t .` does so in one.)

Each module runs in a Python of its own, the slowest first as far as the last run told. Ends as unittest does: `Ran N tests in S`, then OK or
FAILED; the exit status is 1 when any failed. Arguments are unittest's own, such as `-k NAME`.
"""
from __future__ import annotations

import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SLOW = ("test_hook", "test_cli", "test_setup", "test_relay", "test_log", "test_start", "test_configs", "test_secrets", "test_cases")    # these first
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(module: str) -> tuple[str, int, str]:
    """(module, exit status, what it printed)"""
    done = subprocess.run([sys.executable, *(["-X", "dev"] if sys.flags.dev_mode else []), "-m", "unittest", f"tests.{module}", *sys.argv[1:]],
                          cwd=os.path.dirname(HERE), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    return module, done.returncode, done.stdout.decode("utf-8", "replace")


def main() -> int:
    began, ran, bad, skipped = time.monotonic(), 0, [], 0
    modules = [os.path.basename(path)[:-3] for path in glob.glob(os.path.join(HERE, "test_*.py"))]
    modules.sort(key=lambda name: (SLOW.index(name) if name in SLOW else len(SLOW), name))
    counts = {"failures": 0, "errors": 0}
    with tempfile.TemporaryDirectory(prefix="mcpwall-code-") as compiled, concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        ENVIRONMENT["PYTHONPYCACHEPREFIX"] = compiled       # the module is compiled once for all of them
        for module, status, text in pool.map(run, modules):
            found = re.search(r"^Ran (\d+) tests? in ([0-9.]+)s", text, re.M)
            ran += int(found[1]) if found else 0
            skipped += int((re.search(r"skipped=(\d+)", text) or [0, 0])[1])
            for kind in counts:
                counts[kind] += int((re.search(rf"{kind}=(\d+)", text) or [0, 0])[1])
            nothing = found is not None and not int(found[1])       # -k took another module's
            if status and not nothing:
                bad.append(module)
                counts["errors"] += found is None
                print(text)
            print(f"{module:24} {found[0] if found else 'did not run'}", flush=True)
    print(f"\n{'-' * 70}\nRan {ran} tests in {time.monotonic() - began:.3f}s\n")
    said = [f"{kind}={count}" for kind, count in (*counts.items(), ("skipped", skipped)) if count]
    print(("FAILED" if bad else "OK") + (f" ({', '.join(said)})" if said else ""))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
