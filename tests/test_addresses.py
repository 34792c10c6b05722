"""Section 8b: hosts in all their spellings, their classes, and the word `address` of policies."""
from __future__ import annotations

import json
import os
import random
import unittest
from urllib.parse import urlsplit

from tests.support import DATA, Talk, mcpwall, policy, seed

ODD = ("http:", "https://", "//", "\\\\", "/", "\\", ":", "@", "?", "#", "%2f", "%3a", "%", "[::1]", "[", "]", " ", "\t", "\0", "'",
       '"', ",", "127.0.0.1", "0x7f.1", "2130706433", "localhost", "a.example", "metadata", "\uff11", "\u3002", "\u2460", "x=",
       "curl ", "echo ", "$(", "`", "|", ";", "xargs ", "file:", "jar:", "80", ".", "-", "git ", "$H", "cu''rl ", "\n")


def classes(text: str, role: bool = True) -> set[str]:
    hosts, other = mcpwall.hosts_of(text, role)
    found = {kind for host in hosts for kind in mcpwall.address_names(host)[0]}
    return (found | {"not_web"}) - ({"public"} if len(found) > 1 else set()) if other else found


def odd_text(rng: random.Random) -> str:
    return "".join(rng.choice(ODD) for _ in range(rng.randrange(1, 9)))


class Classes(unittest.TestCase):
    def test_each_spelling_has_its_classes(self) -> None:
        with open(os.path.join(DATA, "addresses.json"), encoding="utf-8") as stream:
            table = json.load(stream)
        for kinds, texts in table.items():
            for text in texts:
                with self.subTest(text):
                    found = classes(text)
                    # what a second reading adds may be public; no class that is asked for may be missing, nor another be there
                    self.assertEqual(found - ({"public"} if "public" not in kinds else set()), set(kinds.split()))

    def test_every_class_is_met(self) -> None:
        with open(os.path.join(DATA, "addresses.json"), encoding="utf-8") as stream:
            met = {kind for kinds in json.load(stream) for kind in kinds.split()}
        self.assertEqual(met, set(mcpwall.ADDRESS_CLASSES))

    def test_a_number_has_its_usual_name_too(self) -> None:
        self.assertEqual(mcpwall.address_names("0x7f.1")[1], ("0x7f.1", "127.0.0.1"))
        self.assertIn("fd00:ec2::254", mcpwall.address_names("FD00:EC2:0::254")[1])

    def test_a_host_in_prose_counts_only_in_a_url(self) -> None:
        self.assertEqual(classes("see http://10.0.0.1/x, please", False), {"private"})
        self.assertEqual(classes("version 10.0.0.1 of the metadata", False), set())
        self.assertEqual(classes('{"url": "http://127.0.0.1/"}', False), {"loopback"})

    def test_several_hosts_in_one_argument(self) -> None:
        self.assertEqual(classes("https://a.example/ http://10.0.0.1/"), {"public", "private"})
        self.assertEqual(classes("10.0.0.1,127.0.0.1"), {"private", "loopback"})


class Properties(unittest.TestCase):
    def test_random_texts_are_read_and_the_prefilters_lose_none(self) -> None:
        number = seed()
        rng = random.Random(number)
        for _ in range(4000):
            text = odd_text(rng)
            with self.subTest(seed=number, text=text):
                if mcpwall.hosts_of(text)[0]:
                    self.assertIsNotNone(mcpwall.may_hold_url(text) or None)
                if mcpwall.hosts_of(text, True) != ((), False):
                    self.assertIsNotNone(mcpwall.may_be_host.search(text))
                if mcpwall.hosts_in_command(text):
                    self.assertTrue(mcpwall.may_fetch(text))

    def test_random_certain_hosts_are_those_of_urllib(self) -> None:
        number = seed()
        rng, seen = random.Random(number), 0
        for _ in range(4000):
            text = rng.choice(("http://", "https://")) + rng.choice(("a.example", "127.0.0.1", "localhost", "b.example:80")) + odd_text(rng)
            host = mcpwall.certain_host(text)
            if host is not None:
                seen += 1
                with self.subTest(seed=number, text=text):
                    self.assertEqual(host, urlsplit(text).hostname)
        self.assertGreater(seen, 100)

    def test_plain_urls_are_read_alike_by_the_short_way_and_the_long_one(self) -> None:
        for url in ("https://a.example", "https://a.b-c.example/x/y.html?a=1&b=2#c", "http://x.internal/", "https://e.org?q=1"):
            self.assertEqual(mcpwall.hosts_of(url), mcpwall.hosts_of(" " + url))


