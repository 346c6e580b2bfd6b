/*
 * letter: reads a message and looks at its header.
 *
 * Runs in sendmail, as whoever called it; reads standard input, and keeps the
 * message in a file without a name in the system's place for such files.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "letter.h"

/* Between two octets of the input. */
struct intake {
	struct letter	*letter;
	int		 at_start;	/* of a line */
	int		 is_dot;	/* the line is "." so far */
	int		 after_cr;
	int		 ignore_dot;
};

/* 1 at the end of the message, -1 with errno. */
static int
put_line_end(struct intake *in)
{
	if (in->is_dot && !in->ignore_dot)
		return 1;
	if (in->is_dot && putc_unlocked('.', in->letter->content) == EOF)
		return -1;
	in->letter->octets += 2 + 2 * (uint64_t)in->is_dot;
	in->is_dot = 0;
	in->at_start = 1;
	return putc_unlocked('\n', in->letter->content) == EOF ? -1 : 0;
}

static int
put_octet(struct intake *in, int c)
{
	if (c == '.' && in->at_start) {
		in->at_start = 0;
		in->is_dot = 1;
		return 0;
	}
	if (in->is_dot && putc_unlocked('.', in->letter->content) == EOF)
		return -1;
	in->letter->octets += 1 + 2 * (uint64_t)in->is_dot;
	in->at_start = in->is_dot = 0;
	in->letter->is_eightbit |= c > 127;
	return putc_unlocked(c, in->letter->content) == EOF ? -1 : 0;
}

static int
take(struct intake *in, int c)
{
	const int was_cr = in->after_cr;

	in->after_cr = c == '\r';
	if (c == '\0' || (c == '\n' && was_cr))
		return 0;
	if (c == '\n' || c == '\r')
		return put_line_end(in);
	return put_octet(in, c);
}

static int
copy(struct letter *letter, FILE *from, int ignore_dot)
{
	struct intake in = {
		.letter = letter, .at_start = 1, .ignore_dot = ignore_dot
	};
	int c, r = 0;

	while (r == 0 && (c = getc_unlocked(from)) != EOF)
		r = take(&in, c);
	if (r == 0 && ferror(from))
		return -1;
	if (r == 0 && !in.at_start)
		r = put_line_end(&in);
	if (r == -1 || fflush(letter->content) == EOF)
		return -1;
	return 0;
}

/* Where the fields end; they may go on behind len if this is len. */
static size_t
fields_end(struct letter *letter, const char *text, size_t len)
{
	struct letter_field field;
	size_t at = 0;

	while (letter_field(&field, text + at, len - at)) {
		letter->has_from |= letter_field_is(&field, "From");
		at += field.len;
	}
	return at;
}

/* "From sender date", in front of a message that was in an mbox. */
static size_t
envelope_line(const char *text, size_t len)
{
	const char *end;

	if (len < 5 || memcmp(text, "From ", 5) != 0)
		return 0;
	end = memchr(text, '\n', len);
	return end == NULL ? 0 : (size_t)(end - text) + 1;
}

/* The header goes to memory; content stands behind it. */
static int
take_header(struct letter *letter)
{
	size_t len, skip;

	letter->header = malloc(LETTER_HEADER_MAX);
	if (letter->header == NULL)
		return -1;
	rewind(letter->content);
	len = fread(letter->header, 1, LETTER_HEADER_MAX, letter->content);
	if (ferror(letter->content))
		return -1;
	skip = envelope_line(letter->header, len);
	memmove(letter->header, letter->header + skip, len - skip);
	letter->header_len = fields_end(letter, letter->header, len - skip);
	if (letter->header_len + skip == LETTER_HEADER_MAX ||
	    (len == LETTER_HEADER_MAX && memchr(letter->header +
	    letter->header_len, '\n', len - skip - letter->header_len) ==
	    NULL)) {
		errno = EFBIG;
		return -1;
	}
	return fseeko(letter->content, (off_t)(skip + letter->header_len),
	    SEEK_SET);
}

int
letter_read(struct letter *letter, FILE *in, int ignore_dot)
{
	memset(letter, 0, sizeof(*letter));
	letter->content = tmpfile();
	if (letter->content == NULL || copy(letter, in, ignore_dot) == -1)
		return -1;
	return take_header(letter);
}

/* One line with its end; all that there is, if it has none. */
static size_t
line_length(const char *text, size_t len)
{
	const char *end = memchr(text, '\n', len);

	return end == NULL ? len : (size_t)(end - text) + 1;
}

int
letter_field(struct letter_field *field, const char *text, size_t len)
{
	size_t n = 0, at;

	while (n < len && text[n] > ' ' && text[n] <= '~' && text[n] != ':')
		n++;
	for (at = n; at < len && (text[at] == ' ' || text[at] == '\t'); at++)
		;
	if (n == 0 || at == len || text[at] != ':')
		return 0;
	field->text = text;
	field->name_len = n;
	field->value = text + at + 1;
	at += line_length(text + at, len - at);
	while (at < len && (text[at] == ' ' || text[at] == '\t'))
		at += line_length(text + at, len - at);
	field->len = at;
	field->value_len = (size_t)(text + at - field->value);
	return 1;
}

int
letter_field_is(const struct letter_field *field, const char *name)
{
	return strlen(name) == field->name_len &&
	    strncasecmp(field->text, name, field->name_len) == 0;
}

int
letter_field_is_secret(const struct letter_field *field)
{
	return letter_field_is(field, "Bcc") ||
	    letter_field_is(field, "Resent-Bcc");
}

/* Each at most once in a set; those of the first three are recipients. */
static const char *const resent[] = {
	"Resent-To", "Resent-Cc", "Resent-Bcc", "Resent-From",
	"Resent-Sender", "Resent-Date", "Resent-Message-ID"
};
static const char *const original[] = { "To", "Cc", "Bcc" };

static int
index_of(const struct letter_field *field, const char *const *names,
    size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (letter_field_is(field, names[i]))
			return (int)i;
	return -1;
}

static enum recipients_status
first_set(const char *header, size_t len, struct recipients *list, int *is_any,
    char *where)
{
	enum recipients_status status = RECIPIENTS_OK;
	struct letter_field field;
	unsigned int seen = 0;
	int i;

	*is_any = 0;
	while (status == RECIPIENTS_OK && letter_field(&field, header, len)) {
		i = index_of(&field, resent, 7);
		if (i != -1 && (seen & 1U << i) != 0)
			break;
		if (i != -1)
			seen |= 1U << i;
		if (i >= 0 && i < 3) {
			*is_any = 1;
			status = recipients_add(list, field.value,
			    field.value_len, where);
		}
		header += field.len;
		len -= field.len;
	}
	return status;
}

enum recipients_status
letter_recipients(const char *header, size_t len, struct recipients *list,
    char where[RECIPIENTS_WHERE_MAX])
{
	enum recipients_status status;
	struct letter_field field;
	int is_resent;

	status = first_set(header, len, list, &is_resent, where);
	if (is_resent)
		return status;
	while (status == RECIPIENTS_OK && letter_field(&field, header, len)) {
		if (index_of(&field, original, 3) != -1)
			status = recipients_add(list, field.value,
			    field.value_len, where);
		header += field.len;
		len -= field.len;
	}
	return status;
}
