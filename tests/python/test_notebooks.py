"""Notebooks, run cell by cell by a kernel of Jupyter.

Those in `notebooks` have no outputs: what each cell shows is checked here, by its id.
"""

import asyncio
import json
import pathlib
import re
import sys
import threading

import nbclient
import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager

from conftest import PATIENCE, until

NOTEBOOKS = pathlib.Path(__file__).with_name('notebooks')
#: What terminals make colours of.
COLOUR = re.compile('\x1b\\[[0-9;]*m')


class Cells(dict):
    """Id -> what the cell showed: by name of a stream, by type of a result, or as `error`."""

    def __init__(self, notebook):
        super().__init__()
        for cell in notebook.cells:
            shown = self[cell.id] = {}
            for output in cell.outputs:
                if output.output_type == 'stream':
                    shown[output.name] = shown.get(output.name, '') + output.text
                elif output.output_type == 'error':
                    shown['error'] = COLOUR.sub('', '%s: %s' % (output.ename, output.evalue))
                    shown['traceback'] = COLOUR.sub('', '\n'.join(output.traceback))
                else:
                    shown.update(output.data)

    def result(self, ident):
        """What a cell showed, which is its result alone."""
        assert set(self[ident]) <= {'text/plain', 'text/html'}, self[ident]
        return self[ident].get('text/plain')


@pytest.fixture
def run_notebook(tmp_path, monkeypatch):
    """Runs a notebook by a kernel of this interpreter; returns what its cells showed."""
    # Nothing of the user's, and nothing of the machine's.
    for name in 'CONFIG_DIR', 'DATA_DIR', 'RUNTIME_DIR', 'PATH':
        monkeypatch.setenv('JUPYTER_' + name, str(tmp_path / 'jupyter'))
    monkeypatch.setenv('IPYTHONDIR', str(tmp_path / 'ipython'))
    kernel = tmp_path / 'jupyter/kernels/here'
    kernel.mkdir(parents=True)
    command = [sys.executable, '-m', 'ipykernel_launcher', '-f', '{connection_file}']
    (kernel / 'kernel.json').write_text(json.dumps({'argv': command, 'display_name': 'here', 'language': 'python'}))

    def run(name, **options):
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        manager = AsyncKernelManager(kernel_name='here', transport='ipc', ip=str(tmp_path / 'kernel'))
        run.manager = manager
        nbclient.NotebookClient(notebook, km=manager, timeout=PATIENCE, **options).execute(cwd=str(tmp_path))
        return Cells(notebook)

    return run


def test_functions_and_classes_of_cells_are_sent_as_they_are_now(run_notebook):
    cells = run_notebook('functions.ipynb')
    assert cells.result('call') == '[2, 4, 6]'
    assert cells.result('call-with-global') == '[2]'
    assert cells.result('call-redefined') == "['twice 1']"
    assert cells.result('lambda') == "'twice 2'"
    assert cells.result('class') == '42'
    # An object keeps the class that it was made of.
    assert (cells.result('call-class'), cells.result('call-old-object')) == ('37', '42')
    # Cells of magic call functions of other cells. IPython keeps no text of those that they define.
    assert cells['magic']['stdout'].startswith("['twice 1']\n") and 'Wall time' in cells['magic']['stdout']
    assert cells['magic-with-function']['error'].startswith('TypeError: timed cannot be sent: there is no source text of')


def test_stderr_of_hosts_is_shown_by_the_cell_that_runs(run_notebook):
    cells = run_notebook('stderr.ipynb')
    assert cells['first'] == {'stderr': '[here] first\n', 'text/plain': '5'}
    assert cells['quiet'] == {'stdout': '3\n'}
    assert cells['second'] == {'stderr': '[here] second\n'}
    assert sorted(cells['group']['stderr'].splitlines()) == ['[here] third', '[there] third']
    assert cells['starts'] == {} and cells['late'] == {'stderr': '[here] late\n'}


def test_tracebacks_of_hosts_have_the_lines_of_cells(run_notebook):
    cells = run_notebook('errors.ipynb')
    first, second = cells['fail'], cells['fail-again']
    assert first['error'].startswith('RemoteException: here: ZeroDivisionError: division by zero')
    lines = re.findall(r'File "(.*)", line (\d+), in (\w+)\n +(.*)', first['error'])
    cell = lines[0][0]
    assert lines == [(cell, '3', 'outer', 'return inner(number)'), (cell, '7', 'inner', 'return 1 / number')]
    assert first['traceback'].count('in inner') == 1
    lines = re.findall(r'File "(.*)", line (\d+), in (\w+)\n +(.*)', second['error'])
    other = lines[1][0]
    assert lines == [(cell, '3', 'outer', 'return inner(number)'), (other, '4', 'inner', 'raise ValueError(number)')]
    assert other != cell and cells.result('usable') == '3'


def test_interrupted_cell_ends_its_function_and_leaves_the_tunnel_usable(run_notebook, tmp_path, monkeypatch):
    started = tmp_path / 'started'
    monkeypatch.setenv('STARTED', str(started))
    threads = []

    def interrupt():
        until(lambda: started.exists() and started.read_text())
        asyncio.run(run_notebook.manager.interrupt_kernel())

    def on_cell_execute(cell, **_):
        if cell.id.startswith('wait-'):
            threads.append(threading.Thread(target=interrupt, daemon=True))
            threads[-1].start()

    cells = run_notebook('interrupt.ipynb', on_cell_execute=on_cell_execute)
    for thread in threads:
        thread.join()
    # A cell that awaits ends as its task does.
    errors = {'call': 'KeyboardInterrupt', 'group': 'KeyboardInterrupt', 'queue': 'KeyboardInterrupt', 'task': 'CancelledError'}
    for what, error in errors.items():
        assert cells['wait-for-' + what]['error'].startswith(error)
        assert cells.result('after-' + what) == 'True'


def test_cells_await(run_notebook):
    cells = run_notebook('await.ipynb')
    assert cells.result('call') == '42'
    assert cells.result('gather') == '[0, 2, 4]'
    assert cells.result('group') == "GroupResult({'here': 'abab', 'there': 'abab'})"
    assert cells['timeout'] == {'stdout': 'too late\n'}
    assert cells.result('after') == '2' and cells.result('task-done') == '100'


def test_groups_and_their_results_are_tables(run_notebook):
    cells = run_notebook('tables.ipynb')
    group, result = cells['group']['text/html'], cells['result']['text/html']
    assert group.startswith('<table><caption>3 hosts</caption>') and '&lt;b&gt;there&lt;/b&gt;' in group
    assert result.startswith('<table><caption>3 hosts: 2 ok, 1 failed</caption>') and '/nowhere/python' in result
    assert result.count('&lt;SCRIPT&gt;') == 2 and '<SCRIPT>' not in result


def test_notebooks_have_no_outputs():
    notebooks = {path.name: nbformat.read(path, as_version=4) for path in NOTEBOOKS.iterdir()}
    assert len(notebooks) == 7
    for name, notebook in notebooks.items():
        nbformat.validate(notebook)
        for cell in notebook.cells:
            assert not cell.outputs and cell.execution_count is None, name
