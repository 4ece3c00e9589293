"""Files and folders, to hosts and from them."""

import hashlib
import os
import time

import pytest

from chopsticks.group import Group
from chopsticks.queue import Queue
from chopsticks.tunnel import Local, RemoteException, Timeout


def test_file_is_put_with_its_mode(tun, tmp_path):
    local, remote = tmp_path / 'local', tmp_path / 'remote'
    local.write_bytes(b'\0\xff' * 100000)
    found = tun.put(local, remote, 0o600)
    sha1 = hashlib.sha1(local.read_bytes()).hexdigest()
    assert found == {'remote_path': str(remote), 'size': 200000, 'sha1sum': sha1}
    assert remote.read_bytes() == local.read_bytes() and remote.stat().st_mode & 0o777 == 0o600
    assert tun.put(str(local), str(remote))['size'] == 200000
    assert remote.stat().st_mode & 0o777 == 0o644


def test_file_goes_to_a_temporary_one(tun, tmp_path):
    local = tmp_path / 'local'
    local.write_text('abc')
    there = tun.put(local)['remote_path']
    here = tun.fetch(there)
    assert here.keys() == {'local_path', 'remote_path', 'size', 'sha1sum'}
    for path in (there, here['local_path']):
        with open(path) as f:
            assert f.read() == 'abc'
        os.remove(path)


def test_file_that_is_not_there_is_an_error(tun, tmp_path):
    with pytest.raises(RemoteException, match='nowhere'):
        tun.fetch('/nowhere')
    with pytest.raises(RemoteException, match='nowhere'):
        tun.put('/nowhere', tmp_path / 'x')
    assert tun.call(len, 'abc') == 3


def test_deadline_is_for_transfers_too(tun, tmp_path):
    fifo = tmp_path / 'fifo'
    os.mkfifo(fifo)
    with pytest.raises(Timeout):
        tun.options(timeout=0).fetch('/etc/hostname', tmp_path / 'x')
    assert tun.call(time.time) > 0


def test_folder_goes_there_and_back(tun, tmp_path):
    source = tmp_path / 'source'
    (source / 'sub').mkdir(parents=True)
    (source / 'sub' / 'file').write_text('abc')
    (source / 'link').symlink_to('sub')
    found = tun.put_dir(source, tmp_path / 'there')
    counts = {'files': 1, 'folders': 2, 'links': 1, 'left_out': 0, 'size': 3, 'changed': True, 'unchanged': 0, 'deleted': []}
    assert found == dict(counts, remote_path=str(tmp_path / 'there'))
    found = tun.fetch_dir(tmp_path / 'there', tmp_path / 'back')
    assert found == dict(counts, remote_path=str(tmp_path / 'there'), local_path=str(tmp_path / 'back'))
    assert (tmp_path / 'back' / 'link' / 'file').read_text() == 'abc'


def test_group_fetches_each_file_to_its_own_path(tmp_path):
    with Group([Local('a'), Local('b')]) as group:
        (tmp_path / 'source').write_text('abc')
        found = group.fetch(str(tmp_path / 'source'), str(tmp_path / 'got-{host}'))
        assert [found[host]['local_path'] for host in 'ab'] == [str(tmp_path / 'got-a'), str(tmp_path / 'got-b')]
        with pytest.raises(ValueError, match='put {host} into the path'):
            group.fetch('/etc/hostname', str(tmp_path / 'same'))
        found = group.put(tmp_path / 'source', tmp_path / 'put')
        assert list(found) == ['a', 'b'] and found['a'] == found['b']


def test_only_what_has_changed_is_sent(tun, tmp_path):
    source, there, back = tmp_path / 'source', tmp_path / 'there', tmp_path / 'back'
    source.write_text('abc')
    assert tun.put(source, there, if_changed=True)['changed'] is True
    assert tun.put(source, there, if_changed=True)['changed'] is False
    assert tun.fetch(there, back, if_changed=True)['changed'] is True
    assert tun.fetch(there, back, if_changed=True)['changed'] is False
    source.write_text('abcd')
    assert tun.put(source, there, if_changed=True)['changed'] is True and there.read_text() == 'abcd'
    assert tun.put(source, there, resume=True)['size'] == 4 and tun.fetch(there, back, resume=True)['size'] == 4
    assert 'changed' not in tun.put(source, there)


def test_folder_becomes_what_the_other_is(tun, tmp_path):
    source, there, back = tmp_path / 'source', tmp_path / 'there', tmp_path / 'back'
    source.mkdir()
    for name in ('kept', 'new', 'notes.txt'):
        (source / name).write_text(name)
    there.mkdir()
    for name in ('kept', 'old', 'other.txt'):
        (there / name).write_text(name)
    found = tun.put_dir(source, there, if_changed=True, delete=True, exclude=['*.txt'])
    assert found['changed'] and found['deleted'] == ['old'] and found['unchanged'] == 1 and found['files'] == 1
    assert sorted(path.name for path in there.iterdir()) == ['kept', 'new', 'other.txt']
    found = tun.put_dir(source, there, if_changed=True, delete=True, exclude=['*.txt'])
    assert not found['changed'] and found['deleted'] == [] and found['unchanged'] == 2
    found = tun.fetch_dir(there, back, exclude=['other.*'])
    assert found['files'] == 2
    (back / 'more').write_text('more')
    found = tun.fetch_dir(there, back, if_changed=True, delete=True)
    assert found['deleted'] == ['more'] and found['files'] == 1 and (back / 'other.txt').exists()
    with pytest.raises(TypeError, match='one pattern'):
        tun.put_dir(source, there, exclude='*.txt')
    with pytest.raises(ValueError, match='invalid pattern'):
        tun.put_dir(source, there, exclude=['[z-a]'])


def test_groups_and_queues_send_what_has_changed(tmp_path):
    (tmp_path / 'source').mkdir()
    (tmp_path / 'source' / 'file').write_text('abc')
    with Group([Local('a'), Local('b')]) as group:
        for expected in (True, False):
            found = group.put(tmp_path / 'source' / 'file', tmp_path / 'one', if_changed=True)
            if not expected:
                assert [done['changed'] for done in found.values()] == [False, False]
        to = str(tmp_path / '{host}')
        assert [done['changed'] for done in group.fetch_dir(tmp_path / 'source', to).values()] == [True, True]
        found = group.fetch_dir(tmp_path / 'source', to, if_changed=True, delete=True)
        assert [done['changed'] for done in found.values()] == [False, False]
        queue = Queue()
        done = queue.put_dir(group, tmp_path / 'source', tmp_path / 'again')
        queue.run()
        same = queue.put_dir(group, tmp_path / 'source', tmp_path / 'again', if_changed=True)
        queue.run()
        done.value.raise_failures()
        assert [value['changed'] for value in same.value.values()] == [False, False]
