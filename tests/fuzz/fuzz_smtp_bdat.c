/* LINK: smtpd/session smtpd/commands smtpd/security smtpd/auth smtpd/parameters smtpd/receive smtpd/bdat smtpd/binary smtpd/mime_type smtpd/stubs smtpd/address smtpd/xtext smtpd/data wire/wire wire/sasl privsep/facts privsep/message privsep/log wire/utf8 */
/*
 * BDAT's framing against a slow model (tests/smtp_bdat_model.h): the input is
 * pieces of content, and now and then another command between them, as one
 * stream that arrives in segments of any size.  Each reply must be the one that
 * the model expects, and so must the sum of what the agent got.
 */
#include <sys/socket.h>

#include <errno.h>
#include <signal.h>

#include "smtpd/session.h"
#include "tests/smtp_agent.h"
#include "tests/smtp_bdat_model.h"
#include "tests/smtp_secure.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define OPERATIONS	18	/* fewer than the errors of a session */
#define PIECE_MAX	255
#define STREAM_MAX	(OPERATIONS * (PIECE_MAX + 100))
#define EXPECTED_MAX	(OPERATIONS * 80)

static struct config config;
static struct fake_agent fake;
static uint8_t stream[STREAM_MAX];
static size_t stream_len, stream_at, segment;
static char expected[EXPECTED_MAX], said[EXPECTED_MAX * 2];
static size_t said_len;

/* The model's transaction. */
static uint8_t content[OPERATIONS * PIECE_MAX + 1];
static size_t content_len;
static int is_open;

void
worker_alive(struct worker *w)
{
	(void)w;
}

int
gate_ask(int gate, const struct message *request, struct message *reply,
    uint32_t type, int maxfds)
{
	struct message copy = *request;
	int to_close;

	(void)gate;
	fake_must(fake_answer(&fake, &copy, reply, &to_close) != -1);
	fake_must(reply->type == type && reply->nfds <= maxfds);
	return 0;
}

static ssize_t
client_sends(struct wire *wire, void *buf, size_t len)
{
	(void)wire;
	if (len > segment)
		len = segment;
	if (len > stream_len - stream_at)
		len = stream_len - stream_at;
	memcpy(buf, stream + stream_at, len);
	stream_at += len;
	return (ssize_t)len;
}

static ssize_t
client_reads(struct wire *wire, const void *buf, size_t len)
{
	(void)wire;
	fake_must(len < sizeof(said) - said_len);
	memcpy(said + said_len, buf, len);
	said_len += len;
	return (ssize_t)len;
}

static void
say(const char *text)
{
	memcpy(stream + stream_len, text, strlen(text));
	stream_len += strlen(text);
}

static void
expect(const char *text)
{
	fake_must(strlcat(expected, text, sizeof(expected)) <
	    sizeof(expected));
}

static void
expect_content(void)
{
	static uint8_t out[sizeof(content)];
	uint32_t sum = 2166136261U;
	size_t i, n = model_content(content, content_len, out);
	char line[80];

	for (i = 0; i < n; i++)
		sum = (sum ^ out[i]) * 16777619U;
	snprintf(line, sizeof(line), "250 octets=%zu sum=%08x\n", n, sum);
	expect(line);
}

static void
piece(const uint8_t *data, size_t len, int is_last)
{
	char line[32];

	snprintf(line, sizeof(line), "BDAT %zu%s\r\n", len,
	    is_last ? " LAST" : "");
	say(line);
	memcpy(stream + stream_len, data, len);
	stream_len += len;
	if (!is_open) {
		expect("503\n");
		return;
	}
	memcpy(content + content_len, data, len);
	content_len += len;
	if (model_is_faulty(content, content_len, is_last))
		expect("554\n");
	else if (is_last)
		expect_content();
	else {
		expect("250\n");
		return;
	}
	is_open = 0;
}

static void
command(int which)
{
	switch (which) {
	case 0:
		say("RSET\r\n");
		expect("250\n");
		is_open = 0;
		break;
	case 1:
		say("NOOP\r\n");
		expect("250\n");
		break;
	default:
		say("RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
		expect("250\n250\n250\n");
		is_open = 1;
		content_len = 0;
		break;
	}
}

/* The replies, as the model writes them. */
static void
compare(void)
{
	char *line, *end, *sum, *at = expected;
	size_t n;

	said[said_len] = '\0';
	for (line = said; *line != '\0'; line = end + 2) {
		end = strstr(line, "\r\n");
		fake_must(end != NULL);
		*end = '\0';
		if (strncmp(line, "220", 3) == 0 || line[3] == '-' ||
		    strcmp(line, "250 HELP") == 0)
			continue;
		line[3] = '\0';
		if ((sum = strstr(line + 4, "octets=")) != NULL) {
			line[3] = ' ';
			*strstr(sum, " recipients") = '\0';
			memmove(line + 4, sum, strlen(sum) + 1);
		}
		n = strlen(line);
		fake_must(strncmp(at, line, n) == 0 && at[n] == '\n');
		at += n + 1;
	}
	fake_must(*at == '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct session session;
	static struct worker worker;
	size_t n;
	int i;

	if (size < 1)
		return 0;
	signal(SIGPIPE, SIG_IGN);
	strlcpy(config.hostname, "mail.example", sizeof(config.hostname));
	config.message_size_limit = 1000;
	config.idle_timeout = config.login_timeout = 5;
	config.max_errors = 20;
	memset(&fake, 0, sizeof(fake));
	fake.content = -1;
	fake.uses_file = 1;
	stream_len = stream_at = said_len = content_len = 0;
	expected[0] = '\0';
	is_open = 0;
	segment = data[0] == 0 ? WIRE_IN_SIZE : data[0];
	say("EHLO c\r\n");
	command(2);
	for (data++, size--, i = 0; size > 0 && i < OPERATIONS - 2; i++) {
		int what = data[0] % 8;

		if (what > 4) {
			command(what - 5);
			data++;
			size--;
			continue;
		}
		n = size > 1 ? data[1] : 0;
		if (n + 2 > size)
			n = size > 2 ? size - 2 : 0;
		piece(data + (size > 1 ? 2 : 1), n, what == 0);
		n += size > 1 ? 2 : 1;
		data += n;
		size -= n;
	}
	worker.client = worker.gate = worker.master = worker.signer = -1;
	worker.config = &config;
	worker.facts.service = SERVICE_SMTP;
	session_init(&session, &worker);
	session.wire.transport_read = client_sends;
	session.wire.transport_write = client_reads;
	session_run(&session);
	compare();
	fake_must(session_is_sane(&session));
	if (fake.content != -1)
		close(fake.content);
	/* A worker whose client goes between two pieces just exits. */
	if (session.receive.pipe != -1)
		close(session.receive.pipe);
	return 0;
}
