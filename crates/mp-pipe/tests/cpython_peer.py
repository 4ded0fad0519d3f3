"""What CPython does in the test of the same name: listens and connects, with the right key and with a wrong one.

Lines to and fro, on the standard streams: it says where it listens and how each of its attempts ended.
"""
import hashlib
import os
import shutil
import sys
import tempfile
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener

KEY = b"a key with \x00 and \xff"


def say(*words):
    print(*words)
    sys.stdout.flush()


def echo(connection):
    """Answers each message by its length and hash, and by itself; until the end."""
    count = 0
    while True:
        try:
            message = connection.recv_bytes()
        except EOFError:
            return count
        connection.send_bytes(("%d %s" % (len(message), hashlib.sha256(message).hexdigest())).encode())
        connection.send_bytes(message)
        count += 1


def serve(address):
    with Listener(address, authkey=KEY) as listener:
        where = listener.address
        say("listening", where if isinstance(where, str) else "%s:%d" % where)
        with listener.accept() as connection:
            say("echoed", echo(connection))
        try:
            listener.accept().close()
            say("accepted a wrong key")
        except AuthenticationError as error:
            say("refused", error)


def connect(text):
    address = (text.rsplit(":", 1)[0], int(text.rsplit(":", 1)[1])) if ":" in text else text
    with Client(address, authkey=KEY) as connection:
        say("echoed", echo(connection))
    try:
        Client(address, authkey=b"wrong").close()
        say("accepted a wrong key")
    except AuthenticationError as error:
        say("refused", error)


def main():
    folder = tempfile.mkdtemp()
    try:
        serve(("127.0.0.1", 0))
        serve(os.path.join(folder, "socket"))
    finally:
        shutil.rmtree(folder)
    for address in sys.argv[1:]:
        connect(address)


main()
