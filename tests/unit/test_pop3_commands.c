/* LINK: pop3d/commands */
/*
 * test_pop3_commands: the table of commands and the strict parser of a line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pop3d/commands.h"
#include "pop3d/session.h"

/* The table names its handlers; here none is called. */
#define HANDLER(name)							\
	void								\
	name(struct session *s, const struct arguments *args)		\
	{								\
		(void)s;						\
		(void)args;						\
		fail();							\
	}
HANDLER(command_auth)
HANDLER(command_capa)
HANDLER(command_dele)
HANDLER(command_lang)
HANDLER(command_list)
HANDLER(command_noop)
HANDLER(command_pass)
HANDLER(command_quit)
HANDLER(command_retr)
HANDLER(command_rset)
HANDLER(command_stat)
HANDLER(command_stls)
HANDLER(command_top)
HANDLER(command_uidl)
HANDLER(command_user)
HANDLER(command_utf8)

static const struct pop3_command *command;
static struct arguments args;

static enum pop3_parse
parse(const char *text, enum pop3_state state)
{
	static char line[SASL_LINE_MAX + 1];

	assert_true(strlen(text) < sizeof(line));
	memcpy(line, text, strlen(text) + 1);
	return pop3_parse(line, strlen(line), state, &command, &args);
}

static void
test_states_of_every_command(void **state)
{
	static const struct {
		const char	*line;
		unsigned int	 states;
	} rows[] = {
		{ "USER a", POP3_AUTHORIZATION },
		{ "PASS a", POP3_AUTHORIZATION },
		{ "AUTH", POP3_AUTHORIZATION },
		{ "AUTH PLAIN AGEAYg==", POP3_AUTHORIZATION },
		{ "STLS", POP3_AUTHORIZATION },
		{ "STAT", POP3_TRANSACTION }, { "LIST", POP3_TRANSACTION },
		{ "RETR 1", POP3_TRANSACTION }, { "DELE 1", POP3_TRANSACTION },
		{ "TOP 1 0", POP3_TRANSACTION }, { "UIDL", POP3_TRANSACTION },
		{ "NOOP", POP3_TRANSACTION }, { "RSET", POP3_TRANSACTION },
		{ "CAPA", POP3_ANY }, { "QUIT", POP3_ANY }, { "UTF8", POP3_ANY },
		{ "LANG", POP3_ANY }
	};
	unsigned int s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (s = POP3_AUTHORIZATION; s <= POP3_TRANSACTION; s <<= 1) {
			assert_int_equal(parse(rows[i].line, s),
			    rows[i].states & s ? PARSE_OK : PARSE_STATE);
			assert_int_equal(strncmp(command->name, rows[i].line,
			    strlen(command->name)), 0);
			assert_false(is_foreign_verb(rows[i].line));
		}
}

static void
test_unknown(void **state)
{
	static const char *const lines[] = {
		"", " ", " STAT", "STA", "STATS", "\tSTAT", "LAST", "APOP a b",
		"STLSX", "XTND XLST", "RETR\t1", "\377\376", "STAT\r"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(parse(lines[i], POP3_TRANSACTION),
		    PARSE_UNKNOWN);
		assert_null(command);
	}
}

static void
test_numbers(void **state)
{
	static const struct {
		const char	*line;
		enum pop3_parse	 parse;
		uint64_t	 value;
	} rows[] = {
		{ "retr 1", PARSE_OK, 1 }, { "Retr 0", PARSE_OK, 0 },
		{ "LIST 4294967297", PARSE_OK, UINT64_C(4294967297) },
		{ "LIST 9999999999999999999", PARSE_OK,
		    UINT64_C(9999999999999999999) },
		{ "LIST 18446744073709551617", PARSE_SYNTAX, 0 },
		{ "LIST 00000000000000000001", PARSE_SYNTAX, 0 },
		{ "LIST 1 ", PARSE_OK, 1 }, { "LIST 1   ", PARSE_OK, 1 },
		{ "RETR", PARSE_SYNTAX, 0 }, { "RETR ", PARSE_SYNTAX, 0 },
		{ "RETR  1", PARSE_SYNTAX, 0 }, { "RETR 01", PARSE_SYNTAX, 0 },
		{ "RETR 00", PARSE_SYNTAX, 0 }, { "RETR -1", PARSE_SYNTAX, 0 },
		{ "RETR +1", PARSE_SYNTAX, 0 }, { "RETR 1x", PARSE_SYNTAX, 0 },
		{ "RETR 0x1", PARSE_SYNTAX, 0 }, { "RETR 1.", PARSE_SYNTAX, 0 },
		{ "RETR 1 2", PARSE_SYNTAX, 0 }, { "RETR 1\t", PARSE_SYNTAX, 0 },
		{ "RETR \3771", PARSE_SYNTAX, 0 },
		{ "STAT 1", PARSE_SYNTAX, 0 }, { "STAT x", PARSE_SYNTAX, 0 },
		{ "QUIT now", PARSE_SYNTAX, 0 }, { "TOP 1", PARSE_SYNTAX, 0 },
		{ "TOP 1 2 3", PARSE_SYNTAX, 0 }, { "TOP 1  2", PARSE_SYNTAX, 0 }
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(rows[i].line, POP3_TRANSACTION),
		    rows[i].parse);
		if (rows[i].parse == PARSE_OK) {
			assert_int_equal(args.count, 1);
			assert_true(args.number[0] == rows[i].value);
		}
	}
	assert_int_equal(parse("TOP 7 10", POP3_TRANSACTION), PARSE_OK);
	assert_int_equal(args.number[0], 7);
	assert_int_equal(args.number[1], 10);
	assert_int_equal(parse("LIST", POP3_TRANSACTION), PARSE_OK);
	assert_int_equal(args.count, 0);
	assert_int_equal(parse("LIST ", POP3_TRANSACTION), PARSE_OK);
	assert_int_equal(args.count, 0);
}

