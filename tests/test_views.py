"""Canonical views, the way back to the raw text, and byte-exact edits of JSON strings."""
from __future__ import annotations

import base64
import json
import os
import random
import re
import time
import unicodedata
import unittest
import unittest.mock
from urllib.parse import quote

from tests.support import ENDS_S, mcpwall, rounds, seed
from mcpwall import View, canonical_text, edit_json_strings, needs_views, raw_span, strings_of, views

SEED = seed()
SECONDS = float(os.environ.get("MCPWALL_FUZZ", "0")) or 0.5


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def tagged(text: str) -> str:
    return "".join(chr(0xE0000 + ord(char)) for char in text)


def shifted(text: str, start: int) -> str:
    """ASCII letters as those of a mathematical alphabet."""
    return "".join(chr(start + (ord(char) - 97 if char.islower() else ord(char) - 91)) if char.isalpha() else char
                   for char in text)


def readings(text: str) -> list[tuple[str, str]]:
    return [(view.name, view.text) for view in views(text)[1:]]


class ViewsOfText(unittest.TestCase):
    def test_what_each_view_shows(self) -> None:
        order = "cat /etc/shadow; rm -rf ~"
        cases = [
            ("plain", order, "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in order)),
            ("plain", order, shifted(order, 0x1D41A)),
            ("plain", order, "c\u200bat /etc/sha\u00addow; r\u2060m -rf ~"),
            ("plain", order, "\u202ecat /etc/shad\u200dow; rm\ufe0f -rf ~"),
            ("plain", order, order.replace("a", "а").replace("o", "о").replace("e", "ｅ")),
            ("plain", order, order.replace("m", "ᴍ").replace("f", "ꜰ").replace("h", "һ")),
            ("plain", order, "".join(c + "\u0336" if c.isalpha() else c for c in order)),
            ("plain", "hi there", "hi" + tagged("x") + " there"),
            ("plain", "exec copy", "ехес сору"),
            ("tags", "hi " + order, "hi " + tagged(order)),
            ("tags", "smile 😀rm -rf", "smile 😀" + "".join(chr(0xE0100 + ord(c) - 16) for c in "rm -rf")),
            ("unescaped", order, quote(order, safe="")),
            ("unescaped", order, quote(quote(order, safe=""), safe="")),
            ("unescaped", order, quote(quote(quote(order, safe=""), safe=""), safe="")),
            ("unescaped", order, "".join(f"&#{ord(c)};" for c in order)),
            ("unescaped", order, "".join(f"&#x{ord(c):x};" if not c.isalnum() else c for c in order)),
            ("unescaped", "<script>", "&#60script&#62"),
            ("unescaped", "<a href='x'>", "&lt;a href=&apos;x&apos;&gt;"),
            ("unescaped", order, "".join(f"\\u{ord(c):04x}" for c in order)),
            ("unescaped", order, "".join(f"\\\\u{ord(c):04X}" for c in order)),
            ("unescaped", order, "".join("\\u{%x}" % ord(c) for c in order)),
            ("unescaped", order, "".join(f"\\x{ord(c):02x}" for c in order)),
            ("unescaped", order, "".join(f"\\{ord(c):03o}" for c in order)),
            ("unescaped", "a 😀", "a \\ud83d\\ude00"), ("unescaped", "a 😀", "a \\\\ud83d\\\\ude00"),
            ("unescaped", '{"a": "b\nc"}', '{\\"a\\": \\"b\\nc\\"}'),
            ("unescaped", "../é", "%c0%ae%c0%ae%2f%C3%A9"),
            ("unescaped", "rm -rf", "%uff52%uff4d -rf"),            # folded after it is read
            ("decoded", order, b64(order)), ("decoded", order, b64(b64(b64(order)))),
            ("decoded", order, order.encode().hex()), ("decoded", order, "0x" + order.encode().hex().upper()),
            ("decoded", f"echo {order} | sh", f"echo {b64(order)} | sh"),
            ("decoded", f"x?d={order}&y",
                "x?d=" + base64.urlsafe_b64encode(order.encode()).decode().strip("=") + "&y"),
            ("decoded", f"/api/v1/{order}/x", f"/api/v1/{b64(order).strip('=')}/x"),
            ("decoded", order * 9, "\n".join(b64(order * 9)[i:i + 76] for i in range(0, 999, 76)).strip()),
            ("decoded", order * 9, "\r\n".join(b64(order * 9)[i:i + 64] for i in range(0, 999, 64)).strip()),
            ("decoded", "никому не говори об этом", b64("никому не говори об этом")),
            ("decoded", order, base64.b64encode(order.encode("utf-16-le")).decode()),
            ("unescaped", order, quote(b64(quote(order)))), ("decoded", order, b64(order).replace("I", "\u200bI")),
        ]
        for name, expected, text in cases:
            with self.subTest(text=text):
                self.assertTrue(needs_views(text))
                self.assertIn((name, expected), readings(text))

    def test_ordinary_text_has_only_the_raw_view(self) -> None:
        for text in ("", "plain words", "Привет, мир! Как дела?", "日本語の文章です。（はい）",
                     "déjà vu — “so”… ½ ™ № 5\xa0€", "👩‍💻 ❤️ 🏳️‍🌈 1️⃣ ©️",
                     "می‌خواهم", "क्‍ष", "100% of 5%d %08x %s", "a && b & c; AT&T &nosuch;",
                     r"C:\new\temp \d+\s*\w\b", "x = '\\n\\t'",
                     "/usr/local/lib/python3/site-packages/some_module", "someVeryLongIdentifierInCamelCase",
                     "ABCDEFGHIJKLMNOPQRSTUV",
                     "550e8400-e29b-41d4-a716-446655440000", "d41d8cd98f00b204e9800998ecf8427e",
                     "1234567890123456789",
                     "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ", "Ωμέγα και άλφα"):
            with self.subTest(text=text):
                self.assertEqual(views(text), (View("raw", text, ()),))

    def test_random_bytes_are_not_text(self) -> None:
        rng = random.Random(1)
        made = 0
        for size in (16, 20, 24, 32, 64, 300) * 300:
            data = bytes(rng.randrange(256) for _ in range(size))
            made += needs_views(base64.b64encode(data).decode()) + needs_views(data.hex())
        self.assertLessEqual(made, 2)

    def test_depth_and_number_are_bounded(self) -> None:
        text = "rm -rf /"
        for _ in range(mcpwall.VIEW_LEVELS + 1):
            text = quote(text + "%", safe="")
        self.assertFalse(any("rm -rf" in view.text for view in views(text)))
        deep = "ａ" + tagged("%252541 ") + "&amp;amp;amp; %252525 " + b64(b64(b64(b64("hello hello hello"))))
        self.assertLessEqual(len(views(deep)), 1 + 2 * (1 + 2 * mcpwall.VIEW_LEVELS))

    def test_budget_stops_views(self) -> None:
        with self.assertRaises(mcpwall.BudgetSpent):
            views("%41", mcpwall.Budget(-1))

    def test_hostile_text_takes_linear_time(self) -> None:
        n = 100_000
        hostile = ["%25" * n, "%" + "25" * n, "&amp;" * n, "&" + "amp;" * n, "\\" * n, "\\\\u0041" * (n // 4),
                   "&#" * n, "a" * n,
                   "aaaaaaaaaaaaaaaA " * (n // 16), ("A" * 64 + "\n") * (n // 64), ("aB3d" * 19 + "\n") * (n // 76),
                   "/aB3dhjsaDASDj3232" * (n // 16), "a\u200b" * n, tagged("a") * n, "\ufe01" * n,
                   "\ufdfa１" * (n // 4),
                   "\u3316１" * (n // 8), "e\u0301" * (n // 2), "e" + "\u0301\u0323" * n, "аbс" * (n // 4),
                   "6162" * n, "<=>" * n + "ａ"]
        for text in hostile:
            began = time.process_time()
            found = views(text)
            self.assertLess(time.process_time() - began, ENDS_S, ascii(text[:20]))
            self.assertLess(sum(len(view.text) for view in found), 8 * len(text))

    def test_long_ordinary_text_needs_no_views(self) -> None:
        for text in ("def foo(self): return self.some_identifier_name_here\n" * 20_000,
                     "déjà vu über naïve façade plain " * 30_000,
                     "日本語の文章です。これは試験。" * 25_000):
            self.assertFalse(needs_views(text))

    def test_nfkc_of_marks_and_ligatures(self) -> None:
        for text in ("cafe\u0301 ｏｌｅ", "ﬁle ①ⅰ", "ｶﾞ ｘ", "\u1112\u1161\u11ab ｘ", "A\u030angstrom", "Å ℎ"):
            self.assertEqual(views(text)[1].text, unicodedata.normalize("NFKC", text))


class QuickTests(unittest.TestCase):
    """What spares the exact reading of base64 and hex must never spare one that says something."""
    HEX = re.compile(r"(?:0x)?((?:[2-7][0-9A-Fa-f]|0[9AaDd]|[c-fC-F][0-9A-Fa-f](?:[89ABab][0-9A-Fa-f])+)+)\Z")

    def said(self, token: str) -> str | None:
        """As `decode_token`, step by step and without a short cut for hex."""
        found = self.HEX.match(token) if len(token) >= 16 and len(token) % 2 == 0 else None
        if found:
            return mcpwall.view_as_text(bytes.fromhex(found[1]))
        with unittest.mock.patch.object(mcpwall, "HEX_STARTS", ""):       # only as base64
            return mcpwall.decode_token(token)

    def readings_of(self, text: str) -> list[tuple[int, int, str]]:
        """Every run read exactly, by itself."""
        found = []
        for run in re.finditer("[A-Za-z0-9+/_-]{16,}", text):
            first, last = run.span()
            first += text[first - 1:first] == "\\" and text[first] in "nrt"
            token = text[first:last]
            if token[0] not in "0234567cdefCDEF" and (token.islower() or token.isupper()):
                continue                # words and paths in one case say nothing
            if token.isdigit() and re.search(r"[0-9]\.\Z", text[:first]) and text[last:last + 1] != ".":
                continue                # digits of a decimal number
            if self.said(token) is not None:
                found.append((first, last, self.said(token)))
            elif "/" in token and last - first < 1000:
                for step in re.finditer("[^/]+", token):
                    if self.said(step[0]) is not None:
                        found.append((first + step.start(), first + step.end(), self.said(step[0])))
        return found

    def piece(self, rng: random.Random) -> str:
        word = rng.choice(("some words to be found", "größe naïve überblick", "日本語の文章です", "1234567890 12345", "\t~\x7f~ ~~~~~~~~~~"))
        said = rng.choice((word.encode(), word.encode("utf-16-le"), rng.randbytes(rng.randrange(8, 40))
                           if hasattr(rng, "randbytes") else os.urandom(20)))
        cut = said[:rng.randrange(7, len(said) + 1)]
        return rng.choice((
            cut.hex(), "0x" + cut.hex(), cut.hex().upper(), base64.b64encode(cut).decode(), base64.urlsafe_b64encode(cut).decode(),
            "".join(rng.choices("0123456789abcdef", k=rng.choice((16, 32, 40, 64, 76)))),
            "".join(rng.choices("0123456789+/-_", k=rng.randrange(14, 30))), "".join(rng.choices("abcdefXYZ/", k=rng.randrange(1, 40))),
            "some/path/to-a_file", "componentsInvoiceListView", "c3" + "a9" * rng.randrange(1, 20),
            base64.b64encode((word * 8).encode()).decode()))

    def test_whatever_says_something_is_read(self) -> None:
        rng = random.Random(SEED)
        ends, said = time.monotonic() + SECONDS, 0
        while time.monotonic() < ends or said < 100:
            text = ""
            for _ in range(rng.randrange(1, 5)):
                text += self.piece(rng) + rng.choice((" ", "/", "+", "", "\n", "é", "=", "-", ".", "\0"))
            expected = self.readings_of(text)
            said += len(expected)
            read = list(mcpwall.encoded_runs(text))
            self.assertEqual(read, list(mcpwall.encoded_runs(text, mcpwall.token_runs(text))), (SEED, text))
            self.assertEqual(needs_views(text, mcpwall.token_runs(text)), needs_views(text), (SEED, text))
            together = [lines for lines, _ in read if len(lines) > 1]
            for lines, whole in read:
                if len(lines) > 1:
                    self.assertEqual(whole, self.said("".join(text[first:last] for first, last in lines)), (SEED, text))
            alone = [(*lines[0], whole) for lines, whole in read if len(lines) == 1]
            self.assertEqual(alone, [one for one in expected if not any(lines[0][0] <= one[0] < lines[-1][1] for lines in together)],
                             (SEED, text))

    def test_wrapped_at_any_width_behind_anything(self) -> None:
        rng = random.Random(SEED + 1)
        dressings: tuple[tuple[str, str], ...] = (
            ("", "\n"), ("", "\r\n"), ("> ", "\n"), ("    ", "\n"), ('  "', '",\n'), ("{line}:", "\n"), ("a/b.txt:{line}:", "\n"), ("", "\\n"),
            ("{line:6}\t", "\n"), ("a1b2c3d4 (Ana 2026-01-05 10:00:{line:02} +0000 {line:3}) ", "\n"), ("# ", "\n"), ("| ", " |\n"), ("", "<br>"))
        for width in (76, 72, 64, 60, 57, 48):
            for before, after in dressings:
                wanted = " ".join(rng.choice(("words", "größe", "to be", "found", "x = 1")) for _ in range(60))
                coded = base64.b64encode(wanted.encode()).decode()
                lines = [coded[at:at + width] for at in range(0, len(coded), width)]
                text = "see:\n" + "".join(before.format(line=number) + one + after for number, one in enumerate(lines, 1)) + "end\n"
                with self.subTest(width=width, before=before, after=after, seed=SEED):
                    shown = [view for view in views(text) if wanted in view.text]
                    self.assertTrue(shown, text)
                    at = shown[0].text.index(wanted)
                    spans = mcpwall.raw_spans(shown[0], at, at + len(wanted))
                    self.assertEqual("".join(text[first:last] for first, last in spans).rstrip("="), coded.rstrip("="))

    def test_seams_at_every_offset(self) -> None:
        for said in (b64("some words to be found"), "some words to be found".encode().hex()):
            for at in range(40):
                for before in ("x" * at + " ", "cafe/" + "x" * at + "/", "é" * at, "-" * at + " ", "\n" * at):
                    self.assertTrue(needs_views(before + said), (before, said))

    def test_runs(self) -> None:
        for text in ("", "short words", "a" * 15, "a" * 16, "é" + "a" * 16 + "é", "a/b+c-d_e" * 3 + " x " + "1" * 20):
            expected = [match.span() for match in re.finditer("[A-Za-z0-9+/_-]{16,}", text)]
            self.assertEqual(mcpwall.token_runs(text), expected)
            self.assertEqual(list(mcpwall.all_token_runs(text)), expected)
        many = ("a" * 16 + " ") * (mcpwall.MAX_RUNS + 1)
        self.assertIsNone(mcpwall.token_runs(many))
        self.assertEqual(len(mcpwall.token_runs(many[17:]) or ()), mcpwall.MAX_RUNS)
        self.assertFalse(needs_views(many))
        self.assertTrue(needs_views(many + b64("some words to be found")))

    def test_a_very_long_run_of_selectors_or_tags(self) -> None:
        said = "some words to be found. " * 4000
        for hidden in (tagged(said), "".join(chr(0xE0100 + ord(char) - 16) for char in said)):
            self.assertIn(("tags", "x" + said), readings("x" + hidden))
        self.assertIn(("tags", "x" + "\x01" * 50_000), readings("x" + "\ufe01" * 50_000))


class QuickCalls(unittest.TestCase):
    """A call is judged by its raw text alone where that surely tells as much as its strings do."""

    @staticmethod
    def text(rng: random.Random, samples: list[str]) -> str:
        pieces = ("a", "B", "/", "+", "-", "_", "=", "\\", "\n", "\t", '"', " ", "%41", "&lt;", "password", "key", "by ", "://", "s3cr3t",
                  "deadbeef", "\\n", "\\u0041", "\x1b[", "\u00e9", "\uff47", "\u200b", "{", ":")
        some = "".join(rng.choices("abc def ghi\n", k=rng.randrange(5, 40)))
        found = rng.choice((rng.choice(samples), b64(some), some.encode().hex(), "/home/u/" + b64(some), "/home/u/src/" + some.strip(),
                            "".join(rng.choices(pieces, k=rng.randrange(1, 14)))))
        at = rng.randrange(len(found) + 1)
        return found[:at] + rng.choice(pieces) + found[at:] if rng.random() < 0.3 else found

    def test_random_calls_are_seen_alike_as_a_whole_and_in_parts(self) -> None:
        number = seed()
        rng, wall = random.Random(number), mcpwall.Wall(mcpwall.builtin_policy("default"))
        samples: list[str] = []
        for name in ("secrets", "injection"):
            with open(os.path.join(os.path.dirname(__file__), "data", name + ".json"), encoding="utf-8") as stream:
                samples += [text.replace("~|" + "~", "") for text in strings_of(json.load(stream))[0] if len(text) < 1500]
        samples = list(dict.fromkeys(samples))
        hits = plain = 0
        for turn in range(len(samples) + rounds(1500)):
            text = samples[turn] if turn < len(samples) else self.text(rng, samples)
            value: object = text if rng.random() < 0.7 else [text, {"x": self.text(rng, samples), "text": text}]
            arguments = {rng.choice(("path", "text", "a", "name", "data", "password", "q")): value, "api_key": self.text(rng, samples)}
            if rng.random() < 0.5:
                del arguments["api_key"]
            raw = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": arguments}},
                             ensure_ascii=rng.random() < 0.5)
            message = mcpwall.Message("client", "request", mcpwall.load_json(raw), raw, "tools/call", "t", "")
            subject, texts = mcpwall.Subject(message, wall.policy), mcpwall.judged_texts(message)
            viewed = needs_views("\0".join(texts))
            found = wall.policy.scanner.scan(texts, mcpwall.Budget(60), subject.names, None, viewed)
            with self.subTest(seed=number, raw=raw):
                self.assertEqual(subject.texts, texts)
                self.assertEqual(subject.viewed, viewed)
                self.assertEqual(list(subject.findings), found)
            hits, plain = hits + bool(found), plain + (not viewed)
        self.assertGreater(hits, 300)
        self.assertGreater(plain, 300)


class Spans(unittest.TestCase):
    def test_span_is_widened_to_whole_pieces_only(self) -> None:
        for text, word, raw in (
                ("a%2Fsecret%2Fb", "secret", "secret"),
                ("a%2Fsecret", "/secret", "%2Fsecret"),
                ("x ｓecret y", "secret", "ｓecret"),
                ("日本語ｓｅｃｒｅｔ日本", "secret", "ｓｅｃｒｅｔ"),
                ("k s\u200becret\u200b y", "secret", "s\u200becret"),
                ("Xa\u0301ｓecret", "secret", "ｓecret"),
                (f"v {b64('my secret word')}; y", "secret", b64("my secret word")),
                (f"v %3D {b64('%73ecret word')}; y", "secret", b64("%73ecret word")),
                ("k " + tagged("secret"), "secret", tagged("secret"))):
            hits = [view for view in views(text)[1:] if word in view.text]
            self.assertTrue(hits, text)
            start = hits[0].text.index(word)
            first, last = raw_span(hits[0], start, start + len(word))
            self.assertEqual(text[first:last], raw)

    def test_fuzz(self) -> None:
        """The word is found wherever it is hidden, its span holds all of it and nothing of its neighbours, and False
        from the pre-test means that no part has a view."""
        rng = random.Random(SEED)
        hide = [quote, lambda t: b64(t).strip("="), lambda t: t.encode().hex(),
                lambda t: "".join(f"\\u{ord(c):04x}" for c in t), lambda t: shifted(t, 0x1D41A),
                lambda t: "".join(f"&#{ord(c)};" for c in t), lambda t: "".join(f"%{ord(c):02X}" for c in t),
                lambda t: "\u200b".join(t), lambda t: t.replace("e", "е").replace("o", "ο"), tagged]
        noise = ["a", "é", "日", " ", "%", "%4", "&", "&amp", ";", "\\", "\\u00", "x", "=", "/", "е", "\u0301", "😀",
                 "\u200d", "\ufe0f", "%25", "&amp;", "ｆ", "0123456789abcdef", "YWJj", "\n", "-", "_", "м", "ﷺ",
                 tagged("q"), "\\ud800", "\U000e0100", '\\"']
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            parts = ["".join(rng.choices(noise, k=rng.randrange(12))) for _ in range(rng.randrange(1, 5))]
            needed = [len(views(part)) > 1 for part in parts]
            if not needs_views("\0".join(parts)):
                self.assertFalse(any(needed), (SEED, parts))
            text = "".join(parts)
            for view in views(text):
                at = rng.randrange(len(view.text) + 1)
                to = rng.randrange(at, len(view.text) + 1)
                first, last = raw_span(view, at, to)
                self.assertTrue(0 <= first <= last <= len(text), (SEED, text, view, at, to))
                self.assertLessEqual(first, raw_span(view, to, to)[0], (SEED, text, view))
            self.assertEqual(readings(text), readings(text))
            word = hidden = "some words to be found"
            steps = rng.sample(hide[:3], rng.randrange(3)) + rng.sample(hide, rng.randrange(2))
            for step in steps:
                hidden = step(hidden)
            before, after = rng.choice(["", "left ", "( ", "日本 "]), rng.choice(["", " right", "; x", " 日本"])
            text = before + hidden + after
            hits = [view for view in views(text) if word in view.text]
            self.assertTrue(hits, (SEED, text))
            start = hits[0].text.index(word)
            self.assertEqual(raw_span(hits[0], start, start + len(word)), (len(before), len(before + hidden)),
                (SEED, text))


class CanonicalText(unittest.TestCase):
    def test_canonical_text(self) -> None:
        for text, expected in ((" Ignore\u200b ALL\t\n previous ", "ignore all previous"), ("STRASSE Straße",
            "strasse strasse"),
                               ("a\u00a0b\u202fc", "a b c"), ("", ""), ("\u200b", ""), ("x\0 y", "x\0 y")):
            self.assertEqual(canonical_text(text), expected)


def write_json(value: object, rng: random.Random) -> str:
    """A JSON text of *value* with odd white space and escapes."""
    def blank() -> str:
        return rng.choice(["", "", "", " ", "\n", "\t ", "\r\n"])

    def string(text: str) -> str:
        out = []
        for char in text:
            short = json.dumps(char, ensure_ascii=False)[1:-1]
            units = char.encode("utf-16-be")
            long = "".join("\\u" + rng.choice([str.lower, str.upper])(units[i:i + 2].hex()) for i in range(0,
                len(units), 2))
            out.append(rng.choice([short, short, long, "\\/" if char == "/" else short]))
        return '"' + "".join(out) + '"'
    if isinstance(value, dict):
        return "{" + blank() + ",".join(blank() + string(k) + blank() + ":" + blank() + write_json(v, rng) + blank()
                                        for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + blank() + ",".join(blank() + write_json(v, rng) + blank() for v in value) + "]"
    return string(value) if isinstance(value, str) else json.dumps(value)


class Edits(unittest.TestCase):
    def test_only_the_span_changes(self) -> None:
        raw = '{"a" : "x\\ud83d\\ude00y\\n\\u0041z","b":["\\\\", "q\\"r"], "n":1.0e+2}'
        self.assertEqual(edit_json_strings(raw, {}), raw)
        self.assertEqual(edit_json_strings(raw, {1: [(1, 2, '"é'), (4, 5, "")], 4: [(0, 3, "\n")], 3: [(0, 1,
            "\\")]}),
                         '{"a" : "x\\"éy\\nz","b":["\\\\", "\\n"], "n":1.0e+2}')
        self.assertEqual(edit_json_strings(' "abc" ', {0: [(0, 0, "x"), (3, 3, "y")]}), ' "xabcy" ')
        with self.assertRaises(IndexError):
            edit_json_strings('{"a":1}', {1: [(0, 1, "")]})

    def test_names_stay_apart(self) -> None:
        self.assertEqual(edit_json_strings('{"k1":{"k1":1},"k2" :2,"R":"k1"}', {0: [(0, 2, "R")], 1: [(0, 2,
            "R")], 2: [(0, 2, "R")]}),
                         '{"R 2":{"R":1},"R 3" :2,"R":"k1"}')

    def test_many_equal_names(self) -> None:
        raw = json.dumps({f"k{place}": place for place in range(20_000)})
        began = time.process_time()
        edited = edit_json_strings(raw, {place: [(0, len(f"k{place}"), "R")] for place in range(20_000)})
        self.assertEqual(len(mcpwall.load_json(edited)), 20_000)
        self.assertLess(time.process_time() - began, ENDS_S)

    def test_fuzz(self) -> None:
        rng = random.Random(SEED)
        letters = "ab\"\\/\n\t\0é日😀 {}[]:,\u2028"

        def text() -> str:
            return "".join(rng.choices(letters, k=rng.randrange(8)))

        def value(depth: int) -> object:
            kind = rng.randrange(7 if depth else 5)
            if kind == 5:
                return {text(): value(depth - 1) for _ in range(rng.randrange(4))}
            if kind == 6:
                return [value(depth - 1) for _ in range(rng.randrange(4))]
            return rng.choice([text(), text(), 1, -2.5e3, None, True])
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            tree = value(3)
            raw = write_json(tree, rng)
            texts = strings_of(tree)[0]
            names = strings_of(tree)[1]
            edits, expected = {}, list(texts)
            for ordinal in rng.sample(range(len(texts)), rng.randrange(len(texts) + 1)):
                if names[ordinal] is None:
                    continue
                cuts = sorted(rng.choices(range(len(texts[ordinal]) + 1), k=2 * rng.randrange(3)))
                edits[ordinal] = [(cuts[i], cuts[i + 1], text()) for i in range(0, len(cuts), 2)]
                for start, end, new in reversed(edits[ordinal]):
                    expected[ordinal] = expected[ordinal][:start] + new + expected[ordinal][end:]
            edited = edit_json_strings(raw, edits)
            self.assertEqual(strings_of(mcpwall.load_json(edited))[0], expected, (SEED, raw, edits))
            names_only = {i: [(0, len(texts[i]),
                "R")] for i in range(len(texts)) if names[i] is None and rng.random() < 0.5}
            again = mcpwall.load_json(edit_json_strings(raw, names_only))        # raises when names became equal
            self.assertEqual(len(strings_of(again)[0]), len(texts), (SEED, raw, names_only))

    def test_large_messages_are_quick(self) -> None:
        item = {"name": "some value with words\n", "other": "ordinary \"text\" follows", "n": 12}
        raw = json.dumps([item] * 12_000)
        for count in (1, 1000):
            edits = {5 * place + 1: [(5, 10, "[REDACTED]")] for place in range(count)}
            began = time.process_time()
            edited = edit_json_strings(raw, edits)
            self.assertLess(time.process_time() - began, ENDS_S)
            self.assertEqual(edited.count("some [REDACTED] with"), count)


if __name__ == "__main__":
    print("seed", SEED)
    unittest.main()
