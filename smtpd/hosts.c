/*
 * hosts: the addresses behind a destination.
 *
 * Runs in the queue, as queue-user; touches memory.
 */
#include <stdlib.h>
#include <string.h>

#include "privsep/log.h"
#include "smtpd/hosts.h"

struct hosts *
hosts_new(const struct mx_result *r, const struct hosts *old)
{
	struct hosts *h = calloc(1, sizeof(*h) +
	    r->count * sizeof(h->addresses[0]));
	size_t i, n;

	if (h == NULL || (h->avoid_until = calloc(r->count,
	    sizeof(*h->avoid_until))) == NULL)
		fatal("out of memory");
	h->holders = 1;
	h->count = r->count;
	memcpy(h->addresses, r->addresses, r->count * sizeof(r->addresses[0]));
	for (i = 0; old != NULL && i < h->count; i++) {
		n = hosts_find(old, &h->addresses[i]);
		if (n < old->count)
			h->avoid_until[i] = old->avoid_until[n];
	}
	return h;
}

struct hosts *
hosts_hold(struct hosts *h)
{
	h->holders++;
	return h;
}

void
hosts_release(struct hosts *h)
{
	if (h == NULL || --h->holders > 0)
		return;
	free(h->avoid_until);
	free(h);
}

/* A host's name is part of it: it is what a certificate is for. */
size_t
hosts_find(const struct hosts *h, const struct mx_address *a)
{
	const struct mx_address *b;
	size_t i;

	for (i = 0; i < h->count; i++) {
		b = &h->addresses[i];
		if (b->len == a->len &&
		    memcmp(&b->address, &a->address, a->len) == 0 &&
		    strcmp(b->host, a->host) == 0)
			break;
	}
	return i;
}
