"""Every case of tests/data/cases has the outcome that it names (see tests/cases.py)."""
from __future__ import annotations

import os
import unittest

from tests import cases


class Cases(unittest.TestCase):
    def test_each_case_has_the_outcome_that_it_names(self) -> None:
        runner = cases.Runner()
        self.addCleanup(runner.close)
        for file in cases.case_files():
            for case in cases.load(file):
                with self.subTest(f"{os.path.basename(file)}: {case['id']}"):
                    fine, now = runner.run(case)
                    self.assertTrue(fine, now)

    def test_every_case_has_a_name_of_its_own_in_its_file(self) -> None:
        for file in cases.case_files():
            names = [case["id"] for case in cases.load(file)]
            self.assertEqual(len(names), len(set(names)), file)
