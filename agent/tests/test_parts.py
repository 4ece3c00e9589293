"""The parts of the agent, which share one namespace."""
import ast
import os
import unittest

from harness import PY, source

# What a part replaces on purpose.
SHARED = {
    'end': {'ending', 'targets'},
    'message': {'agent', 'stream'},
}


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
        self.assertEqual(dict((name, parts) for name, parts in found.items() if len(parts) > 1), SHARED)
