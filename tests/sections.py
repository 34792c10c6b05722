"""The sections of mcpwall.py by what they can do, and how long they are: python3 tests/sections.py

Counted are lines of code: neither empty, nor comment, nor docstring.
"""
from __future__ import annotations

import io
import os
import re
import sys
import tokenize
from typing import NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KINDS = ("opens", "means", "closes", "serves people")
MOST_THAT_OPENS = 4500      # an hour's reading
_BANNER = re.compile(r"(?m)^# -{60,}\n# (\d+)\. (.*)\n# (Opens|Means|Closes|Serves people): (.*)\.\n# -{60,}\n")


class Section(NamedTuple):
    number: int
    name: str
    kind: str
    about: str
    lines: int


def code_lines(source: str) -> set[int]:
    """The numbers of the lines that hold code."""
    found: set[int] = set()
    fresh = True            # does a statement begin here?
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            fresh = True
        elif token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER):
            if not (fresh and token.type == tokenize.STRING):      # a docstring
                found.update(range(token.start[0], token.end[0] + 1))
            fresh = False
    return found


def sections(source: str) -> list[Section]:
    """All of them in order; the first has no banner."""
    code, banners = code_lines(source), list(_BANNER.finditer(source))
    starts = [source.count("\n", 0, found.start()) + 1 for found in banners]
    ends = [*starts[1:], source.count("\n") + 1]
    return [Section(int(found[1]), found[2], found[3].lower(), found[4], sum(line in code for line in range(start, end)))
            for found, start, end in zip(banners, starts, ends)]


def main() -> int:
    with open(os.path.join(ROOT, "mcpwall.py"), encoding="utf-8") as stream:
        found = sections(stream.read())
    for kind in KINDS:
        ours = [one for one in found if one.kind == kind]
        print(f"{sum(one.lines for one in ours):6}  {kind}")
        for one in ours:
            print(f"{one.lines:10}  {one.number}. {one.name}")
    return sum(one.lines for one in found if one.kind == "opens") > MOST_THAT_OPENS


if __name__ == "__main__":
    sys.exit(main())
