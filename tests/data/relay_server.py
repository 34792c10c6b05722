"""A server with bad habits, for tests of the relay: relay_server.py HABIT [ARG…].

It writes its process id, and those of its children, to the file named by PIDS.
"""
import json
import os
import signal
import sys
import time


def note_pid(pid):
    fd = os.open(os.environ["PIDS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, b"%d\n" % pid)
    os.close(fd)


def say(data):
    view = memoryview(data)
    while view:
        view = view[os.write(1, view):]


def answer(line, text="ok"):
    ident = json.loads(line).get("id")
    if ident is not None:
        result = {"content": [{"type": "text", "text": text}]}
        say(json.dumps({"jsonrpc": "2.0", "id": ident, "result": result}).encode() + b"\n")


def notification(text, number=0):
    params = {"level": "info", "data": text, "logger": str(number)}
    return json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": params}).encode() + b"\n"


def serve(text="ok"):
    for line in sys.stdin.buffer:
        answer(line, text)


def deaf():
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)


def for_ever():
    while True:
        time.sleep(60)


# -- the habits

def good(status="0"):
    serve()
    sys.exit(int(status))


def hasty(status):
    """Answers, and is gone at once."""
    answer(sys.stdin.buffer.readline())
    os._exit(int(status))


def verbose(count, status, size="1000"):
    """Has much to say when its input ends."""
    sys.stdin.buffer.read()
    say(b"".join(notification("x" * int(size), number) for number in range(int(count))))
    os._exit(int(status))


def half():
    answer(sys.stdin.buffer.readline())
    say(notification("x" * 100)[:50])
    os._exit(5)


def suicide(number):
    os.kill(os.getpid(), int(number))
    for_ever()


def rubbish():
    say(b"Welcome to the \x1b[31mserver\x1b[0m!\n")
    serve()


def flood(size, lines):
    """Writes a lot before it reads anything."""
    say(b"".join(notification("x" * int(size), number) for number in range(int(lines))))
    serve()


def ignoring():
    deaf()
    say(notification("ready"))
    for_ever()


def ignoring_and_talking():
    deaf()
    long_line()
    for_ever()


def polite(seconds, status):
    """Takes its time to end, on SIGTERM as well."""
    def end(*_):
        time.sleep(float(seconds))
        say(notification("bye"))
        os._exit(int(status))
    signal.signal(signal.SIGTERM, end)
    say(notification("ready"))
    for_ever()


def patient():
    """Dies of signals, but not of the end of its input."""
    say(notification("ready"))
    serve()
    for_ever()


def stopped():
    say(notification("ready"))
    os.kill(os.getpid(), signal.SIGSTOP)
    for_ever()


def parent(child_habit, status="0"):
    """Starts a child that shares its descriptors, and ends when its input does (at once with `gone`)."""
    import subprocess           # which takes as long as all else here
    subprocess.Popen([sys.executable, "-I", "-S", __file__, child_habit], stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with open(os.environ["PIDS"]) as stream:
            if len(stream.readlines()) > 1:
                break
        time.sleep(0.005)
    serve()
    os._exit(int(status))


def launcher(status="0", habit="good"):
    """Leaves a child behind that serves in its place, and ends at once."""
    if not os.fork():
        note_pid(os.getpid())
        globals()[habit]()
        os._exit(0)
    os._exit(int(status))


def long_line():
    """Says what takes long to judge, and goes on."""
    say(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"a long time"}}\n')
    serve()


def silent():
    deaf()
    for_ever()


def sleeper():
    for_ever()


def mute():
    """Closes its output and goes on reading."""
    answer(sys.stdin.buffer.readline())
    os.close(1)
    sys.stdin.buffer.read()


def closed():
    """Closes its input and goes on writing."""
    answer(sys.stdin.buffer.readline())
    os.close(0)
    for number in range(3):
        time.sleep(0.03)
        say(notification("still here", number))


def stalled(seconds):
    answer(sys.stdin.buffer.readline())
    time.sleep(float(seconds))
    serve()


def asking(count):
    """Sends requests that a wall refuses, without reading the refusals until all are sent."""
    for number in range(int(count)):
        params = {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "maxTokens": 1}
        say(json.dumps({"jsonrpc": "2.0", "id": number, "method": "sampling/createMessage",
                        "params": params}).encode() + b"\n")
    serve()


def tell():
    """Says what it was given."""
    line = sys.stdin.buffer.readline()
    own = os.open(os.devnull, os.O_RDONLY)
    links = [int(name) for name in os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd")]
    answer(line, json.dumps({
        "fds": sorted(fd for fd in links if fd < own), "cwd": os.getcwd(), "variable": os.environ.get("VARIABLE"),
        "blocking": os.get_blocking(2), "leads": os.getpgrp() == os.getpid()}))
    os.write(2, b"from the server\n")
    serve()


def variables():
    """Says which variables it was given."""
    answer(sys.stdin.buffer.readline(), json.dumps(dict(os.environ)))
    serve()


note_pid(os.getpid())
globals()[sys.argv[1]](*sys.argv[2:])
