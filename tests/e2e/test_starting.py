"""Every way in which a Unix host starts a server.

Real superservers (openbsd-inetd and xinetd, unpacked and not installed;
systemd-socket-activate) start real daemons; a letter goes in by SMTP and comes
out by POP3.
"""
import concurrent.futures
import glob
import os
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest

import postern
from postern import BUILD, PATIENCE, Dialogue, Pop, Smtp, eventually
from starts import (CLEAN, LETTER, Place, alone, connection,  # noqa: F401
                    connection_to, door, ours, run, stop, wait_nobody)

PACKAGES = os.path.join(BUILD, "packages")


def unpacked(program):
    """The path of a program, unpacked or installed; None: neither."""
    for name in ("usr/sbin/", "usr/bin/", "bin/"):
        found = glob.glob(PACKAGES + "/*/" + name + program)
        if found:
            return found[0]
        if os.path.exists("/" + name + program):
            return "/" + name + program
    return None


def libraries():
    folders = {os.path.dirname(path) for pattern in (
        "/*/usr/lib/*/*.so.*", "/*/lib/*/*.so.*", "/*/usr/lib/*/systemd/*.so")
        for path in glob.glob(PACKAGES + pattern)}
    return dict(CLEAN, LD_LIBRARY_PATH=":".join(sorted(folders)))


