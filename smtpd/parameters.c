/*
 * parameters: the arguments of SMTP commands.
 *
 * Runs in the worker, as worker-user, on what the client sent.  Touches
 * nothing but its arguments.
 */
#include <string.h>
#include <strings.h>

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

/* esmtp-value: printable, no space, no equal sign. */
static int
is_value_octet(int c)
{
	return c > 32 && c < 127 && c != '=';
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
		while (is_value_octet(*p))
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
mail_size(const struct parameter *parameter, struct mail_argument *mail)
{
	if (parameter->value == NULL || parameters_size(parameter->value,
	    parameter->value_len, &mail->size) == -1)
		return "501 5.5.4 SIZE takes a number";
	return NULL;
}

static const char *
mail_body(const struct parameter *parameter, struct mail_argument *mail)
{
	if (text_is(parameter->value, parameter->value_len, "8BITMIME"))
		mail->is_8bitmime = 1;
	else if (!text_is(parameter->value, parameter->value_len, "7BIT"))
		return "501 5.5.4 BODY is 7BIT or 8BITMIME";
	return NULL;
}

/* xtext (RFC 3461, 4): "+" is followed by the octet in hexadecimal. */
static int
is_xtext(const char *text, size_t len)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t i;

	for (i = 0; i < len; i++) {
		if (text[i] != '+')
			continue;
		if (len - i < 3 || strchr(hex, text[i + 1]) == NULL ||
		    strchr(hex, text[i + 2]) == NULL)
			return 0;
		i += 2;
	}
	return 1;
}

/*
 * Who first submitted it, in a host's opinion (RFC 4954, 5).  None is believed
 * here, so it is checked and forgotten, as the RFC has it.
 */
static const char *
mail_auth(const struct parameter *parameter, struct mail_argument *mail)
{
	(void)mail;
	if (parameter->value == NULL ||
	    !is_xtext(parameter->value, parameter->value_len))
		return "501 5.5.4 AUTH takes an address in xtext, or <>";
	return NULL;
}

static const struct {
	const char	*keyword;
	uint32_t	 needs;		/* EXTENSION_ bits */
	const char	*(*set)(const struct parameter *,
			    struct mail_argument *);
} mail_parameters[] = {
	{ "SIZE",	EXTENSION_ANY,			mail_size },
	{ "BODY",	EXTENSION_ANY,			mail_body },
	{ "AUTH",	EXTENSION_ANY | EXTENSION_AUTH,	mail_auth }
};
#define NMAIL_PARAMETERS \
	(sizeof(mail_parameters) / sizeof(mail_parameters[0]))

/* One parameter of MAIL; *seen has a bit for each that came before. */
static const char *
mail_parameter(const struct parameter *parameter, uint32_t extensions,
    uint32_t *seen, struct mail_argument *mail)
{
	size_t i;

	for (i = 0; i < NMAIL_PARAMETERS; i++)
		if (text_is(parameter->keyword, parameter->keyword_len,
		    mail_parameters[i].keyword))
			break;
	if (i == NMAIL_PARAMETERS ||
	    (mail_parameters[i].needs & ~extensions) != 0)
		return "555 5.5.4 Unknown parameter";
	if ((*seen & (1U << i)) != 0)
		return "501 5.5.4 Parameter given twice";
	*seen |= 1U << i;
	return mail_parameters[i].set(parameter, mail);
}

static const char *
mail_path_wrong(enum address_status status)
{
	if (status == ADDRESS_NONASCII)
		return "553 5.6.7 Address must be ASCII";
	if (status == ADDRESS_TOO_LONG)
		return "501 5.1.7 Sender address too long";
	return "501 5.1.7 Bad sender address syntax";
}

static const char *
rcpt_path_wrong(enum address_status status)
{
	if (status == ADDRESS_NONASCII)
		return "553 5.6.7 Address must be ASCII";
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

const char *
parameters_mail(const char *argument, uint32_t extensions,
    struct mail_argument *mail)
{
	struct parameter parameter;
	const char *refusal;
	enum address_status status;
	uint32_t seen = 0;
	size_t used;
	int more;

	memset(mail, 0, sizeof(*mail));
	if ((argument = path_after(argument, "FROM:")) == NULL)
		return "501 5.5.4 Syntax: MAIL FROM:<address>";
	status = address_path(argument, strlen(argument), ADDRESS_NULL,
	    &mail->path, &used);
	if (status != ADDRESS_OK)
		return mail_path_wrong(status);
	argument += used;
	while ((more = parameter_next(&argument, &parameter)) == 1) {
		if ((extensions & EXTENSION_ANY) == 0)
			return "555 5.5.4 Parameters need EHLO";
		refusal = mail_parameter(&parameter, extensions, &seen, mail);
		if (refusal != NULL)
			return refusal;
	}
	return more == 0 ? NULL : "501 5.5.4 Bad parameter";
}

const char *
parameters_rcpt(const char *argument, int is_esmtp, struct address *path)
{
	struct parameter parameter;
	enum address_status status;
	size_t used;

	if ((argument = path_after(argument, "TO:")) == NULL)
		return "501 5.5.4 Syntax: RCPT TO:<address>";
	status = address_path(argument, strlen(argument), ADDRESS_BARE, path,
	    &used);
	if (status != ADDRESS_OK)
		return rcpt_path_wrong(status);
	argument += used;
	switch (parameter_next(&argument, &parameter)) {
	case 0:
		return NULL;
	case 1:
		return is_esmtp ? "555 5.5.4 Unknown parameter" :
		    "555 5.5.4 Parameters need EHLO";
	default:
		return "501 5.5.4 Bad parameter";
	}
}

const char *
parameters_vrfy(const char *argument, struct address *address)
{
	enum address_status status;
	size_t len = strlen(argument), used = len;

	if (len == 0)
		return "501 5.5.4 Syntax: VRFY address";
	if (*argument == '<')
		status = address_path(argument, len, ADDRESS_BARE, address,
		    &used);
	else
		status = address_mailbox(argument, len, ADDRESS_BARE, address);
	if (status == ADDRESS_OK && used != len)
		status = ADDRESS_SYNTAX;
	return status == ADDRESS_OK ? NULL : rcpt_path_wrong(status);
}