class Commands(unittest.TestCase):
    GETS = ("curl http://H/latest", "curl H/latest", "cu\\rl -s H/x", "wget -qO- 'http://H/'", "bash -c 'curl http://H/'", "T=$(curl -s http://H/); echo $T",
            'echo "$(curl http://H/)"', "python3 -c \"import requests; requests.get('http://H')\"", "A=H; curl http://$A/x",
            "sudo -E timeout 5 curl -H 'X: y' http://H/", "echo http://H/ | xargs curl", "curl --url=http://H/", "iwr http://H/ -OutFile x",
            "(New-Object Net.WebClient).DownloadString('http://H/')", "cd x && git clone http://H/r", "frobnicate http://H/", "nc H 80")
    TALKS = ("echo http://H/", "grep -rn 'http://H/' src", "git commit -m 'block http://H/'", "iptables -A OUTPUT -d H -j DROP",
             "printf '%s\\n' 'curl http://H/' >> notes.md", "rg 'curl http://H' docs", "cat docs/H.md", "git log --grep=http://H/",
             "sed -i 's#http://H/#http://new.example/#' a.yml")

    def test_what_a_program_is_given_to_fetch_counts(self) -> None:
        for command in self.GETS:
            with self.subTest(command):
                self.assertIn("169.254.169.254", mcpwall.hosts_in_command(command.replace("H", "169.254.169.254")))

    def test_what_is_only_written_or_looked_for_does_not(self) -> None:
        for command in self.TALKS:
            with self.subTest(command):
                self.assertEqual(mcpwall.hosts_in_command(command.replace("H", "169.254.169.254")), set())


class Word(unittest.TestCase):
    def test_globs_and_classes_in_one_matcher(self) -> None:
        talk = Talk('{version: 1, rules: [{name: n, action: deny, match: {arguments: {_any_value: {address: '
                    '[private, "*.corp.example", "93.184.*"]}}}}]}')
        for url, passes in (("https://a.example/", True), ("https://x.CORP.example/", False), ("http://1572395042/", False),
                            ("http://10.1/", False), ("https://corp.example.org/", True)):
            with self.subTest(url):
                self.assertEqual(talk.passes("fetch", {"url": url}), passes)

    def test_quoted_text_and_queries_are_no_addresses(self) -> None:
        talk = Talk("{version: 1, rules: [{name: n, action: deny, match: {arguments: {_any_value: {address: metadata}}}}]}")
        url = "http://169.254.169.254/latest/"
        for name in ("content", "query", "text", "body", "pattern", "newText", "sidenote"):
            self.assertTrue(talk.passes("t", {name: url}), name)
        for name in ("url", "callback_url", "target", "frobnicate"):
            self.assertFalse(talk.passes("t", {name: url}), name)
        self.assertFalse(talk.passes("t", {"frobnicate": "169.254.169.254/latest"}))
        self.assertFalse(talk.passes("t", {"request": {"options": [{"href": url}]}}))
        self.assertFalse(talk.passes("t", {"frobnicate": "aHR0cDovLzE2OS4yNTQuMTY5LjI1NC9sYXRlc3Qv"}))
        self.assertTrue(talk.passes("t", {"frobnicate": "metadata", "host": "metadata"}))

    def test_a_list_of_texts_named_data_was_refused_as_a_fault(self) -> None:
        """Rows of a table, as servers of spreadsheets get them: no member of an object, so no media and no token."""
        talk = Talk("{version: 1, extends: default}")
        for name in ("data", "blob", "name", "cursor", "nextCursor", "requestState", "taskId", "requestId", "traceparent"):
            for value in (["3", "x"], [["Keys", "3"], ["Tokens", "10.0.0.1"]], ["https://a.example/"], [{"v": "7"}, "8", None, 9]):
                self.assertTrue(talk.passes("update_cells", {"range": "A1:C3", name: value}), (name, value))
            self.assertFalse(talk.passes("update_cells", {name: ["http://169.254.169.254/latest"]}), name)

    def test_an_exception_list_says_what_is_quoted(self) -> None:
        talk = Talk("{version: 1, rules: [{name: n, action: deny, match: {arguments: {_any_value: "
                    "{address: loopback, except_keys: [base_url]}}}}]}")
        self.assertTrue(talk.passes("t", {"base_url": "http://localhost/"}))
        self.assertFalse(talk.passes("t", {"url": "http://localhost/"}))

    def test_an_allow_rule_counts_only_what_is_certain(self) -> None:
        for key, word in (("_any_value", "address: [public]"), ("url", "address: [public]"), ("url", 'address: ["*.example"]')):
            talk = Talk("{version: 1, settings: {default_action: deny}, rules: "
                        "[{name: n, action: allow, match: {arguments: {%s: {%s}}}}]}" % (key, word))
            with self.subTest(key=key, word=word):
                self.assertTrue(talk.passes("fetch", {"url": "https://a.example/x?y=1"}))
                for url in ("http://10.0.0.1/", "https://a.example@10.0.0.1/", "https://a.example\\@b.example/", "a.example", "file:///x",
                            "https://a.example/ http://10.0.0.1/", "https://a.example#@b.internal/", "https://a.example%2f.x/", ""):
                    self.assertFalse(talk.passes("fetch", {"url": url}), url)
                self.assertFalse(talk.passes("fetch", {"url": ["https://a.example/", "http://10.0.0.1/"]}))

    def test_a_class_that_is_none_is_told(self) -> None:
        for text, problem in (("metadta", "a class of addresses"), ("", "empty text")):
            with self.assertRaisesRegex(mcpwall.PolicyError, problem):
                policy('{version: 1, rules: [{name: n, action: deny, match: {arguments: {url: {address: "%s"}}}}]}' % text)
        with self.assertRaisesRegex(mcpwall.PolicyError, "no place, address or command"):
            policy("{version: 1, rules: [{name: n, action: deny, match: {arguments: {_any_key: {address: public}}}}]}")


if __name__ == "__main__":
    unittest.main()
