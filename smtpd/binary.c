/*
 * binary: BINARYMIME to text, octet by octet.
 *
 * Runs in the worker, as worker-user, on what the client sent: the one process
 * with nothing to lose parses MIME.  Touches nothing but its arguments.
 */
#include <string.h>

#include "binary.h"

#define CANDIDATE_MAX	160	/* octets of a delimiter, with its padding */
#define BASE64_COLUMNS	76

void
binary_init(struct binary *b, void (*put)(void *, const uint8_t *, size_t),
    void *arg)
{
	memset(b, 0, sizeof(*b));
	b->put = put;
	b->arg = arg;
	b->state = BINARY_HEADER;
}

static void
set_fault(struct binary *b, enum data_fault fault)
{
	if (b->fault == DATA_GOOD)
		b->fault = fault;
}

static void
put(struct binary *b, const void *octets, size_t len)
{
	if (len > 0 && b->fault == DATA_GOOD)
		b->put(b->arg, octets, len);
}

/* What is held, as four characters; "=" for what is not there. */
static void
put_quantum(struct binary *b)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = b->held;
	char text[5];

	if (b->held_len == 0)
		return;
	memset(b->held + b->held_len, 0, sizeof(b->held) - b->held_len);
	text[0] = digits[p[0] >> 2];
	text[1] = digits[(p[0] & 3) << 4 | p[1] >> 4];
	text[2] = digits[(p[1] & 15) << 2 | p[2] >> 6];
	text[3] = digits[p[2] & 63];
	memset(text + 1 + b->held_len, '=', sizeof(b->held) - b->held_len);
	b->held_len = 0;
	b->column += 4;
	text[4] = '\n';
	put(b, text, b->column == BASE64_COLUMNS ? 5 : 4);
	if (b->column == BASE64_COLUMNS)
		b->column = 0;
}

static void
encode(struct binary *b, const char *octets, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		b->held[b->held_len++] = (uint8_t)octets[i];
		if (b->held_len == sizeof(b->held))
			put_quantum(b);
	}
}

static void
encode_end(struct binary *b)
{
	put_quantum(b);
	if (b->column > 0)
		put(b, "\n", 1);
	b->column = 0;
}

/* Of a message, or of a part of the innermost multipart. */
static void
begin_header(struct binary *b, int is_part)
{
	memset(&b->type, 0, sizeof(b->type));
	b->type.is_message = is_part && b->around[b->depth - 1].is_digest;
	b->has_type = b->is_binary = b->has_encoding = b->is_encoded = 0;
	b->field_len = 0;
	b->is_passed = 0;
	b->state = BINARY_HEADER;
}

static int
is_encoding(const struct binary *b, size_t value, const char *word)
{
	return mime_value_is(b->field + value, b->field_len - value, word);
}

/* The part that a field is of: what does it say?  1: it is not passed on. */
static int
note_field(struct binary *b)
{
	size_t value;

	if (mime_field_is(b->field, b->field_len, "Content-Type", &value)) {
		if (b->has_type)
			set_fault(b, DATA_AMBIGUOUS);
		b->has_type = 1;
		mime_type_parse(&b->type, b->field + value,
		    b->field_len - value);
		return 0;
	}
	if (!mime_field_is(b->field, b->field_len,
	    "Content-Transfer-Encoding", &value))
		return 0;
	if (b->has_encoding)
		set_fault(b, DATA_AMBIGUOUS);
	b->has_encoding = 1;
	b->is_binary = is_encoding(b, value, "binary");
	b->is_encoded = !b->is_binary && !is_encoding(b, value, "7bit") &&
	    !is_encoding(b, value, "8bit");
	return b->is_binary;
}

static void
end_field(struct binary *b)
{
	if (b->field_len > 0 && (b->is_passed || !note_field(b)))
		put(b, b->field, b->field_len);
	b->field_len = 0;
	b->is_passed = 0;
}

/* Fields are held back until they are over, unless they are too long. */
static void
add_to_field(struct binary *b, const char *text, size_t len)
{
	if (len > sizeof(b->field) - b->field_len) {
		put(b, b->field, b->field_len);
		b->field_len = 0;
		b->is_passed = 1;
	}
	memcpy(b->field + b->field_len, text, len);
	b->field_len += len;
}

static void
push(struct binary *b)
{
	if (b->depth == BINARY_DEPTH)
		set_fault(b, DATA_TOO_DEEP);
	else
		b->around[b->depth++] = b->type;
}

static void
end_header(struct binary *b, int has_body)
{
	static const char eight[] = "Content-Transfer-Encoding: 8bit\n";
	static const char base64[] = "Content-Transfer-Encoding: base64\n";
	int is_leaf;

	end_field(b);
	is_leaf = !b->type.is_multipart && !b->type.is_message;
	if (b->is_binary)
		put(b, is_leaf ? base64 : eight,
		    is_leaf ? sizeof(base64) - 1 : sizeof(eight) - 1);
	b->state = BINARY_TEXT;
	if (!has_body)
		return;
	put(b, "\n", 1);
	if (b->type.is_multipart)
		push(b);
	else if (b->type.is_message && !b->is_encoded)
		begin_header(b, 0);
	else if (b->is_binary) {
		/* A delimiter can come at once. */
		b->state = BINARY_RAW_LINE;
		b->has_crlf = 0;
	}
}

