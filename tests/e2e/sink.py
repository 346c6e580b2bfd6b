"""An SMTP host that takes letters, or does whatever a test wants instead."""
import contextlib
import socket
import ssl
import threading


class Letter:
    def __init__(self, sender, recipients, content, session):
        self.sender = sender
        self.recipients = recipients
        self.content = content
        self.session = session
        self.at = len(session.commands)		# how many came before


class Gone(Exception):
    """The connection is over."""


class Session:
    """One connection: say() a reply, line() the next command."""

    def __init__(self, sock, peer, number):
        self.sock = sock
        self.peer = peer
        self.number = number	# of this sink's connections, from 0
        self.commands = []
        self.is_tls = False
        self.login = None
        self.buffer = b""

    def say(self, text):
        try:
            self.sock.sendall(text.encode("utf-8") + b"\r\n"
                              if isinstance(text, str) else text)
        except OSError:
            raise Gone from None

    def line(self):
        while b"\n" not in self.buffer:
            self.fill()
        line, _, self.buffer = self.buffer.partition(b"\n")
        line = line.rstrip(b"\r").decode("utf-8", "surrogateescape")
        self.commands.append(line)
        return line

    def fill(self):
        try:
            data = self.sock.recv(65536)
        except OSError:
            raise Gone from None
        if not data:
            raise Gone
        self.buffer += data

    def read(self, count):
        while len(self.buffer) < count:
            self.fill()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def content(self):
        while not (self.buffer.startswith(b".\r\n")
                   or b"\r\n.\r\n" in self.buffer):
            self.fill()
        if self.buffer.startswith(b".\r\n"):
            data, self.buffer = b"", self.buffer[3:]
        else:
            at = self.buffer.index(b"\r\n.\r\n") + 2
            data, self.buffer = self.buffer[:at], self.buffer[at + 3:]
        return b"\r\n".join(
            line[1:] if line.startswith(b".") else line
            for line in data.split(b"\r\n"))


class Sink:
    """What it says can be changed: replies[verb] is a reply, or a function
    of (sink, session, line) that gives one, or None to go on as usual."""

    extensions = ("PIPELINING", "SIZE 50000000", "8BITMIME", "DSN",
                  "ENHANCEDSTATUSCODES", "SMTPUTF8")

    def __init__(self, address="192.0.2.2", port=25, context=None,
                 unix=None, **replies):
        self.letters = []
        self.sessions = []
        self.replies = replies
        self.context = context
        self.lock = threading.Lock()
        if unix is not None:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.bind(unix)
            self.sock.listen(100)
            self.port = unix
        else:
            self.sock = socket.create_server(
                (address, port), backlog=100,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET)
            self.port = self.sock.getsockname()[1]
        self.address = address
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        with self.lock:
            sessions = list(self.sessions)
        for session in sessions:
            with contextlib.suppress(OSError):
                session.sock.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                sock, peer = self.sock.accept()
            except OSError:
                return
            with self.lock:
                session = Session(sock, peer, len(self.sessions))
                self.sessions.append(session)
            threading.Thread(target=self._serve, args=(session,),
                             daemon=True).start()

    def _serve(self, session):
        with contextlib.suppress(Gone, OSError, ssl.SSLError):
            self.serve(session)
        with contextlib.suppress(OSError):
            session.sock.close()

    def special(self, session, verb, line, otherwise):
        """Say what is wanted; did that take the place of the usual?"""
        reply = self.replies.get(verb)
        if callable(reply):
            reply = reply(self, session, line)
        if reply is None:
            reply = otherwise
            special = False
        else:
            special = True
        if reply is not None:
            session.say(reply)
        return special

    def greeting(self, session):
        names = [e for e in self.extensions]
        if self.context is not None and not session.is_tls:
            names.append("STARTTLS")
        lines = ["sink.example greets you"] + names
        return "\r\n".join("250%s%s" % (" " if i == len(lines) - 1 else "-", l)
                           for i, l in enumerate(lines))

    def serve(self, session):
        self.special(session, "greeting", "", "220 sink.example ESMTP")
        sender, recipients = None, []
        while True:
            line = session.line()
            verb = line.partition(" ")[0].upper()
            if verb in ("EHLO", "LHLO"):
                self.special(session, verb, line, self.greeting(session))
            elif verb == "STARTTLS":
                if self.special(session, verb, line, "220 2.0.0 go"):
                    continue
                session.sock = self.context.wrap_socket(session.sock,
                                                        server_side=True)
                session.is_tls, session.buffer = True, b""
            elif verb == "AUTH":
                session.login = line
                self.special(session, verb, line, "235 2.7.0 welcome")
            elif verb == "MAIL":
                if not self.special(session, verb, line, "250 2.1.0 ok"):
                    sender, recipients = line, []
            elif verb == "RCPT":
                if not self.special(session, verb, line, "250 2.1.5 ok"):
                    recipients.append(line)
            elif verb == "DATA":
                if self.special(session, verb, line,
                                "354 go on" if recipients
                                else "503 5.5.1 nobody"):
                    continue
                if not recipients:
                    continue
                content = session.content()
                if not self.special(session, "end", line, None):
                    with self.lock:
                        self.letters.append(Letter(sender, recipients,
                                                   content, session))
                    for _ in recipients if "LHLO" in "".join(
                            session.commands[:1]) else (1,):
                        session.say("250 2.0.0 taken")
                sender, recipients = None, []
            elif verb == "RSET":
                sender, recipients = None, []
                self.special(session, verb, line, "250 2.0.0 ok")
            elif verb == "QUIT":
                self.special(session, verb, line, "221 2.0.0 bye")
                return
            else:
                self.special(session, verb, line, "250 2.0.0 ok")
