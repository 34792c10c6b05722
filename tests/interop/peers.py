"""The peers: which packages, where they are installed, and the commands that start them."""
from __future__ import annotations

import concurrent.futures
import glob
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = os.path.join(HERE, ".work")
WALL = os.path.abspath(os.environ.get("MCPWALL") or os.path.join(HERE, "..", "..", "mcpwall.py"))

# Versions that have been seen to work together. The servers in python1 run on the SDK 1.x, those in python2 on 2.x.
PYTHON = {
    "python1": ["mcp==1.30.0", "mcp-server-git==2026.8.18", "mcp-server-time==2026.8.18"],
    "python2": ["mcp==2.3.0", "mcp-server-git==2026.10.19", "mcp-server-time==2026.10.19"],
}
NODE = [
    "@modelcontextprotocol/sdk@1.32.2",
    "@modelcontextprotocol/client@2.4.0",
    "@modelcontextprotocol/server-filesystem@2026.8.31",
    "@modelcontextprotocol/server-everything@2026.8.31",
    "@modelcontextprotocol/server-memory@2026.8.31",
]
MODULES = os.path.join(WORK, "node", "node_modules")


class CannotInstall(Exception):
    """What the tests need cannot be had; `str()` says what and why."""


def python(venv: str) -> str:
    """The interpreter of one of the venvs."""
    return os.path.join(WORK, venv, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))


def node_server(name: str) -> list[str]:
    """The command of an official server of npm."""
    return [shutil.which("node") or "node", os.path.join(MODULES, "@modelcontextprotocol", "server-" + name, "dist", "index.js")]


def no_node() -> str:
    """Why nothing of npm can be tested here, or ''."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return f"{'npm' if node else 'node'} is not on PATH"
    version = output([node, "--version"])
    if int(version.lstrip("v").split(".")[0] or 0) < 20:
        return f"Node.js 20 or later is needed, this is {version}"
    return ""


def install() -> None:
    """Have all packages in WORK. A stamp in each folder says what is there, so that a second run has nothing to do."""
    os.makedirs(WORK, exist_ok=True)
    jobs = [lambda name=name: make_venv(name) for name in PYTHON]
    if no_node():
        print(f"interop: without the peers of npm: {no_node()}", file=sys.stderr)
    else:
        jobs.append(make_node)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for job in [pool.submit(job) for job in jobs]:
            job.result()


def make_venv(name: str) -> None:
    folder, wanted = os.path.join(WORK, name), PYTHON[name]
    if is_there(folder, wanted) and output([python(name), "-c", "print(1)"]):
        return
    problem = "no Python 3.10 or later was found"
    for interpreter in pythons():
        shutil.rmtree(folder, ignore_errors=True)
        problem = failure([interpreter, "-m", "venv", folder])
        if not problem:     # some systems' Pythons come without ensurepip
            break
    pip = [python(name), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    problem = problem or failure(pip)
    if problem:
        raise CannotInstall(f"cannot install {' '.join(wanted)}: {problem}")
    stamp(folder, wanted)


def make_node() -> None:
    folder = os.path.join(WORK, "node")
    if is_there(folder, NODE):
        return
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    npm = shutil.which("npm") or "npm"
    problem = failure([npm, "install", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error", *NODE])
    if problem:
        raise CannotInstall(f"cannot install {' '.join(NODE)}: {problem}")
    stamp(folder, NODE)


def pythons() -> list[str]:
    """Interpreters of Python 3.10 or later, the one that runs this first."""
    found = [sys.executable] + [shutil.which(f"python3.{minor}") for minor in (13, 12, 11, 14, 10)]
    if shutil.which("pyenv"):
        found += sorted(glob.glob(os.path.join(output(["pyenv", "root"]), "versions", "3.*", "bin", "python3")), reverse=True)
    test = "import sys; print(sys.executable if sys.version_info >= (3, 10) else '')"
    answers = (output([path, "-c", test]) for path in found if path)
    return list(dict.fromkeys(path for path in answers if path))


def is_there(folder: str, wanted: list[str]) -> bool:
    try:
        with open(os.path.join(folder, "interop.json"), encoding="utf-8") as stream:
            return json.load(stream) == wanted
    except (OSError, ValueError):
        return False


def stamp(folder: str, wanted: list[str]) -> None:
    with open(os.path.join(folder, "interop.json"), "w", encoding="utf-8") as stream:
        json.dump(wanted, stream)


def output(command: list[str]) -> str:
    """What *command* prints; '' when it fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def failure(command: list[str]) -> str:
    """Why *command* failed (the end of what it said), or ''."""
    print("interop: " + " ".join(command), file=sys.stderr, flush=True)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return str(problem)
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[-2000:].strip() or f"exit status {done.returncode}"
