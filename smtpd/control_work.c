/*
 * control_work: a request for letters, a little at a time.
 *
 * Runs in the queue, as queue-user; reads the spool, and has it changed.
 *
 * Letters are found as they are in the directories.  One that is put off
 * meanwhile has a new name, which readdir() may show as well as the old one, or
 * not at all.  Who looks for one letter or lists them is therefore told of all
 * that move while he reads: he may meet one twice, and the other side of the
 * socket knows an id again, but none is missed.  What is done to all of them is
 * not wrong when it is done twice, and is done until nothing is left to do.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "privsep/log.h"
#include "smtpd/control.h"

#define CONTENT_PIECE	7168	/* octets in one page */
#define PAGE_END	8	/* octets: what ends a page of records */
#define PASSES_MAX	10

/* Is there a letter under this name? */
static int
is_there(const struct queue *q, const struct spool_name *name, int is_failed)
{
	char text[SPOOL_NAME_MAX];
	struct stat st;

	if (is_failed)
		return fstatat(q->spool.failed, name->id, &st,
		    AT_SYMLINK_NOFOLLOW) == 0;
	return spool_name_print(name, text) == 0 && fstatat(q->spool.queue,
	    text, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* One whose name is in memory, or that is in failed/: 0, or -1. */
static int
find_quickly(struct control_client *c)
{
	const struct queue *q = c->control->queue;
	const struct schedule *s = &q->schedule;
	const char *id = c->selection.id;
	const struct job *job = job_find(q, id);
	const struct schedule_entry *e = NULL;

	c->is_failed = 0;
	if (job != NULL) {
		c->only = job->letter.name;
		return 0;
	}
	while ((e = schedule_find(s, id, e)) != NULL) {
		c->only = e->name;
		if (is_there(q, &c->only, 0))
			return 0;
	}
	memset(&c->only, 0, sizeof(c->only));
	strlcpy(c->only.id, id, sizeof(c->only.id));
	c->is_failed = 1;
	return is_there(q, &c->only, 1) ? 0 : -1;
}

static void
close_dir(struct control_client *c)
{
	if (c->dir != NULL)
		closedir(c->dir);
	c->dir = NULL;
}

static int
open_dir(struct control_client *c, int is_failed)
{
	const struct spool *spool = &c->control->queue->spool;
	int fd;

	c->is_failed = is_failed;
	fd = openat(is_failed ? spool->failed : spool->queue, ".",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	c->dir = fdopendir(fd);
	if (c->dir == NULL)
		close(fd);
	return c->dir == NULL ? -1 : 0;
}

void
control_begin(struct control_client *c, uint32_t request)
{
	c->request = request;
	c->done = c->left = c->in_delivery = c->faults = 0;
	c->pass = c->done_before = 0;
	c->is_dirty = 0;
	c->shown = 0;
	c->offset = 0;
	c->moves = c->control->queue->moves.count;
	c->has_missed = 0;
	c->only.id[0] = '\0';
	c->is_walking = 1;
	if ((c->selection.flags & SELECT_ID) != 0) {
		if (!spool_id_is_legal(c->selection.id)) {
			c->is_walking = 0;
			return;
		}
		if (find_quickly(c) == 0)
			return;
		c->only.id[0] = '\0';
	}
	if (open_dir(c, 0) == -1) {
		c->is_walking = 0;
		c->faults++;
	}
}

/* By its id, if that is given. */
static int
is_meant(const struct control_client *c, const struct spool_name *name)
{
	return (c->selection.flags & SELECT_ID) == 0 ||
	    strcmp(name->id, c->selection.id) == 0;
}

/* The name of a directory's entry, if it can be one of those meant. */
static int
take_name(const struct control_client *c, const char *text,
    struct spool_name *name)
{
	memset(name, 0, sizeof(*name));
	if (!c->is_failed && spool_name_parse(text, name) == -1)
		return -1;
	if (c->is_failed && (!spool_id_is_legal(text) ||
	    strlcpy(name->id, text, sizeof(name->id)) >= sizeof(name->id)))
		return -1;
	return is_meant(c, name) ? 0 : -1;
}

/* Is what the walk has done already in no way of meeting letters again? */
static int
follows_moves(const struct control_client *c)
{
	return c->request == REQ_LIST || (c->selection.flags & SELECT_ID) != 0;
}

/* One that has got another name since the walk began: 1; 0: none. */
static int
next_moved(struct control_client *c, struct spool_name *name)
{
	const struct queue_moves *m = &c->control->queue->moves;

	if (c->is_failed || !follows_moves(c) || c->moves == m->count)
		return 0;
	if (m->count - c->moves > MOVES_KEPT) {
		/* The client has not asked on for long. */
		c->has_missed = 1;
		c->moves = m->count - MOVES_KEPT;
	}
	*name = m->last[c->moves++ % MOVES_KEPT];
	return 1;
}

/* The end of a directory: failed/ comes after queue/, once that is whole. */
static void
next_dir(struct control_client *c)
{
	const int is_again = c->has_missed && ++c->pass < PASSES_MAX;

	close_dir(c);
	c->is_walking = !c->is_failed;
	if (c->is_failed)
		return;
	c->faults += c->has_missed && !is_again;
	c->has_missed = 0;
	if (open_dir(c, !is_again) == -1) {
		c->faults++;
		c->is_walking = 0;
	}
}

/* The next name: 1; 0: none now; is_walking says whether there may be more. */
static int
next_name(struct control_client *c, struct spool_name *name)
{
	struct dirent *entry;

	if (c->only.id[0] != '\0') {
		*name = c->only;
		c->is_walking = 0;
		return 1;
	}
	if (next_moved(c, name))
		return is_meant(c, name);
	errno = 0;
	entry = readdir(c->dir);
	if (entry != NULL)
		return take_name(c, entry->d_name, name) == 0;
	c->faults += errno != 0;
	next_dir(c);
	return 0;
}

/*
 * Must a letter be read, to know whether it is meant, or to say what it was?
 * If root has all of them moved, there are likely to be very many.
 */
static int
needs_letter(const struct control_client *c)
{
	return c->uid != 0 || (c->selection.flags & ~(uint32_t)SELECT_ID) !=
	    0 || (c->request != REQ_RETRY && c->request != REQ_HOLD &&
	    c->request != REQ_RELEASE);
}

/* Found: there is one of an id. */
static void
end_search(struct control_client *c)
{
	if ((c->selection.flags & SELECT_ID) == 0)
		return;
	close_dir(c);
	c->is_walking = 0;
}

/* 1 with the letter in *v, which is one of those meant; 0: it is none. */
static int
next_letter(struct control_client *c, struct view *v)
{
	const struct queue *q = c->control->queue;
	const struct selection *s = &c->selection;
	struct spool_name name;

	if (!next_name(c, &name))
		return 0;
	if (s->places != 0 && (s->places &
	    IN_PLACE(view_place(q, &name, c->is_failed))) == 0)
		return 0;
	if (!needs_letter(c)) {
		view_name(v, q, &name, c->is_failed);
		end_search(c);
		return 1;
	}
	if (view_open(v, q, &name, c->is_failed) == -1) {
		/* What goes on in an instant is nobody's fault. */
		c->faults += errno != ENOENT;
		return 0;
	}
	end_search(c);
	if (view_is_of(v, c->uid) && view_matches(v, q->config, s))
		return 1;
	view_close(v);
	return 0;
}

static void
hide(struct control_client *c)
{
	if (c->view != NULL)
		view_close(c->view);
	free(c->view);
	c->view = NULL;
	c->shown = 0;
}

static int
show_next(struct control_client *c)
{
	struct view v;

	if (!next_letter(c, &v))
		return 0;
	c->view = malloc(sizeof(v));
	if (c->view == NULL) {
		view_close(&v);
		c->faults++;
		return 0;
	}
	*c->view = v;
	return 1;
}

static void
show_record(struct control_client *c)
{
	struct recipient_record recipient;
	struct letter_record letter;

	if (c->shown == 0) {
		view_letter(c->view, &letter);
		put_letter_record(&c->reply, &letter);
	} else {
		view_recipient(c->view, c->shown - 1, &recipient);
		put_recipient_record(&c->reply, &recipient);
	}
	c->shown++;
	if (c->view->is_damaged || c->shown >
	    c->view->letter.envelope.recipient_count)
		hide(c);
}

static int
finish_page(struct control_client *c, int has_more)
{
	if (c->reply.type == REPLY_RECORDS)
		put_u32(&c->reply, 0);
	put_u32(&c->reply, has_more ? PAGE_MORE : c->faults > 0 ? PAGE_FAULT :
	    PAGE_LAST);
	c->state = has_more ? CONTROL_PAGING : CONTROL_IDLE;
	return 1;
}

static int
work_list(struct control_client *c)
{
	if (c->reply.type != REPLY_RECORDS)
		message_begin(&c->reply, REPLY_RECORDS);
	if (c->view != NULL && c->reply.len + RECORD_ROOM + PAGE_END >
	    MESSAGE_MAX)
		return finish_page(c, 1);
	if (c->view != NULL)
		show_record(c);
	else if (c->is_walking)
		(void)show_next(c);
	else
		return finish_page(c, 0);
	return 0;
}

static int
work_content(struct control_client *c)
{
	static uint8_t piece[CONTENT_PIECE];
	const struct letter *l;
	size_t size = sizeof(piece);
	ssize_t n = 0;

	if (c->view == NULL && c->is_walking && !show_next(c))
		return 0;
	message_begin(&c->reply, REPLY_CONTENT);
	if (c->view != NULL && !c->view->is_damaged) {
		l = &c->view->letter;
		if (size > l->length - c->offset)
			size = (size_t)(l->length - c->offset);
		n = pread(l->fd, piece, size, (off_t)(l->offset + c->offset));
		if (n < 0 || (size_t)n != size) {
			c->faults++;
			n = 0;
		}
		c->offset += (uint64_t)n;
	}
	put_data(&c->reply, piece, (size_t)n);
	return finish_page(c, n > 0 && c->offset < c->view->letter.length);
}

static void
log_deletion(const struct control_client *c, const struct view *v)
{
	char sender[LOG_VALUE_MAX];

	log_event(LOG_NOTICE, c->session, "event=deleted id=%s uid=%u "
	    "from=%s size=%" PRIu64, v->letter.name.id, c->uid,
	    log_value(v->is_damaged ? "?" : v->letter.envelope.sender,
	    sender), v->letter.name.size);
}

/* Is there to be another pass, since this one has found something? */
static int
goes_on(struct control_client *c)
{
	if ((c->request != REQ_HOLD && c->request != REQ_DELETE) ||
	    (c->selection.flags & SELECT_ID) != 0 || c->faults > 0 ||
	    c->done == c->done_before || c->pass + 1 == PASSES_MAX ||
	    open_dir(c, 0) == -1)
		return 0;
	c->pass++;
	c->done_before = c->done;
	c->in_delivery = 0;
	c->is_walking = 1;
	return 1;
}

static int
work_act(struct control_client *c)
{
	struct view v;

	if (!c->is_walking && !goes_on(c)) {
		control_end(c);
		message_begin(&c->reply, REPLY_DONE);
		put_u32(&c->reply, c->done);
		put_u32(&c->reply, c->left);
		put_u32(&c->reply, c->in_delivery);
		put_u32(&c->reply, c->faults);
		c->state = CONTROL_IDLE;
		return 1;
	}
	if (!next_letter(c, &v))
		return 0;
	switch (control_act(c->control->queue, c->request, c->uid, &v)) {
	case ACT_DONE:
		c->done++;
		c->is_dirty = 1;
		if (c->request == REQ_DELETE)
			log_deletion(c, &v);
		break;
	case ACT_LEFT:
		c->left += c->pass == 0;
		break;
	case ACT_IN_DELIVERY:
		c->in_delivery++;
		break;
	case ACT_FAULT:
		c->faults++;
		break;
	}
	view_close(&v);
	return 0;
}

int
control_work(struct control_client *c)
{
	switch (c->request) {
	case REQ_LIST:
		return work_list(c);
	case REQ_CONTENT:
		return work_content(c);
	default:
		return work_act(c);
	}
}

static const char *
name_of(uint32_t request)
{
	size_t i;

	for (i = 0; i < control_gates.count; i++)
		if (control_gates.gates[i].request == request)
			return control_gates.gates[i].name;
	return "?";
}

/*
 * Durable before it is said; and in the log, since somebody will ask why a
 * letter did not go out.
 */
void
control_end(struct control_client *c)
{
	if (c->request == 0)
		return;
	if (c->is_dirty && spool_sync(&c->control->queue->spool, 1) == -1)
		c->faults++;
	if (c->is_dirty)
		log_event(LOG_NOTICE, c->session, "event=queue-request "
		    "request=%s uid=%u letters=%u%s%s", name_of(c->request),
		    c->uid, c->done, c->selection.flags & SELECT_ID ? " id=" :
		    "", c->selection.flags & SELECT_ID ? c->selection.id : "");
	if (c->faults > 0)
		log_event(LOG_ERR, c->session, "event=spool-fault request=%s "
		    "uid=%u letters=%u", name_of(c->request), c->uid,
		    c->faults);
	c->request = 0;
	hide(c);
	close_dir(c);
}
