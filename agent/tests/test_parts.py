"""The parts of the agent, which share one namespace."""
import ast
import os
import unittest

from harness import PY, source


class Parts(unittest.TestCase):
    def test_no_part_takes_a_name_of_another(self):
        found = {}
        for file in os.listdir(PY):
            part, ending = os.path.splitext(file)
            if ending == '.py' and part != 'first_stage':
                for node in ast.parse(source(part)).body:
                    names = [node.name] if hasattr(node, 'name') else [
                        target.id for target in getattr(node, 'targets', ()) if isinstance(target, ast.Name)]
                    for name in names:
                        found.setdefault(name, set()).add(part)
        self.assertTrue(len(found) > 200, len(found))
        self.assertEqual(dict((name, parts) for name, parts in found.items() if len(parts) > 1), {})

    def test_no_part_asks_what_else_is_loaded(self):
        for file in os.listdir(PY):
            text = source(os.path.splitext(file)[0]).decode()
            self.assertFalse('globals().get' in text or 'in globals()' in text, file)
