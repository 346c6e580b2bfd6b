/*
 * gates: find the gate that a request may pass, and serve a session on them.
 *
 * Runs in agents' and login's children, as the identity that they have; in
 * tests as a pure function.
 */
#include <errno.h>

#include "gates.h"
#include "log.h"

const struct gate *
gate_find(const struct gate_table *table, int state, uint32_t used,
    const struct message *m)
{
	const struct gate *g;
	size_t i;

	if (state < 0 || state > 31)
		return NULL;
	for (i = 0; i < table->count; i++) {
		g = &table->gates[i];
		if (g->request != m->type)
			continue;
		if ((g->states & IN_STATE(state)) == 0 ||
		    (g->once && (used & 1U << i) != 0) ||
		    m->nfds != g->descriptors ||
		    m->len < g->min_size || m->len > g->max_size)
			return NULL;
		return g;
	}
	return NULL;
}

int
gates_serve(const struct gate_table *table, void *session, int sock,
    int idle_ms)
{
	struct message m;
	const struct gate *g;
	uint32_t used = 0;
	int n, state = table->first_state;

	for (;;) {
		n = message_wait(sock, &m, MESSAGE_FDS_MAX, idle_ms);
		if (n == 0 || (n == -1 && errno == ECONNRESET))
			return 0;
		if (n == -1 && errno != EBADMSG)
			return -1;
		g = n == 1 ? gate_find(table, state, used, &m) : NULL;
		if (g != NULL) {
			used |= 1U << (g - table->gates);
			state = g->handler(session, sock, &m);
		} else
			state = STATE_FAULT;
		message_discard(&m);
		if (state == STATE_END)
			return 0;
		if (state < 0) {
			errno = EPROTO;
			return -1;
		}
	}
}
