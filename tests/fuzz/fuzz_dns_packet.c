/* LINK: smtpd/dns_packet smtpd/dns_reverse smtpd/dns_reply privsep/message */
/* LIBS: -lresolv */
/*
 * What a name server sends: first octet the type, then the packet.  Whatever
 * is read must pass through the gate as it is, and be as dns.h promises.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "privsep/message.h"
#include "smtpd/dns_packet.h"
#include "smtpd/dns_reply.h"
#include "smtpd/dns_reverse.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Whatever is said, the questions come to an end, and a name is a name. */
static void
look_up(const struct dns_answer *answer)
{
	struct dns_reverse look;
	int i;

	(void)dns_reverse_begin(&look, "192.0.2.7");
	for (i = 0; !look.is_over; i++) {
		if (i > DNS_NAMES_TRIED || (look.type != DNS_PTR &&
		    !dns_reverse_is_name(look.asked)))
			abort();
		dns_reverse_answered(&look, answer);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const enum dns_type types[] = {
		DNS_A, DNS_PTR, DNS_MX, DNS_AAAA
	};
	static struct dns_answer answer, back;
	struct message m;
	size_t i;

	if (len == 0)
		return 0;
	answer.type = back.type = types[data[0] % 4];
	dns_packet_read(data + 1, len - 1, "example.org", &answer);
	if (answer.count > DNS_RECORDS_MAX ||
	    (answer.count > 0 && answer.status != DNS_OK))
		abort();
	for (i = 0; i < answer.count; i++)
		if ((answer.type == DNS_PTR ||
		    (answer.type == DNS_MX && answer.records[i].host[0])) &&
		    !dns_is_host(answer.records[i].host))
			abort();
	look_up(&answer);
	message_begin(&m, 1);
	dns_reply_put(&m, &answer);
	if (dns_reply_get(&m, &back) == -1 || back.status != answer.status ||
	    back.count > answer.count)
		abort();
	/* And the queue's reader, of anything at all. */
	message_begin(&m, 1);
	m.len = len - 1 < MESSAGE_MAX ? len - 1 : MESSAGE_MAX;
	memcpy(m.data, data + 1, m.len);
	(void)dns_reply_get(&m, &back);
	return 0;
}