static void
assert_text(const char *line, const char *text)
{
	assert_int_equal(parse(line, POP3_AUTHORIZATION), PARSE_OK);
	assert_int_equal(args.len, strlen(text));
	assert_string_equal(args.text, text);
}

/* Everything after one space. */
static void
test_text(void **state)
{
	(void)state;
	assert_text("USER a", "a");
	assert_text("pass  a b  c ", " a b  c ");
	assert_text("PASS  ", " ");
	assert_text("USER J\303\266rg\t\001", "J\303\266rg\t\001");
	assert_text("AUTH ", "");
	assert_text("AUTH PLAIN  ", "PLAIN");
	assert_text("AUTH PLAIN =", "PLAIN =");
	assert_text("AUTH LOGIN  YQ== ", "LOGIN  YQ==");
	assert_int_equal(parse("STLS ", POP3_AUTHORIZATION), PARSE_OK);
	assert_int_equal(parse("STLS now", POP3_AUTHORIZATION), PARSE_SYNTAX);
	assert_int_equal(parse("USER", POP3_AUTHORIZATION), PARSE_SYNTAX);
	/* An empty secret is wrong like any other, not a mistake of form. */
	assert_text("PASS ", "");
}

static void
test_lengths(void **state)
{
	char line[SASL_LINE_MAX + 1];

	(void)state;
	memset(line, ' ', sizeof(line));
	memcpy(line, "STAT", 4);
	line[POP3_COMMAND_MAX - 2] = '\0';
	assert_int_equal(parse(line, POP3_TRANSACTION), PARSE_OK);
	line[POP3_COMMAND_MAX - 2] = ' ';
	line[POP3_COMMAND_MAX - 1] = '\0';
	assert_int_equal(parse(line, POP3_TRANSACTION), PARSE_TOO_LONG);
	line[POP3_COMMAND_MAX - 1] = ' ';
	memcpy(line, "PASS", 4);
	line[POP3_LINE_MAX - 2] = '\0';
	assert_int_equal(parse(line, POP3_AUTHORIZATION), PARSE_OK);
	assert_int_equal(args.len, POP3_LINE_MAX - 2 - 5);
	line[POP3_LINE_MAX - 2] = ' ';
	line[POP3_LINE_MAX - 1] = '\0';
	assert_int_equal(parse(line, POP3_AUTHORIZATION), PARSE_TOO_LONG);
	/* An initial response may be longer. */
	memset(line, 'A', sizeof(line));
	memcpy(line, "AUTH PLAIN ", 11);
	line[SASL_LINE_MAX - 2] = '\0';
	assert_int_equal(parse(line, POP3_AUTHORIZATION), PARSE_OK);
	line[SASL_LINE_MAX - 2] = 'A';
	line[SASL_LINE_MAX - 1] = '\0';
	assert_int_equal(parse(line, POP3_AUTHORIZATION), PARSE_TOO_LONG);
}

static void
test_nul(void **state)
{
	char line[16] = "RETR 1\0002";

	(void)state;
	assert_int_equal(pop3_parse(line, 8, POP3_TRANSACTION, &command,
	    &args), PARSE_SYNTAX);
	memcpy(line, "USER a\0b", 9);
	assert_int_equal(pop3_parse(line, 8, POP3_AUTHORIZATION, &command,
	    &args), PARSE_SYNTAX);
	memcpy(line, "QUIT\0", 6);
	assert_int_equal(pop3_parse(line, 5, POP3_AUTHORIZATION, &command,
	    &args), PARSE_UNKNOWN);
}

static void
test_foreign(void **state)
{
	(void)state;
	assert_true(is_foreign_verb("GET / HTTP/1.1"));
	assert_true(is_foreign_verb("post"));
	assert_true(is_foreign_verb("PRI * HTTP/2.0"));
	assert_true(is_foreign_verb("EHLO x"));
	assert_true(is_foreign_verb("SSH-2.0-OpenSSH"));
	assert_true(is_foreign_verb("Host: mail.example"));
	assert_true(is_foreign_verb("Cookie:x=USER"));
	assert_true(is_foreign_verb("pasv"));
	assert_true(is_foreign_verb("PORT 127,0,0,1,0,110"));
	assert_true(is_foreign_verb("STOR x"));
	assert_true(is_foreign_verb("SYST"));
	assert_true(is_foreign_verb("FEAT"));
	assert_true(is_foreign_verb("CWD /"));
	assert_false(is_foreign_verb(""));
	assert_false(is_foreign_verb("GETS"));
	assert_false(is_foreign_verb("XTND GET"));
	assert_false(is_foreign_verb("DELE 1"));
	assert_false(is_foreign_verb("XTND :"));
	assert_false(is_foreign_verb(":"));
	assert_false(is_foreign_verb("LAST"));
	assert_false(is_foreign_verb("LANG de"));
	assert_false(is_foreign_verb("APOP a b"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states_of_every_command),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_foreign)
	};

	return cmocka_run_group_tests_name("pop3_commands", tests, NULL, NULL);
}
