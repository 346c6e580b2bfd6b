/* LINK: privsep/message privsep/facts privsep/gates privsep/log */
/*
 * Requests as a privileged side meets them: any octets as fields, decoded in
 * the order that the first octets of the input choose; and whole facts and
 * identities.  Nothing may be read beyond the fields, every string ends, and
 * a message is whole only if all of it was taken.
 */
#include <sys/socket.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "privsep/facts.h"
#include "privsep/gates.h"
#include "privsep/message.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
load(struct message *m, const uint8_t *data, size_t size)
{
	message_begin(m, 1);
	m->len = size > sizeof(m->data) ? sizeof(m->data) : size;
	memcpy(m->data, data, m->len);
}

static void
take(struct message *m, uint8_t what)
{
	char *text;
	uint8_t *data;
	size_t size = (size_t)(what >> 2) + 1, len;

	switch (what & 3) {
	case 0:
		(void)get_u32(m);
		break;
	case 1:
		(void)get_u64(m);
		break;
	case 2:
		text = malloc(size);
		assert(text != NULL);
		get_str(m, text, size);
		assert(strlen(text) < size);
		free(text);
		break;
	case 3:
		data = malloc(size);
		assert(data != NULL);
		get_data(m, data, size, &len);
		assert(len <= size);
		free(data);
		break;
	}
}

/* What was sent is what arrives, whatever it is. */
static void
round_trip(const struct message *m)
{
	static struct message got;
	int pair[2];

	assert(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	assert(message_send(pair[0], m) == 0);
	assert(message_recv(pair[1], &got, 0) == 1);
	assert(got.type == m->type && got.len == m->len &&
	    memcmp(got.data, m->data, m->len) == 0);
	message_discard(&got);
	close(pair[0]);
	close(pair[1]);
}

static int
never(void *session, int sock, struct message *m)
{
	(void)session;
	(void)sock;
	(void)m;
	abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct message m;
	static const struct gate gates[] = {
		{ 1, "ONE", IN_STATE(0), 0, 0, 4, 64, never },
	};
	static const struct gate_table table = { "test", gates, 1, 0 };
	struct identity who;
	struct facts facts;
	size_t i, steps;

	if (size < 1)
		return 0;
	steps = data[0] % 16;
	if (size < 1 + steps)
		return 0;
	load(&m, data + 1 + steps, size - 1 - steps);
	round_trip(&m);
	assert((gate_find(&table, 0, 0, &m) != NULL) ==
	    (m.len >= 4 && m.len <= 64));
	for (i = 0; i < steps; i++)
		take(&m, data[1 + i]);
	if (get_end(&m) == 0)
		assert(m.pos == m.len);

	load(&m, data, size);
	get_facts(&m, &facts);
	get_identity(&m, &who);
	if (get_end(&m) == 0)
		assert(who.home[0] == '\0' || strlen(who.home) < sizeof(who.home));
	return 0;
}
