/*
 * program_feed: a letter on its way to a command.
 *
 * Runs in the agents of programs, as the user or as command-user; reads the
 * letter from the descriptor that the queue passed, writes to a pipe.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "smtpd/programs.h"

void
program_feed_begin(struct program_feed *f, const struct program_task *task)
{
	f->task = task;
	f->at = 0;
	f->is_failed = 0;
	f->start = 0;
	f->end = strlen(task->head);
	memcpy(f->buffer, task->head, f->end);
}

/* 1, 0 at its end, -1. */
static int
fill(struct program_feed *f)
{
	const struct deliver_request *r = &f->task->letter;
	uint64_t left = r->length - f->at;
	size_t size = left < sizeof(f->buffer) ? (size_t)left :
	    sizeof(f->buffer);
	ssize_t n;

	if (left == 0)
		return 0;
	n = pread(r->content, f->buffer, size, (off_t)(r->offset + f->at));
	if (n <= 0) {
		f->is_failed = 1;
		return -1;
	}
	f->at += (uint64_t)n;
	f->start = 0;
	f->end = (size_t)n;
	return 1;
}

int
program_feed(struct program_feed *f, int pipe)
{
	ssize_t n;

	for (;;) {
		if (f->start == f->end && fill(f) != 1)
			return 0;
		n = write(pipe, f->buffer + f->start, f->end - f->start);
		if (n == -1)
			return errno == EAGAIN || errno == EINTR;
		f->start += (size_t)n;
	}
}
