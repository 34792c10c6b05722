"""Section 6: secrets. Everything that looks like a secret here is made up at run time or kept in pieces."""
import base64
import json
import os
import random
import re
import string
import time
import unittest

from tests.support import ENDS_S, mcpwall, rounds, seed
from mcpwall import BUILTIN_KINDS, Budget, Finding, SecretScanner, merge_spans, secret_kinds, secret_values, shannon_entropy, strings_of

HERE = os.path.dirname(os.path.abspath(__file__))
GAP = "|~|"                 # stands inside every made-up secret of the data file, so that repository scanners stay quiet
MARK = "[REDACTED BY MCPWALL]"
LETTERS = string.ascii_letters
ALNUM = LETTERS + string.digits
SCANNER = SecretScanner(BUILTIN_KINDS)
SEED = seed()
FUZZ_S = float(os.environ.get("MCPWALL_FUZZ", "0.6"))


def made(rnd, alphabet, count):
    return "".join(rnd.choice(alphabet) for _ in range(count))


def cases():
    with open(os.path.join(HERE, "data", "secrets.json"), encoding="utf-8") as file:
        return json.loads(file.read().replace(GAP, ""))


def scan(*texts, names=None, scanner=SCANNER):
    return scanner.scan(list(texts), Budget(20), names if names is not None else [""] * len(texts))


def redact(texts, findings):
    texts = list(texts)
    by_text = {}
    for finding in findings:
        for index, start, end in finding.spans:
            by_text.setdefault(index, []).append((start, end))
    for index, pairs in by_text.items():
        for start, end in reversed(merge_spans(pairs)):
            texts[index] = texts[index][:start] + MARK + texts[index][end:]
    return texts


def hidden(text):
    return redact([text], scan(text))[0]


def leaks(secret, texts):
    """Does a run of 16 characters of *secret* (all of it, when it is shorter) stand in one of *texts*?"""
    return any(secret[at:at + 16] in text for text in texts for at in range(max(1, len(secret) - 15)))


def shapes():
    for kind, rows, _ in mcpwall.secret_rows():
        for shape in rows:
            if not shape.startswith("eg:"):
                yield kind, shape


def token(kind, shape, seed=0):
    """A token of one shape. (A JSON web token begins with the base64 of a header.)"""
    rnd = random.Random(f"{kind} {shape} {seed}")
    if kind == "jwt-token":
        return ".".join(["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"] + [made(rnd, ALNUM, 40) for _ in range(shape.count("."))])
    return mcpwall.secret_example(shape, rnd)


class Basics(unittest.TestCase):
    def test_entropy(self):
        self.assertEqual(shannon_entropy(""), 0)
        self.assertEqual(shannon_entropy("aaaa"), 0)
        self.assertEqual(shannon_entropy("abcd"), 2)
        self.assertAlmostEqual(shannon_entropy("aab"), 0.9183, 4)

    def test_merge_spans(self):
        self.assertEqual(merge_spans([]), [])
        self.assertEqual(merge_spans([(5, 7), (1, 3), (3, 4), (6, 9)]), [(1, 4), (5, 9)])
        self.assertEqual(merge_spans(iter([(1, 9), (2, 3)])), [(1, 9)])

    def test_kinds(self):
        kinds = secret_kinds()
        names = [name for name, _, _ in kinds]
        self.assertGreaterEqual(len(names), 110)
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(tuple(names), BUILTIN_KINDS)
        self.assertEqual(kinds, secret_kinds())
        for known in ("aws-access-key", "aws-secret-key", "github-token", "openai-key", "anthropic-key", "stripe-key",
                      "private-key-header", "jwt-token", "slack-token", "database-url", "gcp-key", "azure-key"):
            self.assertIn(known, names)
        for name, about, example in kinds:
            with self.subTest(name):
                self.assertTrue(about and example)
                self.assertEqual(scan(example)[0].pattern, name)


