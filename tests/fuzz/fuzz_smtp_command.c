/* LINK: smtpd/session smtpd/commands smtpd/security smtpd/auth smtpd/parameters smtpd/receive smtpd/bdat smtpd/binary smtpd/mime_type smtpd/stubs smtpd/address smtpd/xtext smtpd/data wire/wire wire/sasl privsep/facts privsep/message privsep/log wire/utf8 */
/*
 * Any octets as a client's whole side of a session: commands, arguments,
 * responses of AUTH, DATA.  The agent is in this process (tests/smtp_agent.h)
 * and aborts when it is asked out of order, or before a login that is due;
 * every reply must be one, and the session must stay sane.  The first octet
 * says in how large pieces the rest arrives, the second on which service, and
 * what TLS and plaintext are there like.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "smtpd/session.h"
#include "tests/smtp_agent.h"
#include "tests/smtp_secure.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct client {
	const uint8_t	*data;
	size_t		 size;
	size_t		 at;
	size_t		 piece;
	char		 line[1024];	/* of a reply, so far */
	size_t		 len;
};

static struct config config;
static struct fake_agent fake;

void
worker_alive(struct worker *w)
{
	(void)w;
}

int
gate_ask(int gate, const struct message *request, struct message *reply,
    uint32_t expected, int maxfds)
{
	struct message copy = *request;
	int to_close, answer;

	(void)gate;
	fake_secure_gate();
	answer = fake_answer(&fake, &copy, reply, &to_close);
	if (answer == -1) {
		errno = EPIPE;
		return -1;
	}
	fake_must(reply->type == expected && reply->nfds <= maxfds);
	return 0;
}

static ssize_t
client_sends(struct wire *wire, void *buf, size_t len)
{
	struct client *from = wire->transport;

	if (len > from->piece)
		len = from->piece;
	if (len > from->size - from->at)
		len = from->size - from->at;
	memcpy(buf, from->data + from->at, len);
	from->at += len;
	return (ssize_t)len;
}

static void
check_line(const char *line, size_t len)
{
	size_t i;

	fake_must(len >= 6 && len <= 512 && line[len - 2] == '\r');
	fake_must(line[0] >= '2' && line[0] <= '5');
	for (i = 0; i < len - 2; i++) {
		fake_must(line[i] >= 32 && line[i] < 127);
		fake_must(i > 2 || (line[i] >= '0' && line[i] <= '9'));
	}
	fake_must(line[3] == ' ' || line[3] == '-');
}

static ssize_t
client_reads(struct wire *wire, const void *buf, size_t len)
{
	struct client *to = wire->transport;
	const char *p = buf;
	size_t i;

	for (i = 0; i < len; i++) {
		fake_must(to->len < sizeof(to->line));
		to->line[to->len++] = p[i];
		if (p[i] == '\n') {
			check_line(to->line, to->len);
			to->len = 0;
		}
	}
	return (ssize_t)len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct session session;
	static struct worker worker;
	static struct client client;
	static const enum service services[] = { SERVICE_SMTP,
	    SERVICE_SUBMISSION, SERVICE_SUBMISSIONS, SERVICE_SUBMISSION };

	if (size < 2)
		return 0;
	signal(SIGPIPE, SIG_IGN);
	strlcpy(config.hostname, "mail.example", sizeof(config.hostname));
	config.message_size_limit = 1000;
	config.idle_timeout = config.login_timeout = 5;
	config.max_errors = 20;
	memset(&fake_secure, 0, sizeof(fake_secure));
	memset(&fake, 0, sizeof(fake));
	fake.content = -1;
	fake.uses_file = 1;
	memset(&client, 0, sizeof(client));
	client.piece = data[0] == 0 ? WIRE_IN_SIZE : data[0];
	client.data = data + 2;
	client.size = size - 2;
	worker.client = worker.gate = worker.master = -1;
	worker.config = &config;
	worker.facts.service = services[data[1] % 4];
	worker.facts.flags = (data[1] & 4) != 0 ? FACT_PLAINTEXT : 0;
	worker.signer = (data[1] & 8) != 0 ? -1 : 9;
	fake_secure.handshake = (data[1] & 16) != 0 ? WIRE_ERROR : WIRE_OK;
	fake_secure.is_needed = service_is_submission(worker.facts.service);
	session_init(&session, &worker);
	session.wire.transport = &client;
	session.wire.transport_read = client_sends;
	session.wire.transport_write = client_reads;
	session_run(&session);
	fake_must(client.len == 0);
	fake_must(session_is_sane(&session));
	fake_must(session.messages == fake.commits);
	fake_must(session.is_logged_in == fake_secure.is_done);
	fake_must(!session.is_logged_in || fake_secure.is_needed);
	fake_must(fake_secure.closes == (unsigned int)session.is_tls);
	fake_must(fake_secure.handshakes <= 1);
	if (fake.content != -1)
		close(fake.content);
	return 0;
}
