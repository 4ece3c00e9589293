# coding: utf-8
"""Uses packages that are not installed on the host."""
from __future__ import print_function

import os
import sys


def foreign(*modules):
    """Fails if a module came from this host."""
    for module in modules:
        if os.path.exists(module.__file__) or 'site-packages' in module.__file__:
            raise ValueError('%s is from this host' % module.__file__)
    if any('site-packages' in folder for folder in sys.path):
        raise ValueError('the host has its own packages on the path')


def use_attrs():
    import attr

    foreign(attr)

    @attr.s(frozen=True)
    class Point(object):
        x = attr.ib(converter=int)
        y = attr.ib(default=2, validator=attr.validators.instance_of(int))

    if sys.version_info >= (3, 7):
        import attrs
        foreign(attrs)
    return [attr.asdict(Point('1')), repr(Point(3)), Point(1) == Point(1), attr.evolve(Point(1), y=5).y]


def use_jinja():
    import jinja2
    import markupsafe

    foreign(jinja2, markupsafe)
    environment = jinja2.Environment(autoescape=True, loader=jinja2.DictLoader({
        'base': u'<{% block body %}{% endblock %}>',
        'page': u'{% extends "base" %}{% block body %}{% for n in names|sort %}{{ n }};{% endfor %}{% endblock %}'}))
    page = environment.get_template('page').render(names=[u'b', u'<a>', u'ä'])
    try:
        jinja2.Template('{% for %}')
        error = None
    except jinja2.TemplateSyntaxError as e:
        error = e.lineno
    native = 'markupsafe._native' in sys.modules and 'markupsafe._speedups' not in sys.modules
    return [page, error, native]


def use_yaml():
    import yaml

    foreign(yaml)
    value = yaml.safe_load(u'a: [1, 2.5, ~]\nb: &x {c: yes}\nd: *x\ntext: |\n  one\n  zwölf\n')
    again = yaml.safe_load(yaml.safe_dump(value))
    return [value, again == value, bool(yaml.__with_libyaml__)]


def use_requests(url):
    import certifi
    import idna
    import requests
    import urllib3

    foreign(requests, urllib3, certifi, idna)
    session = requests.Session()
    session.trust_env = False
    answer = session.get(url, params={'q': u'ä b'}, timeout=30)
    certificates = None
    if sys.version_info >= (3, 7):
        with open(certifi.where()) as f:
            certificates = f.read() == certifi.contents() and 'BEGIN CERTIFICATE' in certifi.contents()
    return [answer.status_code, answer.json(), certificates, idna.encode(u'größe.example').decode('ascii')]


def use_click():
    import click
    from click.testing import CliRunner

    foreign(click)

    @click.command()
    @click.option('--count', default=1, help='How often.')
    @click.argument('name')
    def greet(count, name):
        for _ in range(count):
            click.echo('Hello %s' % name)

    runner = CliRunner()
    good = runner.invoke(greet, ['--count', '2', 'you'])
    bad = runner.invoke(greet, [])
    return [good.exit_code, good.output, bad.exit_code, 'How often.' in runner.invoke(greet, ['--help']).output]


def use_rich():
    import io

    import markdown_it
    import pygments
    import rich
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.syntax import Syntax
    from rich.table import Table

    foreign(rich, markdown_it, pygments)
    console = Console(file=io.StringIO(), width=40, force_terminal=False)
    table = Table(title='Hosts')
    table.add_column('host')
    table.add_column('load', justify='right')
    table.add_row('web1', '0.5')
    console.print(table)
    console.print(Markdown('# Head\n\n* one\n* two'))
    console.print(Syntax('def f(): pass', 'python'))
    return console.file.getvalue()


def use_package_loader():
    import jinja2
    import pages

    foreign(jinja2, pages)
    environment = jinja2.Environment(loader=jinja2.PackageLoader('pages', 'templates'))
    page = environment.get_template('page.html').render(title=u'Größe')
    return [page, sorted(environment.list_templates())]


def use_docutils():
    import docutils
    from docutils.core import publish_parts

    # It reads its style sheet and templates by path, so it is unpacked: this host has it for the time being.
    text = u'Head\n====\n\n* *one*\n* zwölf\n\n.. note:: Mind\n'
    parts = publish_parts(text, writer_name='html', settings_overrides={'_disable_config': True})
    html = parts['whole']
    latex = publish_parts(text, writer_name='latex', settings_overrides={'_disable_config': True})['whole']
    return [docutils.__version__, parts['title'], '<em>one</em>' in html, u'zwölf' in html, '</style>' in html,
            '\\documentclass' in latex]


def use_pkg_resources():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        import pkg_resources

    foreign(pkg_resources)
    found = pkg_resources.get_distribution('pages')
    entry, = pkg_resources.iter_entry_points('chopsticks.shout')
    text = pkg_resources.resource_string('pages', 'templates/part.html').decode('utf-8')
    names = sorted(pkg_resources.resource_listdir('pages', 'templates'))
    later = pkg_resources.parse_version('1.10') > pkg_resources.parse_version('1.9')
    return [found.version, entry.name, entry.load()('x'), text, names, later]


def use_entry_points():
    import importlib.metadata

    import pluggy

    foreign(pluggy)
    manager = pluggy.PluginManager('pages')

    class Hooks(object):
        @pluggy.HookspecMarker('pages')
        def greeting(self):
            """What a plugin says."""

    manager.add_hookspecs(Hooks)
    loaded = manager.load_setuptools_entrypoints('chopsticks.plugins')
    scripts = importlib.metadata.distribution('pygments').entry_points
    return [loaded, manager.hook.greeting(), [entry.value for entry in scripts], importlib.metadata.version('pluggy')]
