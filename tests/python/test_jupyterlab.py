"""JupyterLab, as its user has it: a notebook whose cells run in a browser, and what the page shows then.

The browser is Chromium, without a window. `cargo xtask test-python` says which program it is, in `CHOPSTICKS_TEST_BROWSER`.
"""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.parse
from base64 import b64decode

import jupyterlab
import pytest

from conftest import PATIENCE, until

NOTEBOOK = pathlib.Path(__file__).with_name('notebooks') / 'lab.ipynb'
#: Settings of JupyterLab: it asks nobody on the network, and nothing of the user.
SETTINGS = {
    '@jupyterlab/apputils-extension:notification': {'fetchNews': 'false', 'checkForUpdates': False},
    '@jupyterlab/notebook-extension:tracker': {'windowingMode': 'none'},
}
#: Gives a program its third and fourth descriptor.
LAUNCH = """\
import fcntl, os, sys
source, sink, *command = sys.argv[1:]
# Out of the way first.
source, sink = (fcntl.fcntl(int(one), fcntl.F_DUPFD, 10) for one in (source, sink))
os.dup2(source, 3)
os.dup2(sink, 4)
os.execvp(command[0], command)
"""
#: What a page shows of cell `number`: the streams, the results, and whether it runs.
CELL = """
(number => {
    const cell = document.querySelectorAll('.jp-Notebook .jp-CodeCell')[number] || document.createElement('div')
    const texts = kind => Array.from(cell.querySelectorAll(kind), found => found.innerText.trim())
    const of = type => texts(`.jp-OutputArea-output[data-mime-type="${type}"]`)
    return {
        prompt: texts('.jp-InputPrompt').join(),
        stderr: of('application/vnd.jupyter.stderr').join('\\n'),
        all: texts('.jp-OutputArea').join(),
        plain: of('text/plain').join('\\n'),
        caption: texts('.jp-RenderedHTMLCommon caption').join(),
        rows: Array.from(cell.querySelectorAll('.jp-RenderedHTMLCommon tr'), row =>
            Array.from(row.cells, field => field.innerText.trim())),
        italics: cell.querySelectorAll('.jp-RenderedHTMLCommon i').length,
    }
})(%d)
"""
#: Presses a button of the notebook, whose events are those of the mouse.
PRESS = """
(button => button && ['mousedown', 'mouseup', 'click'].every(
    kind => button.dispatchEvent(new MouseEvent(kind, {bubbles: true})) || true))
(document.querySelector('.jp-NotebookPanel-toolbar [data-command="%s"]'))
"""
#: The number of the active cell.
ACTIVE = """
Array.from(document.querySelectorAll('.jp-Notebook .jp-Cell')).findIndex(cell => cell.classList.contains('jp-mod-active'))
"""
#: What the bar at the bottom says of the kernel.
STATUS = """
Array.from(document.querySelectorAll('.jp-StatusBar-TextItem'), item => item.innerText).find(text => text.includes(' | '))
"""


