"""A name server that says what a test wants, right or wrong, by UDP and TCP."""
import contextlib
import socket
import socketserver
import struct
import threading

A, CNAME, PTR, MX, AAAA = 1, 5, 12, 15, 28
NXDOMAIN, SERVFAIL = 3, 2


def name(text):
    """A domain name as octets; each label may hold any octet but a dot."""
    out = b""
    for label in text.rstrip(".").encode("latin-1").split(b"."):
        if label:
            out += bytes([len(label)]) + label
    return out + b"\0"


def rdata(kind, value):
    if isinstance(value, bytes):
        return value		# as it is, however odd
    if kind == A:
        return socket.inet_pton(socket.AF_INET, value)
    if kind == AAAA:
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == MX:
        return struct.pack("!H", value[0]) + name(value[1])
    return name(value)


class Zone:
    """zone[name] is {kind: [value, ...]}, or what a function of the query
    makes: the whole packet, or None for no answer."""

    def __init__(self):
        self.names = {}
        self.asked = []
        self.ttl = 1

    def add(self, owner, kind, *values):
        self.names.setdefault(owner.lower(), {}).setdefault(kind, []).extend(
            values)

    def host(self, owner, *addresses):
        for address in addresses:
            self.add(owner, AAAA if ":" in address else A, address)

    def mail(self, domain, *exchangers):
        """Each (preference, host)."""
        self.add(domain, MX, *exchangers)

    def odd(self, owner, function):
        self.names[owner.lower()] = function

    def records(self, owner, kind):
        """[(owner, kind, value)] of an answer, through CNAMEs; or None."""
        found = []
        for _ in range(30):
            here = self.names.get(owner)
            if here is None:
                return found or None
            if CNAME in here and kind != CNAME:
                found.append((owner, CNAME, here[CNAME][0]))
                owner = here[CNAME][0].rstrip(".").lower()
                continue
            return found + [(owner, kind, value)
                            for value in here.get(kind, [])]
        return found

    def answer(self, query, tcp=False):
        ident, flags, _, _, _, _ = struct.unpack("!6H", query[:12])
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        question = query[12:at + 5]
        kind, = struct.unpack("!H", query[at + 1:at + 3])
        owner = ".".join(labels).lower()
        self.asked.append((owner, kind))
        here = self.names.get(owner)
        if callable(here):
            return here(query, owner, kind, tcp)
        return self.packet(ident, flags, question, owner, kind)

    def packet(self, ident, flags, question, owner, kind):
        records = self.records(owner, kind)
        code = NXDOMAIN if records is None else 0
        body = b""
        for each, kind, value in records or ():
            data = rdata(kind, value)
            body += name(each) + struct.pack("!HHIH", kind, 1, self.ttl,
                                             len(data)) + data
        return struct.pack("!6H", ident, 0x8180 | flags & 0x0100 | code, 1,
                           len(records or ()), 0, 0) + question + body


def fails(query, *_):
    """SERVFAIL."""
    return (query[:2] + struct.pack("!5H", 0x8180 | SERVFAIL, 1, 0, 0, 0)
            + query[12:])


def silent(*_):
    return None


class Server:
    """Serves a zone on an address until close()."""

    def __init__(self, zone, address="127.0.0.1", port=0):
        stub = self
        self.zone = zone

        class Udp(socketserver.BaseRequestHandler):
            def handle(self):
                query, sock = self.request
                reply = stub.reply(query, False)
                if reply is not None and len(reply) > 1232:
                    # Truncated: come again by TCP.
                    reply = reply[:2] + struct.pack(
                        "!5H", 0x8380, 1, 0, 0, 0) + query[12:]
                if reply is not None:
                    with contextlib.suppress(OSError):	# the end, meanwhile
                        sock.sendto(reply, self.client_address)

        class Tcp(socketserver.StreamRequestHandler):
            def handle(self):
                while True:
                    head = self.rfile.read(2)
                    if len(head) < 2:
                        return
                    query = self.rfile.read(struct.unpack("!H", head)[0])
                    reply = stub.reply(query, True)
                    if reply is None:
                        return
                    self.wfile.write(struct.pack("!H", len(reply)) + reply)

        class UdpServer(socketserver.ThreadingUDPServer):
            daemon_threads = True

        class TcpServer(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.udp = UdpServer((address, port), Udp)
        self.port = self.udp.server_address[1]
        self.tcp = TcpServer((address, self.port), Tcp)
        self.address = address
        for server in (self.udp, self.tcp):
            threading.Thread(target=server.serve_forever,
                             kwargs={"poll_interval": 0.02},
                             daemon=True).start()

    def reply(self, query, tcp):
        try:
            return self.zone.answer(query, tcp)
        except (IndexError, struct.error):
            return None

    def close(self):
        for server in (self.udp, self.tcp):
            server.shutdown()
            server.server_close()
