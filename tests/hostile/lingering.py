"""A descriptor that holds up whoever closes it last."""
import socket
import struct

LINGER = 30		# seconds; whoever waits for it is noticed


def lingering(listener):
    """A socket that is not closed as long as nobody reads at its peer."""
    sock = socket.create_connection(listener.getsockname())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, LINGER))
    sock.setblocking(False)
    try:
        while True:
            sock.send(b"x" * 65536)
    except BlockingIOError:
        return sock
