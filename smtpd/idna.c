/*
 * idna: U-labels to A-labels.
 *
 * Runs in the session agent and in the queue, as queue-user, on what clients
 * sent.  Touches nothing but its arguments.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "smtpd/idna.h"
#include "wire/utf8.h"

#define LABEL_MAX	63

/* RFC 3492, section 5. */
#define BASE		36
#define TMIN		1
#define TMAX		26
#define SKEW		38
#define DAMP		700
#define INITIAL_BIAS	72
#define INITIAL_N	0x80

/* A label's characters, and its encoding as it grows. */
struct label {
	uint32_t	chars[LABEL_MAX + 1];
	size_t		count;
	char		ascii[LABEL_MAX + 1];
	size_t		len;
};

int
idna_is_ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s > 127)
			return 0;
	return 1;
}

/* The next character of text that is valid UTF-8. */
static uint32_t
next_char(const char **text)
{
	const uint8_t *p = (const uint8_t *)*text;
	uint32_t c = p[0];
	int more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	int i;

	if (more > 0)
		c &= 0x3fU >> more;
	for (i = 1; i <= more; i++)
		c = c << 6 | (p[i] & 0x3fU);
	*text += more + 1;
	return c;
}

static int
put(struct label *label, int c)
{
	if (label->len == LABEL_MAX)
		return -1;
	label->ascii[label->len++] = (char)c;
	return 0;
}

static int
digit(uint32_t d)
{
	return (int)(d < 26 ? 'a' + d : '0' + d - 26);
}

static uint32_t
adapt(uint32_t delta, uint32_t points, int is_first)
{
	uint32_t k = 0;

	delta = is_first ? delta / DAMP : delta / 2;
	delta += delta / points;
	for (; delta > (BASE - TMIN) * TMAX / 2; k += BASE)
		delta /= BASE - TMIN;
	return k + (BASE - TMIN + 1) * delta / (delta + SKEW);
}

/* A number in digits of growing weight. */
static int
put_number(struct label *label, uint32_t q, uint32_t bias)
{
	uint32_t k, t;

	for (k = BASE;; k += BASE) {
		t = k <= bias ? TMIN : k >= bias + TMAX ? TMAX : k - bias;
		if (q < t)
			return put(label, digit(q));
		if (put(label, digit(t + (q - t) % (BASE - t))) == -1)
			return -1;
		q = (q - t) / (BASE - t);
	}
}

/* All of one code point, the smallest not yet encoded. */
static int
put_points(struct label *label, uint32_t n, uint32_t *delta, uint32_t *bias,
    uint32_t *done, size_t basic)
{
	size_t i;

	for (i = 0; i < label->count; i++) {
		if (label->chars[i] < n)
			++*delta;
		if (label->chars[i] != n)
			continue;
		if (put_number(label, *delta, *bias) == -1)
			return -1;
		*bias = adapt(*delta, *done + 1, *done == basic);
		*delta = 0;
		++*done;
	}
	return 0;
}

static uint32_t
smallest_from(const struct label *label, uint32_t n)
{
	uint32_t m = UINT32_MAX;
	size_t i;

	for (i = 0; i < label->count; i++)
		if (label->chars[i] >= n && label->chars[i] < m)
			m = label->chars[i];
	return m;
}

/* RFC 3492, section 6.3; 63 characters below 0x110000 can't overflow. */
static int
encode(struct label *label)
{
	uint32_t n = INITIAL_N, delta = 0, bias = INITIAL_BIAS, m, done = 0;
	size_t i, basic;

	memcpy(label->ascii, "xn--", 4);
	label->len = 4;
	for (i = 0; i < label->count; i++)
		if (label->chars[i] < 0x80) {
			if (put(label, (int)label->chars[i]) == -1)
				return -1;
			done++;
		}
	basic = done;
	if (basic > 0 && put(label, '-') == -1)
		return -1;
	for (; done < label->count; delta++, n++) {
		m = smallest_from(label, n);
		delta += (m - n) * (done + 1);
		n = m;
		if (put_points(label, n, &delta, &bias, &done, basic) == -1)
			return -1;
	}
	return 0;
}

/* One label, up to end; *at goes behind it. */
static int
take_label(struct label *label, const char **at)
{
	int has_more = 0;
	uint32_t c;

	label->count = label->len = 0;
	while (**at != '\0' && **at != '.') {
		c = next_char(at);
		if (label->count == LABEL_MAX)
			return -1;
		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		has_more |= c >= 0x80;
		label->chars[label->count++] = c;
	}
	if (label->count == 0)
		return -1;
	if (has_more)
		return encode(label);
	for (; label->len < label->count; label->len++)
		label->ascii[label->len] = (char)label->chars[label->len];
	return 0;
}

int
idna_to_ascii(const char *domain, char ascii[IDNA_MAX])
{
	struct label label;
	size_t len = 0;

	errno = EINVAL;
	if (idna_is_ascii(domain))
		return strlcpy(ascii, domain, IDNA_MAX) < IDNA_MAX ? 0 : -1;
	if (!utf8_is_valid(domain, strlen(domain)))
		return -1;
	for (;;) {
		if (take_label(&label, &domain) == -1 ||
		    len + label.len + 1 >= IDNA_MAX)
			return -1;
		memcpy(ascii + len, label.ascii, label.len);
		len += label.len;
		if (*domain == '\0')
			break;
		domain++;
		ascii[len++] = '.';
	}
	ascii[len] = '\0';
	return 0;
}
