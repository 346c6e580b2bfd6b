/*
 * For tests of the session agent behind its gates: each test is a worker that
 * talks to an agent of its own, with a spool of its own and accounts made up
 * here.
 */
#ifndef TESTS_SMTP_AGENT_HOME_H
#define TESTS_SMTP_AGENT_HOME_H

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mailbox/mbox_keeper.h"
#include "privsep/config.h"
#include "privsep/config_table.h"
#include "privsep/log.h"
#include "smtpd/agent.h"
#include "smtpd/deliver.h"
#include "tests/spool_directory.h"

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

#define LOGIN_UID	4711	/* of whoever logs in */

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

static struct config config;
static struct spool spool;
static char place[] = "/tmp/test_smtp_agent.XXXXXX";
static int dir = -1, gate = -1, hint = -1;
static int name_channel = -1;	/* tells the next agent its client's name */
static enum service service = SERVICE_SMTP;
static const char *login = "", *tls = "", *envid = "", *orcpt = "";
static uint32_t ret, notify, facts, uid;
static pid_t pid;
static char text[VERDICT_TEXT_MAX + 1], status[16];

/* What the agent does here without: other processes' business. */

void
agent_confine(const struct agent *agent, enum agent_room room,
    const int *directories, size_t count)
{
	assert_non_null(agent);
	assert_int_equal(room, ROOM_SPOOL);
	assert_true(count == 0 || directories[0] >= 0);
}

const struct companion mailbox_companion;

void
deliver_serve(struct agent *agent)
{
	(void)agent;
	abort();
}

/* In place of the system's: accounts of every kind. */
int
getpwnam_r(const char *name, struct passwd *pw, char *buf, size_t size,
    struct passwd **result)
{
	static const struct {
		const char *name;
		uid_t uid;
	} accounts[] = {
		{ "alice", 1000 }, { "bob", 1001 }, { "Carol", 1002 },
		{ "daemon", 1 }, { "root", 0 }, { "toor", 0 },
		{ "nobody", 65534 }, { "long", 1003 },
		{ "plus+name", 1004 }
	};
	size_t i;

	(void)buf;
	*result = NULL;
	if (strcmp(name, "broken") == 0)
		return EIO;
	if (strcmp(name, "absent") == 0)
		return ENOENT;
	if (strcmp(name, "long") == 0 && size < 5000)
		return ERANGE;
	if (strchr(name, '/') != NULL)
		abort();	/* must never come so far */
	for (i = 0; i < sizeof(accounts) / sizeof(accounts[0]); i++)
		if (strcmp(accounts[i].name, name) == 0) {
			memset(pw, 0, sizeof(*pw));
			pw->pw_uid = accounts[i].uid;
			*result = pw;
		}
	return 0;
}

int
getpwuid_r(uid_t id, struct passwd *pw, char *buf, size_t size,
    struct passwd **result)
{
	if (id != 1000) {
		*result = NULL;
		return id == 4711 ? EIO : 0;
	}
	pw->pw_name = strncpy(buf, "alice", size);
	*result = pw;
	return 0;
}

static void
be_agent(int gate_end, int hint_end, int name_end)
{
	static struct agent agent;

	agent.gate = gate_end;
	agent.hint = hint_end;
	agent.name = name_end;
	agent.config = &config;
	facts_init(&agent.facts);
	agent.facts.session = 42;
	agent.facts.service = service;
	agent.facts.flags = facts;
	if (service_is_local(service))
		agent.facts.uid = uid;
	strlcpy(agent.login, login, sizeof(agent.login));
	agent.login_uid = LOGIN_UID;
	strlcpy(agent.facts.client, "192.0.2.7",
	    sizeof(agent.facts.client));
	strlcpy(agent.facts.local, "192.0.2.1",
	    sizeof(agent.facts.local));
	agent_program.serve(&agent);
	_exit(0);
}

static void
start(void)
{
	int pair[2], hints[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, hints), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		close(pair[0]);
		close(hints[0]);
		be_agent(pair[1], hints[1], name_channel);
	}
	close(pair[1]);
	close(hints[1]);
	gate = pair[0];
	hint = hints[0];
}

static int
setup(void **state)
{
	(void)state;
	service = SERVICE_SMTP;
	login = tls = envid = orcpt = "";
	ret = notify = facts = 0;
	uid = 1000;
	config_default_fixed(&config);
	strlcpy(config.hostname, "mx.here.example",
	    sizeof(config.hostname));
	strlcpy(config.domains[0], "here.example",
	    sizeof(config.domains[0]));
	config.domain_count = 1;
	config.message_size_limit = 1000000;
	memset(strchr(place, '.') + 1, 'X', 6);
	assert_non_null(mkdtemp(place));
	snprintf(config.spool_dir, sizeof(config.spool_dir), "%s/spool",
	    place);
	snprintf(config.aliases, sizeof(config.aliases), "%s/aliases", place);
	assert_int_equal(mkdir(config.spool_dir, 0700), 0);
	assert_int_equal(spool_enter(config.spool_dir, geteuid(), &dir), 0);
	assert_int_equal(spool_make(dir), 0);
	assert_int_equal(spool_open(&spool, dir), 0);
	start();
	return 0;
}

