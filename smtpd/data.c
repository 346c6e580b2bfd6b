/*
 * data: where a message ends, and what of the stream is its content.
 *
 * Runs in the worker, as worker-user.  Touches nothing but its arguments.
 */
#include <string.h>

#include "data.h"

/* A piece on its way from in to out. */
struct piece {
	const uint8_t	*at;
	const uint8_t	*end;
	uint8_t		*out;
};

void
data_init(struct data *data, int is_chunked)
{
	memset(data, 0, sizeof(*data));
	data->is_chunked = is_chunked;
	data->state = DATA_LINE_START;
}

int
data_is_done(const struct data *data)
{
	return data->state == DATA_DONE;
}

const char *
data_fault_text(const struct data *data)
{
	switch (data->fault) {
	case DATA_BARE_CR:
		return "Message contains a bare CR: lines end with CR LF";
	case DATA_BARE_LF:
		return "Message contains a bare LF: lines end with CR LF";
	case DATA_NUL:
		return "Message contains a NUL octet";
	case DATA_AMBIGUOUS:
		return "A part has two types or two encodings";
	case DATA_TOO_DEEP:
		return "Parts are nested too deep";
	case DATA_GOOD:
		break;
	}
	return NULL;
}

static void
set_fault(struct data *data, enum data_fault fault)
{
	if (data->fault == DATA_GOOD)
		data->fault = fault;
}

/* One octet at the beginning of a line. */
static enum data_state
line_start(const struct data *data, struct piece *piece)
{
	if (*piece->at == '.' && !data->is_chunked) {
		piece->at++;
		return DATA_DOT;
	}
	return DATA_IN_LINE;
}

/* The octet after a CR: line end, or a CR that was none. */
static enum data_state
after_cr(struct data *data, struct piece *piece, enum data_state line_end)
{
	if (*piece->at != '\n') {
		set_fault(data, DATA_BARE_CR);
		return DATA_IN_LINE;
	}
	piece->at++;
	if (line_end == DATA_LINE_START)
		*piece->out++ = '\n';
	return line_end;
}

/* The octet after a dot that began a line; the dot itself is dropped. */
static enum data_state
after_dot(struct piece *piece)
{
	if (*piece->at != '\r')
		return DATA_IN_LINE;
	piece->at++;
	return DATA_DOT_CR;
}

/*
 * The text of a line, as much of it as is here: in bulk, since nearly all
 * octets pass through here.  The LF is looked for first: in good mail it is a
 * line's length away and everything after it is looked at once.  In a faulty
 * message it no longer matters, and only CRs are looked for: so that no mix of
 * the two can make us look at the same octets again and again.
 */
static enum data_state
in_line(struct data *data, struct piece *piece)
{
	const uint8_t *cr, *lf = NULL, *stop = piece->end;
	size_t len;

	if (data->fault == DATA_GOOD)
		lf = memchr(piece->at, '\n', (size_t)(stop - piece->at));
	if (lf != NULL)
		stop = lf;
	if ((cr = memchr(piece->at, '\r', (size_t)(stop - piece->at))) != NULL)
		stop = cr;
	len = (size_t)(stop - piece->at);
	if (data->fault == DATA_GOOD) {
		if (memchr(piece->at, '\0', len) != NULL)
			set_fault(data, DATA_NUL);
		memcpy(piece->out, piece->at, len);
		piece->out += len;
	}
	piece->at = stop;
	if (cr == NULL && lf == NULL)
		return DATA_IN_LINE;
	piece->at++;
	if (cr != NULL)
		return DATA_CR;
	set_fault(data, DATA_BARE_LF);
	return DATA_IN_LINE;
}

static enum data_state
step(struct data *data, struct piece *piece)
{
	switch (data->state) {
	case DATA_LINE_START:
		return line_start(data, piece);
	case DATA_IN_LINE:
		return in_line(data, piece);
	case DATA_CR:
		return after_cr(data, piece, DATA_LINE_START);
	case DATA_DOT:
		return after_dot(piece);
	case DATA_DOT_CR:
		return after_cr(data, piece, DATA_DONE);
	case DATA_DONE:
		break;
	}
	return DATA_DONE;
}

size_t
data_take(struct data *data, const uint8_t *in, size_t len, uint8_t *out,
    size_t *outlen)
{
	struct piece piece = { in, in + len, out };
	size_t used;

	while (piece.at < piece.end && data->state != DATA_DONE)
		data->state = step(data, &piece);
	used = (size_t)(piece.at - in);
	data->octets += used;
	*outlen = data->fault == DATA_GOOD ? (size_t)(piece.out - out) : 0;
	return used;
}

size_t
data_end(struct data *data, uint8_t out[1])
{
	enum data_state state = data->state;

	data->state = DATA_DONE;
	if (state == DATA_CR)
		set_fault(data, DATA_BARE_CR);
	if (state != DATA_IN_LINE || data->fault != DATA_GOOD)
		return 0;
	out[0] = '\n';
	return 1;
}
