/* LINK: smtpd/agent smtpd/smtp_gates smtpd/intake smtpd/client_name smtpd/dns_reverse smtpd/dns_reply smtpd/header smtpd/policy smtpd/srs mailbox/sha256 smtpd/idna smtpd/relay_recipients privsep/nss smtpd/trace smtpd/spool smtpd/spool_write smtpd/spool_read smtpd/envelope smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/account smtpd/address smtpd/xtext privsep/config privsep/config_route privsep/facts privsep/gates privsep/log privsep/message wire/utf8 */
/*
 * The session agent of a worker that was taken over and is gone, but has left
 * something behind that keeps channels open: the agent goes, too.
 */
#include <sys/syscall.h>

#include <poll.h>

#include "smtpd/dns.h"
#include "tests/smtp_agent_home.h"

/* The agent ends, although not all that led to it has been closed. */
static void
ends(void)
{
	struct pollfd pfd = { .events = POLLIN };
	int how;

	pfd.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(pfd.fd >= 0);
	if (poll(&pfd, 1, 60000) != 1)
		(void)kill(pid, SIGKILL);
	close(pfd.fd);
	assert_int_equal(waitpid(pid, &how, 0), pid);
	assert_int_equal(how, 0);
	close(hint);
	gate = hint = -1;
	nothing_queued();
}

/*
 * A worker that was taken over dies, and what keeps its pipe open is not the
 * worker: somebody else, or the agent's own channel, in which it was sent.
 */
static void
outlived(void **state)
{
	struct message m;
	int fd;

	(void)state;
	begin();
	assert_int_equal(simple(REQ_DATA, &fd), 354);
	assert_int_equal(write(fd, "abc", 3), 3);
	close(gate);
	ends();
	close(fd);
	start();
	begin();
	assert_int_equal(simple(REQ_DATA, &fd), 354);
	message_begin(&m, REQ_COMMIT);
	put_fd(&m, fd);
	put_fd(&m, gate);
	assert_int_equal(message_send(gate, &m), 0);
	close(fd);
	close(gate);
	ends();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(outlived),
	};

	/* Log lines of what goes wrong on purpose go to nobody. */
	log_init_socket(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return cmocka_run_group_tests_name("test_smtp_agent_gone", tests, NULL,
	    NULL);
}
