"""What a stock CPython does with the gateway at sys.argv[1], whose key is sys.argv[2]. Prints "ok" when all of it was so."""
import queue
import sys
import threading
import time
from multiprocessing.managers import BaseManager, DictProxy, RemoteError, SyncManager

ADDRESS, KEY = sys.argv[1], sys.argv[2].encode()
if ":" in ADDRESS:
    host, port = ADDRESS.rsplit(":", 1)
    ADDRESS = (host, int(port))


class Point(object):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __eq__(self, other):
        return (self.x, self.y) == (other.x, other.y)

    def __hash__(self):
        return hash((self.x, self.y))


def raises(exception, f, *args):
    try:
        f(*args)
    except exception as e:
        assert type(e) is exception, type(e)
        return e
    raise AssertionError("%r was not raised" % exception)


def connected():
    manager = SyncManager(ADDRESS, authkey=KEY)
    manager.connect()
    return manager


if isinstance(ADDRESS, tuple):
    # Over a network proxies inside of values are opened with the key of the process.
    import multiprocessing
    multiprocessing.current_process().authkey = KEY
m = connected()


def test_dict():
    d = m.dict({"a": 1}, b=2)
    assert len(d) == 2 and d["a"] == 1 and d.get("b") == 2
    assert d.get("z") is None and d.get("z", 7) == 7
    assert raises(KeyError, lambda: d["z"]).args == ("z",)
    assert raises(KeyError, d.pop, "z").args == ("z",)
    raises(KeyError, d.__delitem__, "z")
    raises(TypeError, d.__setitem__, [1], 2)
    d[(1, "x")] = [1, {"deep": (2.5, None, True, b"bytes", -2 ** 70, 3 + 4j)}]
    assert d[(1, "x")] == [1, {"deep": (2.5, None, True, b"bytes", -2 ** 70, 3 + 4j)}]
    d[1] = "one"
    assert d[True] == "one" and d[1.0] == "one"
    assert d.pop("b") == 2 and d.pop("b", None) is None
    assert d.setdefault("s", 5) == 5 and d.setdefault("s", 6) == 5
    d.update({"u": 1}, v=2)
    d.update([("w", 3)])
    assert "u" in d and "nope" not in d
    assert sorted(k for k in d if isinstance(k, str)) == ["a", "s", "u", "v", "w"], list(d)
    assert sorted(map(str, d.keys())) == sorted(map(str, d.copy().keys()))
    assert len(d.values()) == len(d.items()) == len(d)
    d.clear()
    assert len(d) == 0 and not list(d)
    raises(KeyError, d.popitem)
    d["x"] = {1, 2, 3}
    assert d["x"] == {1, 2, 3}
    d["x"] = frozenset("ab")
    assert d["x"] == frozenset("ab")
    d["x"] = bytearray(b"ba")
    assert d["x"] == bytearray(b"ba") and type(d["x"]) is bytearray
    d["x"] = "lone \ud800 surrogate"
    assert d["x"] == "lone \ud800 surrogate"
    d["x"] = "x" * 300000
    assert len(d["x"]) == 300000
    assert str(m.dict({"a": 1})) in ('{"a": 1}', "{'a': 1}")
    assert m.dict({"a": 1})._getvalue() == {"a": 1}


def test_opaque_objects():
    d = m.dict()
    d["p"] = Point(1, [2, 3])
    assert d["p"] == Point(1, [2, 3])
    d[Point(1, 2)] = "key"
    assert d[Point(1, 2)] == "key"
    loop = []
    loop.append(loop)
    d["loop"] = loop
    back = d["loop"]
    assert back[0] is back
    twice = [[1], [2]]
    twice.append(twice[0])
    d["twice"] = twice
    back = d["twice"]
    assert back == twice and back[2] is back[0]
    d["mixed"] = {"points": [Point(0, 0), Point(1, 1)], "f": len, "t": Point, "r": range(3), "s": slice(1, 2)}
    assert d["mixed"] == {"points": [Point(0, 0), Point(1, 1)], "f": len, "t": Point, "r": range(3), "s": slice(1, 2)}
    import collections
    import datetime
    import decimal
    for value in (datetime.datetime(2020, 1, 2), decimal.Decimal("1.5"), collections.OrderedDict(a=1), collections.Counter("aab"),
                  collections.deque([1, 2]), ValueError("v")):
        d["v"] = value
        assert repr(d["v"]) == repr(value), value
    q = m.Queue()
    q.put(Point(5, 6))
    assert q.get() == Point(5, 6)


