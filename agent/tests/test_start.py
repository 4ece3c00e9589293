# coding: utf-8
"""What START asks for: the folder and the environment in which calls run."""
import os
import shutil
import tempfile

from harness import Case, function, text

ENV = function('import os\ndef f(*names): return [os.environ.get(n) for n in names]')


class Options(Case):
    def folder(self, name):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        os.mkdir(os.path.join(folder.encode(), name.encode('utf-8')))
        return text(os.path.realpath(folder)) + u'/' + name

    def test_calls_run_in_the_folder(self):
        for name in u'there', u'th\xe9re':
            for locale in 'C', 'C.UTF-8':
                folder = self.folder(name)
                agent = self.agent(options={u'cwd': folder}, env=dict(
                    os.environ, LC_ALL=locale, PYTHONCOERCECLOCALE='0', PYTHONUTF8='0'))
                body = 'import os\ndef f():\n  with open("/proc/self/cwd/made", "w"): return u"done"'
                self.assertEqual(agent.call(function(body)), 'done')
                self.assertTrue(os.path.exists((folder + u'/made').encode('utf-8')))

    def test_environment_has_the_variables(self):
        agent = self.agent(options={u'env': {u'FIRST': u'one', u'SECOND': u'zw\xe9i'}}, env=dict(os.environ, FIRST='0'))
        self.assertEqual(agent.call(ENV, 'FIRST'), ['one'])
        body = ('import subprocess\ndef f():\n'
                '  return subprocess.Popen(["sh", "-c", "printf %s $FIRST$SECOND"], stdout=-1).communicate()[0]')
        self.assertEqual(agent.call(function(body + '.decode("utf-8")')), u'onezw\xe9i')

    def test_mark_of_the_agent_stays(self):
        agent = self.agent(options={u'env': {u'CHOPSTICKS_AGENT': u'mine'}})
        self.assertTrue(agent.call(ENV, 'CHOPSTICKS_AGENT')[0].startswith('mine:'))

    def test_folder_that_is_not_there_ends_the_agent_with_its_name(self):
        for cwd in u'/no/such/f\xf6lder', u'/etc/passwd', u'/no\0where':
            agent = self.agent(options={u'cwd': cwd})
            self.assertEqual(agent.process.wait(), 1)
            agent.threads[1].join()
            last = agent.errors[-1].decode('utf-8')
            self.assertIn('rror: ', last)
            if cwd.startswith(u'/etc'):
                self.assertIn("Not a directory: '/etc/passwd'", last)
            elif u'\0' not in cwd:
                self.assertIn("No such file or directory: '/no/such/f", last)
            self.assertIsNone(agent.hello)
