"""Files and folders, to hosts and from them."""

import hashlib
import os
import time

import pytest

from chopsticks.group import Group
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
    counts = {'files': 1, 'folders': 2, 'links': 1, 'left_out': 0, 'size': 3}
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
