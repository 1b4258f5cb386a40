"""A process with a SyncBlocklistClient that ends by itself, after close, or after a fork."""

import os
import sys

from bartizan_client import SyncBlocklistClient

ADDRESSES = ("203.0.113.9", "203.0.113.10")


def say(who: str, client: SyncBlocklistClient) -> None:
    words = [who, *(str(client.is_blocked(address)) for address in ADDRESSES)]
    os.write(1, f"{' '.join(filter(None, words))}\n".encode())


def main(url: str, token: str, how: str, path: str) -> None:
    client = SyncBlocklistClient(url, token, snapshot=path)
    if how == "fork":
        client.wait_started()
        to_child, from_parent = os.pipe()
        if os.fork() == 0:
            client.wait_started()
            os.read(to_child, 1)
            say("child", client)
            sys.exit(0)
    say("", client)
    sys.stdin.readline()
    if how == "fork":
        os.write(from_parent, b"x")
        os.wait()
    say("parent", client)
    if how == "close":
        client.close()


main(*sys.argv[1:])
