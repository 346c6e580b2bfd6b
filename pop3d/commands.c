/*
 * commands: the table of POP3's commands, and the parser of a command line.
 *
 * Runs in the worker, as worker-user, confined; touches the line it is given.
 */
#include <string.h>
#include <strings.h>

#include "commands.h"
#include "session.h"

#define DIGITS_MAX	19	/* as many as always fit in 64 bits */

#define TXN	POP3_TRANSACTION
#define AUT	POP3_AUTHORIZATION
#define SHORT	POP3_COMMAND_MAX
#define LONG	POP3_LINE_MAX
#define BASE64	SASL_LINE_MAX

static const struct pop3_command commands[] = {
	/* name	   states      arguments     min max  line   handler */
	{ "RETR", TXN,	      ARGS_NUMBERS, 1, 1, SHORT, command_retr },
	{ "DELE", TXN,	      ARGS_NUMBERS, 1, 1, SHORT, command_dele },
	{ "TOP",  TXN,	      ARGS_NUMBERS, 2, 2, SHORT, command_top },
	{ "UIDL", TXN,	      ARGS_NUMBERS, 0, 1, SHORT, command_uidl },
	{ "LIST", TXN,	      ARGS_NUMBERS, 0, 1, SHORT, command_list },
	{ "STAT", TXN,	      ARGS_NUMBERS, 0, 0, SHORT, command_stat },
	{ "NOOP", TXN,	      ARGS_NUMBERS, 0, 0, SHORT, command_noop },
	{ "RSET", TXN,	      ARGS_NUMBERS, 0, 0, SHORT, command_rset },
	{ "USER", AUT,	      ARGS_TEXT,    1, 1, LONG,	 command_user },
	{ "PASS", AUT,	      ARGS_TEXT,    0, 1, LONG,	 command_pass },
	{ "AUTH", AUT,	      ARGS_WORD,    0, 1, BASE64, command_auth },
	{ "STLS", AUT,	      ARGS_NUMBERS, 0, 0, SHORT, command_stls },
	{ "CAPA", POP3_ANY,   ARGS_NUMBERS, 0, 0, SHORT, command_capa },
	{ "UTF8", POP3_ANY,   ARGS_NUMBERS, 0, 0, SHORT, command_utf8 },
	{ "LANG", POP3_ANY,   ARGS_WORD,    0, 1, SHORT, command_lang },
	{ "QUIT", POP3_ANY,   ARGS_NUMBERS, 0, 0, SHORT, command_quit }
};

/* 0 with *value, or -1: nothing but digits, no zero in front. */
static int
parse_number(const char *s, size_t len, uint64_t *value)
{
	uint64_t v = 0;
	size_t i;

	if (len == 0 || len > DIGITS_MAX || (s[0] == '0' && len > 1))
		return -1;
	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	*value = v;
	return 0;
}

/* Numbers with one space between them; s has len octets. */
static int
parse_numbers(const char *s, size_t len, int max, struct arguments *args)
{
	const char *space;
	size_t n;

	for (;;) {
		space = memchr(s, ' ', len);
		n = space != NULL ? (size_t)(space - s) : len;
		if (args->count == max ||
		    parse_number(s, n, &args->number[args->count]) == -1)
			return -1;
		args->count++;
		if (space == NULL)
			return 0;
		s += n + 1;
		len -= n + 1;
	}
}

/* What follows the verb and its one space. */
static int
parse_arguments(char *s, size_t len, const struct pop3_command *c,
    struct arguments *args)
{
	/* Programs leave spaces at the end ("AUTH "); secrets may have them. */
	if (c->kind != ARGS_TEXT)
		while (len > 0 && s[len - 1] == ' ')
			s[--len] = '\0';
	args->text = s;
	args->len = len;
	if (len > 0) {
		if (c->kind != ARGS_NUMBERS)
			args->count = 1;
		else if (parse_numbers(s, len, c->max_args, args) == -1)
			return -1;
	}
	return args->count < c->min_args || args->count > c->max_args ? -1 : 0;
}

static const struct pop3_command *
find_command(const char *verb, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strlen(commands[i].name) == len &&
		    strncasecmp(commands[i].name, verb, len) == 0)
			return &commands[i];
	return NULL;
}

enum pop3_parse
pop3_parse(char *line, size_t len, enum pop3_state state,
    const struct pop3_command **command, struct arguments *args)
{
	size_t verb;
	char *space;

	memset(args, 0, sizeof(*args));
	space = memchr(line, ' ', len);
	verb = space != NULL ? (size_t)(space - line) : len;
	*command = find_command(line, verb);
	if (*command == NULL)
		return PARSE_UNKNOWN;
	if (((*command)->states & state) == 0)
		return PARSE_STATE;
	if (len + 2 > (*command)->max_line)
		return PARSE_TOO_LONG;
	if (memchr(line, '\0', len) != NULL)
		return PARSE_SYNTAX;
	if (space != NULL)
		verb++;
	if (parse_arguments(line + verb, len - verb, *command, args) == -1)
		return PARSE_SYNTAX;
	return PARSE_OK;
}

int
is_foreign_verb(const char *line)
{
	static const char *const verbs[] = {
		/* HTTP */
		"GET", "POST", "HEAD", "PUT", "DELETE", "CONNECT", "OPTIONS",
		"TRACE", "PATCH", "PRI", "PROPFIND",
		/* SMTP */
		"EHLO", "HELO", "LHLO",
		/* FTP, but for what POP3 has too */
		"ABOR", "ACCT", "ALLO", "APPE", "CCC", "CDUP", "CWD", "EPRT",
		"EPSV", "FEAT", "LPRT", "LPSV", "MDTM", "MKD", "MLSD", "MLST",
		"NLST", "OPTS", "PASV", "PBSZ", "PORT", "PROT", "PWD", "REIN",
		"REST", "RMD", "RNFR", "RNTO", "SITE", "SMNT", "STOR", "STOU",
		"STRU", "SYST", "TYPE", "XPWD"
	};
	size_t i, len = strcspn(line, " :");

	/* "Host: mail.example", behind a first line too long to be read */
	if (len > 0 && line[len] == ':')
		return 1;
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strlen(verbs[i]) == len &&
		    strncasecmp(verbs[i], line, len) == 0)
			return 1;
	return strncmp(line, "SSH-", 4) == 0;
}
