# make run: try Postern without installing it; ONCE=1 ends after one letter.
run:
	@$(MAKE) --no-print-directory deps-run
	@$(MAKE) --no-print-directory all
	@POSTERN_BUILD=$(B) exec etc/try-postern

.PHONY: run
