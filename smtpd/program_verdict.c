/*
 * program_verdict: what a command's end means for the letter.
 *
 * Runs in the agents of programs, as the user or as command-user; touches
 * nothing but the log.
 *
 * By sysexits.h, as with other mail servers; in doubt the letter waits: what
 * can't be made or read now (EX_CANTCREAT, EX_IOERR) may be a full disk, and a
 * command that is not there (126 and 127 are a shell's words for it) a file
 * system that is not mounted.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "privsep/log.h"
#include "smtpd/programs.h"

static const struct {
	int			 status;
	enum delivery_verdict	 verdict;
	const char		*code;
	const char		*text;
} statuses[] = {
	{ EX_OK, DELIVERED, "2.0.0", NULL },
	{ EX_USAGE, DELIVERY_FAILED, "5.3.0", "command line usage error" },
	{ EX_DATAERR, DELIVERY_FAILED, "5.6.0", "data format error" },
	{ EX_NOINPUT, DELIVERY_FAILED, "5.3.0", "cannot open input" },
	{ EX_NOUSER, DELIVERY_FAILED, "5.1.1", "user unknown" },
	{ EX_NOHOST, DELIVERY_FAILED, "5.1.2", "host name unknown" },
	{ EX_UNAVAILABLE, DELIVERY_FAILED, "5.3.0", "service unavailable" },
	{ EX_SOFTWARE, DELIVERY_FAILED, "5.3.0", "internal software error" },
	{ EX_OSERR, DELIVERY_DEFERRED, "4.3.0", "system resource problem" },
	{ EX_OSFILE, DELIVERY_FAILED, "5.3.0", "critical system file missing" },
	{ EX_CANTCREAT, DELIVERY_DEFERRED, "4.3.0",
	    "can't create user output file" },
	{ EX_IOERR, DELIVERY_DEFERRED, "4.3.0", "input/output error" },
	{ EX_TEMPFAIL, DELIVERY_DEFERRED, "4.3.0", "temporary failure" },
	{ EX_PROTOCOL, DELIVERY_FAILED, "5.5.0", "remote error in protocol" },
	{ EX_NOPERM, DELIVERY_FAILED, "5.7.0", "permission denied" },
	{ EX_CONFIG, DELIVERY_FAILED, "5.3.5", "local configuration error" },
	{ 126, DELIVERY_DEFERRED, "4.3.5", "it can't be run" },
	{ 127, DELIVERY_DEFERRED, "4.3.5", "it was not found" },
};
#define STATUSES (sizeof(statuses) / sizeof(statuses[0]))

static void
of_status(int status, struct deliver_verdict *v)
{
	size_t i;

	for (i = 0; i < STATUSES; i++)
		if (statuses[i].status == status)
			break;
	v->verdict = i < STATUSES ? statuses[i].verdict : DELIVERY_FAILED;
	v->status = i < STATUSES ? statuses[i].code : "5.3.0";
	if (status == EX_OK)
		snprintf(v->text, sizeof(v->text), "given to a command");
	else if (i < STATUSES)
		snprintf(v->text, sizeof(v->text),
		    "the command failed: %s (exit status %d)",
		    statuses[i].text, status);
	else
		snprintf(v->text, sizeof(v->text),
		    "the command failed with exit status %d", status);
}

static void
of_end(const struct program_end *end, struct deliver_verdict *v)
{
	v->verdict = DELIVERY_DEFERRED;
	v->status = "4.3.0";
	switch (end->kind) {
	case PROGRAM_EXITED:
		of_status(end->code, v);
		break;
	case PROGRAM_SIGNALLED:
		snprintf(v->text, sizeof(v->text),
		    "the command was ended by signal %d", end->code);
		break;
	case PROGRAM_TIMED_OUT:
		/* What it did it would do again. */
		v->verdict = DELIVERY_FAILED;
		v->status = "5.3.0";
		snprintf(v->text, sizeof(v->text),
		    "the command's time was over");
		break;
	case PROGRAM_NOT_RUN:
		v->status = "4.3.5";
		snprintf(v->text, sizeof(v->text),
		    "the command can't be run: %s", strerror(end->code));
		break;
	case PROGRAM_ABANDONED:
		snprintf(v->text, sizeof(v->text),
		    "the letter could not be read");
		break;
	}
}

/* A file that is written has the words of a command only by accident. */
static void
of_file(const struct program_end *end, struct deliver_verdict *v)
{
	if (v->verdict == DELIVERED)
		snprintf(v->text, sizeof(v->text), "written to a file");
	else {
		v->verdict = DELIVERY_DEFERRED;
		v->status = "4.2.0";
		snprintf(v->text, sizeof(v->text), "the file can't be "
		    "written%s%.300s", end->output[0] != '\0' ? ": " : "",
		    end->output);
	}
}

/*
 * What a user's command says is the user's, and goes to the log only; what the
 * administrator's says goes back to the sender, too (C7).
 */
void
program_verdict(const struct program_task *t, const struct program_end *end,
    struct deliver_verdict *v)
{
	char user[LOG_VALUE_MAX], output[LOG_VALUE_MAX];
	size_t len;

	of_end(end, v);
	if (!program_is_command(t->text))
		of_file(end, v);
	if (v->verdict == DELIVERED || end->kind == PROGRAM_ABANDONED)
		return;
	log_event(LOG_NOTICE, t->agent->facts.session, "event=command-failed "
	    "id=%s user=%s alias=%s text=\"%s\" output=%s", t->letter.id,
	    log_value(t->agent->identity.name, user),
	    t->alias[0] != '\0' ? t->alias : "-", v->text,
	    log_value(end->output, output));
	len = strlen(v->text);
	if (t->is_of_aliases && program_is_command(t->text) &&
	    end->output[0] != '\0' && len < 90)
		snprintf(v->text + len, sizeof(v->text) - len, ": %.300s",
		    end->output);
}