class Tokens(unittest.TestCase):
    AROUND = (("", ""), ("x = '", "'\n"), ("KEY=", "\n"), ("a\\n", "\\n"), ("(", ")"), ('{\\"k\\":\\"', '\\"}'), ("see ", "."))

    def test_every_shape_everywhere(self):
        missed, wrong, count = [], [], 0
        for kind, shape in shapes():
            for number in range(2):
                text = token(kind, shape, number)
                for before, after in self.AROUND:
                    count += 1
                    whole = before + text + after
                    if leaks(text, [hidden(whole)]):
                        missed.append((kind, shape, before))
                if scan(text)[0].pattern != kind:
                    wrong.append((kind, shape, scan(text)[0].pattern))
        self.assertLessEqual(len(missed) / count, 0.01, missed[:9])      # base64 bodies may be broken by chance
        self.assertLessEqual(len(wrong), 3, wrong)

    def test_near_misses(self):
        for kind, shape in shapes():
            parts = mcpwall.shape_parts(shape)
            text = token(kind, shape)
            literal, (_, letter, least, most) = parts[0][0], parts[-1]
            if not letter or letter == "d" or kind in ("jwt-token", "discord-token", "telegram-token"):
                continue
            with self.subTest(kind=kind, shape=shape):
                self.assertEqual([f for f in scan("a" + text) if f.pattern == kind], [], "glued to a letter")
                if len(literal) >= 3:
                    fake = literal + "x" * (len(text) - len(literal))
                    self.assertEqual(scan(fake), [], "a placeholder")
                if len(parts) == 1 and least > 2 and kind not in ("grafana-token", "webhook-signing-secret"):
                    self.assertEqual([f for f in scan(text[:-1]) if f.pattern == kind], [], "one character short")
                    if most == least and letter not in "we":
                        self.assertEqual([f for f in scan(text + "Z") if f.pattern == kind], [], "one too long")

    def test_decoys_hide_nothing(self):
        key = token("aws-access-key", "AKIA{u16}")
        text = "AKIA" + "IOSFODNN7EXAMPLE " + key + " AKIA" + "XXXXXXXXXXXXXXXX"
        self.assertEqual([finding.spans for finding in scan(text)], [((0, 21, 41),)])
        self.assertNotIn(key, hidden("password=changeme\npassword=" + key))

    def test_presigned_urls_stay(self):
        rnd = random.Random(1)
        key = "ASIA" + made(rnd, string.ascii_uppercase, 12) + "2345"
        url = f"https://b.example.com/k?X-Amz-Credential={key}%2F2024&X-Amz-Signature={made(rnd, '0123456789abcdef', 64)}"
        self.assertEqual(scan(url), [])
        self.assertNotEqual(scan(key), [])


class Labelled(unittest.TestCase):
    def test_cases(self):
        wrong = []
        for case in cases():
            text = case["text"]
            left = hidden(text)
            if case["label"] == "allow":
                if left != text:
                    wrong.append((case["id"], case["category"], "touched"))
                continue
            secrets = case["secret"] if isinstance(case["secret"], list) else [case["secret"]]
            if any(leaks(secret, [left]) for secret in secrets):
                wrong.append((case["id"], case["category"], "leaks"))
        self.assertEqual(wrong, [])


class Blocks(unittest.TestCase):
    def body(self, lines=5, seed=1):
        rnd = random.Random(seed)
        return "\n".join([made(rnd, ALNUM + "+/", 64) for _ in range(lines)] + [made(rnd, ALNUM + "+/", 42) + "=="])

    def block(self, label, body):
        return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----"

    def assert_gone(self, text, body):
        left = hidden(text)
        for line in body.split("\n"):
            self.assertFalse(leaks(line, [left]), left[:300])
        return left

    def test_whole_blocks(self):
        for label in ("RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "PRIVATE KEY",
                      "ENCRYPTED PRIVATE KEY", "PGP PRIVATE KEY BLOCK"):
            block = self.block(label, self.body())
            for before, after in (("", ""), ("$ cat k\n", "\n$ "), ('KEY="', '"\nA=1')):
                with self.subTest(label=label, before=before):
                    self.assertEqual(hidden(before + block + after), before + MARK + after)

    def test_forms(self):
        body = self.body()
        block = self.block("PRIVATE KEY", body)
        self.assert_gone('{"private_key": "' + block.replace("\n", "\\n") + '\\n"}', body)
        self.assert_gone("\n".join("    " + line for line in block.split("\n")), body)
        self.assert_gone("\n".join("# " + line for line in block.split("\n")), body)
        self.assert_gone("\n".join("> " + line for line in block.split("\n")), body)
        self.assert_gone(" + \n".join(f'  "{line}\\n"' for line in block.split("\n")), body)
        self.assert_gone(block.replace("\n", "\r\n"), body)
        self.assert_gone(block[:-30], body)                     # no footer
        self.assert_gone(self.block("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A1B\n\n" + body), body)
        self.assert_gone(self.block("PGP PRIVATE KEY BLOCK", "Version: GnuPG v2\n\n" + body + "\n=aB3d"), body)
        self.assert_gone("PuTTY-User-Key-File-2: ssh-rsa\nPublic-Lines: 1\nAAAA\nPrivate-Lines: 6\n" + body, body)

    def test_what_follows_a_cut_block_stays(self):
        left = hidden("-----BEGIN PRIVATE KEY-----\n" + self.body() + "\n\nHello, this is text. It stays.\n")
        self.assertIn("Hello, this is text. It stays.", left)

    def test_public_blocks_and_talk_stay(self):
        for text in (self.block("CERTIFICATE", self.body()), self.block("PUBLIC KEY", self.body()),
                     self.block("PGP PUBLIC KEY BLOCK", self.body()), self.block("PRIVATE KEY", "..."),
                     "It starts with -----BEGIN PRIVATE KEY----- and ends with -----END PRIVATE KEY-----."):
            self.assertEqual(hidden(text), text)


