"""Every case of tests/data/cases has the outcome that it names (see tests/cases.py)."""
from __future__ import annotations

import os
import re
import unittest

from tests import cases


class Cases(unittest.TestCase):
    """Has a test for each file of cases, so that they are shared out; all that a process runs share a home and the compiled policies."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.runner = cases.Runner()
        cls.addClassCleanup(cls.runner.close)

    def check(self, file: str) -> None:
        """Has each case of *file* a name of its own and the outcome that it names?"""
        taken = set()
        for case in cases.load(file):
            with self.subTest(f"{os.path.basename(file)}: {case['id']}"):
                fine, now = self.runner.run(case)
                self.assertTrue(fine, now)
                self.assertNotIn(case["id"], taken)
                taken.add(case["id"])
        self.assertTrue(taken, "no case")


for _file in cases.case_files():
    _name = re.sub(r"\W", "_", os.path.basename(_file)[:-5])
    setattr(Cases, f"test_{_name}", lambda self, file=_file: self.check(file))