class Page:
    """The page of a browser, by its protocol for developers, which goes through a pair of pipes."""

    def __init__(self, program, folder):
        (self.answers, sink), (source, self.requests) = os.pipe(), os.pipe()
        command = [program, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run']
        command += ['--disable-background-networking', '--remote-debugging-pipe', '--user-data-dir=%s' % (folder / 'browser')]
        self.log = open(folder / 'browser.log', 'w+')
        self.process = subprocess.Popen(
            [sys.executable, '-c', LAUNCH, str(source), str(sink), *command],
            pass_fds=[source, sink],
            stderr=self.log,
            env=dict(os.environ, HOME=str(folder)),
        )
        os.close(source)
        os.close(sink)
        self.number, self.session, self.buffer = 0, {}, b''
        target = self.ask('Target.createTarget', url='about:blank')['targetId']
        attached = self.ask('Target.attachToTarget', targetId=target, flatten=True)
        self.session = {'sessionId': attached['sessionId']}
        self.ask('Emulation.setDeviceMetricsOverride', width=1200, height=1400, deviceScaleFactor=1, mobile=False)

    def ask(self, method, **params):
        """Sends a request, and returns the answer to it."""
        self.number += 1
        message = dict(self.session, id=self.number, method=method, params=params)
        os.write(self.requests, json.dumps(message).encode() + b'\0')
        while True:
            while b'\0' not in self.buffer:
                data = os.read(self.answers, 1 << 16)
                if not data:
                    self.log.seek(0)
                    raise EOFError('the browser has ended: ' + self.log.read())
                self.buffer += data
            text, _, self.buffer = self.buffer.partition(b'\0')
            answer = json.loads(text)
            if answer.get('id') == self.number:
                assert 'result' in answer, answer
                return answer['result']

    def evaluate(self, text):
        """The value of an expression, as JSON has it."""
        answer = self.ask('Runtime.evaluate', expression=text, returnByValue=True)
        assert 'exceptionDetails' not in answer, answer
        return answer['result'].get('value')

    def press(self, command):
        """Presses the button of a command, and returns whether there is one."""
        return self.evaluate(PRESS % command)

    def run_cell(self, number):
        """Runs the cell that is active. The next one then is, unless the notebook was not ready."""
        until(lambda: self.press('notebook:run-cell-and-select-next') and self.evaluate(ACTIVE) != number)

    def picture(self, path):
        path.write_bytes(b64decode(self.ask('Page.captureScreenshot')['data']))

    def close(self):
        os.close(self.requests)
        os.close(self.answers)
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture
def address(tmp_path):
    """Where JupyterLab serves the notebook."""
    folder = tmp_path / 'work'
    folder.mkdir()
    shutil.copy(NOTEBOOK, folder)
    settings = tmp_path / 'settings'
    settings.mkdir()
    (settings / 'overrides.json').write_text(json.dumps(SETTINGS))
    kernel = tmp_path / 'jupyter/kernels/python3'
    kernel.mkdir(parents=True)
    command = [sys.executable, '-m', 'ipykernel_launcher', '-f', '{connection_file}']
    (kernel / 'kernel.json').write_text(json.dumps({'argv': command, 'display_name': 'Python 3', 'language': 'python'}))
    # `pip install --target` puts it beside the packages.
    shares = pathlib.Path(sys.prefix), pathlib.Path(jupyterlab.__file__).parents[1]
    (lab,) = [path for share in shares for path in [share / 'share/jupyter/lab'] if path.exists()]
    places = {'JUPYTER_' + name: str(tmp_path / 'jupyter') for name in ('CONFIG_DIR', 'DATA_DIR', 'RUNTIME_DIR', 'PATH')}
    options = ['--no-browser', '--allow-root', '--ServerApp.port=0', '--ServerApp.root_dir=%s' % folder]
    options += ['--LabApp.app_settings_dir=%s' % settings, '--LabApp.user_settings_dir=%s' % (tmp_path / 'user')]
    options += ['--LabApp.app_dir=%s' % lab, '--LabApp.workspaces_dir=%s' % (tmp_path / 'workspaces')]
    options += ['--ServerApp.terminals_enabled=False']
    with open(tmp_path / 'server.log', 'w+') as log:
        server = subprocess.Popen(
            [sys.executable, '-m', 'jupyterlab', *options],
            stdout=log,
            stderr=log,
            env=dict(os.environ, HOME=str(tmp_path), IPYTHONDIR=str(tmp_path / 'ipython'), **places),
        )
        told = tmp_path / ('jupyter/jpserver-%d.json' % server.pid)
        try:
            until(lambda: server.poll() is not None or told.exists() and told.read_text().rstrip().endswith('}'))
            log.seek(0)
            assert server.poll() is None, log.read()
            found = json.loads(told.read_text())
            yield '%slab/tree/lab.ipynb?%s' % (found['url'], urllib.parse.urlencode({'token': found['token']}))
        finally:
            server.terminate()
            try:
                server.wait(PATIENCE)
            finally:
                server.kill()


@pytest.fixture
def page(address, tmp_path):
    program = os.environ['CHOPSTICKS_TEST_BROWSER']
    with contextlib.closing(Page(program, tmp_path)) as page:
        yield page
        page.picture(tmp_path / 'page.png')


def test_notebook_is_used_in_a_browser(page, address):
    def cell(number):
        return page.evaluate(CELL % number)

    def is_done(number):
        return cell(number)['prompt'].strip('[]:').isdigit()

    page.ask('Page.navigate', url=address)
    # Before the kernel has connected, the button would ask for another.
    until(lambda: page.evaluate(STATUS) == 'Python 3 | Idle')
    page.run_cell(0)
    page.run_cell(1)
    until(lambda: is_done(1))
    shown = cell(1)
    assert shown['plain'] == "{'here': 'HELLO', 'there': 'HELLO'}"
    assert sorted(shown['stderr'].splitlines()) == ['[here] shouts hello', '[there] shouts hello']

    page.run_cell(2)
    until(lambda: is_done(2))
    shown = cell(2)
    assert shown['caption'] == '3 hosts: 2 ok, 1 failed' and shown['italics'] == 0
    assert shown['rows'][:3] == [
        ['host', 'state', 'result'],
        ['here', 'ok', "'<I>HELLO</I>'"],
        ['there', 'ok', "'<I>HELLO</I>'"],
    ]
    assert shown['rows'][3][:2] == ['nowhere', 'failed'] and '/nowhere/python' in shown['rows'][3][2]

    page.run_cell(3)
    until(lambda: '[here] waits' in cell(3)['stderr'] and '[there] waits' in cell(3)['stderr'])
    page.press('notebook:interrupt-kernel')
    until(lambda: is_done(3))
    assert 'KeyboardInterrupt' in cell(3)['all']

    # The last cell is followed by a new one.
    page.run_cell(4)
    until(lambda: is_done(4))
    assert cell(4)['plain'] == 'True'