class Context(unittest.TestCase):
    def test_only_the_password_of_a_url(self):
        pw = made(random.Random(3), ALNUM, 14)
        self.assertEqual(hidden(f"postgres://app:{pw}@db/prod"), f"postgres://app:{MARK}@db/prod")
        self.assertEqual(hidden(f"redis://:{pw}@cache:6379/0"), f"redis://:{MARK}@cache:6379/0")
        for url in ("postgres://user:password@localhost/db", "amqp://guest:guest@mq/", "https://host:8080/a@b",
                    "https://$USER:$PASS@h/", "https://<user>:<pw>@h/", "https://u:********@h/"):
            self.assertEqual(hidden(url), url)

    def test_member_names(self):
        pw = "hunter2" + "x9"
        for value in ({"password": pw}, {"a": 1, "dbPassword": pw, "b": "c"}, {"name": "DB_PASSWORD", "value": pw},
                      {"args": ["--password", pw, "run"]}):
            texts, names = strings_of({"result": value})
            self.assertNotIn(pw, redact(texts, SCANNER.scan(texts, Budget(5), names)))
        texts, names = strings_of({"password": {"abc123xyz9": 1}})
        self.assertEqual(SCANNER.scan(texts, Budget(5), names), [])     # a member name is not the value

    def test_basic_auth(self):
        import base64
        value = base64.b64encode(b"dana:" + b"c4t-7Qz!pp").decode()
        self.assertEqual(hidden(f"Authorization: Basic {value}"), f"Authorization: Basic {MARK}")
        self.assertEqual(hidden('{"auth": "%s"}' % value), '{"auth": "%s"}' % MARK)
        words = base64.b64encode(b"user:password").decode()
        self.assertEqual(scan(f"Authorization: Basic {words}"), [])


class Views(unittest.TestCase):
    def setUp(self):
        self.key = token("github-token", "ghp_{a36-}")

    def assert_found(self, text):
        findings = scan(text)
        self.assertTrue(findings, text)
        left = redact([text], findings)[0]
        self.assertEqual(scan(left), [])
        return findings, left

    def test_percent_encoded(self):
        _, left = self.assert_found("u?q=" + self.key.replace("_", "%5F") + "&a=1")
        self.assertEqual(left, f"u?q={MARK}&a=1")
        self.assert_found("x=%7B%22password%22%3A%22hunter2xx9%22%7D")

    def test_invisible_characters(self):
        for char in "\u200b\u00ad\u2060\ufeff":
            hidden_key = char.join(self.key)
            findings, left = self.assert_found(f"key {hidden_key} end")
            self.assertEqual(left, f"key {MARK} end")
            self.assertNotEqual(findings[0].view, "raw")

    def test_fullwidth(self):
        self.assert_found("".join(chr(ord(c) + 0xFEE0) for c in self.key))

    def test_base64(self):
        import base64
        _, left = self.assert_found(json.dumps({"content": base64.b64encode(b"A=1\nGH=" + self.key.encode() + b"\n").decode()}))
        self.assertTrue(left.startswith('{"content": "[RED'))

    def test_html_and_escapes(self):
        self.assert_found("&quot;password&quot;:&quot;hunter2xx9&quot;")
        self.assert_found('{\\"password\\": \\"hunter2xx9\\"}')
        self.assert_found(self.key.replace("p", "\\u0070"))

    def test_split_over_text_blocks(self):
        for parts in ([self.key[:9], self.key[9:]], [self.key[:5], self.key[5:20], self.key[20:]]):
            blocks = [{"type": "text", "text": part} for part in parts]
            blocks[0]["text"] = "key: " + blocks[0]["text"]
            texts, names = strings_of({"result": {"content": blocks}})
            findings = SCANNER.scan(texts, Budget(5), names)
            self.assertEqual([len(finding.spans) for finding in findings], [len(parts)])
            self.assertEqual([t for t in redact(texts, findings) if MARK in t], ["key: " + MARK] + [MARK] * (len(parts) - 1))


