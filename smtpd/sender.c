/*
 * sender: how many letters of each sender are open.
 *
 * Runs in the queue, as queue-user; touches memory.
 *
 * There are places for so many open letters.  The last quarter is for senders
 * who have few: so one who sends to thousands of slow hosts waits for his own
 * letters, and not the others for his.
 */
#include <stdlib.h>
#include <string.h>

#include "privsep/log.h"
#include "smtpd/sender.h"

struct put_aside {
	STAILQ_ENTRY(put_aside)	link;
	struct schedule_entry	entry;
};

struct sender {
	TAILQ_ENTRY(sender)	 link;
	uint64_t		 key;
	size_t			 open;
	STAILQ_HEAD(, put_aside) aside;
};

void
senders_init(struct senders *s)
{
	size_t i;

	s->aside = 0;
	for (i = 0; i < SENDER_BUCKETS; i++)
		TAILQ_INIT(&s->buckets[i]);
}

uint64_t
sender_key(const struct envelope *e)
{
	if (e->owner != ENVELOPE_NOBODY)
		return e->owner;
	return outcome_key(e->login[0] != '\0' ? e->login : e->sender);
}

static struct sender *
find(const struct senders *s, uint64_t key)
{
	struct sender *sender;

	TAILQ_FOREACH(sender, &s->buckets[key % SENDER_BUCKETS], link)
		if (sender->key == key)
			break;
	return sender;
}

void
sender_open(struct senders *s, uint64_t key)
{
	struct sender *sender = find(s, key);

	if (sender == NULL) {
		sender = calloc(1, sizeof(*sender));
		if (sender == NULL)
			fatal("out of memory");
		sender->key = key;
		STAILQ_INIT(&sender->aside);
		TAILQ_INSERT_HEAD(&s->buckets[key % SENDER_BUCKETS], sender,
		    link);
	}
	sender->open++;
}

/* The first of those that are set aside: 1, or 0. */
static int
take_first(struct senders *s, struct sender *sender, struct schedule_entry *entry)
{
	struct put_aside *a = STAILQ_FIRST(&sender->aside);

	if (a == NULL)
		return 0;
	*entry = a->entry;
	STAILQ_REMOVE_HEAD(&sender->aside, link);
	s->aside--;
	free(a);
	return 1;
}

/* Unless something of his is left. */
static void
leave(struct senders *s, struct sender *sender)
{
	if (sender->open > 0 || !STAILQ_EMPTY(&sender->aside))
		return;
	TAILQ_REMOVE(&s->buckets[sender->key % SENDER_BUCKETS], sender, link);
	free(sender);
}

int
sender_close(struct senders *s, uint64_t key, struct schedule_entry *entry)
{
	struct sender *sender = find(s, key);
	int has_more;

	if (sender == NULL)
		bug("a letter that was not open");
	sender->open--;
	has_more = take_first(s, sender, entry);
	leave(s, sender);
	return has_more;
}

int
sender_is_busy(const struct senders *s, uint64_t key)
{
	const struct sender *sender = find(s, key);

	return sender != NULL && sender->open > SENDER_FEW;
}

int
sender_put_aside(struct senders *s, uint64_t key,
    const struct schedule_entry *entry)
{
	struct sender *sender = find(s, key);
	struct put_aside *a;

	if (sender == NULL || s->aside == SENDERS_ASIDE ||
	    (a = malloc(sizeof(*a))) == NULL)
		return -1;
	a->entry = *entry;
	STAILQ_INSERT_TAIL(&sender->aside, a, link);
	s->aside++;
	return 0;
}

void
senders_forget(struct senders *s)
{
	struct sender *sender, *next;
	struct schedule_entry entry;
	size_t i;

	for (i = 0; i < SENDER_BUCKETS; i++)
		TAILQ_FOREACH_SAFE(sender, &s->buckets[i], link, next) {
			while (take_first(s, sender, &entry))
				;
			leave(s, sender);
		}
}
