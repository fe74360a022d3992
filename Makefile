# SPDX-License-Identifier: BSD-3-Clause
# The front door. Meson does the work; each target first sees to it that what
# it needs is installed (scripts/setup, which asks for root only if it is not).

# TARGETS
#   all          casementd, casement, libcasement, in build/ (the default)
#   demo         two guests and this host in one directory
#   install      into PREFIX (/usr/local) below DESTDIR; uninstall takes it back
#   kmod         casement.ko for the kernel of `casement run`; kmod-uml for that of --accel uml
#   check        all tests; check-fast without guests, check-race, check-vm: parts of it
#   soak         the checkers of tests/crowd for T seconds (3600) in each mode
#   fuzz         each fuzz target for T seconds (60)
#   bench        docs/performance.md anew; compat: docs/compatibility.md
#   coverage     which lines the tests run
#   clean        remove what was built

BUILD := build
ASAN  := build-asan
TSAN  := build-tsan
FUZZ  := build-fuzz
COV   := build-cov
PREFIX := /usr/local
STRICT := -Dtests=true -Dwerror=true
PYTHON := /usr/bin/python3

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet

$(BUILD)/build.ninja:
	@scripts/setup build
	@meson setup $(BUILD) --prefix=$(PREFIX) $(SETUP) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@mv $(BUILD).log $(BUILD)/setup.log

# What the sanitizers add takes the compiler longest, with -O2 half as long again; they need no more of -g than lines.
SANITIZED := $(STRICT) -Db_lundef=false -Doptimization=1
$(ASAN)/build.ninja:
	@scripts/setup build test
	@meson setup $(ASAN) $(SANITIZED) -Db_sanitize=address,undefined -Dc_args=-g1 >$(ASAN).log 2>&1 || { cat $(ASAN).log; exit 1; }
	@mv $(ASAN).log $(ASAN)/setup.log

# A working guest in two minutes: two machines and this one in one directory.
demo:
	@scripts/setup build vm
	@$(MAKE) --no-print-directory all
	@[ "$$(id -u)" = 0 ] || $(MAKE) --no-print-directory kmod
	@$(PYTHON) demo/demo.py

# Everything: units, the daemon over its socket (also under ASan and UBSan, and TSan), guests,
# native ones and real machines. SLOWEST=10 lists the slowest ten.
SLOWEST ?= 0
check: prepare-check prepare-fast prepare-race prepare-vm
	@tests/check --slowest $(SLOWEST) units sanitized races machines

# Meson asks the compiler one question after the other, for each of these: side by side.
prepare-check:
	@scripts/setup build test
	@$(MAKE) -j --no-print-directory SETUP='$(STRICT)' $(BUILD)/build.ninja $(ASAN)/build.ninja $(TSAN)/build.ninja

check-fast: prepare-fast
	@tests/check --slowest $(SLOWEST) units sanitized

check-race: prepare-race
	@tests/check --slowest $(SLOWEST) races

check-vm: prepare-vm
	@tests/check --slowest $(SLOWEST) machines

prepare-fast: prepare-build
	@$(MAKE) --no-print-directory $(ASAN)/build.ninja
	@tests/check --build sanitized

# gcc's TSan does not know atomic_thread_fence(), and says so at each.
$(TSAN)/build.ninja:
	@meson setup $(TSAN) $(SANITIZED) -Db_sanitize=thread '-Dc_args=-g1 -Wno-tsan' >$(TSAN).log 2>&1 || { cat $(TSAN).log; exit 1; }
	@mv $(TSAN).log $(TSAN)/setup.log

prepare-race: prepare-build
	@$(MAKE) --no-print-directory $(TSAN)/build.ninja
	@tests/check --build races

prepare-vm: prepare-build
	@scripts/setup build test vm uml