class OwnPatterns(unittest.TestCase):
    class Regex:
        def __init__(self, source, literals):
            import re
            self.regex, self.literals = re.compile(source), literals

        def finditer_spans(self, text, budget):
            return [match.span() for match in self.regex.finditer(text)]

    def test_threshold_and_literals(self):
        own = SecretScanner((), [("own", self.Regex("acme-[a-z]{8}", frozenset(("acme-",))), 2.5)])
        self.assertEqual(own.scan(["nothing here"], Budget(5)), [])
        self.assertEqual(own.scan(["x acme-abcdefgh", "acme-aaaaaaaa"], Budget(5)), [Finding("own", ((0, 2, 15),), "raw")])
        self.assertEqual(own.scan(["password=hunter2xx9"], Budget(5)), [])
        anything = SecretScanner((), [("own", self.Regex("z{3}", None), None)])
        self.assertEqual(len(anything.scan(["zzz and zzzz"], Budget(5))), 2)

    def test_beside_the_built_in(self):
        both = SecretScanner(BUILTIN_KINDS, [("own", self.Regex("acme-[a-z]{8}", frozenset(("acme-",))), None)])
        self.assertEqual([f.pattern for f in both.scan(["acme-abcdefgh password=hunter2xx9"], Budget(5))], ["password", "own"])

    def test_some_kinds_only(self):
        some = SecretScanner(["github-token"])
        self.assertEqual(some.scan(["password=hunter2xx9"], Budget(5)), [])


