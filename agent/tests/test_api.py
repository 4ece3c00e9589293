"""The tests that the packages of hosts and of controllers share, in an agent: see `tests/python-api`."""
import os
import re
import unittest

from harness import HERE, Case, Failed, text

FOLDER = os.path.join(os.path.dirname(HERE), 'tests', 'python-api')


def sources():
    found = {}
    for name in sorted(os.listdir(FOLDER)):
        if name.startswith('test_') and name.endswith('.py'):
            with open(os.path.join(FOLDER, name), 'rb') as f:
                found[name[:-3]] = f.read()
    return found


class Api(Case):
    def run_module(self, name):
        modules = sources()
        agent = self.outer(modules=modules, options={
            u'host': u'localhost', u'hosts': [u'localhost'], u'depth': 1, u'depth_limit': 2})
        tests = re.findall(r'(?m)^def (test_\w+)\(\):', modules[name].decode('utf-8'))
        self.assertTrue(tests)
        failed = []
        for test in tests:
            try:
                agent.call(text('%s:%s' % (name, test)))
            except Failed as e:
                failed.append('%s:\n%s' % (test, e.info['traceback'] or e.info))
        self.assertEqual(failed, [], '\n'.join(failed))


def test_of(name):
    return lambda self: self.run_module(name)


for name in sources():
    # One that the folder gets later is run as well.
    setattr(Api, name, test_of(name))


if __name__ == '__main__':
    unittest.main()
