# Builds, tests and installs job_tracker (GNU make). 'make help' says what there is.
#
# Lua 5.4 and LuaJIT differ in their binary interface, so the same sources are
# built once for each, into folders of their own:
#
#   build/store/obj/    the store, which knows no Lua: compiled once, for all
#   build/5.4/          job_tracker.so for Lua 5.4, obj/, support/ for the specs
#   build/luajit/       the same for LuaJIT (OpenResty)
#   build/rock/         what luarocks builds and installs
#   build/asan/ ...     a whole build/ again, with other flags

# ---------------------------------------------------------------- what may be set

ifeq ($(origin CC),default)
CC = gcc
endif
CFLAGS ?= -O3 -g
CPPFLAGS ?=
LDFLAGS ?=
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
# The interpreters that tests run on, and the folders of their headers.
LUA54 ?= lua5.4
LUAJIT ?= luajit
include_folder = $(or $(patsubst -I%,%,$(filter -I%,$(shell \
  pkg-config --cflags-only-I $(1) 2>/dev/null))),/usr/include/$(2))
ifndef LUA54_INCDIR
LUA54_INCDIR := $(call include_folder,lua5.4,lua5.4)
endif
ifndef LUAJIT_INCDIR
LUAJIT_INCDIR := $(call include_folder,luajit,luajit-2.1)
endif
# For 'make rock': the headers of the Lua that the rock is for.
LUA_INCDIR ?= $(LUA54_INCDIR)
# The store's rooms call each other in every path: optimised as one program, at
# link time, a call takes a quarter less time. Not where a tool is to look at it.
LTO ?= $(if $(SANITIZE),,$(if $(findstring gcc,$(CC)),-flto=auto))
# WERROR=1: warnings are errors. SANITIZE: the sanitizers' flags. V=1: say every
# command in full.
WERROR ?=
SANITIZE ?=
V ?=
say = $(if $(V),,@echo "  $(1) $(2)" &&)

export BUILD CC CFLAGS CPPFLAGS LTO LUA54 LUAJIT LUA54_INCDIR LUAJIT_INCDIR

# ------------------------------------------------------------------------ sources

