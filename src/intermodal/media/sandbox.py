"""Confines a media worker for its whole life, on Linux: Landlock for files, seccomp for system calls.

``forbid_files`` keeps native libraries from opening files, but a compromised decoder could lift that limit. It cannot
lift the sandbox: only files that Python and its libraries are loaded from can be read, no file can be written, no
socket created, no program started, and no other process accessed. If a kernel lacks Landlock or seccomp, the other one
still applies; on other systems neither exists. No package is needed, because the calls are made with ``ctypes``.

Sources: https://docs.kernel.org/userspace-api/landlock.html and seccomp_filter.html, linux/landlock.h, linux/audit.h,
linux/filter.h, arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h.

The second part of this module limits decoding, because native libraries open files on their own (fonts, playlists,
profiles). While a handler decodes, the process may not hold more descriptors than it has, so that opening a file or a
socket fails in the kernel. Importing a library lifts this limit for the time of the import. In addition, a job gets no
more memory than it needs.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from intermodal.concurrency.worker_process import MemoryGauge

_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER_MODE = 38, 22, 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_ABI_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_OF_FILES = _EXECUTE | _READ_FILE  # rights that a rule for a single file may give
_READ = _EXECUTE | _READ_FILE | _READ_DIR  # a library is mapped for execution, which Landlock has no right for
# Rights over files by version of the interface: 13 in the first, then REFER, TRUNCATE, -, IOCTL_DEV.
_RIGHTS: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP, _SCOPES = 0b11, 0b11  # bind and connect, from version 4; abstract sockets and signals, from version 6

# Libraries, and files that some of them read on import: ``mimetypes.knownfiles``, time zone, processor.
_SYSTEM = (
    "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/nix/store", "/etc/ld.so.cache", "/dev/urandom",
    "/dev/null", "/usr/share/zoneinfo", "/etc/localtime", "/proc/cpuinfo", "/sys/devices/system/cpu",
    "/etc/mime.types", "/etc/httpd/mime.types", "/etc/httpd/conf/mime.types", "/etc/apache/mime.types",
    "/etc/apache2/mime.types", "/usr/local/etc/httpd/conf/mime.types", "/usr/local/etc/mime.types",
)  # fmt: skip

# (x86-64, AArch64) numbers of the refused calls; -1 if an architecture has none. ``socketpair`` is allowed: it connects
# only to itself, and Rust runtimes use it.
_REFUSED: Final[dict[str, tuple[int, int]]] = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "execve": (59, 221), "execveat": (322, 281), "fork": (57, -1),
    "vfork": (58, -1), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kill": (62, 129), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "setns": (308, 268),
    "unshare": (272, 97), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "open_by_handle_at": (304, 265), "init_module": (175, 105), "finit_module": (313, 273), "kexec_load": (246, 104),
}  # fmt: skip
_CLONE: Final = (56, 220)
_CLONE3: Final = 435
_CLONE_THREAD = 0x00010000
_MACHINES: Final = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}  # audit architecture, column
_X32 = 0x40000000  # x32 calls, the second 64-bit interface of x86, begin here
_EPERM, _ENOSYS = 1, 38
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000

_active_fences: tuple[str, ...] = ()


def apply_sandbox() -> None:
    """Confine this process permanently.

    Must be called while it has one thread: earlier threads would not be confined.
    """
    global _active_fences
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return
    # Landlock first: its rules open files and make system calls of their own.
    _active_fences = tuple(
        name for name, hold in (("landlock", _restrict_files), ("seccomp", _filter_calls)) if hold(library)
    )


def active_mechanisms() -> tuple[str, ...]:
    """Return the active mechanisms: "landlock", "seccomp"."""
    return _active_fences


# ---- Landlock ------------------------------------------------------------------------------------


def _restrict_files(library: ctypes.CDLL) -> bool:
    """Allow reading below Python's own folders and the system libraries, and nothing else; forbid all writing."""
    version = library.syscall(_CREATE_RULESET, None, 0, _ABI_VERSION)
    if version < 1:
        return False
    rights = _RIGHTS[min(version, max(_RIGHTS))]
    attributes = struct.pack("=QQQ", rights, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = library.syscall(_CREATE_RULESET, attributes, size, 0)
    if rules < 0:
        return False
    try:
        for path in _readable():
            with suppress(OSError):
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
                try:
                    allowed = _READ if os.path.isdir(path) else _OF_FILES
                    library.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", allowed, place), 0)
                finally:
                    os.close(place)
        return bool(library.syscall(_RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


def _readable() -> Iterable[str]:
    """Return the folders of modules and libraries that imports and the loader read."""
    library = sysconfig.get_config_var("LIBDIR")
    paths = (*sys.path, sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, library, *_SYSTEM)
    return dict.fromkeys(os.path.realpath(path) for path in paths if path)


# ---- seccomp -------------------------------------------------------------------------------------


def _filter_calls(library: ctypes.CDLL) -> bool:
    """Install a classic BPF filter over system call numbers. A refused call fails with EPERM; the process continues."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    steps = b"".join(_program(*machine))
    body = ctypes.create_string_buffer(steps, len(steps))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    program = Program(len(steps) // 8, ctypes.cast(body, ctypes.c_void_p))
    return bool(library.prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0) == 0)


def _program(audit: int, column: int) -> Iterator[bytes]:
    """Yield the steps of the filter.

    ``seccomp_data`` has the call number at 0, the architecture at 4, arguments from 16.
    """
    refused = [numbers[column] for numbers in _REFUSED.values() if numbers[column] >= 0]
    yield _load(4)
    yield _jump_equal(audit, 1, 0)
    yield _answer(_ERRNO | _EPERM)  # calls of another architecture
    yield _load(0)
    yield _step(0x35, _X32, 0, 1)  # numbers at or above: x86's second system call interface (x32)
    yield _answer(_ERRNO | _EPERM)
    for number in refused:
        yield _jump_equal(number, 0, 1)
        yield _answer(_ERRNO | _EPERM)
    yield _jump_equal(_CLONE3, 0, 1)  # its flags lie in memory, which no filter can read; libraries fall back to clone
    yield _answer(_ERRNO | _ENOSYS)
    yield _jump_equal(_CLONE[column], 0, 3)
    yield _load(16)
    yield _step(0x45, _CLONE_THREAD, 1, 0)  # a thread, not a process
    yield _answer(_ERRNO | _EPERM)
    yield _answer(_ALLOW)


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _load(offset: int) -> bytes:
    return _step(0x20, offset)


def _jump_equal(value: int, yes: int, no: int) -> bytes:
    return _step(0x15, value, yes, no)


def _answer(value: int) -> bytes:
    return _step(0x06, value)


# ---- limits while decoding --------------------------------------------------------------------------


# Limits that can be probed: opening files while decoding; using more memory than allowed; and, for a compromised
# process, reading other files, writing files, using the network, starting programs or accessing processes.
PROBED_LIMITS = ("opening", "memory", "reading", "writing", "network", "programs", "processes")
_gauge: MemoryGauge | None = None


def apply_limits() -> MemoryGauge:
    """Open the files that the limits themselves read, and return the gauge; then apply the sandbox permanently."""
    global _gauge
    _gauge = MemoryGauge()
    apply_sandbox()
    return _gauge


@contextmanager
def allow_files() -> Iterator[None]:
    """Allow opening files within a block, for imports and to receive a descriptor.

    Never used while user bytes are read.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard) if hard > 0 else 256, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def forbid_files() -> None:
    """Forbid opening files and sockets from here on. Open descriptors stay usable."""
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def probe_limits() -> dict[str, bool]:
    """Return for each of ``PROBED_LIMITS`` whether it holds, by trying to break it."""
    import resource

    found = {"opening": not _opens("/", os.O_RDONLY), "memory": False}
    if sys.platform == "linux":  # other systems accept the limit but do not enforce it
        found["memory"] = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    with allow_files():  # lifts the soft limit, as code in a compromised process can
        import socket

        found["reading"] = not _opens("/", os.O_RDONLY)
        temporary = getattr(os, "O_TMPFILE", None)
        found["writing"] = temporary is not None and not _opens("/tmp", temporary | os.O_RDWR)
        found["network"] = _is_refused(lambda: socket.socket().close())
        found["programs"] = _is_refused(lambda: os.execv("/", ["/"]))
        found["processes"] = _is_refused(_fork_and_wait)
    return {name: found[name] for name in PROBED_LIMITS}


def _opens(path: str, flags: int) -> bool:
    try:
        os.close(os.open(path, flags))
    except OSError:
        return False
    return True


def _is_refused(attempt: Callable[[], object]) -> bool:
    """Return True if the kernel refuses the call itself (EPERM), and not only its arguments."""
    try:
        attempt()
    except OSError as error:
        return error.errno == errno.EPERM
    return False


def _fork_and_wait() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


@contextmanager
def memory_limit(size: int) -> Iterator[None]:
    """Allow ``size`` more bytes of address space. Exceeding it raises MemoryError, or ends the process in C code."""
    used = _gauge.address_space() if _gauge is not None and sys.platform == "linux" else 0
    if not used:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = used + size if hard == resource.RLIM_INFINITY else min(used + size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
