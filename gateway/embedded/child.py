"""Start a child process that dies with its parent, however that dies.

It does not know what runs in the child. On Linux the kernel sends the child a signal when its parent
is gone (PR_SET_PDEATHSIG). That setting is the child's own and survives exec, so this file is also the
program that runs first in the child: it ties itself to the parent, then becomes the command. No code of
ours runs between fork and exec, which is unsafe in a process with threads (`preexec_fn`).

The kernel takes the *thread* that started the child for its parent: start it from a thread that lives
as long as the child may. On systems other than Linux the child is started untied.

Source: prctl(2), PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

_PR_SET_PDEATHSIG = 1


def start_child(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    pass_fds: Sequence[int] = (),
    log: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Run `argv` (a full path first) as a child that gets `death_signal` when this thread's process ends.

    Its output goes to `log`, or where the parent's goes; its input is empty. It leads a process group
    of its own, so that Ctrl-C in a terminal reaches it once: through its parent. `env` None inherits.
    Raises OSError when no process can be started; a command that cannot be run exits with 127.
    """
    import subprocess

    tied = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(death_signal)), *argv]
    return subprocess.Popen(  # noqa: S603  # no shell; the command line is ours
        tied if sys.platform == "linux" else list(argv),
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=None if log is None else subprocess.STDOUT,
        pass_fds=tuple(pass_fds),
        process_group=0,
    )


def stop_child(child: subprocess.Popen[bytes], grace_s: float) -> int:
    """End `child` with SIGTERM, after `grace_s` with SIGKILL. Returns its exit code (minus a signal)."""
    import subprocess

    child.terminate()
    try:
        return child.wait(grace_s)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _become(parent: int, death_signal: int, argv: list[str]) -> None:
    """Tie this process to its parent and become `argv`."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        # It died before the tie was there, so no signal will come.
        sys.exit(1)
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)  # noqa: S606  # becoming another program is this file's job
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
