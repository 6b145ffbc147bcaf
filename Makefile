# Every target is a thin name for `python -m launch <command>`; the logic lives in launch/.
#
#   make run [PORT=8000] [LAN=1]     make demo      make lint     make lock
#   make test [ARGS="-k codes"]      make bench     make clean
#   make faults [FAULTS=full]

# make hands variables given on its command line to the launcher through the environment, so
# `make test DATABASE_URL=...` and `DATABASE_URL=... make test` are the same.

COMMANDS := run test demo bench faults lint lock clean
.PHONY: $(COMMANDS) help
.DEFAULT_GOAL := help

$(COMMANDS):
	@for python in "$$PYTHON" python3 python3.14 python3.13 python3.12 python3.11; do \
	  [ -n "$$python" ] && "$$python" -c 'f""' 2>/dev/null && exec "$$python" -m launch.bootstrap $@; \
	done; \
	echo "No Python was found: install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)." >&2; \
	exit 1

help:
	@sed -n 's/^#   /  /p' Makefile
