/*
 * limits: sessions and misdeeds of a source: an address, or a user of this host.
 *
 * Runs in the master, as root; touches memory only, a bounded amount.  An
 * IPv6 client counts by its /64, which is what one customer has.
 */
#include <sys/socket.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "master.h"

#define BUCKETS		1024
#define SOURCES_MAX	65536
#define PENALTY_LIMIT	100	/* from here on a source is refused */
#define PENALTY_DECAY	6	/* seconds for one point to be forgotten */
#define PENALTY_LOGIN	1
#define PENALTY_CRASH	20
#define MINUTE		60	/* seconds in which sessions are counted */

struct source {
	LIST_ENTRY(source)	link;
	uint8_t			key[16];
	uint32_t		sessions;
	uint32_t		penalty;
	time_t			since;		/* of the penalty's value */
	uint32_t		begun;		/* sessions, in the minute */
	time_t			minute;		/* that began then */
};

static LIST_HEAD(, source) table[BUCKETS];
static size_t count;

/* IPv4 is v4-mapped, an IPv6 network ends in zeros, a user in neither. */
static void
source_key(const struct sockaddr *sa, uint32_t uid, uint8_t key[16])
{
	const struct sockaddr_in *in4 = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	memset(key, 0, 16);
	if (sa->sa_family == AF_INET) {
		key[10] = key[11] = 0xff;
		memcpy(key + 12, &in4->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6)
		memcpy(key, &in6->sin6_addr, 8);
	else {
		key[8] = 1;
		memcpy(key + 12, &uid, sizeof(uid));
	}
}

/* Keyed, so that nobody can choose addresses that share a bucket. */
static uint32_t
source_bucket(const uint8_t key[16])
{
	static uint32_t seed;
	uint32_t h;
	size_t i;

	if (seed == 0)
		seed = arc4random() | 1;
	h = seed;
	for (i = 0; i < 16; i++)
		h = (h ^ key[i]) * 0x01000193U + seed;
	return h % BUCKETS;
}

static void
source_decay(struct source *s)
{
	time_t steps = (master.now - s->since) / PENALTY_DECAY;

	if (s->penalty == 0 || steps <= 0) {
		if (s->penalty == 0)
			s->since = master.now;
		return;
	}
	s->penalty = (uint32_t)steps >= s->penalty ? 0 :
	    s->penalty - (uint32_t)steps;
	s->since += steps * PENALTY_DECAY;
}

struct source *
limits_source(const struct sockaddr *sa, uint32_t uid)
{
	const struct config *c = master.config;
	uint8_t key[16];
	struct source *s;
	uint32_t b;

	if (network_contains(c->limits_exempt, c->limits_exempt_count, sa))
		return NULL;
	source_key(sa, uid, key);
	b = source_bucket(key);
	LIST_FOREACH(s, &table[b], link)
		if (memcmp(s->key, key, sizeof(key)) == 0)
			break;
	if (s == NULL) {
		/* Beyond the bound nobody is counted; max-sessions holds. */
		if (count == SOURCES_MAX ||
		    (s = calloc(1, sizeof(*s))) == NULL)
			return NULL;
		memcpy(s->key, key, sizeof(key));
		s->since = s->minute = master.now;
		LIST_INSERT_HEAD(&table[b], s, link);
		count++;
	}
	source_decay(s);
	return s;
}

static void
minute_pass(struct source *s)
{
	if (master.now - s->minute < MINUTE)
		return;
	s->minute = master.now;
	s->begun = 0;
}

const char *
limits_refusal(const struct source *s)
{
	const struct config *c = master.config;

	if (s == NULL)
		return NULL;
	if (s->penalty >= PENALTY_LIMIT ||
	    s->sessions >= c->max_sessions_per_source)
		return "source-limit";
	if (c->rate_per_source > 0 && s->begun >= c->rate_per_source &&
	    master.now - s->minute < MINUTE)
		return "source-rate";
	return NULL;
}

int
limits_rate(struct source *s, uint32_t most)
{
	if (s == NULL)
		return 1;
	minute_pass(s);
	return s->begun++ < most;
}

void
limits_begin(struct source *s)
{
	if (s == NULL)
		return;
	minute_pass(s);
	s->begun++;
	s->sessions++;
}

void
limits_end(struct source *s)
{
	if (s != NULL)
		s->sessions--;
}

static void
penalise(struct source *s, uint32_t points)
{
	if (s == NULL)
		return;
	source_decay(s);
	if (s->penalty < PENALTY_LIMIT * 2)
		s->penalty += points;
}

void
limits_login_failed(struct source *s)
{
	penalise(s, PENALTY_LOGIN);
}

void
limits_crashed(struct source *s)
{
	penalise(s, PENALTY_CRASH);
}

/* Does it matter how many came in this minute? */
static int
is_timed(const struct source *s)
{
	return (master.config->rate_per_source > 0 || s->key[8] != 0) &&
	    master.now - s->minute < MINUTE;
}

/* Forget sources of which nothing counts any more; a few buckets a call. */
void
limits_tick(void)
{
	static uint32_t next;
	struct source *s, *following;
	int i;

	for (i = 0; i < 64; i++, next = (next + 1) % BUCKETS)
		for (s = LIST_FIRST(&table[next]); s != NULL; s = following) {
			following = LIST_NEXT(s, link);
			source_decay(s);
			if (s->sessions > 0 || s->penalty > 0 ||
			    is_timed(s))
				continue;
			LIST_REMOVE(s, link);
			free_later(s);
			count--;
		}
}
