"""The Python examples of the documentation run as they stand, each page as one script."""

import os
import pathlib
import re

import pytest

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
