#!/usr/bin/env python3
"""The benchmark of mcpwall: what the wall costs next to no wall and next to a bare byte relay.

    python3 tests/bench.py [--quick] [--only NAME]     speed and memory as a Markdown table; growth with size
    python3 tests/bench.py --profile                   where the time of one message goes
    python3 tests/bench.py --soak [--calls N]          a million mixed calls through one wall

Every scenario runs against these targets in turn, round after round (A B C, A B C, …):

    direct    no wall: the host talks to the server
    pycat     two Python threads that copy bytes: the floor for any relay in Python
    mcpwall   the wall with its full default policy and its audit log on

Each session has an empty HOME. Figures are medians over the rounds, with the range beside them. Every answer is
checked: what is slow is only shown; a wrong, lost or doubled answer is FAIL and exit status 1. Memory and processor
time come from /proc and are left out elsewhere.
"""
from __future__ import annotations

import argparse
import base64
import functools
import inspect
import json
import math
import os
import queue
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from itertools import islice
from typing import Any, Callable, Dict, Iterable, Iterator, NamedTuple, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ON_LINUX = sys.platform == "linux"
PATIENCE_S = 60.0           # a session that takes longer is ended and has failed
SOAK_S = 300.0              # the soak sends nothing new after this time
MARKER = "[REDACTED BY MCPWALL]"
KEY = re.compile("AKIA[A-Z2-7]{16}")
INITIALIZE = (b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18",'
              b'"capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}\n')
INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
Figures = Dict[str, float]  # {"what it is UNIT": value}


class Broken(Exception):
    """Something went wrong, not merely slowly; the text says what."""


# -- small programs: these functions are written into files of their own, since a short file starts fast -----------

def write_all(fd, data):
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest):]


def copy_bytes(command):
    """Start *command* and copy bytes both ways with two threads."""
    import _thread

    def pump(source, sink):
        try:
            for data in iter(lambda: os.read(source, 1 << 20), b""):
                write_all(sink, data)
        finally:
            os.close(sink)

    if hasattr(os, "posix_spawnp"):     # without the time and memory of importing subprocess
        child_reads, to_child = os.pipe()
        from_child, child_writes = os.pipe()
        os.posix_spawnp(command[0], command, os.environ, file_actions=[
            (os.POSIX_SPAWN_DUP2, child_reads, 0), (os.POSIX_SPAWN_DUP2, child_writes, 1)])
        os.close(child_reads)
        os.close(child_writes)
    else:
        from subprocess import PIPE, Popen
        child = Popen(command, stdin=PIPE, stdout=PIPE, bufsize=0)
        to_child, from_child = child.stdin.fileno(), child.stdout.fileno()
    _thread.start_new_thread(pump, (0, to_child))
    pump(from_child, 1)
    os._exit(0)


def serve(words):
    """An MCP server that parses nothing. WORDS: a folder of answers, one file per tool, and seconds to stall at first.

    A file holds the member that answers a request, `"result":…` or `"error":…`. One file alone answers every tool.
    """
    answers = {}
    for name in os.listdir(words[0]):
        with open(os.path.join(words[0], name), "rb") as stream:
            answers[name.encode()] = b"," + stream.read() + b"}"
    head, tail = b'{"jsonrpc":"2.0","id":', answers.get(b"any", b"") + b"\n"
    notice = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"tick"}}\n'

    def answer(request):
        ident = request.split(b'"id":', 1)[1].split(b",", 1)[0]
        return head + ident + answers[request.split(b'"name":"', 1)[1].split(b'"', 1)[0]]

    def answer_line(line):
        if line.startswith(b"["):
            return b"[" + b",".join(map(answer, line.split(b'{"jsonrpc"')[1:])) + b"]\n"
        return answer(line) + b"\n" if b'"id":' in line else notice if b"list_changed" in line else b""

    def answer_block(block):
        if b"any" not in answers:
            write_all(1, b"".join(map(answer_line, block.split(b"\n"))))
            return
        lines = [head + part[:40].split(b",", 1)[0] + tail for part in block.split(b'"id":')[1:2 if len(tail) > 65536 else None]]
        write_all(1, b"".join(lines))
        if len(tail) > 65536:       # one at a time, so that the server holds little itself
            for part in block.split(b'"id":')[2:]:
                write_all(1, head + part[:40].split(b",", 1)[0] + tail)

    parts = []
    for data in iter(lambda: os.read(0, 1 << 20), b""):
        cut = data.rfind(b"\n") + 1
        parts.append(data[:cut] or data)
        if cut:
            block, parts = b"".join(parts), [data[cut:]]
            if b'"method":"initialize"' in block:
                write_all(1, head + b'0,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},'
                          b'"serverInfo":{"name":"bench","version":"1"}}}\n')
                block = block.partition(b"\n")[2]
                if float(words[1]):
                    import time
                    time.sleep(float(words[1]))
            answer_block(block)


def drain(_words):
    """Read and forget."""
    while os.read(0, 1 << 20):
        pass
