# SPDX-License-Identifier: BSD-3-Clause
# The front door. Meson does the work; each target first sees to it that what
# it needs is installed (scripts/setup, which asks for root only if it is not).

BUILD := build
ASAN  := build-asan
TSAN  := build-tsan
FUZZ  := build-fuzz
PYTHON := /usr/bin/python3

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet

$(BUILD)/build.ninja:
	@scripts/setup build
	@meson setup $(BUILD) --prefix=/usr/local >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@mv $(BUILD).log $(BUILD)/setup.log

$(ASAN)/build.ninja:
	@scripts/setup build test
	@meson setup $(ASAN) -Dtests=true -Db_sanitize=address,undefined -Db_lundef=false >$(ASAN).log 2>&1 || { cat $(ASAN).log; exit 1; }
	@mv $(ASAN).log $(ASAN)/setup.log

# A working guest in two minutes: two machines and this one in one directory.
demo:
	@scripts/setup build vm
	@$(MAKE) --no-print-directory all
	@$(PYTHON) demo/demo.py

# Everything: units, the daemon over its socket (also under ASan and UBSan, and TSan), real machines.
check: check-fast check-race check-vm

check-fast:
	@scripts/setup build test
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja $(ASAN)/build.ninja
	@meson configure $(BUILD) -Dtests=true
	@$(MAKE) --no-print-directory all
	@ninja -C $(ASAN) --quiet
	@tests/meson-test $(BUILD)
	@tests/meson-test $(ASAN) --timeout-multiplier 4

# What may race, under TSan: gcc's does not know atomic_thread_fence(), and says so at each.
$(TSAN)/build.ninja:
	@scripts/setup build test
	@meson setup $(TSAN) -Dtests=true -Db_sanitize=thread -Db_lundef=false -Dc_args=-Wno-tsan >$(TSAN).log 2>&1 || { cat $(TSAN).log; exit 1; }
	@mv $(TSAN).log $(TSAN)/setup.log

RACES := race wire_lock wire_stop fs_race fs_lock offload queue_wait window inode_table handle_table
check-race:
	@scripts/setup build test
	@$(MAKE) --no-print-directory $(TSAN)/build.ninja
	@ninja -C $(TSAN) --quiet
	@tests/meson-test $(TSAN) --timeout-multiplier 6 $(RACES)

check-vm:
	@scripts/setup build test vm
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@meson configure $(BUILD) -Dtests=true
	@$(MAKE) --no-print-directory all
	@$(PYTHON) -m pytest -q tests/vm tests/cli $(PYTEST_ARGS) || { \
		echo "check-vm: an emulated guest of several processors may not boot on a busy host; what failed runs once more"; \
		$(PYTHON) -m pytest -q --last-failed --last-failed-no-failures none tests/vm tests/cli $(PYTEST_ARGS); }

$(FUZZ)/build.ninja:
	@CC=clang meson setup $(FUZZ) -Dtests=true -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false >$(FUZZ).log 2>&1 || { cat $(FUZZ).log; exit 1; }
	@mv $(FUZZ).log $(FUZZ)/setup.log

# Our guest driver, for the kernel that `casement run` boots.
kmod:
	@scripts/setup vm
	@scripts/kmod kmod $(BUILD)/kmod

# Each fuzz target for T seconds.
T := 60
fuzz:
	@scripts/setup build test fuzz
	@$(MAKE) --no-print-directory $(FUZZ)/build.ninja
	@ninja -C $(FUZZ) --quiet fuzzers
	@tests/fuzz/run.sh $(FUZZ) $(T)

# docs/compatibility.md: casementd beside virtiofsd, option by option and request by request.
compat:
	@scripts/setup build test
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@meson configure $(BUILD) -Dtests=true
	@$(MAKE) --no-print-directory all
	@$(PYTHON) tests/compat/compat.py $(BUILD)

.PHONY: compat

install: all
	@meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) $(ASAN) $(TSAN) $(FUZZ)

# casementd beside virtiofsd and the machine itself, about six minutes: the tables and
# plots of docs/performance.md are written anew.
bench:
	@scripts/setup build vm bench
	@$(MAKE) --no-print-directory all
	@bench/compare --docs

.PHONY: all kmod bench demo check check-fast check-vm check-race fuzz install clean