class Variables(unittest.TestCase):
    """Values of environment variables that the server does not get."""

    VALUE = 'k3y#of "Zoë" & co=/+'

    def found(self, *texts, values=None, names=None):
        scanner = SecretScanner((), []).with_values({"A_KEY": self.VALUE} if values is None else values)
        return scan(*texts, names=names, scanner=scanner)

    def test_whose_value_is_a_secret(self):
        def kept(name, value, exists=()):
            return secret_values({name: value}, exists.__contains__).get(name)

        for name in "GITHUB_TOKEN DB_PASSWORD MYSQL_PWD pgpassword STRIPE_KEY_PROD CLIENT_SECRET credentials BASIC_AUTH".split():
            self.assertEqual(kept(name, "Xk2mQ9_w"), "Xk2mQ9_w", name)
        for name in "PWD OLDPWD EDITOR PUBLIC_KEY NEXT_PAGE_TOKEN TOKEN_URL SSH_AUTH_SOCK AUTHOR".split():
            self.assertIsNone(kept(name, "Xk2mQ9_w"), name)
        for value in ("Xk2mQ9_", "ababab12ab", "production", "development-build", "correct horse", "truetrue", "1234567890", "2026-11-28T10:00",
                      "1.22.333-rc1", "https://host.example/x", "op://vault/item", "changeme", "your-api-key", "/home/u/keys/id.pem",
                      "x" * 10_000 + "yzabc", " \n "):
            self.assertIsNone(kept("A_TOKEN", value), value)
        self.assertIsNone(kept("A_TOKEN", "/Xk2mQ9", {"/Xk2mQ9_w"}))
        self.assertIsNone(kept("A_TOKEN", "/Xk2mQ9_w", {"/Xk2mQ9_w"}))
        self.assertEqual(kept("A_TOKEN", "/Xk2mQ9_w"), "/Xk2mQ9_w")
        self.assertEqual(kept("A_TOKEN", " Bearer Xk2mQ9_w\n"), "Xk2mQ9_w")
        self.assertEqual(kept("DATABASE_URL", "postgres://app:Xk2mQ9_w@db/app"), "Xk2mQ9_w")
        self.assertIsNone(kept("HOMEPAGE", "https://host/a:b@c"))

    def test_bounds(self):
        many = secret_values({f"A{number}_TOKEN": f"Xk2mQ9_w{number}" for number in range(1000)}, lambda path: False)
        self.assertEqual((len(many), mcpwall.MAX_SECRET_VALUES), (200, 200))
        self.assertEqual(secret_values({"B_TOKEN": "Xk2mQ9_w", "A_KEY": "Xk2mQ9_w"}, lambda path: False), {"A_KEY": "Xk2mQ9_w"})
        self.assertEqual(list(secret_values({"A\n\x1b_TOKEN": "Xk2mQ9_w"}, lambda path: False)), [mcpwall.printable("A\n\x1b_TOKEN")])

    def test_every_spelling_is_found_where_it_stands(self):
        from urllib.parse import quote, quote_plus
        value = self.VALUE
        once = json.dumps(value)[1:-1]
        for said in (value, once, json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(once)[1:-1], quote(value, safe=""), quote_plus(value),
                     value.replace("&", "&amp;"), "".join(f"\\u{ord(char):04x}" for char in value),
                     base64.b64encode(value.encode()).decode(), value.encode().hex()):
            with self.subTest(said):
                for before, after in (("", ""), ("a = ", " %20 \\\"; b"), ("<", "> " + base64.b64encode(b"some text or other").decode())):
                    text = before + said + after
                    found = self.found("first", text)
                    self.assertEqual({(f.pattern, f.spans[0][0]) for f in found}, {("withheld-variable A_KEY", 1)})
                    spans = merge_spans([span[1:] for f in found for span in f.spans])
                    self.assertEqual(len(spans), 1)
                    self.assertTrue(text[:spans[0][0]] == before and text[spans[0][1]:].lstrip("=") == after, spans)

    def test_a_value_with_escapes_of_its_own(self):
        value = 'k3y\\of %41\nZoë &lt;'
        for said in (value, json.dumps(value), json.dumps(value, ensure_ascii=False), base64.b64encode(value.encode()).decode()):
            self.assertEqual(self.found("x %20" + said, values={"B": value})[0].pattern, "withheld-variable B")

    def test_behind_escapes_of_a_line_end(self):
        text = '\\nJiMxMTA7VHI1X2sybVFcdTAwMzkmIzEyMDs=\0Z\\o&#235; "x&#92;n%79%4\\u0031'      # the base64 begins behind `\n`
        scanner = SecretScanner((), []).with_values({"A": "nTr5_k2mQ9x"})
        self.assertTrue(scanner.scan([text], Budget(20)))
        self.assertFalse(scanner.scan([text.replace("X2s", "X2t")], Budget(20)))

    def test_once_each(self):
        found = self.found(f"{self.VALUE} and {self.VALUE} %20 \\\" &amp;")
        self.assertEqual(len(found), len({f.spans for f in found}))
        self.assertEqual(len(merge_spans([span[1:] for f in found for span in f.spans])), 2)

    def test_split_over_text_blocks(self):
        scanner = SCANNER.with_values({"A_KEY": "Xk2mQ9_wTr5"})
        texts, names = ["text", "a Xk2mQ9", "text", "_wTr5 b"], [None, "text", None, "text"]
        self.assertEqual(scan(*texts, names=names, scanner=scanner),
                         [Finding("withheld-variable A_KEY", ((1, 2, 8), (3, 0, 5)), "raw")])

    def test_other_texts_are_not_touched(self):
        scanner = SCANNER.with_values({"A_KEY": "Xk2mQ9_wTr5", "B": "\u00e9\u00e8!"})
        for text in ("nothing", "xk2mq9_wtr5", "Xk2mQ9_wTr", "a%20b \\\" &amp;", "e\u0301"):
            self.assertEqual(scan(text, scanner=scanner), [])
        self.assertNotIn("Xk2", repr(scanner) + repr(vars(scanner)))
        self.assertEqual(scan("\u00e9\u00e8!", scanner=scanner)[0].pattern, "withheld-variable B")