# The tests' build allows no warning. Other builds do: a newer compiler may have new ones. To be told what it
# knows already makes Meson ask the compiler all again.
IS_STRICT = grep -o '"name": "\(tests\|werror\)", "value": true' $(BUILD)/meson-info/intro-buildoptions.json | grep -c .
prepare-build:
	@scripts/setup build test
	@$(MAKE) --no-print-directory SETUP='$(STRICT)' $(BUILD)/build.ninja
	@[ "$$($(IS_STRICT))" = 2 ] || meson configure $(BUILD) $(STRICT)
	@$(MAKE) --no-print-directory all

# What the tests run of daemon, library and command: half an hour.
COVERAGE_FLAGS := -fprofile-instr-generate -fcoverage-mapping -mllvm -runtime-counter-relocation
$(COV)/build.ninja:
	@CC=clang meson setup $(COV) -Dtests=true -Db_lundef=false '-Dc_args=$(COVERAGE_FLAGS)' \
		-Dc_link_args=-fprofile-instr-generate >$(COV).log 2>&1 || { cat $(COV).log; exit 1; }
	@mv $(COV).log $(COV)/setup.log

coverage:
	@scripts/setup build test vm uml fuzz
	@$(MAKE) --no-print-directory $(COV)/build.ninja
	@ninja -C $(COV) --quiet
	@tests/coverage $(COV)

$(FUZZ)/build.ninja:
	@CC=clang meson setup $(FUZZ) -Dtests=true -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false >$(FUZZ).log 2>&1 || { cat $(FUZZ).log; exit 1; }
	@mv $(FUZZ).log $(FUZZ)/setup.log

# Our guest driver, for the kernel that `casement run` boots.
kmod:
	@scripts/setup vm
	@scripts/kmod kmod $(BUILD)/kmod

# The same for the kernel of `casement run --accel uml`.
kmod-uml:
	@scripts/setup uml
	@scripts/kmod --uml kmod $(BUILD)/kmod-uml

# Each fuzz target for T seconds.
T := 60
fuzz:
	@scripts/setup build test fuzz
	@$(MAKE) --no-print-directory $(FUZZ)/build.ninja
	@ninja -C $(FUZZ) --quiet fuzzers
	@tests/fuzz/run.sh $(FUZZ) $(T)

# Each checker of tests/crowd in each mode of our driver for T seconds, J at once. HACKING.md says more.
J := 0
soak: T := 3600
soak:
	@scripts/setup build test vm uml
	@$(MAKE) --no-print-directory all kmod
	@scripts/kmod --uml-debug kmod $(BUILD)/kmod-uml-debug
	@$(PYTHON) tests/soak/crowd --seconds $(T) --jobs $(J) $(ONLY)

# docs/compatibility.md: casementd beside virtiofsd, option by option and request by request.
compat:
	@scripts/setup build test
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@meson configure $(BUILD) -Dtests=true
	@$(MAKE) --no-print-directory all
	@$(PYTHON) tests/compat/compat.py $(BUILD)

.PHONY: compat

# make PREFIX=/usr install; DESTDIR=DIR installs below DIR.
install: all
	@meson configure $(BUILD) --prefix=$(PREFIX)
	@$(MAKE) --no-print-directory all
	@meson install -C $(BUILD) --no-rebuild

# What the last `make install` of this folder installed.
uninstall:
	@ninja -C $(BUILD) uninstall

help:
	@sed -n '/^# TARGETS/,/^$$/s/^# \{0,1\}//p' Makefile | tail -n +2

clean:
	rm -rf $(BUILD) $(ASAN) $(TSAN) $(FUZZ) $(COV)

# casementd beside virtiofsd and the machine itself, about six minutes: the tables and
# plots of docs/performance.md are written anew.
bench:
	@scripts/setup build vm bench
	@$(MAKE) --no-print-directory all
	@bench/compare --docs

.PHONY: all kmod kmod-uml bench demo check check-fast check-vm check-race coverage fuzz soak install clean prepare-check prepare-fast prepare-race prepare-vm prepare-build
