"""Does the reader of shell commands keep step with bash? Random lines are run by bash and judged side by side.

Bash runs in an empty temporary folder with a made-up HOME and a PATH that holds nothing but stand-ins, which write down
how they were called (or print what a harmless tool would print). A line in which bash reached the stand-in `rm` with
HOME must be judged as destructive. `make fuzz` goes on for longer; `python3 tests/test_bash.py SEED COUNT` prints every
line that got through, and how many were refused though bash did not reach it.
"""
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from mcpwall import BudgetSpent, Command, PathContext, ShellContext, judge_command  # noqa: E402

BASH = shutil.which("bash")
RECORDS = '#!/bin/sh\necho "${0##*/} $*" >> "$STANDIN_LOG"\n'
PRINTS = {"cat": 'exec /bin/cat "$@"', "true": ":", "env": 'while [ "${1#*=}" != "$1" ]; do shift; done; exec "$@"',
          "nice": 'exec "$@"', "head": 'exec /usr/bin/head "$@"', "tr": 'exec /usr/bin/tr "$@"', "rev": 'exec /usr/bin/rev "$@"',
          "sh": 'exec /bin/sh "$@"', "bash": 'exec /bin/bash "$@"', "base64": 'exec /usr/bin/base64 "$@"',
          "dirname": 'exec /usr/bin/dirname "$@"', "realpath": 'echo "$@"', "xargs": 'exec /usr/bin/xargs "$@"'}
MARKS = ("E", "'E'", '"E"', "\\E", "-E", "E\\\nF", "'E F'", "E.1", "E\"\"", "''E", "!", "{")
QUOTES = ("'", '"', "`", "\\'", '\\"', "$'\\''", "')'", '"}"', "'\\'", '"\\""', "\"'\"", "#", "a#'", "$((1<<2))", "${x:-\"}\"}",
          "${x:-'}'}", "${#x}", "$#", "{a,b}", "[\"'\"]", "*", "\\\n", "$(echo ')')", "`echo \"'\"`", "<(echo \"'\")", "$\"it's\"")


