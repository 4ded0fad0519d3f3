"""CPython's side of the benchmarks: reads "WHAT COUNT" lines, answers with the seconds that so many operations took."""

import concurrent.futures
import functools
import multiprocessing
import sys
import time
from multiprocessing import shared_memory

try:
    import numpy
except ImportError:
    numpy = None


def nothing():
    pass


def square(x):
    return x * x


def start(method, count):
    context = multiprocessing.get_context(method)
    for _ in range(count):
        process = context.Process(target=nothing)
        process.start()
        process.join()


@functools.cache
def pool():
    return multiprocessing.get_context("fork").Pool(2)


@functools.cache
def executor():
    context = multiprocessing.get_context("fork")
    return concurrent.futures.ProcessPoolExecutor(2, mp_context=context)


def whole_pool(count):
    for _ in range(count):
        with multiprocessing.get_context("fork").Pool(2) as short:
            short.apply(square, (3,))
            short.close()
            short.join()


def whole_executor(count):
    context = multiprocessing.get_context("fork")
    for _ in range(count):
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as short:
            short.submit(square, 3).result()


def pipe_peer(connection):
    while True:
        count, each = connection.recv()
        for _ in range(count):
            message = connection.recv_bytes()
            if each:
                connection.send_bytes(message)
        if not each:
            connection.send(None)


@functools.cache
def pipe():
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    context.Process(target=pipe_peer, args=(theirs,), daemon=True).start()
    return ours


def pipe_rtt(count):
    connection, message = pipe(), bytes(64)
    connection.send((count, True))
    for _ in range(count):
        connection.send_bytes(message)
        connection.recv_bytes()


def pipe_one_way(size, count):
    connection, message = pipe(), bytes(size)
    connection.send((count, False))
    for _ in range(count):
        connection.send_bytes(message)
    connection.recv()


def queue_peer(orders, queue):
    while True:
        count, message = orders.get()
        for _ in range(count):
            queue.put(message)


@functools.cache
def queues():
    context = multiprocessing.get_context("fork")
    orders, queue = context.Queue(), context.Queue(1024)
    context.Process(target=queue_peer, args=(orders, queue), daemon=True).start()
    return orders, queue


def queue_one_way(message, count):
    orders, queue = queues()
    orders.put((count, message))
    for _ in range(count):
        queue.get()


def queue_echo(there, back):
    while True:
        back.put(there.get())


@functools.cache
def echo():
    context = multiprocessing.get_context("fork")
    there, back = context.Queue(), context.Queue()
    context.Process(target=queue_echo, args=(there, back), daemon=True).start()
    return there, back


def queue_rtt(count):
    there, back = echo()
    for _ in range(count):
        there.put(7)
        back.get()


def many(call, count):
    for _ in range(count):
        call()


MILLIONS = 10_000_000


@functools.cache
def doubles():
    return multiprocessing.Array("d", MILLIONS, lock=False)


def fill(count):
    for _ in range(count):
        array = doubles()
        for i in range(MILLIONS):
            array[i] = 0.5


def fill_numpy(count):
    view = numpy.frombuffer(doubles())
    for _ in range(count):
        view.fill(0.5)


def sum_numpy(count):
    view = numpy.frombuffer(doubles())
    for _ in range(count):
        view.sum()


def block(count):
    for _ in range(count):
        memory = shared_memory.SharedMemory(create=True, size=1 << 20)
        memory.close()
        memory.unlink()


LOCK = multiprocessing.get_context("fork").Lock()


def lock(count):
    acquire, release = LOCK.acquire, LOCK.release
    for _ in range(count):
        acquire()
        release()


def with_lock(count):
    for _ in range(count):
        with LOCK:
            pass


@functools.cache
def managed():
    return multiprocessing.get_context("fork").Manager().dict({f"key {n}": f"value {n}" for n in range(10_000)})


def managed_set(count):
    shared = managed()
    for n in range(count):
        shared[f"key {n % 10_000}"] = f"value {n}"


def managed_get(count):
    shared = managed()
    for n in range(count):
        shared[f"key {n % 10_000}"]


WORK = {
    "managed_set": managed_set,
    "managed_get": managed_get,
    "numpy": lambda n: time.sleep(0 if numpy else 1),
    "fill": fill,
    "sum": lambda n: many(lambda: sum(doubles()), n),
    "fill_numpy": fill_numpy,
    "sum_numpy": sum_numpy,
    "block": block,
    "lock": lock,
    "with_lock": with_lock,
    "fork": lambda n: start("fork", n),
    "forkserver": lambda n: start("forkserver", n),
    "spawn": lambda n: start("spawn", n),
    "pipe_rtt": pipe_rtt,
    "pipe_64": lambda n: pipe_one_way(64, n),
    "pipe_64k": lambda n: pipe_one_way(64 << 10, n),
    "pipe_1m": lambda n: pipe_one_way(1 << 20, n),
    "queue_8": lambda n: queue_one_way(7, n),
    "queue_64": lambda n: queue_one_way(bytes(64), n),
    "queue_1k": lambda n: queue_one_way(bytes(1024), n),
    "queue_rtt": queue_rtt,
    "apply": lambda n: many(lambda: pool().apply(square, (3,)), n),
    "submit": lambda n: many(lambda: executor().submit(square, 3).result(), n),
    "map": lambda n: pool().map(square, range(n)),
    "map1": lambda n: pool().map(square, range(n), chunksize=1),
    "unordered": lambda n: list(pool().imap_unordered(square, range(n))),
    "executor_map": lambda n: list(executor().map(square, range(n), chunksize=max(1, n // 8))),
    "executor_map1": lambda n: list(executor().map(square, range(n))),
    "whole_pool": whole_pool,
    "whole_executor": whole_executor,
}


def main():
    for line in sys.stdin:
        what, count = line.split()
        begin = time.perf_counter()
        WORK[what](int(count))
        print(time.perf_counter() - begin, flush=True)


if __name__ == "__main__":
    main()
