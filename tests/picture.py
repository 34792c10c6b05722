"""Draws `.github/demo.svg`: what `python3 mcpwall.py demo` shows, as a terminal. Run it when that changes: `python3 tests/picture.py`."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Sequence
from xml.sax.saxutils import escape

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COLOURS = (("refused:", "#ff8a80"), ("DENY", "#ff8a80"), ("[REDACTED BY MCPWALL]", "#6cc6ee"), ("REDACT", "#6cc6ee"), ("answered:", "#9ad29a"))


def shown(start: Sequence[str] = (sys.executable, os.path.join(ROOT, "mcpwall.py"))) -> list[str]:
    """The lines of the demo, up to what comes next; a made-up time, ref and hash in place of this run's."""
    environ = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    text = subprocess.run([*start, "demo"], stdout=subprocess.PIPE, check=True, env=environ).stdout.decode().replace("\r\n", "\n")
    text = re.sub(r"(?<=Policy hash then: )[0-9a-f]+", "0f1e2d7488bc", text)
    refs = dict.fromkeys(re.findall(r"\b([a-z0-9]{6})-\d+\b", text))
    for ref in refs:
        text = text.replace(ref, "k7f3qa")
    return ["$ python3 mcpwall.py demo", *re.sub(r"\b\d\d:\d\d:\d\d\b", "14:03:59", text).partition("\n(All of that")[0].split("\n")]


def picture(lines: list[str]) -> str:
    rows = []
    for number, line in enumerate(lines):
        row = escape(line)
        for word, colour in COLOURS:
            row = row.replace(word, f'<tspan fill="{colour}">{word}</tspan>', 1)
        style = ' fill="#ffffff" font-weight="bold"' if line.startswith("$ ") else ""
        rows.append(f'<text x="20" y="{52 + number * 18}"{style} xml:space="preserve">{row}</text>')
    height = 70 + len(lines) * 18
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" role="img" aria-label="The demo of mcpwall in a terminal">'
            f'<rect width="760" height="{height}" rx="10" fill="#14181e"/><circle cx="24" cy="20" r="6" fill="#ff5f57"/>'
            '<circle cx="44" cy="20" r="6" fill="#febc2e"/><circle cx="64" cy="20" r="6" fill="#28c840"/>'
            '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14" fill="#d7dde5">' + "\n".join(rows) + "</g></svg>\n")


if __name__ == "__main__":
    with open(os.path.join(ROOT, ".github", "demo.svg"), "w", encoding="utf-8") as stream:
        stream.write(picture(shown()))
