# Tests.  A unit test or fuzz target names the objects that it links in a line
# "/* LINK: wire/wire privsep/message */" and its libraries in "LIBS:".

UNIT =	$(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
FUZZ =	$(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
CLANG ?= clang
SECONDS ?= 60

# The words MAILBOX, RELAY and OUTBOUND stand for all of mailbox/, of the relay
# and of the queue's side of it, and what that needs; so does smtpd/aliases for
# what reads files of names.
links = $(sort $(patsubst MAILBOX,$(MAILBOX) privsep/gates privsep/message \
	privsep/log,$(patsubst RELAY,$(RELAY) privsep/gates privsep/message \
	privsep/log,$(patsubst OUTBOUND,$(OUTBOUND) privsep/config_route, \
	$(patsubst smtpd/aliases,$(NAMES) smtpd/xtext \
	smtpd/idna wire/utf8,$(shell \
	sed -n 's,^/\* LINK:\(.*\)\*/.*,\1,p' $(1)))))))
libs = $(shell sed -n 's,^/\* LIBS:\(.*\)\*/.*,\1,p' $(1)) \
	$(if $(filter smtpd/idna,$(call links,$(1))),$(IDNA_LIBS))

# Unit tests run under ASan and UBSan: a test that reads past an end is red.
SAN =	-fsanitize=address,undefined -fno-sanitize-recover=all -O1 -g \
	-fno-omit-frame-pointer
UNIT_CFLAGS =	-std=gnu17 $(SAN) $(WARN) $(CPPFLAGS) $(PATHS)

$(B)/unit/obj/%.o: %.c GNUmakefile tests.mk
	@mkdir -p $(@D)
	@echo "  cc (unit) $<"
	$(Q)$(CC) $(UNIT_CFLAGS) -MMD -MP -c -o $@ $<

define unit
$(B)/unit/$(1): $(B)/unit/obj/tests/unit/$(1).o \
    $$(patsubst %,$(B)/unit/obj/%.o,$$(call links,tests/unit/$(1).c))
	@echo "  link $$@"
	$(Q)$(CC) $(SAN) -o $$@ $$^ $$(call libs,tests/unit/$(1).c) \
	    -lcmocka -lbsd -lmd -lseccomp
endef
$(foreach t,$(UNIT),$(eval $(call unit,$(t))))

FUZZ_CFLAGS =	-std=gnu17 -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -O1 -g $(CPPFLAGS) $(PATHS)

$(B)/fuzz/obj/%.o: %.c GNUmakefile tests.mk
	@mkdir -p $(@D)
	@echo "  cc (fuzz) $<"
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

define fuzz
$(B)/fuzz/$(1): $(B)/fuzz/obj/tests/fuzz/$(1).o \
    $$(patsubst %,$(B)/fuzz/obj/%.o,$$(call links,tests/fuzz/$(1).c))
	@echo "  link $$@"
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined -o $$@ $$^ \
	    $$(call libs,tests/fuzz/$(1).c) -lbsd -lmd -lseccomp
endef
$(foreach t,$(FUZZ),$(eval $(call fuzz,$(t))))

-include $(shell find $(B)/unit $(B)/fuzz -name '*.d' 2>/dev/null)

unit-programs: $(UNIT:%=$(B)/unit/%)
fuzz-programs: $(FUZZ:%=$(B)/fuzz/%)

# Every fuzz target, for SECONDS each (make check: a few).
fuzz: fuzz-programs
	tests/fuzz/run $(B)/fuzz $(SECONDS)

# The whole: unit tests, fuzz targets, lint, end to end; what starts daemons is
# also run on sanitizer builds, where a bad access is a crash.
AT_ONCE = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
check: deps
	@$(MAKE) --no-print-directory $(AT_ONCE) all unit-programs \
	    fuzz-programs hostile-programs
	@$(MAKE) --no-print-directory $(AT_ONCE) SANITIZE=1 B=$(B)-asan all \
	    hostile-programs
	tests/check $(B) $(B)-asan

lint: all
	tests/lint

.PHONY: unit-programs fuzz-programs fuzz check lint

# A worker in an attacker's hands, in place of the real ones.
HOSTILE = $(B)/hostile/pop3d-worker $(B)/hostile/smtpd-worker
$(HOSTILE): $(patsubst %,$(B)/obj/%.o,$(SPAWNER) tests/hostile/puppet)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(TLS_LIBS) $(LIBS)
	$(Q)for p in login signer make-certificate pop3d-agents smtpd-agents smtpd-queue smtpd-relay smtpd-resolver smtpd-programs; do \
	    ln -sf ../libexec/postern/$$p $(@D)/$$p; done

hostile-programs: $(HOSTILE)
.PHONY: hostile-programs

# Of the benchmarks: letters for a spool, by the functions that smtpd has.
$(B)/bench/fill: $(patsubst %,$(B)/obj/%.o,tests/bench/fill smtpd/spool \
    smtpd/spool_write smtpd/envelope smtpd/address smtpd/xtext wire/utf8)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ -lbsd