/* Which multipart's delimiter is the line?  -1: it is none. */
static int
delimiter_of(const struct binary *b, int *is_close)
{
	const char *line = b->line + 2;
	size_t len = b->line_len, n, i;

	while (len > 0 && (b->line[len - 1] == ' ' ||
	    b->line[len - 1] == '\t'))
		len--;
	if (b->is_long || len < 3 || memcmp(b->line, "--", 2) != 0)
		return -1;
	len -= 2;
	for (i = b->depth; i > 0; i--) {
		n = strlen(b->around[i - 1].boundary);
		if (len < n || memcmp(line, b->around[i - 1].boundary, n) != 0)
			continue;
		*is_close = len == n + 2 && memcmp(line + n, "--", 2) == 0;
		if (len == n || *is_close)
			return (int)i - 1;
	}
	return -1;
}

/* The line is passed on, and if it is a delimiter, heeded. */
static void
take_delimiter(struct binary *b, int level, int is_close)
{
	put(b, b->line, b->line_len);
	put(b, "\n", 1);
	b->depth = (size_t)level + !is_close;
	if (is_close)
		b->state = BINARY_TEXT;
	else
		begin_header(b, 1);
}

/* What there is of a line in a header: its first octets, or others. */
static void
take_header(struct binary *b)
{
	int is_more = b->line_len > 0 &&
	    (b->line[0] == ' ' || b->line[0] == '\t');

	if (!b->is_long && !is_more)
		end_field(b);
	add_to_field(b, b->line, b->line_len);
}

static void
end_line(struct binary *b)
{
	int is_close = 0, level = delimiter_of(b, &is_close);

	if (level != -1) {
		if (b->state == BINARY_HEADER)
			end_header(b, 0);
		take_delimiter(b, level, is_close);
	} else if (b->state == BINARY_TEXT) {
		put(b, b->line, b->line_len);
		put(b, "\n", 1);
	} else if (b->line_len == 0 && !b->is_long) {
		end_header(b, 1);
	} else {
		take_header(b);
		add_to_field(b, "\n", 1);
	}
	b->line_len = 0;
	b->is_long = 0;
}

/* An octet of a header, or of a body of lines. */
static void
take_text(struct binary *b, char c)
{
	if (b->has_cr) {
		b->has_cr = 0;
		if (c == '\n')
			end_line(b);
		else
			set_fault(b, DATA_BARE_CR);
		return;
	}
	if (c == '\r') {
		b->has_cr = 1;
		return;
	}
	if (c == '\n' || c == '\0')
		set_fault(b, c == '\n' ? DATA_BARE_LF : DATA_NUL);
	if (b->line_len == sizeof(b->line)) {
		if (b->state == BINARY_HEADER)
			take_header(b);
		else
			put(b, b->line, b->line_len);
		b->line_len = 0;
		b->is_long = 1;
	}
	b->line[b->line_len++] = c;
}

/* What looked like a delimiter was content. */
static void
release(struct binary *b)
{
	if (b->has_crlf)
		encode(b, "\r\n", 2);
	encode(b, b->line, b->line_len);
	b->line_len = 0;
	b->has_crlf = 0;
}

/* A line of a raw body that began with "--" is over. */
static void
end_candidate(struct binary *b)
{
	int is_close = 0, level = delimiter_of(b, &is_close);

	if (level == -1) {
		release(b);
		/* Its CR LF may begin another. */
		b->has_crlf = 1;
		b->state = BINARY_RAW_LINE;
		return;
	}
	encode_end(b);
	take_delimiter(b, level, is_close);
	b->line_len = 0;
}

/* After CR LF: what may still become a delimiter is held back. */
static void
take_candidate(struct binary *b, char c)
{
	if (c == '\r') {
		b->state = BINARY_RAW_LINE_CR;
		return;
	}
	if ((b->line_len < 2 && c != '-') || b->line_len == CANDIDATE_MAX) {
		release(b);
		b->state = BINARY_RAW;
		encode(b, &c, 1);
		return;
	}
	b->line[b->line_len++] = c;
}

/* An octet of a binary body. */
static void
take_raw(struct binary *b, char c)
{
	switch (b->state) {
	case BINARY_RAW_CR:
	case BINARY_RAW_LINE_CR:
		if (c == '\n' && b->state == BINARY_RAW_LINE_CR) {
			end_candidate(b);
			return;
		}
		if (c == '\n') {
			b->has_crlf = 1;
			b->state = BINARY_RAW_LINE;
			return;
		}
		release(b);
		encode(b, "\r", 1);
		b->state = BINARY_RAW_CR;
		if (c == '\r')
			return;
		b->state = BINARY_RAW;
		encode(b, &c, 1);
		return;
	case BINARY_RAW_LINE:
		take_candidate(b, c);
		return;
	default:
		break;
	}
	if (c == '\r')
		b->state = BINARY_RAW_CR;
	else
		encode(b, &c, 1);
}

void
binary_take(struct binary *b, const uint8_t *in, size_t len)
{
	size_t i;

	for (i = 0; i < len && b->fault == DATA_GOOD; i++) {
		if (b->state == BINARY_HEADER || b->state == BINARY_TEXT)
			take_text(b, (char)in[i]);
		else
			take_raw(b, (char)in[i]);
	}
}

/* The last delimiter needs no line end. */
static void
end_raw(struct binary *b)
{
	int is_close = 0;

	if (b->state == BINARY_RAW_LINE && delimiter_of(b, &is_close) != -1) {
		encode_end(b);
		put(b, b->line, b->line_len);
		put(b, "\n", 1);
		return;
	}
	release(b);
	if (b->state == BINARY_RAW_CR || b->state == BINARY_RAW_LINE_CR)
		encode(b, "\r", 1);
	encode_end(b);
}

void
binary_end(struct binary *b)
{
	if (b->has_cr)
		set_fault(b, DATA_BARE_CR);
	if (b->state != BINARY_HEADER && b->state != BINARY_TEXT) {
		end_raw(b);
		return;
	}
	if (b->line_len > 0 || b->is_long)
		end_line(b);
	if (b->state == BINARY_HEADER)
		end_header(b, 0);
}
