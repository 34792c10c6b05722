#!/usr/bin/env python3
"""Real MCP clients talk to real MCP servers, with and without mcpwall between them: `python3 tests/interop/run.py`.

Installs the SDKs and servers into tests/interop/.work with pip and npm (a second run finds them there), then runs the
tests of scenarios.py and consent.py. Arguments are unittest's (`-k NAME`, `-v`). The wall is ../../mcpwall.py, or what MCPWALL names,
run by the Python that runs this. The SDKs need Python 3.10 or later, which is looked for; without Node.js 20 or npm
the tests that need them are skipped.
"""
from __future__ import annotations

import os
import sys
import types
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import peers  # noqa: E402


def main() -> int:
    try:
        peers.install()
    except peers.CannotInstall as problem:
        print(f"interop: {problem}", file=sys.stderr)
        return 1
    import consent
    import scenarios
    if not {"-k", "-h", "--help"} & set(sys.argv):
        consent.start_all()
        scenarios.start_all()
    everything = types.ModuleType("interop")
    vars(everything).update({**vars(scenarios), **vars(consent)})
    return 0 if unittest.main(module=everything, exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
