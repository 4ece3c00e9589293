"""The Python examples of the documentation run as they stand, each page as one script."""

import importlib
import os
import pathlib
import re
import sys
from functools import partial

import pytest

from chopsticks import Group, Local, Pool
from test_reference import run  # noqa: F401

ROOT = pathlib.Path(__file__).parents[2]
PAGES = ['README.md', 'crates/chopsticks-python/README.md', *sorted(os.listdir(ROOT / 'docs/python'))]
PAGES = [page if '/' in page or page == 'README.md' else 'docs/python/' + page for page in PAGES]


def examples(page):
    return re.findall(r'(?ms)^```python\n(.*?)^```$', (ROOT / page).read_text())


@pytest.mark.parametrize('page', [page for page in PAGES if examples(page)])
def test_examples_run(run, page):  # noqa: F811
    assert run('\n'.join(examples(page)))


def test_pages_for_beginners_have_examples():
    beginners = 'README.md', 'crates/chopsticks-python/README.md', 'docs/python/getting-started.md', 'docs/python/tunnels.md'
    assert all(examples(page) for page in beginners)


def module(tmp_path, monkeypatch, page, name):
    """Imports a module that a page shows for the codebase."""
    (text,) = [text for text in examples(page) if text.startswith('# python/%s.py\n' % name)]
    (tmp_path / (name + '.py')).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


IMAGE = """
class Image:
    def __init__(self, data):
        self.data = data

    def thumbnail(self, size):
        self.data = self.data[:size[0]]

    def save(self, out, format):
        out.write(format.encode() + self.data)


def open(file):
    return Image(file.read())
"""


def test_thumbnails_are_made_on_eight_hosts(tmp_path, monkeypatch):
    (tmp_path / 'PIL').mkdir()
    (tmp_path / 'PIL/__init__.py').write_text('')
    (tmp_path / 'PIL/Image.py').write_text(IMAGE)
    thumbnails = module(tmp_path, monkeypatch, 'docs/pools.md', 'thumbnails')
    photos = (b'%d' % number * 100 for number in range(10000))
    with Group([Local('host%d' % number, python=sys.executable) for number in range(8)]) as group:
        found = {done.index: done.result() for done in Pool(group).map(partial(thumbnails.make, size=3), photos)}
    assert found == {number: b'JPEG' + (b'%d' % number * 100)[:3] for number in range(10000)}


def test_logs_of_many_hosts_are_followed_and_counted(tmp_path, monkeypatch):
    logs = module(tmp_path, monkeypatch, 'docs/streams.md', 'logs')
    path = tmp_path / 'log'
    path.write_text('an error\nfine\n')
    counts = {'error': 0, 'refused': 0}
    with Group([Local('host%d' % number, python=sys.executable) for number in range(5)]) as group:
        with group.stream(logs.follow, str(path)) as lines:
            for number, (_, line) in enumerate(lines, 1):
                for pattern in counts:
                    counts[pattern] += pattern in line
                if number == 10:
                    with path.open('a') as file:
                        file.write('refused\n')
                if number == 15:
                    break
    assert counts == {'error': 5, 'refused': 5}
