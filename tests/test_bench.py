"""The pieces of the benchmark run, on tiny loads; nothing here asks how fast."""
from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
import unittest
from unittest import mock

from tests import bench
from tests.support import MODULE, keep_code, mcpwall


class Pieces(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="mcpwall-test-")
        self.addCleanup(folder.cleanup)
        self.bench = bench.Bench(folder.name, MODULE, quick=True)
        copy = os.path.join(folder.name, "mcpwall.py")
        shutil.copystat(MODULE, copy)
        keep_code(None, copy)
        self.bench.wall = self.bench.as_module      # a script would be compiled in each empty home
        self.out = io.StringIO()

    def test_floors_and_wall_answer_alike(self) -> None:
        ids = range(1, 40)
        for target in (self.bench.direct, self.bench.pycat, self.bench.wall):
            with self.bench.talk(target) as talk:
                _, answers = talk.pipelined([(bench.small_call if ident % 10 else bench.denied_call)(ident) for ident in ids])
                big = talk.ask(bench.big_call(99, 200_000))
            bench.check_ids([*answers, big], [*ids, 99], [10, 20, 30] if target.is_wall else ())
        self.assertEqual(sum(1 for _ in talk.audit()), 2 * 40 - 3 + 3)

    def test_a_row_of_the_table(self) -> None:
        with contextlib.redirect_stdout(self.out), mock.patch.object(self.bench, "direct", self.bench.wall), \
                mock.patch.object(self.bench, "pycat", self.bench.wall):
            faults = bench.measure(self.bench, bench.Scenario("big_response/x", bench.big_response, 1, ("secret", 5_000, 1)))
        self.assertEqual(faults, [])
        self.assertRegex(self.out.getvalue(), r"^\| big_response/x \| [0-9.]+ ms \|")

    def test_what_is_wrong_is_seen(self) -> None:
        answers = [bench.answer_line(ident, '"result":1') for ident in (1, 2, 2)]
        for seen, wanted, denied in ((answers, (1, 2), ()), (answers[:1], (1, 2), ()), (answers[:2], (1, 2), (2,))):
            with self.assertRaises(bench.Broken):
                bench.check_ids(seen, wanted, denied)
        broken = mock.Mock(side_effect=bench.Broken("odd"), __name__="broken")
        with contextlib.redirect_stdout(self.out):
            self.assertEqual(len(bench.measure(self.bench, bench.Scenario("broken", broken, 2))), 3)

    def test_growth(self) -> None:
        rows = bench.growth(mcpwall, quick=True, largest=1_000)
        self.assertEqual(len(rows), 7)
        self.assertNotIn("refused", "".join(rows))

    def test_profile_knows_the_functions_by_name(self) -> None:
        before = mcpwall.needs_views
        with contextlib.redirect_stdout(self.out):
            bench.profile(self.bench, mcpwall, 5)
        self.assertIs(mcpwall.needs_views, before)
        self.assertEqual(self.out.getvalue().count("| parse |"), 3)

    def test_soak(self) -> None:
        with contextlib.redirect_stdout(self.out):
            self.assertEqual(bench.soak(self.bench, 200), [])
        self.assertIn("200 calls", self.out.getvalue())


if __name__ == "__main__":
    unittest.main()