class Lines:
    """Random scripts: harmless constructs with odd quoting around one `rm -rf ~` in many spellings."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice

    def one(self) -> str:
        return self.script(self.dice.randrange(1, 4), self.target())

    def target(self) -> str:
        return self.dice.choice((
            "rm -rf ~", "rm -rf ~", "rm -rf \"$HOME\"", "r\"m\" -rf ~", "\\rm -rf ~", "x=rm; $x -rf ~", "a=(ls rm); ${a[1]} -rf ~",
            "set -- rm; \"$1\" -rf ~", "f() { \"$@\"; }; f rm -rf ~", "eval 'rm -rf ~'", "env A=1 rm -rf ~", "x=xrm; ${x#x} -rf ~",
            "echo 'rm -rf ~' | sh", "sh <<< 'rm -rf ~'", "x=rmx; ${x%x} -rf ~", "x=RM; ${x,,} -rf ~", "${HOME:+rm} -rf ~",
            "{rm,-rf,~}", "cd ~ && rm -rf ../\"${HOME##*/}\"", "rm -rf $(realpath ~)", "x=a; x=${x/a/rm}; $x -rf ~", "nice rm -rf ~",
            "x='rm -rf'; $x ~", "alias q='rm -rf'\neval 'q ~'\nrm -rf ~", "n=rm v=n; ${!v} -rf ~", "echo ~ | xargs rm -rf",
            "trap 'rm -rf ~' EXIT", "coproc rm -rf ~; wait", "time -p rm -rf ~", "! rm -rf ~", "time ! rm -rf ~", "command -p rm -rf ~",
            "printf -v x %s rm; $x -rf ~", "read x <<< rm; $x -rf ~", "x=rm:y; ${x%%:*} -rf ~", "IFS=:; x=rm:-rf; $x ~",
            "base64 -d <<< cm0gLXJmIH4K | sh", "rev <<< '~ fr- mr' | sh", "local_=rm; ${local_} -rf ~", "bash -c '\"$@\"' _ rm -rf ~",
            "let 'y=a[$(rm -rf ~)]'", "((a[$(rm -rf ~)]=1))", "[[ -v 'a[$(rm -rf ~)]' ]]", "exec 3<<< 'rm -rf ~'; sh <&3"))

    def word(self, depth: int) -> str:
        kinds = ["a", "'a b'", '"a b"', "$x", '"$x"', self.dice.choice(QUOTES)]
        if depth > 0:
            kinds += [f"$({self.filler(depth - 1)})", f'"$({self.filler(depth - 1)})"', f"${{x:-{self.word(depth - 1)}}}"]
        return self.dice.choice(kinds)

    def filler(self, depth: int) -> str:
        """A command that does nothing."""
        dice = self.dice
        words = " ".join(self.word(depth) for _ in range(dice.randrange(3)))
        mark = dice.choice(MARKS)
        plain = {"'E'": "E", '"E"': "E", "\\E": "E", "-E": "E", "E\\\nF": "EF", "'E F'": "E F", 'E""': "E", "''E": "E"}.get(mark, mark)
        return dice.choice((
            f": {words}", f"echo {words} >/dev/null", f"y={self.word(depth)}", f"cat <<{mark} >/dev/null\n{dice.choice(QUOTES)}\n{plain}\n",
            "((y=1<<2))", f"a[1<<2]={self.word(0)}", f"[[ a == {self.word(0)} ]]", f"case x in x) : {words};; esac", f"b=({words})",
            f"for i in {words}; do :; done", f"if true; then : {words}; fi", f"g() {{ : {words}; }}", f": {words} # {dice.choice(QUOTES)}\n",
            f"cat <(: {words})", f"while false; do : {words}; done", f"{{ : {words}; }}", f"( : {words} )", f": $(( 1 << 2 )) {words}"))

    def script(self, depth: int, target: str) -> str:
        dice = self.dice
        if depth <= 0:
            return target
        inner = self.script(depth - 1, target)
        before, after = self.filler(depth - 1), self.filler(depth - 1)
        return dice.choice((
            f"{before}\n{inner}", f"{before}; {inner}", f"{before}\n{inner}\n{after}", f"{inner} # {dice.choice(QUOTES)}", f"{{ {inner}\n}}",
            f"( {inner}\n)", f"if {before}; then {inner}\nfi", f"if true; then {inner}\nelse {after}\nfi", f"for q in 1; do {inner}\ndone",
            f"case z in (y) ;; z) {inner}\n;; esac", f"z() {{ {inner}\n}}; z", f"function z {{ {inner}\n}}\nz", f"echo \"$({inner}\n)\"",
            f"cat <({inner}\n)", f"{before} && {inner}", f"true && {inner}", f"false || {inner}", f"[[ -n a ]] && {{ {inner}\n}}",
            f": ${{x:-$({inner}\n)}}", f"x=$({inner}\n)", f"a=( $({inner}\n) )", f"until ! {{ {inner}\n}}; do break; done",
            f"eval {quoted(inner)}", f"sh -c {quoted(inner)}", f"bash <<'Z Z'\n{inner}\nZ Z\n", f"{before} | {{ {inner}\n}}",
            f"{inner}\n{after}", f"while {inner}\nfalse; do :; done", f"echo {quoted(inner)} >/dev/null", f": {quoted(inner)}",
            f"cat <<'Z Z' >/dev/null\n{inner}\nZ Z\n"))


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


class Bash:
    """Runs lines; says whether `rm` was reached with HOME."""

    def __init__(self) -> None:
        self.place = os.path.realpath(tempfile.mkdtemp())
        self.home, self.path = os.path.join(self.place, "home"), os.path.join(self.place, "bin")
        os.makedirs(self.home)
        os.makedirs(self.path)
        for name, text in {"rm": RECORDS, "dd": RECORDS, "shred": RECORDS, "mkfs": RECORDS,
                           **{name: f"#!/bin/sh\n{line}\n" for name, line in PRINTS.items()}}.items():
            with open(os.path.join(self.path, name), "w", encoding="utf-8") as stream:
                stream.write(text)
            os.chmod(stream.name, 0o755)
        context = PathContext(self.home, os.path.join(self.home, "p"), os.path.join(self.home, "p"), False, False, lambda path: path)
        self.context = ShellContext(context, lambda word: False)

    def reaches_rm(self, command: str) -> bool:
        folder = tempfile.mkdtemp(dir=self.place)
        log = folder + ".log"
        environment = {"PATH": self.path, "HOME": self.home, "STANDIN_LOG": log, "LANG": "C.UTF-8"}
        try:
            subprocess.run([BASH or "bash", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=5)
        except (subprocess.TimeoutExpired, ValueError):
            pass
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(log):
            return False
        with open(log, encoding="utf-8", errors="replace") as stream:
            return self.home in stream.read()

    def refused(self, command: str) -> bool:
        try:
            return bool({"destructive", "pipe_to_shell"} & set(judge_command(Command((), command), self.context).categories))
        except BudgetSpent:
            return True

    def close(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)


@unittest.skipUnless(BASH and os.path.exists("/bin/sh") and os.path.exists("/bin/bash"), "needs bash")
class KeepsStep(unittest.TestCase):
    def test_random_lines_in_which_bash_reaches_rm_are_refused(self) -> None:
        seed = random.randrange(1 << 30)
        lines, bash = Lines(random.Random(seed)), Bash()
        self.addCleanup(bash.close)
        end = time.monotonic() + float(os.environ.get("MCPWALL_FUZZ", "1"))
        while time.monotonic() < end:
            command = lines.one()
            if not bash.refused(command):
                self.assertFalse(bash.reaches_rm(command), f"seed {seed}: {command!r}")


def main(words: "list[str]") -> None:
    seed, count = int(words[0]) if words else 1, int(words[1]) if len(words) > 1 else 500
    lines, bash = Lines(random.Random(seed)), Bash()
    reached = missed = other = over = 0
    for _ in range(count):
        command = lines.one()
        refused, hit = bash.refused(command), bash.reaches_rm(command)
        reached, missed, other, over = reached + hit, missed + (hit and not refused), other + (not hit), over + (refused and not hit)
        if hit and not refused:
            print(repr(command))
    bash.close()
    print(f"bash reached rm in {reached} lines, let through of them: {missed}; did not in {other}, refused of them: {over}")


if __name__ == "__main__":
    main(sys.argv[1:])
