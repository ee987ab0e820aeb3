"""The way out of the Python engine: packets are written, protected and sent from one block of memory.

Every outgoing packet takes the next free cell of a batch; a full batch, or the end of a fan-out, leaves
with one `sendmmsg`. Where that call is missing every datagram leaves by itself. A destination that the
kernel refuses costs its own packet only; a full socket buffer costs the rest of the batch: audio is better
lost than late.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any

from cffi import FFI

from sfu.engine import Address
from sfu.srtp import memory

CELL_BYTES = 1536

_ffi = FFI()
_ffi.cdef(
    """
    struct iovec { void *iov_base; size_t iov_len; };
    struct msghdr { void *msg_name; unsigned int msg_namelen; struct iovec *msg_iov; size_t msg_iovlen;
                    void *msg_control; size_t msg_controllen; int msg_flags; };
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
    int sendmmsg(int, struct mmsghdr *, unsigned int, int);
    """
)
_libc: Any = _ffi.dlopen(None)


def socket_name(family: int, address: Address) -> Any:
    """The kernel's form of an address, as memory to point to."""
    host, port = address
    if family == socket.AF_INET:
        raw = struct.pack("=H", family) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)
    else:
        raw = struct.pack("=H", family) + struct.pack("!HI", port, 0)
        raw += socket.inet_pton(socket.AF_INET6, host) + bytes(4)
    return _ffi.new("char[]", raw)


class Egress:
    """A batch of outgoing datagrams for one socket."""

    def __init__(self, sock: socket.socket, size: int) -> None:
        self.size, self.count = size, 0
        self.sent = self.added = self.failures = 0
        self._fd = sock.fileno()
        self._messages = _ffi.new("struct mmsghdr[]", size)
        self._vectors = _ffi.new("struct iovec[]", size)
        name_bytes = 16 if sock.family == socket.AF_INET else 28
        self.cells: list[tuple[Any, memoryview, Any, Any]] = []
        for number in range(size):
            raw = memory.new("char[]", CELL_BYTES)
            vector = self._vectors[number]
            vector.iov_base = _ffi.cast("void *", int(memory.cast("uintptr_t", raw)))
            head = self._messages[number].msg_hdr
            head.msg_iov, head.msg_iovlen, head.msg_namelen = self._vectors + number, 1, name_bytes
            self.cells.append((raw, memoryview(memory.buffer(raw)), vector, head))

    def add(self, data: bytes, name: Any) -> None:
        """One finished datagram: a report, or a packet that is sent again."""
        self.added += 1
        if self.count == self.size:
            self.flush()
        _, view, vector, head = self.cells[self.count]
        view[: len(data)] = data
        vector.iov_len = len(data)
        head.msg_name = name
        self.count += 1

    def flush(self) -> None:
        start, end = 0, self.count
        self.count = 0
        while start < end:
            sent = _libc.sendmmsg(self._fd, self._messages + start, end - start, socket.MSG_DONTWAIT)
            if sent > 0:
                start += sent
                self.sent += sent
                continue
            code = _ffi.errno
            if code == errno.EINTR:
                continue
            lost = end - start if code in (errno.EAGAIN, errno.ENOBUFS) else 1
            self.failures += lost
            start += lost
