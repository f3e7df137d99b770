# the tests with every server process under valgrind's memcheck: hours; PIECES="regress t/130" for some of them
.PHONY: check-valgrind
check-valgrind:
	@tools/setup
	@tools/build
	@tools/install
	@tools/check_valgrind $(PIECES)
