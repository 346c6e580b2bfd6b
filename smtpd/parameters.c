/*
 * parameters: the arguments of SMTP commands.
 *
 * Runs in the worker, as worker-user, on what the client sent.  Touches
 * nothing but its arguments.
 */
#include <string.h>
#include <strings.h>

#include "gates.h"
#include "parameters.h"

/* One ESMTP parameter, where it stands in the line. */
struct parameter {
	const char	*keyword;
	size_t		 keyword_len;
	const char	*value;		/* NULL: none */
	size_t		 value_len;
};

static int
is_letter(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int
is_keyword_octet(int c)
{
	return is_letter(c) || (c >= '0' && c <= '9') || c == '-';
}

/* esmtp-value: printable, no space, no equal sign; or UTF-8 (RFC 6531). */
static int
is_value_octet(int c)
{
	return (c > 32 && c < 127 && c != '=') || c > 127;
}

int
parameters_split(char *line, char **verb, char **argument)
{
	size_t len = strlen(line);
	char *p = line;

	while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		line[--len] = '\0';
	while (is_letter(*p))
		p++;
	if (p == line || (*p != '\0' && *p != ' '))
		return -1;
	*verb = line;
	while (*p == ' ')
		*p++ = '\0';
	*argument = p;
	return 0;
}

const char *
parameters_helo(const char *argument, char name[HELO_MAX])
{
	const unsigned char *p = (const unsigned char *)argument;

	if (*p == '\0')
		return "501 5.5.4 Your host name is missing";
	for (; *p != '\0'; p++)
		if (*p < 33 || *p > 126)
			return "501 5.5.4 That is not a host name";
	if (strlen(argument) >= HELO_MAX)
		return "501 5.5.4 Host name too long";
	memcpy(name, argument, strlen(argument) + 1);
	return NULL;
}

int
parameters_size(const char *text, size_t len, uint64_t *size)
{
	uint64_t n = 0;
	unsigned int digit;
	size_t i;

	if (len < 1 || len > 20)
		return -1;
	for (i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		digit = (unsigned int)(text[i] - '0');
		if (n > (UINT64_MAX - digit) / 10)
			return -1;
		n = n * 10 + digit;
	}
	*size = n;
	return 0;
}

/*
 * The next parameter at *text: 1, 0 at the end of the line, -1 for something
 * that is none.
 */
static int
parameter_next(const char **text, struct parameter *parameter)
{
	const char *p = *text;

	if (*p == '\0')
		return 0;
	if (*p != ' ')
		return -1;
	while (*p == ' ')
		p++;
	if (!is_keyword_octet(*p) || *p == '-')
		return -1;
	memset(parameter, 0, sizeof(*parameter));
	parameter->keyword = p;
	while (is_keyword_octet(*p))
		p++;
	parameter->keyword_len = (size_t)(p - parameter->keyword);
	if (*p == '=') {
		parameter->value = ++p;
		while (is_value_octet((unsigned char)*p))
			p++;
		parameter->value_len = (size_t)(p - parameter->value);
		if (parameter->value_len == 0)
			return -1;
	}
	*text = p;
	return *p == '\0' || *p == ' ' ? 1 : -1;
}

static int
text_is(const char *text, size_t len, const char *word)
{
	return text != NULL && len == strlen(word) &&
	    strncasecmp(text, word, len) == 0;
}

static const char *
mail_size(const struct parameter *parameter, void *arg)
{
	struct mail_argument *mail = arg;

	if (parameter->value == NULL || parameters_size(parameter->value,
	    parameter->value_len, &mail->size) == -1)
		return "501 5.5.4 SIZE takes a number";
	return NULL;
}

static const char *
mail_body(const struct parameter *parameter, void *arg)
{
	struct mail_argument *mail = arg;

	if (text_is(parameter->value, parameter->value_len, "8BITMIME"))
		mail->is_8bitmime = 1;
	else if (text_is(parameter->value, parameter->value_len,
	    "BINARYMIME"))
		mail->is_binarymime = 1;
	else if (!text_is(parameter->value, parameter->value_len, "7BIT"))
		return "501 5.5.4 BODY is 7BIT, 8BITMIME or BINARYMIME";
	return NULL;
}

/*
 * Who first submitted it, in a host's opinion (RFC 4954, 5).  None is believed
 * here, so it is checked and forgotten, as the RFC has it.
 */
static const char *
mail_auth(const struct parameter *parameter, void *arg)
{
	(void)arg;
	if (parameter->value == NULL ||
	    !xtext_is_legal(parameter->value, parameter->value_len))
		return "501 5.5.4 AUTH takes an address in xtext, or <>";
	return NULL;
}

static const char *
mail_smtputf8(const struct parameter *parameter, void *arg)
{
	struct mail_argument *mail = arg;

	mail->is_smtputf8 = 1;
	return parameter->value == NULL ? NULL :
	    "501 5.5.4 SMTPUTF8 takes no value";
}

static const char *
mail_ret(const struct parameter *parameter, void *arg)
{
	struct mail_argument *mail = arg;

	if (text_is(parameter->value, parameter->value_len, "FULL"))
		mail->ret = RET_FULL;
	else if (text_is(parameter->value, parameter->value_len, "HDRS"))
		mail->ret = RET_HDRS;
	else
		return "501 5.5.4 RET is FULL or HDRS";
	return NULL;
}

static const char *
mail_envid(const struct parameter *parameter, void *arg)
{
	struct mail_argument *mail = arg;

	if (parameter->value == NULL || parameter->value_len >= ENVID_MAX)
		return "501 5.5.4 ENVID takes up to 100 characters";
	memcpy(mail->envid, parameter->value, parameter->value_len);
	mail->envid[parameter->value_len] = '\0';
	if (!envid_is_legal(mail->envid))
		return "501 5.5.4 ENVID takes xtext";
	return NULL;
}

/* Words with commas between them, none twice; NEVER comes alone. */
static const char *
rcpt_notify(const struct parameter *parameter, void *arg)
{
	static const char *const words[] = { "NEVER", "SUCCESS", "FAILURE",
	    "DELAY" };
	struct rcpt_argument *rcpt = arg;
	const char *at = parameter->value, *end, *comma;
	size_t i;

	if (at == NULL)
		return "501 5.5.4 NOTIFY says what to be told of";
	for (end = at + parameter->value_len; at <= end; at = comma + 1) {
		comma = memchr(at, ',', (size_t)(end - at));
		if (comma == NULL)
			comma = end;
		for (i = 0; i < 4; i++)
			if (text_is(at, (size_t)(comma - at), words[i]))
				break;
		if (i == 4 || (rcpt->notify & 1U << i) != 0)
			return "501 5.5.4 NOTIFY is NEVER, or some of "
			    "SUCCESS, FAILURE, DELAY";
		rcpt->notify |= 1U << i;
	}
	return notify_is_legal(rcpt->notify) ? NULL :
	    "501 5.5.4 NOTIFY=NEVER comes alone";
}

static const char *
rcpt_orcpt(const struct parameter *parameter, void *arg)
{
	struct rcpt_argument *rcpt = arg;

	if (parameter->value == NULL || orcpt_repair(parameter->value,
	    parameter->value_len, rcpt->orcpt) == -1)
		return "501 5.5.4 ORCPT takes a type, \";\" and xtext";
	return NULL;
}

/* What a command takes; set() notes it in that command's argument. */
struct known_parameter {
	const char	*keyword;	/* NULL: the end of the table */
	uint32_t	 needs;		/* EXTENSION_ bits */
	const char	*(*set)(const struct parameter *, void *);
};

static const struct known_parameter mail_parameters[] = {
	{ "SIZE",	EXTENSION_ANY,			mail_size },
	{ "BODY",	EXTENSION_ANY,			mail_body },
	{ "AUTH",	EXTENSION_ANY | EXTENSION_AUTH,	mail_auth },
	{ "SMTPUTF8",	EXTENSION_ANY,			mail_smtputf8 },
	{ "RET",	EXTENSION_ANY,			mail_ret },
	{ "ENVID",	EXTENSION_ANY,			mail_envid },
	{ NULL, 0, NULL }
};

static const struct known_parameter rcpt_parameters[] = {
	{ "NOTIFY",	EXTENSION_ANY,			rcpt_notify },
	{ "ORCPT",	EXTENSION_ANY,			rcpt_orcpt },
	{ NULL, 0, NULL }
};

/* One parameter; *seen has a bit for each that came before. */
static const char *
known_parameter(const struct known_parameter *known,
    const struct parameter *parameter, uint32_t extensions, uint32_t *seen,
    void *argument)
{
	size_t i;

	for (i = 0; known[i].keyword != NULL; i++)
		if (text_is(parameter->keyword, parameter->keyword_len,
		    known[i].keyword))
			break;
	if (known[i].keyword == NULL || (known[i].needs & ~extensions) != 0)
		return "555 5.5.4 Unknown parameter";
	if ((*seen & (1U << i)) != 0)
		return "501 5.5.4 Parameter given twice";
	*seen |= 1U << i;
	return known[i].set(parameter, argument);
}

static int
is_ascii(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)text[i] > 127)
			return 0;
	return 1;
}

