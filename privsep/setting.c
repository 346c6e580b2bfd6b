/*
 * setting: configuration and certificates, in force and of the generation that
 * is starting, which come into force when it serves.
 *
 * Runs in the master, as root; opens certificates and keys to copy them into
 * memfds, and never reads a key.
 */
#include <stdlib.h>
#include <unistd.h>

#include "keyring.h"
#include "log.h"
#include "master.h"

static struct {
	struct setting	now;	/* in force; config: master.config */
	struct setting	next;	/* of the one that is starting */
} setting = {
	.now = { .certificates = -1, .keys = -1 },
	.next = { .certificates = -1, .keys = -1 }
};

static void
drop(struct setting *s)
{
	if (s->config != NULL)
		config_forget_secrets(s->config);
	free(s->config);
	s->config = NULL;
	if (s->certificates != -1)
		close(s->certificates);
	if (s->keys != -1)
		close(s->keys);
	s->certificates = s->keys = -1;
}

static void
report(const char *text)
{
	log_event(LOG_ERR, 0, "event=certificate text=\"%s\"", text);
}

int
setting_propose(struct config *fresh)
{
	const struct config *c = fresh != NULL ? fresh : master.config;
	struct setting next = { .config = fresh, .certificates = -1,
	    .keys = -1 };

	if (keyring_send(c, &next.certificates, &next.keys, report) == -1) {
		drop(&next);
		return -1;
	}
	drop(&setting.next);
	setting.next = next;
	return 0;
}

void
setting_to_start_with(struct setting *with)
{
	const struct setting *ring = setting.next.keys != -1 ? &setting.next :
	    &setting.now;

	with->config = setting.next.config != NULL ? setting.next.config :
	    master.config;
	with->certificates = ring->certificates;
	with->keys = ring->keys;
}

int
setting_into_force(void)
{
	if (setting.next.config != NULL) {
		if (listen_open(setting.next.config) == -1)
			return -1;
		config_forget_secrets(master.config);
		free_later(master.config);
		master.config = setting.next.config;
		setting.next.config = NULL;
		log_event(LOG_INFO, 0, "event=reloaded");
		/* It ends, and queue_tick() renews it. */
		child_let_go(&master.queue);
	}
	if (setting.next.keys != -1) {
		drop(&setting.now);
		setting.now = setting.next;
		setting.next.certificates = setting.next.keys = -1;
	}
	return 0;
}

int
setting_give_up(void)
{
	int is_new = setting.next.config != NULL || setting.next.keys != -1;

	drop(&setting.next);
	return is_new;
}
