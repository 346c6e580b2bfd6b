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

PACKAGES = os.path.join(BUILD, "packages")
LETTER = b"Subject: started\r\n\r\n.It was there.\r\n"
CLEAN = {"PATH": "/usr/bin:/bin"}


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


# What is started

class Place(postern.Daemon):
    """Configuration, port and spool of a daemon that others start."""

    count = 0

    def __init__(self, program, conf="", **how):
        Place.count += 1
        if "retry-schedule" not in conf:
            conf += "\nretry-schedule 1s\n"
        super().__init__(program, conf, "start-%d" % Place.count, **how)
        self.path = os.path.join(BUILD, "sbin", program)
        self.command = [self.path, "-i", "-f", self.conf_path]


def ours():
    """Live processes of any daemon's; tests of this file run alone."""
    return [p for p in postern.all_processes()
            if p.exe.startswith(BUILD + "/") and "/packages/" not in p.exe]


def wait_nobody():
    try:
        eventually(lambda: not ours(), "no process left")
    except AssertionError:
        raise AssertionError("left: %s" % ours()) from None


@pytest.fixture(autouse=True)
def alone(host):
    wait_nobody()
    yield
    wait_nobody()


def stop(process):
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


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

def run(place, stdin, *options, program=None, stderr=subprocess.PIPE, **how):
    return subprocess.Popen(
        [program or place.path, *options, "-f", place.conf_path], stdin=stdin,
        stdout=subprocess.DEVNULL, stderr=stderr, env=CLEAN, cwd="/",
        start_new_session=True, **how)


def door(place):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", place.port))
    sock.listen(16)
    return sock


def connection(place):
    """The two ends of a connection to the place's port."""
    with door(place) as sock:
        client = socket.create_connection(("127.0.0.1", place.port),
                                          timeout=PATIENCE)
        return client, sock.accept()[0]


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


def connection_to(port):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        sock.listen(1)
        client = socket.create_connection(("127.0.0.1", port),
                                          timeout=PATIENCE)
        return client, sock.accept()[0]


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


# Sockets of a service manager

def activated(place, socks, names=None, pid=None, options=("-d",)):
    """Started with these sockets as LISTEN_FDS."""
    def place_sockets():
        copies = [os.dup(os.dup2(sock.fileno(), 100 + i))
                  for i, sock in enumerate(socks)]
        for i, copy in enumerate(copies):
            os.dup2(copy, 3 + i)
    script = "LISTEN_PID=%s LISTEN_FDS=%d %s exec %s %s -f %s" % (
        pid or "$$", len(socks),
        "LISTEN_FDNAMES=" + names if names is not None else "", place.path,
        " ".join(options), place.conf_path)
    return subprocess.Popen(
        ["/bin/sh", "-c", script], stdin=subprocess.DEVNULL, env=CLEAN,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/",
        preexec_fn=place_sockets, close_fds=False, start_new_session=True)


def test_named_sockets():
    """Served as they are named, else by port; the file's are not opened."""
    place, other = Place("smtpd"), Place("smtpd")
    with door(place) as one, door(other) as two:
        process = activated(place, (one, two), "odd-name:smtp.socket")
        try:
            for port in (place.port, other.port):
                with Smtp(other if port == other.port else place) as smtp:
                    smtp.quit()
            process.send_signal(signal.SIGHUP)
            time.sleep(1)
            with Smtp(other) as smtp:
                smtp.quit()
        finally:
            stop(process)
        text = process.stderr.read().decode()
        listening = re.findall("event=listening service=(.*) address=(.*)",
                               text)
        assert listening.count(("smtp", "inherited")) == 2
        # But for the sockets of this host, which nobody has given; those are
        # named again when the reload is through.
        assert {service for service, where in listening
                if where != "inherited"} == {"local", "control"}
        assert process.returncode == 0


def test_sockets_of_somebody_else():
    """A LISTEN_PID that is not ours: the sockets are not, either."""
    place = Place("pop3d")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(1)
        process = activated(place, (sock,), "pop3", pid=1)
        place.process = process
        place.wait_ready()
        stop(process)


@pytest.mark.parametrize("names,kind", (
    ("pop3", "tcp"), ("smtp", "unix"), ("smtp", "none")))
def test_wrong_sockets(names, kind):
    place = Place("smtpd")
    if kind == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(place.dir + "/socket")
        sock.listen(1)
    elif kind == "tcp":
        sock = door(place)
    else:
        sock = open("/dev/null", "rb")
    with sock:
        process = activated(place, (sock,), names)
        text = process.communicate(timeout=PATIENCE)[1].decode()
    assert process.returncode == 1
    assert text.startswith("smtpd: LISTEN_FD"), text


# The queue

def put_in_spool(place, user):
    """A letter that waits in the spool, deferred: there is no home."""
    home = postern.home(user)
    os.rename(home, home + ".away")
    place.start()
    with Smtp(place) as smtp:
        assert smtp.mail(LETTER, user).code == 250
        smtp.quit()
    place.wait_log("event=deferred")
    assert place.stop() == 0
    os.rename(home + ".away", home)