def needed(program):
    path = unpacked(program)
    if path is None:
        pytest.skip("%s could not be fetched" % program)
    done = subprocess.run(["ldd", path], env=libraries(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if "not found" in done.stdout:
        pytest.skip("%s lacks libraries: %s" % (program, done.stdout))
    return path


def write_inetd(wait, places):
    path = places[0].dir + "/inetd.conf"
    postern.write(path, "".join(
        "127.0.0.1:%d stream tcp %s root %s %s\n" % (
            place.port, "wait" if wait else "nowait.10000", place.path,
            " ".join([place.program] + place.command[1:]))
        for place in places))
    return path


def start_inetd(wait, places):
    return subprocess.Popen(
        [needed("inetd"), "-i", write_inetd(wait, places)], env=libraries(),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True)


def start_xinetd(wait, places):
    # A host may have none of its own; xinetd asks what "tcp" is.
    postern.write("/etc/protocols", "tcp 6 TCP\n")
    path = places[0].dir + "/xinetd.conf"
    postern.write(path, "defaults\n{\n\tlog_type = FILE /dev/null\n}\n"
                  + "".join("""service test-%(program)s
{
	type = UNLISTED
	port = %(port)d
	bind = 127.0.0.1
	socket_type = stream
	protocol = tcp
	wait = %(wait)s
	user = root
	server = %(path)s
	server_args = %(arguments)s
	instances = UNLIMITED
	per_source = UNLIMITED
	cps = 10000 1
	disable = no
}
""" % dict(program=place.program, port=place.port, path=place.path,
           wait="yes" if wait else "no",
           arguments=" ".join(place.command[1:])) for place in places))
    return subprocess.Popen(
        [needed("xinetd"), "-dontfork", "-stayalive", "-f", path, "-pidfile",
         places[0].dir + "/xinetd.pid"], env=libraries(), cwd="/",
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True)


def activate(place, *options, arguments=("-d",)):
    return subprocess.Popen(
        [needed("systemd-socket-activate"), "-l", "127.0.0.1:%d" % place.port,
         *options, place.path, *arguments, "-f", place.conf_path],
        env=libraries(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True)


class Started:
    """Both daemons, started in one of the ways, until the end of a with."""

    def __init__(self, way, conf=""):
        self.way = way
        conf += "idle-timeout 4s\n" if way.endswith(" wait") else ""
        self.smtpd = Place("smtpd", conf)
        self.pop3d = Place("pop3d", conf)
        self.processes = []

    def __enter__(self):
        places = (self.smtpd, self.pop3d)
        kind, _, how = self.way.partition(" ")
        if self.way == "alone":
            self.processes = [place.start().process for place in places]
        elif kind == "inetd":
            self.processes = [start_inetd(how == "wait", places)]
        elif kind == "xinetd":
            self.processes = [start_xinetd(how == "wait", places)]
        elif how == "listening":
            self.processes = [activate(p, "--fdname=" + p.service)
                              for p in places]
        else:
            self.processes = [activate(p, "-a") for p in places]
        eventually(lambda: all(map(is_open, places)), "both ports are open")
        return self

    def __exit__(self, *exc):
        for process in self.processes:
            stop(process)


def is_open(place):
    """Does somebody listen there?  Without connecting, which would count."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        return any(":%04X " % place.port in line.split("0A")[0]
                   for line in file if " 0A " in line)


WAYS = ("alone", "inetd nowait", "inetd wait", "xinetd nowait", "xinetd wait",
        "systemd listening", "systemd accepting")


@pytest.mark.parametrize("way", WAYS)
def test_round_trip(way, user):
    """In by SMTP, out by POP3; in the end nothing is left."""
    with Started(way) as host:
        with Smtp(host.smtpd) as smtp:
            assert smtp.mail(LETTER, user).code == 250
            smtp.quit()
        postern.wait_messages(user, 1)
        pop = Pop(host.pop3d, user)
        assert postern.split_trace(pop.retr(1))[1] == LETTER
        pop.ok("DELE 1")
        assert pop.quit().startswith("+OK")
        assert postern.message_files(user) == []
        if "nowait" in way or way == "systemd accepting":
            wait_nobody()
    # Only in the background is there a pid file.
    assert not glob.glob(host.smtpd.run_dir + "/*.pid")


@pytest.mark.parametrize("way", ("inetd nowait", "xinetd nowait"))
def test_many_at_once_nowait(way, users):
    """Several servers, one spool: each letter is delivered, and once."""
    names = users(4)

    def send(host, number):
        with Smtp(host.smtpd) as smtp:
            for letter in range(3):
                reply = smtp.mail(b"Subject: %d.%d\r\n\r\nx\r\n" % (
                    number, letter), *names)
                assert reply.code == 250, reply
            smtp.quit()
    with Started(way) as host:
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            for result in [pool.submit(send, host, number)
                           for number in range(12)]:
                result.result()
        for name in names:
            found = postern.wait_messages(name, 36)
            subjects = sorted(re.search(rb"Subject: (\S+)", letter).group(1)
                              for letter in found)
            assert len(set(subjects)) == 36
        eventually(lambda: not ours(), "all servers have ended")
    assert os.listdir(host.smtpd.spool + "/queue") == []


# inetd's part played here

@pytest.mark.parametrize("program", ("pop3d", "smtpd"))
def test_not_a_socket(program):
    place = Place(program)
    for kind in ("file", "unix", "udp", "fresh"):
        with open("/dev/null", "rb") as null, socket.socket(
                {"unix": socket.AF_UNIX}.get(kind, socket.AF_INET),
                {"udp": socket.SOCK_DGRAM}.get(kind,
                                               socket.SOCK_STREAM)) as sock:
            done = run(place, null if kind == "file" else sock, "-i")
            text = done.communicate(timeout=PATIENCE)[1].decode()
        assert done.returncode == 1
        assert re.match(program + ": -i: descriptor 0: .*socket", text), text


@pytest.mark.parametrize("options,conf", (
    (("-i",), "no-such-keyword yes\n"), (("-i", "-d"), "prefork 0\n"),
    (("-i", "-x"), ""), (("-i",), "worker-user nobody-of-that-name\n"),
    (("-i",), "libexec-dir /nonexistent\n")))
def test_refusal_when_the_start_fails(options, conf):
    """A client hears the protocol's refusal, and no word of diagnosis."""
    for program, refusal in (("pop3d", b"-ERR [SYS/TEMP] "),
                             ("smtpd", b"421 4.3.2 ")):
        place = Place(program, conf)
        client, end = connection(place)
        process = run(place, end, *options, stderr=end)
        end.close()
        heard = b""
        while data := client.recv(1000):
            heard += data
        assert process.wait(PATIENCE) in (1, 2)
        assert heard == b"" if "-x" in options else (
            heard.startswith(refusal) and heard.count(b"\n") == 1), heard
        client.close()


def test_refusal_when_waiting():
    """Who waits for a server that can't start is not left to another one."""
    place = Place("pop3d", "libexec-dir /nonexistent\n")
    with door(place) as sock, socket.create_connection(
            ("127.0.0.1", place.port), timeout=PATIENCE) as client:
        process = run(place, sock, "-i", stderr=sock)
        assert client.recv(1000).startswith(b"-ERR [SYS/TEMP]")
        assert process.wait(PATIENCE) == 1


def test_nowait_sees_the_peer(user):
    """The address of the client is that of the connection."""
    place = Place("smtpd", "plaintext-login loopback\n")
    for family, address in ((socket.AF_INET, "127.0.0.1"),
                            (socket.AF_INET6, "::ffff:127.0.0.1")):
        with socket.socket(family) as sock, socket.socket(family) as client:
            sock.bind((address, 0))
            sock.listen(1)
            client.settimeout(PATIENCE)
            client.connect(sock.getsockname())
            end = sock.accept()[0]
            process = run(place, end, "-i")
            end.close()
            talk = Smtp.__new__(Smtp)
            talk.sock, talk.buffer = client, b""
            assert talk.reply().code == 220
            talk.expect("EHLO client.example.test", 250)
            assert talk.mail(LETTER, user).code == 250
            talk.expect("QUIT", 221)
            assert process.wait(PATIENCE) == 0
            assert process.stderr.read() == b""
    for letter in postern.wait_messages(user, 2):
        assert b"[127.0.0.1]" in letter, letter


# Which service it is

def unverified(client):
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made.wrap_socket(client)


@pytest.mark.parametrize("program,service,port", (
    ("pop3d", None, 110), ("pop3d", None, 995), ("smtpd", None, 25),
    ("smtpd", None, 587), ("smtpd", None, 465), ("pop3d", "pop3s", 110),
    ("pop3d", "pop3", 995), ("smtpd", "pop3s", 25), ("pop3d", None, 2110),
    ("smtpd", "submissions", 2465)))
def test_service_of_a_port(program, service, port):
    """By inetd-service, if it is one of ours, or by the port."""
    place = Place(program)
    client, end = connection_to(port)
    process = run(place, end, "-i", *(
        ("-o", "inetd-service " + service) if service else ()))
    end.close()
    is_tls = service in ("pop3s", "submissions") and (
        (service == "pop3s") == (program == "pop3d")) or (
        service is None and port in (995, 465))
    if is_tls:
        client = unverified(client)
    talk = Dialogue.__new__(Dialogue)
    talk.sock, talk.buffer = client, b""
    assert talk.line().startswith(b"+OK" if program == "pop3d" else b"220 ")
    if program == "smtpd" and not is_tls:
        # A submission in the clear wants a login before mail.
        talk.say("EHLO client.example.test")
        while talk.line()[3:4] == b"-":
            pass
        talk.say("MAIL FROM:<sender@example.test>")
        assert talk.line().startswith(b"530 " if port == 587 else b"250 ")
    talk.say("QUIT")
    talk.line()
    assert process.wait(PATIENCE) == 0
    client.close()


def test_refusal_under_tls():
    """Where TLS comes first the refusal is an alert, not a line."""
    client, end = connection_to(995)
    process = run(Place("pop3d", "no-such-keyword yes\n"), end, "-i")
    end.close()
    assert client.recv(100) == b"\x15\x03\x01\x00\x02\x02\x50"
    assert process.wait(PATIENCE) == 1
    client.close()


def test_wait_ends_when_idle():
    """One that nobody needs ends; who came meanwhile gets the next one."""
    place = Place("pop3d", "idle-timeout 5s\n")
    with door(place) as sock:
        process = run(place, sock, "-i")
        with Pop(place) as pop:
            pop.ok("CAPA")
            time.sleep(1)
            with Pop(place) as second:
                second.quit()
            pop.body()
            pop.quit()
            ended = time.monotonic()
        assert process.wait(PATIENCE) == 0
        assert time.monotonic() - ended > 0.9
        late = socket.create_connection(("127.0.0.1", place.port),
                                        timeout=PATIENCE)
        process = run(place, sock, "-i")
        assert late.recv(3) == b"+OK"
        late.close()
        assert process.wait(PATIENCE) == 0


def test_wait_delivers(user):
    """In wait mode letters go out while it serves, and before it ends."""
    place = Place("smtpd", "idle-timeout 8s\n")
    with door(place) as sock:
        process = run(place, sock, "-i")
        with Smtp(place) as smtp:
            assert smtp.mail(LETTER, user).code == 250
            postern.wait_messages(user, 1)
            assert smtp.mail(LETTER, user).code == 250
            smtp.quit()
        postern.wait_messages(user, 2)
        process.send_signal(signal.SIGHUP)
        with Smtp(place) as smtp:
            assert smtp.mail(LETTER, user).code == 250
            smtp.quit()
        postern.wait_messages(user, 3)
        assert process.wait(PATIENCE) == 0
