/*
 * mbox_resume: finish the rewrite of an mbox that a crash cut short.
 *
 * Runs in agents, as the user whose mail it is, with both locks, before
 * anything is read from the mbox; see mbox_rewrite.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../privsep/log.h"
#include "mbox_rewrite.h"
#include "state.h"

/* The head of a journal that was found; EBADMSG: it was never whole. */
static int
load_head(struct rewrite *rw)
{
	struct journal *j = &rw->journal;
	uint8_t fixed[JOURNAL_FIXED], *head;
	struct stat st;
	size_t size;
	int r;

	if (fstat(rw->fd, &st) == -1)
		return -1;
	errno = EBADMSG;
	if (st.st_size < JOURNAL_FIXED)
		return -1;
	if (io_pread(rw->fd, fixed, sizeof(fixed), 0) == -1)
		return -1;
	size = journal_head_size(journal_count(fixed));
	errno = EBADMSG;
	if ((uint64_t)st.st_size < size)
		return -1;
	head = malloc(size);
	if (head == NULL)
		return -1;
	r = io_pread(rw->fd, head, size, 0);
	if (r == 0)
		r = journal_get(j, head, size);
	free(head);
	/* Room for the slots was made before the head was written. */
	if (r == 0 && (uint64_t)st.st_size < journal_slot_at(j, 1) +
	    JOURNAL_SLOT + j->window) {
		errno = EBADMSG;
		r = -1;
	}
	return r;
}

/* One of the two slots, and its window; 0 or -1 with EBADMSG. */
static int
load_slot(struct rewrite *rw, uint64_t number, struct journal_slot *slot)
{
	uint64_t at = journal_slot_at(&rw->journal, number);

	if (io_pread(rw->fd, rewrite_buffer, JOURNAL_SLOT, at) == -1)
		return -1;
	if (journal_slot_get(&rw->journal, slot, rewrite_buffer) == 0 &&
	    slot->number % 2 == number % 2 &&
	    io_pread(rw->fd, REWRITE_WINDOW, (size_t)slot->length,
	    at + JOURNAL_SLOT) == 0 &&
	    journal_slot_is_whole(&rw->journal, slot, REWRITE_WINDOW,
	    rewrite_buffer))
		return 0;
	errno = EBADMSG;
	return -1;
}

/* The later of the two; EBADMSG: not one was ever whole. */
static int
load_last_slot(struct rewrite *rw)
{
	struct journal_slot odd = { 0 }, even = { 0 };

	if (load_slot(rw, 1, &odd) == -1) {
		if (errno != EBADMSG)
			return -1;
		odd.number = 0;
	}
	if (load_slot(rw, 0, &even) == -1) {
		if (errno != EBADMSG)
			return -1;
		even.number = 0;
	}
	if (odd.number > even.number)
		return load_slot(rw, 1, &rw->slot);
	return load_slot(rw, 0, &rw->slot);
}

/* Are the ranges that have not moved yet where they were?  ESTALE: no. */
static int
check_ranges(const struct rewrite *rw)
{
	const struct journal *j = &rw->journal;
	uint64_t end = 0, hash;
	uint32_t i;

	for (i = 0; i < j->count; i++) {
		const struct journal_range *r = &j->ranges[i];

		end += r->length;
		if (end <= rw->slot.pos + rw->slot.length)
			continue;
		hash = JOURNAL_HASH_START;
		/* Of one that is moving only what did not move yet. */
		if (end - rw->slot.pos - rw->slot.length < JOURNAL_SAMPLE &&
		    end - rw->slot.pos - rw->slot.length < r->length)
			continue;
		if (rewrite_hash_end(rw->mb->file, r->offset,
		    r->offset + r->length, JOURNAL_SAMPLE, &hash) == -1)
			return -1;
		if (hash != r->sample) {
			errno = ESTALE;
			return -1;
		}
	}
	return 0;
}

/* Is what is behind the slot's window as the slot says?  1, 0 or -1. */
static int
has_tail(const struct rewrite *rw, uint64_t size)
{
	const struct journal_slot *slot = &rw->slot;
	uint64_t tail;

	if (size < slot->size)
		return 0;
	if (rewrite_hash_tail(rw->mb->file,
	    rw->journal.begin + slot->pos + slot->length, slot->size,
	    &tail) == -1)
		return -1;
	return tail == slot->tail;
}

/*
 * Go on with a journal that is whole.  ESTALE: others have changed the mbox
 * so that it does not fit any more.
 */
static int
resume(struct rewrite *rw, uint64_t size)
{
	int r = has_tail(rw, size);

	if (r == -1)
		return -1;
	if (rw->slot.length > 0) {
		if (r == 0) {
			errno = ESTALE;
			return -1;
		}
		return check_ranges(rw) == -1 ? -1 : rewrite_run(rw);
	}
	/* It was cut off, and has perhaps grown again. */
	return r == 0 ? 0 : rewrite_run(rw);
}

static int
recover(struct rewrite *rw)
{
	uint64_t size = rw->journal.size, ino = rw->journal.ino;
	int r;

	r = load_head(rw);
	if (r == 0)
		r = load_last_slot(rw);
	if (r == 0 && rw->journal.ino != ino) {
		errno = ESTALE;
		r = -1;
	}
	if (r == 0)
		r = resume(rw, size);
	if (r == -1 && errno == ESTALE)
		log_event(LOG_ERR, 0, "event=journal-dropped text=\"the mbox "
		    "was changed by others before its expunge was done\"");
	/* Never whole: nothing has happened to the mbox. */
	if (r == -1 && errno != ESTALE && errno != EBADMSG)
		return -1;
	rewrite_remove_journal(rw);
	return 0;
}

int
mbox_rewrite_recover(struct mailbox *mb)
{
	struct rewrite rw = { .mb = mb, .fd = -1 };
	int r;

	if (rewrite_name(&rw) == -1)
		return -1;
	rw.fd = state_open(mb->state, rw.name, O_RDWR, mb->uid);
	if (rw.fd == -1)
		return errno == ENOENT ? 0 : -1;
	r = recover(&rw);
	rewrite_finish(&rw);
	return r;
}
