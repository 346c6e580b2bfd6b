/*
 * spool_format: a spool file, octet by octet.  For spool_write.c and
 * spool_read.c only.
 *
 *	0	header (FORMAT_HEADER octets)
 *	128	envelope, tagged records (envelope.h)
 *	offset	trace and content, LF line ends
 *	offset + length
 *		outcome records (FORMAT_OUTCOME octets each), as they come
 *
 * Nothing is told from anything by a separator, so no content can be taken
 * for structure (C5).  Integers are little-endian.  The header is written
 * last: a file without a good one is no letter.
 *
 * header:	0 magic "Postern", 0x01	 8 u32 version	12 u32 envelope length
 *		16 u64 offset	24 u64 length	32 u64 lines
 *		40 u64 arrived	48 zeros	120 u64 check of all before it
 *		and of the envelope
 * outcome:	0 u32 magic	4 u32 kind	8 u32 recipient	12 u32 attempt
 *		16 u64 key	24 u64 when	32 status	44 text
 *		444 remote	572 target, each padded with NULs
 *		896 u32 flags	900 u32 code	904 zeros
 *		1016 u64 check of all before it
 */
#ifndef SMTPD_SPOOL_FORMAT_H
#define SMTPD_SPOOL_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define FORMAT_MAGIC		"Postern\x01"
#define FORMAT_MAGIC_LEN	8
#define FORMAT_VERSION		2
#define FORMAT_HEADER		128
#define FORMAT_CHECKED		120	/* octets of the header under check */
#define FORMAT_OUTCOME		1024
#define FORMAT_OUTCOME_CHECKED	1016
#define FORMAT_OUTCOME_MAGIC	0x6d74754fU	/* "Outm" */
#define FORMAT_STATUS_AT	32
#define FORMAT_TEXT_AT		44
#define FORMAT_REMOTE_AT	444
#define FORMAT_TARGET_AT	572
#define FORMAT_FLAGS_AT		896
#define FORMAT_CODE_AT		900

#define FORMAT_CHECK_START	UINT64_C(0xcbf29ce484222325)

/* FNV-1a: finds damage, not malice, from which the file's owner protects. */
static inline uint64_t
format_check(uint64_t check, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i < len; i++)
		check = (check ^ p[i]) * UINT64_C(0x100000001b3);
	return check;
}

static inline void
format_store(uint8_t *p, uint64_t v, int octets)
{
	int i;

	for (i = 0; i < octets; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t
format_load(const uint8_t *p, int octets)
{
	uint64_t v = 0;
	int i;

	for (i = 0; i < octets; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

#endif
