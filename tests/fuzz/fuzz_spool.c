/* LINK: smtpd/spool smtpd/spool_read smtpd/envelope smtpd/address smtpd/xtext wire/utf8 */
/*
 * Files of the spool as disks and people may leave them: the first octet says
 * what the rest is: a file; a file whose header and check are put right, so
 * that what lies behind them is reached; an envelope; a name in queue/.
 */
#include <sys/mman.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtpd/spool.h"
#include "smtpd/spool_format.h"
#include "smtpd/gates.h"
#include "smtpd/xtext.h"

#define REQUIRE(what)	do { if (!(what)) abort(); } while (0)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What a reader has accepted must be fit for use. */
static void
check_envelope(const struct envelope *e)
{
	size_t i;

	REQUIRE(e->recipient_count > 0 && e->recipient_count <=
	    RECIPIENTS_MAX);
	REQUIRE(strpbrk(e->sender, "\r\n") == NULL);
	REQUIRE(strpbrk(e->helo, "\r\n ") == NULL);
	REQUIRE(strpbrk(e->client, "\r\n ") == NULL);
	for (i = 0; e->login[i] != '\0'; i++)
		REQUIRE((uint8_t)e->login[i] >= ' ' &&
		    i < ENVELOPE_LOGIN_MAX - 1);
	REQUIRE(e->ret <= RET_HDRS && envid_is_legal(e->envid));
	for (i = 0; i < e->recipient_count; i++) {
		REQUIRE(notify_is_legal(e->recipients[i].notify));
		REQUIRE(orcpt_is_legal(e->recipients[i].orcpt));
		REQUIRE(strpbrk(e->recipients[i].local, "\r\n") == NULL);
		REQUIRE(strpbrk(e->recipients[i].domain, "\r\n") == NULL);
		REQUIRE(strpbrk(e->recipients[i].account, "\r\n/ ") == NULL);
	}
}

static void
read_file(const uint8_t *data, size_t len)
{
	struct letter letter;
	size_t i;
	int fd = memfd_create("letter", MFD_CLOEXEC);

	REQUIRE(fd != -1 && write(fd, data, len) == (ssize_t)len);
	if (letter_read(fd, &letter) == -1) {
		REQUIRE(errno == EBADMSG || errno == ENOMEM);
		return;
	}
	check_envelope(&letter.envelope);
	REQUIRE(letter.offset <= len && letter.length <= len - letter.offset);
	REQUIRE(letter.outcome_end <= len);
	for (i = 0; i < letter.outcome_count; i++)
		REQUIRE(letter.outcomes[i].recipient <
		    letter.envelope.recipient_count);
	(void)letter_attempts(&letter);
	letter_close(&letter);
}

/* Right magic, version, lengths and check over whatever there is. */
static void
put_right(const uint8_t *data, size_t len)
{
	uint8_t file[8192] = { 0 };
	size_t envelope, at;
	uint64_t check;

	if (len < 4 || len > sizeof(file) - FORMAT_HEADER)
		return;
	envelope = (data[0] | (size_t)data[1] << 8) % (len - 3);
	memcpy(file + FORMAT_HEADER, data + 4, len - 4);
	memcpy(file, FORMAT_MAGIC, FORMAT_MAGIC_LEN);
	format_store(file + 8, FORMAT_VERSION, 4);
	format_store(file + 12, envelope, 4);
	format_store(file + 16, FORMAT_HEADER + envelope, 8);
	format_store(file + 24, data[2], 8);
	format_store(file + 32, data[3], 8);
	check = format_check(FORMAT_CHECK_START, file, FORMAT_CHECKED);
	check = format_check(check, file + FORMAT_HEADER, envelope);
	format_store(file + FORMAT_CHECKED, check, 8);
	len += FORMAT_HEADER - 4;
	/* And over the outcome records that then fit. */
	for (at = FORMAT_HEADER + envelope + data[2];
	    at + FORMAT_OUTCOME <= len; at += FORMAT_OUTCOME) {
		format_store(file + at, FORMAT_OUTCOME_MAGIC, 4);
		format_store(file + at + FORMAT_OUTCOME_CHECKED,
		    format_check(FORMAT_CHECK_START, file + at,
		    FORMAT_OUTCOME_CHECKED), 8);
	}
	read_file(file, len);
}

static void
read_envelope(const uint8_t *data, size_t len)
{
	struct envelope envelope;
	char *copy = malloc(len > 0 ? len : 1);

	REQUIRE(copy != NULL);
	memcpy(copy, data, len);
	if (envelope_decode(&envelope, copy, len) == 0) {
		check_envelope(&envelope);
		envelope_free(&envelope);
	}
}

static void
read_name(const uint8_t *data, size_t len)
{
	struct spool_name name;
	char text[256], again[SPOOL_NAME_MAX];

	if (len >= sizeof(text))
		return;
	memcpy(text, data, len);
	text[len] = '\0';
	if (spool_name_parse(text, &name) == -1)
		return;
	REQUIRE(strchr(text, '/') == NULL);
	REQUIRE(spool_name_print(&name, again) == 0);
	REQUIRE(strcmp(text, again) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		read_file(data + 1, len - 1);
		break;
	case 1:
		put_right(data + 1, len - 1);
		break;
	case 2:
		read_envelope(data + 1, len - 1);
		break;
	default:
		read_name(data + 1, len - 1);
	}
	return 0;
}
