/* LINK: pop3d/session pop3d/login pop3d/commands pop3d/maildrop pop3d/stubs pop3d/transaction pop3d/retrieve pop3d/content pop3d/surrogate pop3d/capabilities pop3d/agent pop3d/policy mailbox/state mailbox/path wire/utf8 wire/octets wire/mbox_filter wire/wire wire/sasl privsep/message privsep/gates privsep/log privsep/facts */
/*
 * fuzz_pop3_command: a whole session, the input being all that a client says;
 * agent and gates are the real ones.  Invariants: the gates' table allows
 * whatever the worker asks (the stand-in aborts otherwise), the session ends,
 * replies are lines, deletion only after QUIT, no descriptor is left, no secret
 * goes to login that came in the clear against the rule, and no handshake has
 * anything in front of it.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "pop3d/session.h"
#include "tests/unit/pop3_fake.h"

int	LLVMFuzzerInitialize(int *, char ***);
int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char *contents[] = { "h: 1\n\n.b\n", "", "x\r\n\r\ny", "\n" };

static struct session session;
static struct config config;

struct client {
	const uint8_t	*p;
	size_t		 len;
	uint64_t	 out;	/* octets heard */
	uint8_t		 last;
};
static struct client client;

static ssize_t
client_read(struct wire *w, void *buf, size_t len)
{
	size_t n = client.len < len ? client.len : len;

	(void)w;
	/* In pieces of some sizes, so that lines are split. */
	if (n > 1)
		n = n % 61 + 1 < n ? n % 61 + 1 : n;
	memcpy(buf, client.p, n);
	client.p += n;
	client.len -= n;
	return (ssize_t)n;
}

static ssize_t
client_write(struct wire *w, const void *buf, size_t len)
{
	(void)w;
	client.out += len;
	client.last = ((const uint8_t *)buf)[len - 1];
	return (ssize_t)len;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	config.login_timeout = FAKE_TIMEOUT;
	snprintf(config.hostname, sizeof(config.hostname), "mail.example");
	/* No socket: the log goes nowhere. */
	log_init_socket(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return 0;
}

/* The lowest free descriptor says whether one was forgotten. */
static int
lowest_free(void)
{
	int fd = dup(0);

	if (fd == -1)
		abort();
	close(fd);
	return fd;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct worker worker = { .client = -1, .gate = -1, .master = -1,
	    .config = &config };
	int before;

	if (size < 1)
		return 0;
	before = lowest_free();
	fake_begin(contents, sizeof(contents) / sizeof(contents[0]));
	worker.facts.session = 1;
	worker.facts.flags = data[0] & 1 ? FACT_PLAINTEXT : 0;
	fake.is_plaintext_allowed = data[0] & 1;
	worker.signer = data[0] & 4 ? 100 : -1;
	worker.facts.service = data[0] & 8 ? SERVICE_POP3S : SERVICE_POP3;
	if (data[0] & 16)
		fake.tls_status = WIRE_ERROR;
	if (data[0] & 2)
		fake.fetch_errno = EIO;
	client = (struct client){ .p = data + 1, .len = size - 1 };
	session_begin(&session, &worker);
	session.wire.transport_read = client_read;
	session.wire.transport_write = client_write;
	session_run(&session);
	if (!session.is_over || session.ended == NULL)
		abort();
	/* In silence only when TLS did not come before the greeting. */
	if (client.last != '\n' && (client.out > 0 ||
	    worker.facts.service != SERVICE_POP3S || fake.is_tls))
		abort();
	if (fake.done->expunges > 0 && strcmp(session.ended, "quit") != 0)
		abort();
	fake_end();
	if (lowest_free() != before)
		abort();
	return 0;
}
