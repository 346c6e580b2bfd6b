# make install: programs, manual pages, documents, examples.
# make uninstall: removes these.
#
# Nothing is set-user-ID or set-group-ID.  The configuration and the PAM
# service are installed once and never overwritten nor removed; INSTALL says
# what the administrator does next.

INSTALL ?=	install
SBINDIR ?=	$(PREFIX)/sbin
BINDIR ?=	$(PREFIX)/bin
# Where PAM looks, wherever our own configuration is.
PAMDIR ?=	/etc/pam.d

DOCUMENTS =	README.md LICENSE CHANGES.md SECURITY.md
EXAMPLES =	postern.conf pam.d/postern sysusers.d/postern.conf \
		tmpfiles.d/postern.conf systemd/pop3d.service \
		systemd/smtpd.service $(patsubst %,systemd/%.socket,pop3d \
		pop3d-tls smtpd smtpd-submission smtpd-submissions) \
		certbot-deploy-hook inetd.conf.sample xinetd.d/postern-pop3d \
		xinetd.d/postern-smtpd openrc/pop3d openrc/smtpd
PAGES =		pop3d/pop3d.8 smtpd/smtpd.8 client/postern-sendmail.8 \
		client/postern.1 		etc/postern.conf.5

# Directories are compiled in: "make install PREFIX=..." after a "make" with
# other settings must build what names them anew, not install a server that
# looks for its parts elsewhere.
PLACES =	$(SYSCONFDIR) $(LOCALSTATEDIR) $(RUNDIR) $(LIBEXECDIR)

$(patsubst %,$(B)/obj/%.o,privsep/config privsep/daemon privsep/files client/place): \
    $(B)/places
$(B)/places: FORCE
	@mkdir -p $(@D)
	@echo '$(PLACES)' | cmp -s - $@ || echo '$(PLACES)' > $@
FORCE:

# Texts name the directories of a default installation; they shall name those
# of this one.  In two steps, so that no replacement is replaced again.
place =	sed -e 's|/usr/local/libexec/postern|@LIBEXECDIR@|g' \
	-e 's|/usr/local/sbin|@SBINDIR@|g' \
	-e 's|/usr/local/bin|@BINDIR@|g' \
	-e 's|/usr/local/share/man|@MANDIR@|g' \
	-e 's|/usr/local/share/doc/postern|@DOCDIR@|g' \
	-e 's|/usr/local/share/postern|@EXAMPLEDIR@|g' \
	-e 's|/etc/postern/|@SYSCONFDIR@/postern/|g' \
	-e 's|/etc/pam\.d/postern|@PAMDIR@/postern|g' \
	-e 's|/var/spool/postern|@LOCALSTATEDIR@/spool/postern|g' \
	-e 's|/run/postern|@RUNDIR@|g' \
	-e 's|@LIBEXECDIR@|$(LIBEXECDIR)|g' -e 's|@SBINDIR@|$(SBINDIR)|g' \
	-e 's|@BINDIR@|$(BINDIR)|g' \
	-e 's|@MANDIR@|$(MANDIR)|g' -e 's|@DOCDIR@|$(DOCDIR)|g' \
	-e 's|@EXAMPLEDIR@|$(EXAMPLEDIR)|g' \
	-e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' -e 's|@PAMDIR@|$(PAMDIR)|g' \
	-e 's|@LOCALSTATEDIR@|$(LOCALSTATEDIR)|g' \
	-e 's|@RUNDIR@|$(RUNDIR)|g' $(1) > '$(DESTDIR)$(2)' && \
	chmod 644 '$(DESTDIR)$(2)'

# place_new,FILE,TARGET: never over what an administrator may have changed.
place_new = if test -e '$(DESTDIR)$(2)'; \
	then echo '  $(2) is there, and stays as it is'; \
	else echo '  $(2)' && $(call place,$(1),$(2)); fi

# install -d gives parents that it makes the mode that umask says.
folders =	set -e; umask 022; for d in $(1); do \
		test -d "$(DESTDIR)$$d" || $(INSTALL) -d "$(DESTDIR)$$d"; done

install: all
	@$(call folders,'$(SBINDIR)' '$(BINDIR)' '$(LIBEXECDIR)' '$(MANDIR)/man1' '$(MANDIR)/man5' \
	    '$(MANDIR)/man8' '$(DOCDIR)' '$(SYSCONFDIR)/postern' '$(SYSCONFDIR)/postern/tls' \
	    '$(PAMDIR)' '$(LOCALSTATEDIR)/spool' \
	    $(patsubst %,'$(EXAMPLEDIR)/%',$(sort $(dir $(EXAMPLES)))))
	@echo '  $(SBINDIR) $(LIBEXECDIR)'
	@$(INSTALL) -m 755 $(addprefix $(B)/,$(filter sbin/%,$(PROGRAMS))) \
	    '$(DESTDIR)$(SBINDIR)'
	@$(INSTALL) -m 755 $(B)/bin/sendmail \
	    '$(DESTDIR)$(SBINDIR)/postern-sendmail'
	@$(INSTALL) -m 755 $(B)/bin/postern '$(DESTDIR)$(BINDIR)'
	@$(INSTALL) -m 755 $(addprefix $(B)/,$(filter libexec/%,$(PROGRAMS))) \
	    '$(DESTDIR)$(LIBEXECDIR)'
	@echo '  $(MANDIR)'
	@set -e; $(foreach f,$(PAGES),$(call \
	    place,$f,$(MANDIR)/man$(patsubst .%,%,$(suffix $f))/$(notdir $f));)
	@echo '  $(DOCDIR)'
	@$(INSTALL) -m 644 $(DOCUMENTS) '$(DESTDIR)$(DOCDIR)'
	@$(INSTALL) -m 644 privsep/README.md '$(DESTDIR)$(DOCDIR)/privsep.md'
	@$(call place,INSTALL,$(DOCDIR)/INSTALL)
	@echo '  $(EXAMPLEDIR)'
	@set -e; $(foreach f,$(EXAMPLES),$(call \
	    place,etc/$f,$(EXAMPLEDIR)/$f);)
	@$(call place_new,etc/postern.conf,$(SYSCONFDIR)/postern/postern.conf)
	@$(call place_new,etc/pam.d/postern,$(PAMDIR)/postern)

uninstall:
	rm -f $(patsubst sbin/%,'$(DESTDIR)$(SBINDIR)/%',$(filter \
	    sbin/%,$(PROGRAMS))) '$(DESTDIR)$(SBINDIR)/postern-sendmail' \
	    '$(DESTDIR)$(BINDIR)/postern'
	rm -f $(foreach f,$(PAGES),'$(DESTDIR)$(MANDIR)/man$(patsubst \
	    .%,%,$(suffix $f))/$(notdir $f)')
	rm -rf '$(DESTDIR)$(LIBEXECDIR)' '$(DESTDIR)$(DOCDIR)' \
	    '$(DESTDIR)$(EXAMPLEDIR)'

.PHONY: install uninstall FORCE