class QuickTests(unittest.TestCase):
    """What spares a search must never spare one that finds something."""
    WORDS = ("pass", "PASS", "secret", "pwd", "psk=", "curl -u a:", "mysql -p", "sshpass -p ", "identified by '", "!AQ", ":5432:", "h:5432:d:u:",
             "&sig=", "&code=", "azurewebsites.net/x?code=", "://u:", "@", "~", "Q~", "%5F", "&#95;", "&quot;", "\\u005f", "\\x5f", "\\",
             "_mmk", "AZDO", "-us1", "hooks.slack.com/services/", "https://", "-----BEGIN PRIVATE KEY-----", "Private-Lines: 2\n", "00D",
             "Bearer ", "api_key=", "token: ", "API key: ", "\x1b[0m", "\u212a", "\u0130", "é", "\u200b", "\0text\0", "+", "/", ".", " ", "\n", "=",
             '"', "'", "\\n", '\\"', "contraseña: ", "пароль: ", "密码：", "mnemonic: ", '"kty":"oct","k":"', "a,token\nb,", "| key |", "ｐ", "ⓢ", "\U0001d4eb")

    def texts(self, rnd, kinds):
        while True:
            parts = []
            for _ in range(rnd.randrange(1, 8)):
                parts.append(rnd.choice(self.WORDS))
                if rnd.random() < 0.5:
                    parts.append(made(rnd, rnd.choice((ALNUM, "0123456789abcdef", ALNUM + "+/", ALNUM + "_-", "abcdefgh")),
                                      rnd.choice((2, 6, 12, 15, 16, 17, 24, 32, 36, 40, 50, 60, 84))))
                if rnd.random() < 0.3:
                    parts.append(token(*rnd.choice(kinds), rnd.randrange(4)))
                if rnd.random() < 0.2:
                    parts[-1] = parts[-1].swapcase()
            text = "".join(parts)
            if rnd.random() < 0.3:
                text = base64.b64encode(text.encode()).decode()
            yield text

    def plainly(self, text):
        """What the raw text shows, without its views."""
        return SCANNER.scan([text], Budget(20), [""], viewed=False)

    def test_a_short_text_is_searched_like_a_long_one_property(self):
        rnd, words = random.Random(SEED + 2), " words of a story go on and on" * 150
        for _, text in zip(range(rounds(400)), self.texts(rnd, list(shapes()))):
            self.assertEqual(self.plainly(text + "\n !!"), self.plainly(text + "\n !!" + words), (SEED, text))

    def test_what_a_view_shows_is_found_property(self):
        rnd = random.Random(SEED + 5)
        for _, text in zip(range(rounds(400)), self.texts(rnd, list(shapes()))):
            for view in mcpwall.views(text):
                found = self.plainly(view.text)
                if found:
                    self.assertTrue(scan(text), (SEED, text, view, found))

    def test_pieces_show_what_the_whole_shows_property(self):
        rnd, kinds = random.Random(SEED + 6), list(shapes())
        ways = (lambda text: base64.b64encode(text.encode()).decode(), lambda text: text.encode().hex(),
                lambda text: "".join("&#%d;" % ord(char) for char in text), lambda text: "".join("%%%02x" % ord(char) for char in text),
                lambda text: base64.encodebytes(text.encode()).decode(), lambda text: "".join("\\u%04x" % ord(char) for char in text),
                lambda text: text.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)}))
        for _ in range(12):
            key, filler = token(*rnd.choice(kinds)), rnd.choice(("x", "words of a story ", "story\n"))
            if scan(key):
                inside = filler * rnd.randrange(9000) + " " + key + " " + filler * rnd.randrange(9000)
                text = rnd.choice(("", "a " * 20_000)) + rnd.choice(ways)(inside) + rnd.choice(("", " b" * 20_000))
                self.assertIn(scan(key)[0].pattern, [finding.pattern for finding in scan(text)], (SEED, key, text[:200]))

    def test_one_letter_of_another_alphabet_anywhere(self):
        upper, lower, digits = string.ascii_uppercase, string.ascii_lowercase, string.digits
        alphabets = [{char: chr(ord(char) + 0xFEE0) for char in upper + lower + digits + "_-."}]            # fullwidth
        for big, small, zero in ((0x1D400, 0x1D41A, 0x1D7CE), (0x1D5D4, 0x1D5EE, 0x1D7EC), (0x1D670, 0x1D68A, 0x1D7F6), (0x24B6, 0x24D0, 0)):
            alphabets.append({**{char: chr(big + place) for place, char in enumerate(upper)},
                              **{char: chr(small + place) for place, char in enumerate(lower)},
                              **({char: chr(zero + place) for place, char in enumerate(digits)} if zero else {})})
        alphabets.append(dict(zip("abcdegjkmnoptuvwz", "ᴀʙᴄᴅᴇɢᴊᴋᴍɴᴏᴘᴛᴜᴠᴡᴢ")))                               # small capitals
        for kind, shape in (("github-token", "ghp_{a36-}"), ("aws-access-key", "AKIA{u16}"), ("anthropic-key", "sk-ant-{w40-}")):
            key = token(kind, shape)
            for alphabet in alphabets:
                for place, char in enumerate(key):
                    if char in alphabet:
                        text = "see " + key[:place] + alphabet[char] + key[place + 1:] + " there"
                        self.assertEqual(hidden(text), f"see {MARK} there", text)

    def test_runs_within_runs_of_base64(self):
        rnd = random.Random(SEED + 4)
        for _ in range(3000):
            text = "".join(rnd.choice(("a" * rnd.choice((1, 3, 14, 15, 16, 17)), "/", "+", "-", " ", "_b")) for _ in range(rnd.randrange(9)))
            runs = [*mcpwall.secret_runs(text, mcpwall.all_token_runs(text))]
            self.assertEqual(runs, [match.span() for match in re.finditer("[A-Za-z0-9_-]{16,}", text)], (SEED, text))

    def test_every_form_alone_and_among_words(self):
        for _, _, example in secret_kinds():
            for around in ("", "plain words before "):
                self.assertTrue(scan(around + example), example)

    def test_password_file_of_a_database_in_a_short_text(self):
        text = "db.example.com:5432:orders:app:" + made(random.Random(8), ALNUM, 12)
        self.assertEqual(hidden(text), "db.example.com:5432:orders:app:" + MARK)


