"""Forks of the controller: a child has agents of its own."""

import pytest


@pytest.mark.parametrize('busy', [False, True], ids=['idle', 'busy'])
def test_child_has_an_agent_of_its_own_and_the_parent_keeps_its_own(script, busy):
    out = script(
        """
        import threading

        def wait_for(path):
            while not os.path.exists(path):
                time.sleep(.01)

        tun = Here()
        agent = tun.call(os.getpid)
        if %r:
            thread = threading.Thread(target=tun.call, args=(wait_for, __file__ + '.end'))
            thread.start()
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            other = tun.call(os.getpid)
            print(other != agent, tun.call(os.getppid) == os.getpid(), tun.call(len, [1, 2]))
            sys.stdout.flush()
            tun.close()
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        print('parent', tun.call(os.getpid) == agent)
        sys.stdout.flush()
        if %r:
            open(__file__ + '.end', 'w').close()
            thread.join()
        # The child lives on, and has no copy of what leads to the agent.
        tun.close()
        print('closed', os.path.exists('/proc/%%d' %% agent))
        sys.stdout.flush()
        os.close(writer)
        print('child', os.waitpid(child, 0)[1])
    """
        % (busy, busy)
    )
    assert sorted(out.splitlines()) == ['True True 2', 'child 0', 'closed False', 'parent True']


def test_workers_of_multiprocessing_have_agents_of_their_own(script):
    out = script("""
        import multiprocessing
        tun = Here()

        def agent(_):
            return os.getpid(), tun.call(os.getppid), tun.call(abs, -5)

        if __name__ == '__main__':
            own = tun.call(os.getpid)
            with multiprocessing.get_context('fork').Pool(3) as pool:
                found = pool.map(agent, range(12), chunksize=1)
            print(all(pid == parent and value == 5 for pid, parent, value in found))
            print(tun.call(os.getpid) == own)
    """)
    assert out == 'True\nTrue\n'


def test_tunnel_that_is_pickled_is_another_to_the_same_host(script):
    out = script("""
        import pickle
        tun = Here('name')
        tun.call(os.getpid)
        again = pickle.loads(pickle.dumps(tun))
        print(again == tun, repr(again), again.call(os.getpid) != tun.call(os.getpid))
    """)
    assert out == "True Here('name') True\n"


def test_child_that_uses_no_tunnel_ends_at_once(script):
    out = script("""
        tun = Here()
        tun.call(os.getpid)
        if not os.fork():
            sys.exit(7)
        print(os.waitpid(-1, 0)[1] >> 8, tun.call(len, 'abc'))
    """)
    assert out == '7 3\n'