def test_list():
    l = m.list([3, 1, 2])
    assert len(l) == 3 and l[0] == 3 and l[-1] == 2
    raises(IndexError, lambda: l[3])
    raises(IndexError, l.__setitem__, 3, 0)
    raises(IndexError, l.pop, 10)
    raises(ValueError, l.remove, 99)
    raises(ValueError, l.index, 99)
    l.append(4)
    l.extend((5, 6))
    l += [7]
    l.insert(0, 0)
    assert l[:] == [0, 3, 1, 2, 4, 5, 6, 7] and l[1:4] == [3, 1, 2] and l[::-2] == [7, 5, 2, 3]
    l[1:3] = ["a", "b", "c"]
    assert l[:] == [0, "a", "b", "c", 2, 4, 5, 6, 7]
    del l[1:4]
    del l[0]
    assert l[:] == [2, 4, 5, 6, 7]
    assert l.pop() == 7 and l.pop(0) == 2 and 5 in l and 9 not in l
    l.reverse()
    assert list(l) == [6, 5, 4] and list(reversed(l)) == [4, 5, 6]
    l.sort()
    assert l[:] == [4, 5, 6]
    l.sort(reverse=True)
    assert l[:] == [6, 5, 4]
    l *= 2
    assert l[:] == [6, 5, 4, 6, 5, 4] and l.count(5) == 2 and l.index(4) == 2
    assert l + [1] == [6, 5, 4, 6, 5, 4, 1] and m.list([1]) * 3 == [1, 1, 1]
    l[0] = "x"
    raises(TypeError, l.sort)
    raises(IndexError, m.list().pop)
    assert m.list(range(5))[:] == [0, 1, 2, 3, 4] and m.list("ab")[:] == ["a", "b"] and m.list({"k": 1}.keys())[:] == ["k"]
    if hasattr(l, "clear"):
        l.clear()
        assert l.copy() == []


def test_namespace_value_array():
    n = m.Namespace(a=1)
    n.b = [1, 2]
    assert n.a == 1 and n.b == [1, 2]
    raises(AttributeError, lambda: n.c)
    del n.a
    raises(AttributeError, lambda: n.a)
    assert str(n) == "Namespace(b=[1, 2])", str(n)
    v = m.Value("i", 5)
    v.value += 1
    assert v.value == 6 and v.get() == 6
    a = m.Array("d", [1, 2])
    a[0] = 3.5
    assert a[0] == 3.5 and len(a) == 2 and list(a[:]) == [3.5, 2.0]
    raises(IndexError, lambda: a[5])


def test_locks():
    lock = m.Lock()
    assert lock.acquire() is True and lock.acquire(False) is False
    start = time.time()
    assert lock.acquire(True, 0.05) is False and time.time() - start >= 0.04
    lock.release()
    raises(RuntimeError, lock.release)
    with lock:
        assert not lock.acquire(False)
    r = m.RLock()
    with r:
        with r:
            seen = []
            t = threading.Thread(target=lambda: seen.append(r.acquire(False)))
            t.start()
            t.join()
            assert seen == [False]
    raises(RuntimeError, r.release)
    s = m.Semaphore(2)
    assert s.acquire() and s.acquire() and not s.acquire(False)
    s.release()
    assert s.acquire(True, 1)
    b = m.BoundedSemaphore(1)
    b.acquire()
    b.release()
    raises(ValueError, b.release)


def test_locks_wait():
    lock, order = m.Lock(), []
    lock.acquire()

    def other():
        with lock:
            order.append("other")

    t = threading.Thread(target=other)
    t.start()
    time.sleep(0.05)
    order.append("main")
    lock.release()
    t.join()
    assert order == ["main", "other"]