class Properties(unittest.TestCase):
    PIECES = ['password', ' ', '=', ':', '"', "'", "\\n", "\n", "\\", ",", "{", "}", "token", "secret", "API_KEY", "://", "@", "a:b",
              "text", "type", "curl -u ", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "Bearer ", "Basic ", "%5F", "&#x5f;",
              "\u200b", "-", "_", ".", "/", "é", "value", "name", "--password", "&", ";", "xxxx", "eyJ", "sk-", "ghp_", "Q~", "|", "<", ">",
              "$", "Private-Lines: 3\n", "\u0130", "\uff47", "hooks.slack.com/services/", "AKIA", MARK]

    def piece(self, rnd):
        what = rnd.random()
        if what < 0.6:
            return rnd.choice(self.PIECES)
        if what < 0.75:
            kind, shape = rnd.choice(self.kinds)
            return token(kind, shape, rnd.randrange(4))
        return made(rnd, rnd.choice((ALNUM, "0123456789abcdef", ALNUM + "+/", LETTERS)), rnd.choice((3, 8, 16, 20, 40, 64)))

    def test_spans_of_anything_property(self):
        """Spans lie in their strings; the same is found each time; nothing raises."""
        rnd = random.Random(SEED)
        self.kinds = list(shapes())
        end = time.monotonic() + FUZZ_S
        runs = 0
        while time.monotonic() < end or runs < 50:
            runs += 1
            values = ["".join(self.piece(rnd) for _ in range(rnd.randrange(1, 9))) for _ in range(rnd.randrange(1, 6))]
            what = rnd.random()
            body = [{"type": "text", "text": value} for value in values] if what < 0.4 else values if what < 0.7 else {
                rnd.choice((value, self.piece(rnd))): rnd.choice((value, 1, [value])) for value in values}
            texts, names = strings_of(body)
            with self.subTest(seed=SEED, body=body):
                findings = SCANNER.scan(texts, Budget(20), names)
                for finding in findings:
                    for index, start, stop in finding.spans:
                        self.assertTrue(0 <= start < stop <= len(texts[index]), finding)
                self.assertEqual(findings, SCANNER.scan(texts, Budget(20), names))

    def test_a_token_further_on_hides_none_before_it(self):
        rnd = random.Random(SEED + 2)
        kinds, marker = list(shapes()), mcpwall.MARKER
        for _ in range(400):
            three = [token(*rnd.choice(kinds), rnd.randrange(9)) for _ in range(3)]
            alone = {text: hidden(text) for text in three}
            if all(marker == left for left in alone.values()):
                self.assertEqual(hidden(" ".join(three)), " ".join([marker] * 3), (SEED, three))

    def test_redaction_is_final(self):
        rnd = random.Random(SEED + 1)
        kinds = list(shapes())
        for _ in range(150):
            parts = []
            for _ in range(rnd.randrange(1, 6)):
                kind, shape = rnd.choice(kinds)
                parts += [rnd.choice(("key=", "a: ", '"', "see ", "password: ", "url=https://u:")), token(kind, shape, rnd.randrange(9)),
                          rnd.choice(("\n", '"', " ", "@h/ ", ", ", "\\n"))]
            left = hidden("".join(parts))
            self.assertEqual(hidden(left), left, SEED)

    def test_hostile_texts_take_linear_time(self):
        rnd = random.Random(5)
        for name, text in (("one letter", "a" * 1_000_000), ("dashes", "-" * 1_000_000), ("headers", "-eyJ" * 250_000),
                           ("starts", "-glpat-1" * 100_000), ("names", "password=" * 5_000), ("urls", "://a:b@" * 20_000),
                           ("blocks", "-----BEGIN PRIVATE KEY-----\n" * 20_000), ("dots", ("eyJ" + "a" * 20 + ".") * 5_000),
                           ("quotes", 'secret="' + '\\"' * 200_000), ("words", "secret " * 100_000), ("near", "ghp_abcdefgh1234 " * 10_000),
                           ("base64", made(rnd, ALNUM + "+/", 100_000)), ("percent", "%41" * 20_000)):
            started = time.process_time()
            scan(text)
            self.assertLess(time.process_time() - started, ENDS_S, name)