STORE_SOURCES = $(sort $(wildcard src/store/*.c))
BINDING_SOURCES = $(sort $(wildcard src/*.c))
# 'make rock' gets this list from the rockspec.
SOURCES ?= $(BINDING_SOURCES) $(STORE_SOURCES)
# What is installed as it stands: the Lua files, and what these read that lies beside them.
LUA_SOURCES = $(sort $(shell find src/job_tracker src/resty -name '*.lua' -o -name '*.html'))

STORE_TESTS = $(sort $(wildcard spec/store/*_test.c))
BINDING_TESTS = $(sort $(wildcard spec/binding/*_test.c))
SPECS = $(sort $(shell find spec -name '*_spec.lua' -not -path 'spec/bench/*'))
# What the tests of a folder share.
STORE_HELPERS = $(filter-out $(STORE_TESTS),$(sort $(wildcard spec/store/*.c)))
BINDING_HELPERS = $(filter-out $(BINDING_TESTS),$(sort $(wildcard spec/binding/*.c)))
SUPPORT_SOURCES = $(sort $(wildcard spec/support/*.c))

# -------------------------------------------------------------------------- flags

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
  -Wmissing-prototypes -Wvla -Wformat=2 $(if $(WERROR),-Werror)
# -fno-plt: each call of Lua's functions without a jump in between, of which reading a
# job makes a dozen.
COMPILE = $(CC) -std=c11 -D_GNU_SOURCE -Isrc -fPIC -fno-plt -fvisibility=hidden -pthread \
  $(WARNINGS) $(CPPFLAGS) $(CFLAGS) $(LTO) $(SANITIZE)
LINK = $(CC) -pthread $(CFLAGS) $(LTO) $(SANITIZE) $(LDFLAGS)
# The module stays loaded once it is loaded: a Lua state that ends must not take
# along the region that its process shares. It links no Lua: its host has one.
LINK_MODULE = $(LINK) -shared -Wl,-z,nodelete
STORE_LIBS = -luuid -lpthread
LIBS = -ljansson $(STORE_LIBS)
library_of = $(or $(shell pkg-config --libs $(1) 2>/dev/null),$(2)) -lm
LUA_LIBS_5.4 = $(call library_of,lua5.4,-llua5.4)
LUA_LIBS_luajit = $(call library_of,luajit,-lluajit-5.1)

# -------------------------------------------------------------------------- build

.PHONY: all
all: $(BUILD)/5.4/job_tracker.so $(BUILD)/luajit/job_tracker.so ## build both modules (the default)

# $(call objects,FOLDER,SOURCES): where these sources' objects are.
objects = $(2:%.c=$(BUILD)/$(1)/obj/%.o)

# $(call compile_into,FOLDER,SOURCES,FLAGS,TASK): how objects of a folder are
# made. The file 'flags' changes when the command or the list of sources does, and
# then everything that was made by it is made again. Its first writing is also the
# moment to look for what the TASK needs.
define compile_into
$$(BUILD)/$(1)/obj/%.o: %.c $$(BUILD)/$(1)/flags
	@mkdir -p $$(@D)
	$$(call say,compile,$$@)$$(COMPILE) $(3) -MMD -MP -c $$< -o $$@

$$(BUILD)/$(1)/flags: FORCE
	@mkdir -p $$(@D)
	@echo '$$(COMPILE) $(3) $$(LDFLAGS) $(2)' >$$@.new
	@cmp -s $$@.new $$@ || { tools/deps --check $(4) && mv $$@.new $$@; }

-include $$(wildcard $$(BUILD)/$(1)/obj/src/*.d $$(BUILD)/$(1)/obj/src/*/*.d \
  $$(BUILD)/$(1)/obj/spec/*/*.d)
endef

$(eval $(call compile_into,store,$(STORE_SOURCES),,build))
$(eval $(call compile_into,5.4,$(BINDING_SOURCES),-isystem $(LUA54_INCDIR),build))
$(eval $(call compile_into,luajit,$(BINDING_SOURCES),-isystem $(LUAJIT_INCDIR),build))
$(eval $(call compile_into,rock,$(SOURCES),-isystem $(LUA_INCDIR),rock))

STORE_OBJECTS = $(call objects,store,$(STORE_SOURCES))

$(BUILD)/5.4/job_tracker.so: $(call objects,5.4,$(BINDING_SOURCES)) $(STORE_OBJECTS)
$(BUILD)/luajit/job_tracker.so: $(call objects,luajit,$(BINDING_SOURCES)) $(STORE_OBJECTS)
$(BUILD)/rock/job_tracker.so: $(call objects,rock,$(SOURCES))
$(BUILD)/%/job_tracker.so:
	$(call say,link,$@)$(LINK_MODULE) $^ $(LIBS) -o $@

# Called by luarocks, see rockspec/.
.PHONY: rock
rock: $(BUILD)/rock/job_tracker.so

# -------------------------------------------------------------------------- tests

STORE_PROGRAMS = $(STORE_TESTS:spec/store/%.c=$(BUILD)/store/%)
BINDING_PROGRAMS = $(foreach abi,5.4 luajit,$(BINDING_TESTS:spec/binding/%.c=$(BUILD)/$(abi)/%))
SUPPORT_MODULES = $(foreach abi,5.4 luajit,$(SUPPORT_SOURCES:spec/support/%.c=$(BUILD)/$(abi)/support/%.so))

$(STORE_PROGRAMS): $(BUILD)/store/%: $(BUILD)/store/obj/spec/store/%.o \
    $(call objects,store,$(STORE_HELPERS)) $(STORE_OBJECTS)
	$(call say,link,$@)$(LINK) $^ $(STORE_LIBS) -o $@

# $(call test_with,ABI): a test of the binding is a program with a Lua in it. What
# ThreadSanitizer must be told of the lock it is told here too.
define test_with
$$(BINDING_TESTS:spec/binding/%.c=$$(BUILD)/$(1)/%): $$(BUILD)/$(1)/%: \
    $$(BUILD)/$(1)/obj/spec/binding/%.o \
    $$(call objects,$(1),$$(BINDING_HELPERS) $$(BINDING_SOURCES)) $$(STORE_OBJECTS) \
    $$(call objects,store,spec/store/tsan.c)
	$$(call say,link,$$@)$$(LINK) $$^ $$(LIBS) $$(LUA_LIBS_$(1)) -o $$@

$$(BUILD)/$(1)/support/%.so: $$(BUILD)/$(1)/obj/spec/support/%.o
	@mkdir -p $$(@D)
	$$(call say,link,$$@)$$(LINK_MODULE) $$< -o $$@
endef
$(eval $(call test_with,5.4))
$(eval $(call test_with,luajit))

# Objects of tests are kept like all others.
.SECONDARY:

.PHONY: tests
tests: all $(STORE_PROGRAMS) $(BINDING_PROGRAMS) $(SUPPORT_MODULES)

# For 'make lint': every C file, also those that others build (spec/bench).
OTHER_SOURCES = $(filter-out $(SOURCES) $(wildcard spec/store/*.c spec/binding/*.c) \
  $(SUPPORT_SOURCES),$(sort $(shell find src spec examples -name '*.c')))
.PHONY: objects
objects: tests $(call objects,5.4,$(OTHER_SOURCES))

# The tests to run: all, or those whose file names begin with SPEC.
TESTS = $(STORE_TESTS) $(BINDING_TESTS) $(SPECS)
SPEC ?=
chosen = $(if $(SPEC),$(foreach name,$(SPEC),$(or $(filter $(name)%,$(1)),\
  $(error no test is named $(name)))),$(1))

# The recipes below call make again: packages that tools/deps has just installed
# may change what this file finds out when it is read.
AGAIN = +@$(MAKE) --no-print-directory

.PHONY: test
test: ## run all tests on Lua 5.4 and LuaJIT (SPEC=spec/... for some)
	@tools/deps test
	$(AGAIN) tests
	@tools/test $(call chosen,$(TESTS))

# AddressSanitizer and UndefinedBehaviorSanitizer. Lua is not built with them, so
# their library is loaded before it.
#
# Leaks: programs in C look for them when they exit. A preloaded library would do
# that in every child of a spec as well (sh, make, nginx), whose leaks are not
# ours; so there it is off, and the output handler asks at the end of a spec file,
# on Lua 5.4. Not on LuaJIT: it has memory of its own, which the sanitizer does not
# search, so what only a userdata points to would seem lost. The code is the same.
ASAN_FLAGS = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
.PHONY: asan
asan: ## the tests under AddressSanitizer and UBSan (SPEC= as above)
	@tools/deps asan
	$(AGAIN) BUILD=build/asan CC=gcc CFLAGS="-O1 -g" LTO= SANITIZE="$(ASAN_FLAGS)" tests
	@BUILD=build/asan SANITIZED=yes SANITIZER="$$(gcc -print-file-name=libasan.so)" \
	  TEST_SECONDS=900 tools/test $(call chosen,$(TESTS))

# ThreadSanitizer: clang's, as gcc's was seen to miss a race that clang's finds.
# For the tests in which threads meet: it sees no other processes.
TSAN_TESTS = $(shell grep -l pthread_create $(STORE_TESTS) $(BINDING_TESTS))
.PHONY: tsan
tsan: ## the tests with threads under ThreadSanitizer (clang; SPEC= as above)
	@tools/deps tsan
	$(AGAIN) BUILD=build/tsan CC=clang CFLAGS="-O1 -g" LTO= SANITIZE=-fsanitize=thread tests
	@BUILD=build/tsan SANITIZED=yes TSAN_OPTIONS=halt_on_error=1 TEST_SECONDS=900 \
	  tools/test $(call chosen,$(TSAN_TESTS))

# What tries to refute the store's promises, and the table of it.
.PHONY: prove
prove: ## kills at every store and instruction, storms, churn, faults, mutants (15 minutes)
	@tools/deps test prove
	$(AGAIN) tests
	@spec/prove/run

.PHONY: lint
lint: ## compilers with warnings as errors, analysers, luacheck, shellcheck
	@tools/deps lint
	@tools/lint

# ------------------------------------------------------------- seeing it at work

.PHONY: demo
demo: ## nginx shows the progress of a pipeline that writes a textbook chapter
	@tools/deps demo
	$(AGAIN) all
	@examples/demo

.PHONY: bench
bench: ## job_tracker beside LMDB, Redis, shared dict, tables: figures and a chart
	@tools/deps bench
	$(AGAIN) all
	@BUILD="$(abspath $(BUILD))" spec/bench/run

# ----------------------------------------------------------------------- install

MODULE_FOLDER = $(DESTDIR)$(PREFIX)/lib/lua
LUA_FOLDER = $(DESTDIR)$(PREFIX)/share/lua
# OpenResty's LuaJIT looks where Lua 5.1 does.
VERSIONS = 5.4 5.1
installed_lua = $(foreach version,$(VERSIONS),\
  $(LUA_SOURCES:src/%=$(LUA_FOLDER)/$(version)/%))
# Those that are ours alone, the inner ones first; resty is also others'.
installed_folders = $(foreach version,$(VERSIONS),$(addprefix $(LUA_FOLDER)/$(version)/,\
  job_tracker/pipeline job_tracker resty/job_tracker))

.PHONY: install
install: all ## install for Lua 5.4 and LuaJIT (PREFIX=/usr/local, DESTDIR=)
	install -D -m 755 $(BUILD)/5.4/job_tracker.so $(MODULE_FOLDER)/5.4/job_tracker.so
	install -D -m 755 $(BUILD)/luajit/job_tracker.so $(MODULE_FOLDER)/5.1/job_tracker.so
	@$(foreach version,$(VERSIONS),$(foreach file,$(LUA_SOURCES),\
	  install -D -m 644 $(file) $(file:src/%=$(LUA_FOLDER)/$(version)/%) &&)) :

.PHONY: uninstall
uninstall: ## remove what install has put there
	rm -f $(foreach version,$(VERSIONS),$(MODULE_FOLDER)/$(version)/job_tracker.so)
	rm -f $(installed_lua)
	@for folder in $(installed_folders); do \
	  if [ -d "$$folder" ]; then rmdir --ignore-fail-on-non-empty "$$folder"; fi; done

# -------------------------------------------------------------------------- others

.PHONY: deps
deps: ## install the packages that build, tests and demo need (apt)
	@tools/deps build test demo

.PHONY: clean
clean: ## remove everything that was built
	rm -rf $(BUILD)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: FORCE
FORCE:

.DELETE_ON_ERROR:
