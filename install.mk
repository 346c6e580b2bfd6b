# make install: programs, manual pages, documents, examples.
#
# Nothing is set-user-ID or set-group-ID.  The configuration and the PAM
# service are installed once and never overwritten; INSTALL says what the
# administrator does next.

INSTALL ?=	install
SBINDIR ?=	$(PREFIX)/sbin
# Where PAM looks, wherever our own configuration is.
PAMDIR ?=	/etc/pam.d

DOCUMENTS =	README.md INSTALL LICENSE CHANGES.md SECURITY.md
EXAMPLES =	postern.conf pam.d/postern sysusers.d/postern.conf \
		tmpfiles.d/postern.conf systemd/pop3d.service \
		systemd/smtpd.service

# Files name the directories of a default installation; they shall name those
# of this one.  In two steps, so that no replacement is replaced again.
place =	sed -e 's|/usr/local/libexec/postern|@LIBEXECDIR@|g' \
	-e 's|/usr/local/sbin|@SBINDIR@|g' \
	-e 's|/etc/postern/|@SYSCONFDIR@/postern/|g' \
	-e 's|/etc/pam\.d/postern|@PAMDIR@/postern|g' \
	-e 's|/var/spool/postern|@LOCALSTATEDIR@/spool/postern|g' \
	-e 's|/run/postern|@RUNDIR@|g' \
	-e 's|@LIBEXECDIR@|$(LIBEXECDIR)|g' -e 's|@SBINDIR@|$(SBINDIR)|g' \
	-e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' -e 's|@PAMDIR@|$(PAMDIR)|g' \
	-e 's|@LOCALSTATEDIR@|$(LOCALSTATEDIR)|g' \
	-e 's|@RUNDIR@|$(RUNDIR)|g' $(1) > '$(DESTDIR)$(2)' && \
	chmod 644 '$(DESTDIR)$(2)'

install: all
	$(INSTALL) -d '$(DESTDIR)$(SBINDIR)' '$(DESTDIR)$(LIBEXECDIR)' \
	    '$(DESTDIR)$(MANDIR)/man5' '$(DESTDIR)$(MANDIR)/man8' \
	    '$(DESTDIR)$(DOCDIR)' '$(DESTDIR)$(SYSCONFDIR)/postern' \
	    '$(DESTDIR)$(PAMDIR)'
	$(INSTALL) -m 755 $(addprefix $(B)/,$(filter sbin/%,$(PROGRAMS))) \
	    '$(DESTDIR)$(SBINDIR)'
	$(INSTALL) -m 755 $(addprefix $(B)/,$(filter libexec/%,$(PROGRAMS))) \
	    '$(DESTDIR)$(LIBEXECDIR)'
	$(call place,pop3d/pop3d.8,$(MANDIR)/man8/pop3d.8)
	$(call place,smtpd/smtpd.8,$(MANDIR)/man8/smtpd.8)
	$(call place,etc/postern.conf.5,$(MANDIR)/man5/postern.conf.5)
	$(INSTALL) -m 644 $(DOCUMENTS) '$(DESTDIR)$(DOCDIR)'
	$(INSTALL) -m 644 privsep/README.md '$(DESTDIR)$(DOCDIR)/privsep.md'
	for file in $(EXAMPLES); do \
		$(INSTALL) -d "$$(dirname '$(DESTDIR)$(EXAMPLEDIR)'/$$file)" \
		&& \
		$(call place,"etc/$$file",$(EXAMPLEDIR)/'"$$file"') || exit 1; \
	done
	test -e '$(DESTDIR)$(SYSCONFDIR)/postern/postern.conf' || { \
	$(call place,etc/postern.conf,$(SYSCONFDIR)/postern/postern.conf); }
	test -e '$(DESTDIR)$(PAMDIR)/postern' || { \
	$(call place,etc/pam.d/postern,$(PAMDIR)/postern); }

.PHONY: install
