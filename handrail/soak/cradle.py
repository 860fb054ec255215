"""The process that forks the others: it reads a line for each, and writes a line when one is forked or ends."""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import sys
import time
import traceback
from typing import Any

import alembic.command
import anyio
import chromadb.api.rust
import orjson

from handrail.soak.process import Spec, live

PRELOADED = (alembic.command, chromadb.api.rust)
"""What an opening imports late."""
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def main() -> None:
    """Fork a process for each line of standard input until it ends, then end all that live."""
    wake_in, wake_out = os.pipe()
    os.set_blocking(wake_out, False)
    signal.set_wakeup_fd(wake_out)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What is shared must not be copied because a collection touched it.
    gc.freeze()
    children: set[int] = set()
    pending = b""
    while True:
        readable, _, _ = select.select([0, wake_in], [], [])
        if wake_in in readable:
            os.read(wake_in, 4096)
            _reap(children)
        if 0 in readable:
            received = os.read(0, 65536)
            if not received:
                break
            *lines, pending = (pending + received).split(b"\n")
            for line in lines:
                children.add(_fork(Spec(**orjson.loads(line)), (wake_in, wake_out)))
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _reap(children: set[int]) -> None:
    for pid in list(children):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            children.discard(pid)
            _tell("ended", pid, code=os.waitstatus_to_exitcode(status), at=time.time())


def _fork(spec: Spec, pipe: tuple[int, int]) -> int:
    pid = os.fork()
    if pid:
        _tell("forked", pid)
        return pid
    code = 1
    try:
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for each in (0, *pipe):
            os.close(each)
        os.open(os.devnull, os.O_RDONLY)
        anyio.run(live, spec, lambda: _tell("ready", os.getpid()), backend_options={"use_uvloop": True})
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
    raise AssertionError("A forked process does not come here.")


def _tell(what: str, pid: int, **more: Any) -> None:
    # Short enough that lines of several processes do not mix.
    os.write(1, orjson.dumps({"what": what, "pid": pid, **more}) + b"\n")
