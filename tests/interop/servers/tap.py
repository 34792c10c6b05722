"""Runs a server and keeps what it is sent: `tap.py FILE COMMAND …`. Each line of stdin goes to FILE and then to the server."""
from __future__ import annotations

import subprocess
import sys


def main() -> int:
    with open(sys.argv[1], "ab") as record, subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE) as server:
        assert server.stdin is not None
        for line in sys.stdin.buffer:
            record.write(line)
            record.flush()
            try:
                server.stdin.write(line)
                server.stdin.flush()
            except OSError:     # the server has ended
                break
        server.stdin.close()
    return server.returncode


if __name__ == "__main__":
    sys.exit(main())
