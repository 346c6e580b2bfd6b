# make deps: install what building and testing need, from deps.txt.
#
# Asks for nothing, installs only what is missing, and starts no service.

deps-build: WANTED = build
deps-run: WANTED = build run
deps: WANTED = build run check

deps deps-build deps-run:
	@set -e; list=; for kind in $(WANTED); do \
		list="$$list $$(sed -n "s/^\([a-z0-9.+-]*\)[[:blank:]]*$$kind.*/\1/p" \
		    deps.txt)"; \
	done; \
	if ! command -v dpkg-query >/dev/null; then \
		echo "make $@: this is not Debian; what is needed is named" \
		    "in deps.txt" >&2; \
		exit 0; \
	fi; \
	missing=; for p in $$list; do \
		case $$(dpkg-query -W -f '$${Status}' $$p 2>/dev/null) in \
		*" ok installed") ;; \
		*) missing="$$missing $$p" ;; \
		esac; \
	done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" -ne 0 ]; then \
		echo "make $@: as root, install:$$missing" >&2; \
		exit 1; \
	fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get -q update; \
	apt-get -q -y --no-install-recommends install $$missing

.PHONY: deps deps-build deps-run
