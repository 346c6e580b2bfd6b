"""Clients, cheap ones: a fixed dialogue over many connections, one process.

A dialogue is a list of octet strings, each sent when the reply before it is
complete; every reply must begin as expected.  With a context (ssl) it is held
inside TLS, which begins before the greeting.
"""
import select
import socket
import ssl
import time

IP_BIND_ADDRESS_NO_PORT = 24
PATIENCE = 30			# seconds without any progress
NAME = "mx.example.test"	# that a client asks for in TLS


def source(number):
    """Client addresses in turn: some servers bound what comes from one."""
    return "127.0.1.%d" % (1 + number % 20)


def connect(port, number):
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source(number), 0))
    sock.settimeout(PATIENCE)
    sock.connect(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Wrong(Exception):
    """The server said something else than what was to be measured."""


class Busy(Exception):
    """The account's session before this one has not quite ended."""


class Client:
    def __init__(self, sock, steps, ok, context=None):
        self.sock, self.steps, self.ok = sock, steps, ok
        self.at, self.buffer = 0, b""
        self.is_shaking = context is not None
        if context is not None:
            sock.setblocking(False)
            # Without a session of an earlier one: a whole handshake.
            self.sock = context.wrap_socket(sock, server_hostname=NAME,
                                            do_handshake_on_connect=False)
            self._shake()

    def _shake(self):
        try:
            self.sock.do_handshake()
            self.is_shaking = False
        except ssl.SSLWantReadError:
            pass

    def _receive(self):
        """None: of what the server says, nothing is there yet."""
        if self.is_shaking:
            self._shake()
        try:
            return None if self.is_shaking else self.sock.recv(4096)
        except ssl.SSLWantReadError:
            return None

    def heard(self):
        """Input is there; False: the dialogue is over and so is the server."""
        data = self._receive()
        if data is None:
            return True
        if not data:
            if self.at != len(self.steps) + 1:
                raise Wrong("closed after %r" % self.steps[:self.at])
            self.sock.close()
            return False
        self.buffer += data
        if not self._is_whole():
            return True
        if b"[IN-USE]" in self.buffer:
            self.sock.close()
            raise Busy
        if not self.buffer.startswith(self.ok):
            raise Wrong("%r answered %r" % (
                self.steps[self.at - 1][:60] if self.at else b"",
                self.buffer))
        self.buffer = b""
        if self.at < len(self.steps):
            self.sock.sendall(self.steps[self.at])
        self.at += 1
        return True

    def _is_whole(self):
        """POP3: one line.  SMTP: up to a line without a hyphen."""
        if not self.buffer.endswith(b"\n"):
            return False
        last = self.buffer.rfind(b"\n", 0, -1) + 1
        return self.buffer[3:4] != b"-" or self.buffer[last + 3:
                                                       last + 4] != b"-"


POP3_OK = (b"+OK",)
SMTP_OK = (b"2", b"3")


def run(port, dialogue, count, at_a_time, ok, context=None):
    """So many dialogues, each over its own connection; seconds they took.

    dialogue(place, turn) is the turn-th one of one of the at_a_time clients.
    One that comes too early for a maildrop is made up for, but few may.
    """
    begin = time.monotonic()
    poll = select.epoll()
    clients, turns, busy = {}, [0] * at_a_time, 0

    def start(place):
        number = sum(turns)
        if number < count + busy:
            client = Client(connect(port, number),
                            dialogue(place, turns[place]), ok, context)
            client.place = place
            turns[place] += 1
            clients[client.sock.fileno()] = client
            poll.register(client.sock, select.EPOLLIN)
    for place in range(at_a_time):
        start(place)
    while clients:
        ready = poll.poll(PATIENCE)
        if not ready:
            raise Wrong("no answer for %d s; %s waited for" % (
                PATIENCE, [c.steps[c.at - 1][:40] if c.at else b""
                           for c in clients.values()]))
        for fd, _ in ready:
            client = clients[fd]
            try:
                if client.heard():
                    continue
            except Busy:
                busy += 1
                if busy > 2 + count // 50:
                    raise Wrong("too many maildrops in use") from None
            del clients[fd]
            start(client.place)
    poll.close()
    return time.monotonic() - begin


def hold(port, steps, number, ok, context=None):
    """A connection that has got its last reply and stays open."""
    client = Client(connect(port, number), steps, ok, context)
    while client.at <= len(steps):
        if not select.select([client.sock], [], [], PATIENCE)[0]:
            raise Wrong("no answer for %d s" % PATIENCE)
        if not client.heard():
            raise Wrong("closed too early")
    return client.sock