class Limits(unittest.TestCase):
    """What hostile or odd texts may cost, and what lists and tags mean."""

    def test_a_search_ends_with_its_budget(self):
        with self.assertRaises(mcpwall.BudgetSpent):
            SCANNER.scan(["password=" * 300_000], Budget(-1), [""])

    def test_long_encoded_text(self):
        token = "ghp_" + made(random.Random(4), ALNUM, 36)
        text = ("plain words go on. " * 30_000 + token + " and on " * 9_000).encode().hex()
        findings = SCANNER.scan(["see " + text], Budget(20), ["text"])
        self.assertEqual({finding.pattern for finding in findings}, {"github-token"})

    def test_tags(self):
        token = "ghp_" + made(random.Random(5), ALNUM, 36)
        text = "key: " + "".join(chr(0xE0000 + ord(char)) for char in token)
        self.assertTrue(scan(text))

    def test_neighbours_in_a_list(self):
        for value in ({"commands": ["pwd", "kubectl port-forward svc/db 5432:5432"]}, {"a": ["secret", "Ed25519x77!k"]}):
            texts, names = strings_of(value)
            self.assertEqual(SCANNER.scan(texts, Budget(5), names), [])

    def test_fixed_prefixes_are_not_words(self):
        rnd = random.Random(6)
        made_up = [made(rnd, string.ascii_uppercase + "234567", 16) for _ in range(500)]
        missed = [one for one in made_up if not scan("  # key " + "AKIA" + one)]
        self.assertLess(len(missed), 3, missed)         # chance may say "fake"


class QuickLook(unittest.TestCase):
    """What tells that a short text holds nothing."""

    def test_no_text_with_a_sign_is_passed_over(self):
        rnd = random.Random(SEED)
        for sign in mcpwall.PLAIN_SIGNS * 20:
            text = "".join(rnd.choice("ab c-_/.:~&!\n'") for _ in range(rnd.randrange(30)))
            place = rnd.randrange(len(text) + 1)
            text = text[:place] + (sign if rnd.random() < 0.5 else sign.upper()) + text[place:]
            self.assertFalse(mcpwall.is_plain_value(text, False, ()), (SEED, text))
        self.assertTrue(mcpwall.is_plain_value("the words: of a plain text, -1 & more ~ or less!", False, ()))


if __name__ == "__main__":
    unittest.main()