/* The worker goes; the agent must, too, in order, and leave nothing. */
static void
leave(void)
{
	int how;

	if (gate == -1)
		return;
	close(gate);
	close(hint);
	gate = hint = -1;
	assert_int_equal(waitpid(pid, &how, 0), pid);
	assert_int_equal(how, 0);
	assert_int_equal(count_in(spool.incoming, 0), 0);
}

static int
teardown(void **state)
{
	(void)state;
	leave();
	remove_spool(&spool, dir);
	(void)unlink(config.aliases);
	(void)unlink(config.relay_recipients);
	(void)rmdir(config.spool_dir);
	return rmdir(place);
}

/* Wait for the verdict; a descriptor that came, or -1. */
static uint32_t
verdict(uint32_t request, int *fd)
{
	struct message m;
	uint32_t code;
	int got;

	assert_int_equal(message_wait(gate, &m, 1, 60000), 1);
	assert_int_equal(m.type, REPLY_OF(request));
	code = get_u32(&m);
	get_str(&m, status, sizeof(status));
	get_str(&m, text, sizeof(text));
	got = m.nfds > 0 ? get_fd(&m) : -1;
	assert_int_equal(get_end(&m), 0);
	if (fd != NULL)
		*fd = got;
	else
		assert_int_equal(got, -1);
	return code;
}

static uint32_t
mail(const char *helo, uint32_t flags, uint64_t size, const char *path)
{
	struct message m;

	message_begin(&m, REQ_MAIL);
	put_str(&m, helo);
	put_str(&m, tls);
	put_u32(&m, flags);
	put_u64(&m, size);
	put_str(&m, path);
	put_u32(&m, ret);
	put_str(&m, envid);
	assert_int_equal(message_send(gate, &m), 0);
	return verdict(REQ_MAIL, NULL);
}

static void
send_rcpt(uint32_t request, const char *local, const char *domain)
{
	struct message m;

	message_begin(&m, request);
	put_str(&m, local);
	put_str(&m, domain);
	if (request == REQ_RCPT) {
		put_u32(&m, notify);
		put_str(&m, orcpt);
	}
	assert_int_equal(message_send(gate, &m), 0);
}

static uint32_t
rcpt(const char *local, const char *domain)
{
	send_rcpt(REQ_RCPT, local, domain);
	return verdict(REQ_RCPT, NULL);
}

static uint32_t
simple(uint32_t request, int *fd)
{
	struct message m;

	message_begin(&m, request);
	assert_int_equal(message_send(gate, &m), 0);
	return verdict(request, fd);
}

static uint32_t
commit(uint64_t octets)
{
	struct message m;

	message_begin(&m, REQ_COMMIT);
	put_u64(&m, octets);
	assert_int_equal(message_send(gate, &m), 0);
	return verdict(REQ_COMMIT, NULL);
}

/* Down the pipe, then COMMIT. */
static uint32_t
data(const char *content, size_t len)
{
	size_t at;
	ssize_t n;
	int fd;

	assert_int_equal(simple(REQ_DATA, &fd), 354);
	assert_int_not_equal(fd, -1);
	for (at = 0; at < len; at += (size_t)n) {
		n = write(fd, content + at, len - at);
		assert_true(n > 0);
	}
	close(fd);
	return commit(len);
}

static void
begin(void)
{
	assert_int_equal(mail("client.example", MAIL_ESMTP, 0,
	    "bob@there.example"), 250);
	assert_int_equal(rcpt("alice", "here.example"), 250);
}

/* The letter that the hint names. */
static void
hinted(struct letter *letter)
{
	struct spool_name name;
	char hinted_name[SPOOL_NAME_MAX] = "";

	assert_true(recv(hint, hinted_name, sizeof(hinted_name) - 1,
	    MSG_DONTWAIT) > 0);
	assert_int_equal(spool_name_parse(hinted_name, &name), 0);
	assert_int_equal(letter_open(&spool, &name, letter), 0);
	assert_non_null(strstr(text, name.id));
}

/* Nothing may be queued. */
static void
nothing_queued(void)
{
	assert_int_equal(count_in(spool.queue, 0), 0);
	assert_int_equal(count_in(spool.incoming, 0), 0);
}

static void
put_aliases(const char *content)
{
	FILE *f = fopen(config.aliases, "w");

	assert_non_null(f);
	fputs(content, f);
	fclose(f);
	assert_int_equal(chmod(config.aliases, 0644), 0);
	/* A session looks at it at its beginning. */
	leave();
	start();
}

/* What is on disk of the letter that the hint names, after its trace. */
static const char *
stored_letter(char stored[4096])
{
	struct letter l;
	const char *content;

	memset(stored, 0, 4096);
	hinted(&l);
	assert_true(l.length < 4096);
	assert_int_equal(pread(l.fd, stored, l.length, (off_t)l.offset),
	    l.length);
	assert_string_equal(l.envelope.login, login);
	/* Whose it is: by the kernel's word, or login's, or nobody's. */
	assert_int_equal(l.envelope.owner, service == SERVICE_LOCAL ? uid :
	    service_is_submission(service) ? LOGIN_UID : ENVELOPE_NOBODY);
	letter_close(&l);
	/* Of the trace's lines only the first has no blank before it. */
	for (content = strchr(stored, '\n'); content[1] == '\t';
	    content = strchr(content + 1, '\n'))
		;
	return content + 1;
}

/* Anew, with a worker on that service; who logged in is the agent's word. */
static void
serve(enum service which, const char *who)
{
	leave();
	service = which;
	login = who;
	start();
}

#endif
