/*
 * dns_reply: an answer as octets between resolver and queue (dns.h), after its
 * id.
 */
#ifndef SMTPD_DNS_REPLY_H
#define SMTPD_DNS_REPLY_H

#include "../privsep/message.h"
#include "dns.h"

/*
 * As many records as there is room for in a message, from the first on.  A
 * record that is not as dns.h wants it is left out.
 */
void	dns_reply_put(struct message *, const struct dns_answer *);
/*
 * answer->type says of which type it must be.  Strict: 0, or -1 with errno
 * EBADMSG; the message ends here.
 */
int	dns_reply_get(struct message *, struct dns_answer *);
/* Letters, digits, '-', '_' and dots as dns.h has it, in lower case? */
int	dns_is_host(const char *);

#endif
