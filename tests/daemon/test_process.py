"""The process as such: its memory, and an end that nothing holds up."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time

import pytest

from tests.support.configurations import ROOT
from tests.support.processes import PATIENCE_SECONDS

HANGING_THREAD = "import threading; threading.Thread(target=threading.Event().wait).start()"
GLIBC = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")


def finished(*lines: str) -> subprocess.CompletedProcess[str]:
    """A program of these lines, run to its end."""
    program = "\n".join(("from exporter.daemon.process import *", "import sys, time", *lines))
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


def test_the_end_waits_for_no_thread_and_loses_no_output() -> None:
    """A name look-up that hangs in a thread holds up nothing; what was printed is there, and the code is the given."""
    run = finished(HANGING_THREAD, "print('to a pipe')", "sys.stderr.write('and here')", "exit_at_once(3)")
    assert (run.returncode, run.stdout, run.stderr) == (3, "to a pipe\n", "and here")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_the_end_does_not_need_its_streams(stream: str) -> None:
    """A terminal that has gone, or a stream that is closed, is no reason to stay."""
    other = "stderr" if stream == "stdout" else "stdout"
    run = finished(f"sys.{stream}.close()", f"sys.{other}.write('said')", "exit_at_once(4)")
    assert (run.returncode, run.stdout + run.stderr) == (4, "said")
    full = finished("sys.stdout = open('/dev/full', 'w')", "print('lost')", "exit_at_once(5)")
    assert (full.returncode, full.stderr) == (5, "")


def test_the_time_for_the_end_holds_whatever_goes_on() -> None:
    """Where stopping hangs, the process ends after its time with the given code; not before."""
    began_at = time.monotonic()
    run = finished("exit_within(1, 6)", "print('hangs', flush=True)", "time.sleep(600)")
    assert (run.returncode, run.stdout) == (6, "hangs\n")
    assert time.monotonic() - began_at >= 1
    early = finished("exit_within(600, 6)", "sys.exit(7)")
    assert early.returncode == 7


def test_a_long_run_is_prepared_for() -> None:
    """What is there at the start is no work for the collector, answers are looked at seldom, and turns are short."""
    run = finished(
        "import gc", "tune()", "print(gc.get_freeze_count() > 1000, *gc.get_threshold(), sys.getswitchinterval())"
    )
    assert run.stdout == "True 10000 5 160 0.001\n", run.stderr


def test_what_a_reload_made_is_no_work_for_the_collector() -> None:
    """No scrape waits for a look at all that thousands of queries take, neither in a reload nor later."""
    run = finished(
        "import gc",
        "tune()",
        "usual, collector = gc.get_threshold(), Collector()",
        "collector.put_off()",
        "print(gc.get_threshold()[2] > 1_000_000)",
        "made = [[] for _ in range(50_000)]",
        "collector.resume()",
        "print(gc.get_threshold() == usual, len(gc.get_objects()) < 50_000 < gc.get_freeze_count())",
    )
    assert run.stdout == "True\nTrue True\n", run.stderr


def test_what_reloads_leave_behind_does_not_add_up() -> None:
    """Whoever reloads every minute for a year does not run out of memory: now and then everything is looked at."""
    run = finished(
        "import gc, weakref",
        "tune()",
        "class Node: pass",
        "def left_behind():",
        "    node = Node(); node.itself = node",
        "    return node",
        "collector, refs = Collector(), []",
        "for _ in range(160):",
        "    collector.put_off()",
        "    node = left_behind()",
        "    refs.append(weakref.ref(node))",
        "    collector.resume()",
        "    del node",
        "print(sum(ref() is not None for ref in refs) < 20)",
    )
    assert run.stdout == "True\n", run.stderr


@GLIBC
@pytest.mark.parametrize(("tuned", "has_more"), [(True, False), (False, True)])
def test_threads_share_one_heap(tuned: bool, has_more: bool) -> None:
    """glibc would keep a heap for each thread, as large as the largest answer that it has read."""
    run = finished(
        "import ctypes, threading",
        "tune()" if tuned else "",
        "libc = ctypes.CDLL(None)",
        "threads = [threading.Thread(target=libc.malloc, args=(5000,)) for _ in range(4)]",
        "for thread in threads: thread.start()",
        "for thread in threads: thread.join()",
        "stdout = ctypes.c_void_p.in_dll(libc, 'stdout')",
        "libc.malloc_info(0, stdout)",
        "libc.fflush(stdout)",
    )
    assert (run.stdout.count("<heap nr=") > 1) is has_more, run.stderr


@GLIBC
def test_memory_that_is_free_goes_back_to_the_system() -> None:
    """A big answer whose last byte's neighbour lives on does not stay in memory for ever."""
    run = finished(
        "import asyncio, ctypes, re",
        "libc = ctypes.CDLL(None)",
        "libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]",
        "def resident(): return int(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1])",
        "pieces = [libc.malloc(1000) for _ in range(40_000)]",
        "for piece in pieces: ctypes.memset(piece, 1, 1000)",
        "for piece in pieces[:-1]: libc.free(piece)",
        "held = resident()",
        "async def run():",
        "    returning = asyncio.create_task(keep_returning())",
        "    while resident() > held - 30_000: await asyncio.sleep(0.05)",
        "    print('given back', returning.done())",
        "    returning.cancel()",
        "asyncio.run(run())",
    )
    assert run.stdout == "given back False\n", run.stderr
