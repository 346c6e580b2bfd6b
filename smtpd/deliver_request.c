/*
 * deliver_request: decodes what the queue asks of an agent for a delivery.
 *
 * Runs in delivery agents and in those of programs, as the recipient; touches
 * the descriptor that the queue passed.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <string.h>

#include "smtpd/deliver_request.h"

/* It becomes part of file names and header lines: nothing but this. */
static int
is_queue_id(const char *id)
{
	static const char legal[] = "0123456789abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	return id[0] != '\0' && id[strspn(id, legal)] == '\0';
}

/* A path becomes part of a header line: no octet may end or bend it. */
static int
is_path_text(const char *path)
{
	const unsigned char *p;

	for (p = (const unsigned char *)path; *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7f)
			return 0;
	return 1;
}

/* A regular file that can be read and holds what is said to be in it. */
static int
is_content(const struct deliver_request *r)
{
	struct stat st;
	int flags;

	flags = fcntl(r->content, F_GETFL);
	if (flags == -1 || (flags & O_PATH) != 0 ||
	    (flags & O_ACCMODE) == O_WRONLY || fstat(r->content, &st) == -1 ||
	    !S_ISREG(st.st_mode) || st.st_size < 0)
		return 0;
	return r->offset <= (uint64_t)st.st_size &&
	    r->length <= (uint64_t)st.st_size - r->offset &&
	    r->lines <= r->length;
}

void
deliver_request_get(struct message *request, struct deliver_request *r)
{
	get_str(request, r->id, sizeof(r->id));
	r->arrived = get_u64(request);
	get_str(request, r->reverse_path, sizeof(r->reverse_path));
	get_str(request, r->forward_path, sizeof(r->forward_path));
	r->offset = get_u64(request);
	r->length = get_u64(request);
	r->lines = get_u64(request);
	r->flags = get_u32(request);
	r->content = -1;
}

int
deliver_request_is_legal(const struct deliver_request *r)
{
	return is_queue_id(r->id) && r->arrived <= INT64_MAX &&
	    (r->flags & ~(uint32_t)DELIVER_FLAGS) == 0 &&
	    is_path_text(r->reverse_path) && is_path_text(r->forward_path) &&
	    r->forward_path[0] != '\0' && is_content(r);
}

void
deliver_request_letter(const struct deliver_request *r, const char *head,
    struct mailbox_letter *letter)
{
	*letter = (struct mailbox_letter) {
		.queue_id = r->id,
		.arrived = (time_t)r->arrived,
		.head = head,
		.head_len = strlen(head),
		.content = r->content,
		.offset = r->offset,
		.length = r->length,
		.lines = r->lines,
		.tried_before = (r->flags & DELIVER_TRIED) != 0,
	};
}

int
deliver_reply(int sock, const struct deliver_verdict *v)
{
	struct message reply;

	message_begin(&reply, REPLY_OF(REQ_DELIVER));
	put_u32(&reply, v->verdict);
	put_str(&reply, v->status);
	put_str(&reply, v->text);
	return message_send(sock, &reply);
}