def test_condition_event_barrier():
    c, e, done = m.Condition(), m.Event(), []
    raises(RuntimeError, c.notify)

    def waiter():
        with c:
            e.set()
            done.append(c.wait(10))

    t = threading.Thread(target=waiter)
    t.start()
    assert e.wait(10) is True and e.is_set()
    with c:
        c.notify_all()
    t.join()
    assert done == [True]
    with c:
        assert c.wait(0.01) is False
        assert c.wait_for(lambda: True) is True
    e.clear()
    assert e.wait(0.01) is False and not e.is_set()
    b = m.Barrier(2)
    assert b.parties == 2 and b.n_waiting == 0 and b.broken is False
    places = []
    t = threading.Thread(target=lambda: places.append(b.wait(10)))
    t.start()
    places.append(b.wait(10))
    t.join()
    assert sorted(places) == [0, 1]
    raises(threading.BrokenBarrierError, b.wait, 0.01)
    assert b.broken
    b.reset()
    assert not b.broken
    b.abort()
    raises(threading.BrokenBarrierError, b.wait)


def test_queue():
    q = m.Queue(2)
    q.put("a")
    q.put_nowait("b")
    assert q.full() and q.qsize() == 2
    raises(queue.Full, q.put_nowait, "c")
    raises(queue.Full, q.put, "c", True, 0.01)
    assert q.get() == "a" and q.get_nowait() == "b" and q.empty()
    raises(queue.Empty, q.get_nowait)
    raises(queue.Empty, q.get, True, 0.01)
    raises(ValueError, q.get, True, -1)
    t = threading.Timer(0.05, q.put, ("late",))
    t.start()
    assert q.get(timeout=10) == "late"
    t.join()
    j = m.JoinableQueue()
    j.put(1)

    def worker():
        j.get()
        time.sleep(0.02)
        j.task_done()

    t = threading.Thread(target=worker)
    t.start()
    j.join()
    t.join()
    raises(ValueError, j.task_done)


def test_nested_proxies():
    d, inner, q = m.dict(), m.list([1]), m.Queue()
    d["l"] = inner
    d["q"] = q
    d["lock"] = m.Lock()
    inner.append(2)
    assert d["l"][:] == [1, 2]
    d["l"].append(3)
    assert inner[:] == [1, 2, 3]
    d["q"].put("through")
    assert q.get() == "through"
    with d["lock"]:
        pass
    d["d"] = m.dict(x=1)
    assert list(d["d"]) == ["x"] and d["d"]["x"] == 1
    d["list of"] = [inner, inner]
    d["list of"][1].append(4)
    assert inner[-1] == 4


def test_set():
    if not hasattr(m, "set"):
        return
    s = m.set([1, 2])
    s.add(3)
    assert len(s) == 3 and 2 in s and set(s) == {1, 2, 3}
    s.discard(9)
    raises(KeyError, s.remove, 9)
    assert s | {4} == {1, 2, 3, 4} and s & {1, 9} == {1} and s - {1} == {2, 3}


def test_the_manager_itself():
    before = m._number_of_objects()
    d = m.dict()
    assert m._number_of_objects() == before + 1
    assert "refcount=1" in m._debug_info()
    del d
    assert m._number_of_objects() == before
    raises(RemoteError, m.Pool)

    class Custom(BaseManager):
        pass

    Custom.register("get_shared", proxytype=DictProxy)
    Custom.register("get_queue")
    Custom.register("nothing")
    c = Custom(ADDRESS, authkey=KEY)
    c.connect()
    shared = c.get_shared()
    assert shared["from rust"] == [1, 2, 3]
    shared["from python"] = "hello"
    c.get_queue().put("hello from python")
    raises(RemoteError, c.nothing)
    raises(RemoteError, m.dict()._callmethod, "no_such_method")


def test_wrong_key():
    from multiprocessing import AuthenticationError
    wrong = SyncManager(ADDRESS, authkey=b"wrong")
    raises(AuthenticationError, wrong.connect)


def test_threads():
    d, lock = m.dict(n=0), m.Lock()

    def count():
        for _ in range(50):
            with lock:
                d["n"] += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert d["n"] == 200, d["n"]


failed = 0
for name, test in sorted(globals().items()):
    if name.startswith("test_") and (len(sys.argv) < 4 or name in sys.argv[3:]):
        try:
            test()
        except Exception:
            import traceback
            traceback.print_exc()
            print("in %s of Python %s" % (name, sys.version.split()[0]))
            failed = 1
print("failed" if failed else "ok")
sys.exit(failed)
