"""Dialogues with a server, spoken line by line as the protocol has them."""
import re
import socket

# Seconds for what should be at once: only a fault takes so long, or a host
# that has much else to do.
PATIENCE = 90


def password(name):
    """That each account of the tests has."""
    return "secret-of-" + name


class Ended(AssertionError):
    """The server closed the connection where it should have spoken."""


class Dialogue:
    """A connection, spoken line by line; CR LF is checked on the way in."""

    def __init__(self, daemon, source=None, address=None):
        self.sock = daemon.connect(source, address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes)
                          else data.encode("latin-1"))

    def say(self, line):
        self.send((line if isinstance(line, bytes)
                   else line.encode("latin-1")) + b"\r\n")

    def fill(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return len(data) > 0

    def line(self, is_reply=True):
        """The next line; only a line of somebody's mail may hold CR or NUL."""
        while b"\n" not in self.buffer:
            if not self.fill():
                raise Ended("closed by the server after %r" % self.buffer)
        line, self.buffer = self.buffer.split(b"\n", 1)
        assert line.endswith(b"\r"), "line end without CR: %r" % line
        if is_reply:
            assert b"\r" not in line[:-1] and b"\0" not in line, line
        return line[:-1]

    def is_closed(self, seconds=None):
        """Does the server close, without another octet?"""
        self.sock.settimeout(seconds or PATIENCE)
        try:
            return self.buffer == b"" and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False

    def data_segments(self):
        """TCP segments with data received so far (struct tcp_info)."""
        info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
        return int.from_bytes(info[152:156], "little")

    def drop(self):
        """Vanish with a reset, as a machine that lost its line."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Pop(Dialogue):
    def __init__(self, daemon, user=None, source=None, address=None):
        super().__init__(daemon, source, address)
        self.greeting = self.line().decode("latin-1")
        if user is not None:
            assert self.ok("USER " + user)
            assert self.ok("PASS " + password(user))

    def cmd(self, line):
        """Say it; the reply's (first) line."""
        self.say(line)
        return self.line().decode("latin-1")

    def status(self, line):
        reply = self.cmd(line)
        assert re.match(r"(\+OK|-ERR)( |$)", reply), reply
        return reply[0]

    def ok(self, line):
        reply = self.cmd(line)
        assert reply.startswith("+OK"), "%s: %s" % (line, reply)
        return reply

    def err(self, line):
        reply = self.cmd(line)
        assert reply.startswith("-ERR"), "%s: %s" % (line, reply)
        return reply

    def body(self):
        """The lines of a multi-line reply, unstuffed."""
        lines = []
        while True:
            line = self.line(is_reply=False)
            if line == b".":
                return lines
            if line.startswith(b"."):
                line = line[1:]
            lines.append(line)

    def multi(self, line):
        self.ok(line)
        return self.body()

    def retr(self, number):
        """The message as octets, CR LF line ends."""
        return b"".join(line + b"\r\n" for line in
                        self.multi("RETR %d" % number))

    def list(self):
        return [tuple(int(x) for x in line.split())
                for line in self.multi("LIST")]

    def uidl(self):
        return [line.decode("ascii").split(" ")[1]
                for line in self.multi("UIDL")]

    def stat(self):
        words = self.ok("STAT").split(" ")
        return int(words[1]), int(words[2])

    def quit(self):
        reply = self.cmd("QUIT")
        assert self.is_closed()
        self.close()
        return reply


class Reply:
    def __init__(self, code, lines):
        self.code, self.lines = code, lines
        self.text = "\n".join(lines)
        match = re.match(r"([245])\.(\d{1,3})\.(\d{1,3})(?: |$)", lines[0])
        self.status = match.group(0).strip() if match else None

    def __repr__(self):
        return "%d %s" % (self.code, self.text)


class Smtp(Dialogue):
    def __init__(self, daemon, hello="EHLO client.example.test", source=None,
                 address=None):
        super().__init__(daemon, source, address)
        self.greeting = self.reply()
        if hello is not None and self.greeting.code == 220:
            self.expect(hello, 250)

    def reply(self):
        lines = []
        while True:
            line = self.line().decode("latin-1")
            assert len(line) <= 510, "over-long reply: %r" % line
            match = re.match(r"([2-5][0-9][0-9])([ -])(.*)$", line)
            assert match, "no reply: %r" % line
            lines.append((int(match.group(1)), match.group(3)))
            if match.group(2) == " ":
                break
        codes = set(code for code, _ in lines)
        assert len(codes) == 1, lines
        return Reply(codes.pop(), [text for _, text in lines])

    def cmd(self, line):
        self.say(line)
        return self.reply()

    def expect(self, line, *codes):
        reply = self.cmd(line)
        assert reply.code in codes, "%s: %r" % (line, reply)
        return reply

    def envelope(self, *users, sender="sender@example.test"):
        self.expect("MAIL FROM:<%s>" % sender, 250)
        for user in users:
            self.expect("RCPT TO:<%s>" % (
                user if "@" in user else user + "@example.test"), 250)

    def mail(self, content, *users, sender="sender@example.test"):
        """A whole transaction; the reply to its data."""
        self.envelope(*users, sender=sender)
        self.expect("DATA", 354)
        self.send(stuff(content))
        return self.reply()

    def quit(self):
        reply = self.expect("QUIT", 221)
        assert self.is_closed()
        self.close()
        return reply


def stuff(content):
    """Content (CR LF line ends) as it is sent after DATA."""
    if content.startswith(b"."):
        content = b"." + content
    content = content.replace(b"\r\n.", b"\r\n..")
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    return content + b".\r\n"
