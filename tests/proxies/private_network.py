"""A network of its own for a test: its clients have real addresses of TEST-NET-3, and this machine's is not touched.

Everything that is opened or started between entering and leaving lives in it, the service included. Linux, and root.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.needed import missing

CLONE_NEWNET = 0x40000000
PROXY = "203.0.113.1"
"""Where proxies listen. Every other address of 203.0.113.0/24 is a client's, if it likes."""


@contextmanager
def private_network() -> Iterator[None]:
    """Skips where there is no right to make one."""
    ip = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if ip is None:
        missing("iproute2")
        return
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open(f"/proc/self/task/{_thread()}/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(CLONE_NEWNET) != 0:
            missing("the right to make a network namespace (root)")
        try:
            for command in (
                "link set lo up",
                f"addr add {PROXY}/24 dev lo",
                "-6 addr add 2001:db8::1/64 dev lo nodad",
            ):
                subprocess.run([ip, *command.split()], check=True, capture_output=True)
            yield
        finally:
            if libc.setns(before, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "cannot return to the first network namespace")
    finally:
        os.close(before)


def _thread() -> str:
    return Path("/proc/thread-self").readlink().name
