"""Who schedules: a run of the queue for cron, and servers beside each other."""
import os
import subprocess
import time

import dnsstub
import postern
from postern import PATIENCE, Smtp
from sink import Sink
from starts import (CLEAN, LETTER, Place, alone, connection,  # noqa: F401
                    run)


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


def test_queue_run_beside_another_server(host):
    """Where we would listen another one may, if it is not we who listen."""
    zone = dnsstub.Zone()
    zone.host("far.example", "192.0.2.1")
    names = dnsstub.Server(zone)
    place = Place("smtpd", "retry-schedule 1s\ntrusted-networks 127.0.0.0/8\n"
                  "dns-server %s@%d\n" % (names.address, names.port))
    place.start()
    with Smtp(place) as smtp:
        assert smtp.mail(LETTER, "b@far.example").code == 250
        smtp.quit()
    place.wait_log("event=deferred")
    assert place.stop() == 0
    with Sink("192.0.2.1") as sink:
        time.sleep(2.2)
        assert run_queue(place, "-o", "listen smtp 192.0.2.1:25") == 0
        assert len(sink.letters) == 1
    names.close()


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