/* All that follows a path; NULL: it is good, and argument knows of it. */
static const char *
take_parameters(const struct known_parameter *known, const char *text,
    uint32_t extensions, void *argument)
{
	struct parameter parameter;
	const char *refusal;
	uint32_t seen = 0;
	int more;

	while ((more = parameter_next(&text, &parameter)) == 1) {
		if ((extensions & EXTENSION_ANY) == 0)
			return "555 5.5.4 Parameters need EHLO";
		if ((extensions & EXTENSION_UTF8) == 0 &&
		    !is_ascii(parameter.value, parameter.value_len))
			return "501 5.5.4 Bad parameter";
		refusal = known_parameter(known, &parameter, extensions,
		    &seen, argument);
		if (refusal != NULL)
			return refusal;
	}
	return more == 0 ? NULL : "501 5.5.4 Bad parameter";
}

static const char *
mail_path_wrong(enum address_status status)
{
	if (status == ADDRESS_NONASCII)
		return "553 5.6.7 Address must be ASCII without SMTPUTF8";
	if (status == ADDRESS_TOO_LONG)
		return "501 5.1.7 Sender address too long";
	return "501 5.1.7 Bad sender address syntax";
}

static const char *
rcpt_path_wrong(enum address_status status)
{
	if (status == ADDRESS_NONASCII)
		return "553 5.6.7 Address must be ASCII without SMTPUTF8";
	if (status == ADDRESS_TOO_LONG)
		return "501 5.1.3 Recipient address too long";
	return "501 5.1.3 Bad recipient address syntax";
}