def run_queue(place, *options):
    done = subprocess.run([place.path, "-q", "-f", place.conf_path, *options],
                          env=CLEAN, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=PATIENCE)
    assert done.stdout == b""
    return done.returncode


def test_queue_run(user):
    place = Place("smtpd", "retry-schedule 1s")
    put_in_spool(place, user)
    time.sleep(2.2)
    assert run_queue(place) == 0
    assert len(postern.messages(user)) == 1
    assert run_queue(place) == 0		# nothing to do
    assert len(postern.messages(user)) == 1


def test_queue_run_leaves_what_is_not_due(user):
    place = Place("smtpd", "retry-schedule 1h")
    put_in_spool(place, user)
    assert run_queue(place) == 0	# and does not wait for it
    assert postern.messages(user) == []
    assert len(os.listdir(place.spool + "/queue")) == 1


def test_queue_run_that_can_not_be():
    place = Place("smtpd")
    assert run_queue(place, "-o", "libexec-dir /nonexistent") == 75
    assert run_queue(place, "-i") == 2
    assert subprocess.run([Place("pop3d").path, "-q"], env=CLEAN,
                          stderr=subprocess.DEVNULL).returncode == 2


def test_one_scheduler(user):
    """Beside a server -q has nothing to do, and a second server waits."""
    place = Place("smtpd", "retry-schedule 1h")
    second = Place("smtpd", "spool-dir %s\nretry-schedule 1s" % place.spool)
    place.start()
    try:
        assert run_queue(place) == 0
        second.start()
        second.wait_log("event=queue-waits")
        # It accepts a letter all the same, and the first one sees it.
        with Smtp(second) as smtp:
            assert smtp.mail(LETTER, user).code == 250
            smtp.quit()
        postern.wait_messages(user, 1)
        place.wait_log("event=delivered")
        assert not second.log("event=delivered")
        # When the first goes the second takes over.
        assert place.stop() == 0
        second.wait_log("event=queue-begins")
        with Smtp(second) as smtp:
            assert smtp.mail(LETTER, user).code == 250
            smtp.quit()
        postern.wait_messages(user, 2)
    finally:
        for daemon in (place, second):
            if daemon.is_alive():
                daemon.stop()


def test_nowait_beside_a_server(user):
    """inetd's submission beside a server: that one delivers, and soon."""
    place = Place("smtpd", "retry-schedule 1h")
    place.start()
    try:
        beside = Place("smtpd", "spool-dir " + place.spool)
        client, end = connection(beside)
        process = run(beside, end, "-i")
        end.close()
        talk = Smtp.__new__(Smtp)
        talk.sock, talk.buffer = client, b""
        assert talk.reply().code == 220
        talk.expect("EHLO client.example.test", 250)
        assert talk.mail(LETTER, user).code == 250
        talk.expect("QUIT", 221)
        client.close()
        postern.wait_messages(user, 1)
        assert process.wait(PATIENCE) == 0
        assert len(place.wait_log("event=delivered")) == 1
    finally:
        place.stop()


# NOTIFY_SOCKET

@pytest.mark.parametrize("kind", ("path", "abstract"))
@pytest.mark.parametrize("program", ("pop3d", "smtpd"))
def test_notify(program, kind):
    place = Place(program)
    address = place.dir + "/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address if kind == "path" else "\0" + address)
        sock.settimeout(PATIENCE)
        heard = []

        def await_word(word):
            while True:
                heard.append(sock.recv(1000).decode().split("\n"))
                assert all("=" in line for line in heard[-1]), heard
                if any(line.startswith(word) for line in heard[-1]):
                    return heard[-1]
        place.process = subprocess.Popen(
            [place.path, "-d", "-f", place.conf_path],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            env=dict(CLEAN, NOTIFY_SOCKET=address if kind == "path"
                     else "@" + address), start_new_session=True)
        try:
            await_word("READY=1")
            assert len(heard) == 1
            # Ready means ready.
            with Dialogue(place) as talk:
                talk.line()
                await_word("STATUS=1 sessions, 1 served")
            for process in place.processes("login"):
                with open("/proc/%d/environ" % process.pid, "rb") as file:
                    assert file.read() == b""
            place.reload()
            reloading = await_word("RELOADING=1")
            stamp = int(reloading[1].split("MONOTONIC_USEC=")[1])
            assert 0 <= time.monotonic() * 1e6 - stamp < PATIENCE * 1e6
            await_word("READY=1")
            place.reload("no-such-keyword yes\n")
            await_word("RELOADING=1")
            await_word("READY=1")
            place.process.terminate()
            await_word("STOPPING=1")
        finally:
            stop(place.process)
    assert place.process.returncode == 0


@pytest.mark.parametrize("address", ("/nonexistent/socket", "@nobody", "x", "",
                                     "/" + "x" * 200))
def test_notify_nobody(address):
    """A service manager that can't be told is no reason not to serve."""
    place = Place("pop3d")
    place.process = subprocess.Popen(
        [place.path, "-d", "-f", place.conf_path], stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, cwd="/", start_new_session=True,
        env=dict(CLEAN, NOTIFY_SOCKET=address))
    place.wait_ready()
    stop(place.process)
    assert place.process.returncode == 0