/*
 * "FROM:" or "TO:" and the path behind it.  Some clients put spaces between
 * the two, which the RFC does not allow and everybody takes.
 */
static const char *
path_after(const char *argument, const char *word)
{
	if (strncasecmp(argument, word, strlen(word)) != 0)
		return NULL;
	argument += strlen(word);
	while (*argument == ' ')
		argument++;
	return argument;
}

static int
utf8_flag(uint32_t extensions)
{
	return (extensions & EXTENSION_UTF8) != 0 ? ADDRESS_UTF8 : 0;
}

const char *
parameters_mail(const char *argument, uint32_t extensions,
    struct mail_argument *mail)
{
	enum address_status status;
	const char *refusal;
	size_t used;
	int flags = ADDRESS_NULL;

	/* Whether it was allowed is said behind it. */
	if ((extensions & EXTENSION_ANY) != 0)
		flags |= ADDRESS_UTF8;
	memset(mail, 0, sizeof(*mail));
	if ((argument = path_after(argument, "FROM:")) == NULL)
		return "501 5.5.4 Syntax: MAIL FROM:<address>";
	status = address_path(argument, strlen(argument), flags, &mail->path,
	    &used);
	if (status != ADDRESS_OK)
		return mail_path_wrong(status);
	refusal = take_parameters(mail_parameters, argument + used, extensions,
	    mail);
	if (refusal == NULL && !mail->is_smtputf8 &&
	    !address_is_ascii(&mail->path))
		refusal = mail_path_wrong(ADDRESS_NONASCII);
	return refusal;
}

const char *
parameters_rcpt(const char *argument, uint32_t extensions,
    struct rcpt_argument *rcpt)
{
	enum address_status status;
	size_t used;

	memset(rcpt, 0, sizeof(*rcpt));
	if ((argument = path_after(argument, "TO:")) == NULL)
		return "501 5.5.4 Syntax: RCPT TO:<address>";
	status = address_path(argument, strlen(argument), ADDRESS_BARE |
	    utf8_flag(extensions), &rcpt->path, &used);
	if (status != ADDRESS_OK)
		return rcpt_path_wrong(status);
	return take_parameters(rcpt_parameters, argument + used, extensions,
	    rcpt);
}

int
parameters_bdat(const char *argument, uint64_t *octets, int *is_last)
{
	size_t len = strcspn(argument, " ");

	if (parameters_size(argument, len, octets) == -1)
		return -1;
	argument += len;
	argument += strspn(argument, " ");
	*is_last = strcasecmp(argument, "LAST") == 0;
	return *is_last || *argument == '\0' ? 0 : -1;
}

/* RFC 6531, 3.7.4.2: "VRFY x SMTPUTF8" asks in UTF-8; cut off, if so. */
static int
take_smtputf8(char *argument)
{
	static const char word[] = " SMTPUTF8";
	size_t len = strlen(argument), n = sizeof(word) - 1;

	if (len <= n || strcasecmp(argument + len - n, word) != 0)
		return 0;
	for (len -= n; len > 0 && argument[len - 1] == ' '; len--)
		;
	argument[len] = '\0';
	return 1;
}

const char *
parameters_vrfy(char *argument, uint32_t extensions, struct address *address)
{
	enum address_status status;
	int flags = ADDRESS_BARE;
	size_t len, used;

	if ((extensions & EXTENSION_ANY) != 0 && take_smtputf8(argument))
		flags |= ADDRESS_UTF8;
	used = len = strlen(argument);
	if (len == 0)
		return "501 5.5.4 Syntax: VRFY or EXPN, and an address";
	if (*argument == '<')
		status = address_path(argument, len, flags, address, &used);
	else
		status = address_mailbox(argument, len, flags, address);
	if (status == ADDRESS_OK && used != len)
		status = ADDRESS_SYNTAX;
	return status == ADDRESS_OK ? NULL : rcpt_path_wrong(status);
}
