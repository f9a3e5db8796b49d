# PayFlow's build: one Makefile, five variants of the same sources. `make help` lists the targets.
#
#   build/payflow          development: system libpq and OpenSSL, -O2 -g
#   build/{asan,tsan}/     with sanitizers
#   build/cov/             with gcov counters
#   build/inject/          asan's objects, linked so that allocations and socket calls fail on demand (tests/inject/inject.c)
#   build/static/          the binary that ships
#
# Objects go to build/VARIANT/obj/, along the source's path. What the build writes itself is under build/gen.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := build

ifeq ($(origin CC),default)
CC := gcc
endif
PYTHON := /usr/bin/python3
DEPS := build/deps/src
JOBS := $(shell nproc)
export PATH := $(CURDIR)/build/tools/bin:$(PATH)
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1)

# --- flags ------------------------------------------------------------------------------------------------------------
# A warning is an error with the compilers this was tested with; a newer one's new warnings stop nobody's build.
WERROR := $(if $(filter 12 13 14,$(shell $(CC) -dumpversion 2>/dev/null | cut -d. -f1)),-Werror)
WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow $(WERROR)
INCLUDE := -Isrc -isystem $(DEPS) -isystem $(DEPS)/civetweb/src -isystem $(DEPS)/civetweb/include \
	-isystem /usr/include/postgresql
HARDEN := -fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero
SECTIONS := -ffunction-sections -fdata-sections
STD := -std=gnu17 -D_GNU_SOURCE=
CFLAGS_all := $(STD) -pthread -g -fPIE $(SECTIONS) $(HARDEN) -ffile-prefix-map=$(CURDIR)=.
FORTIFY := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
LDFLAGS_all := -pthread -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,--gc-sections,--build-id=none
LIBS_dynamic := -lpq -lssl -lcrypto

CFLAGS_dev := -O2 $(FORTIFY)
LDFLAGS_dev := -pie
LIBS_dev = $(LIBS_dynamic)

CFLAGS_asan := -O1 -U_FORTIFY_SOURCE -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS_asan := -pie -fsanitize=address,undefined
LIBS_asan = $(LIBS_dynamic)

CFLAGS_tsan := -O1 -U_FORTIFY_SOURCE -fno-omit-frame-pointer -fsanitize=thread
LDFLAGS_tsan := -pie -fsanitize=thread
LIBS_tsan = $(LIBS_dynamic)

CFLAGS_cov := -O0 -U_FORTIFY_SOURCE --coverage -fprofile-update=atomic
LDFLAGS_cov := -pie --coverage
LIBS_cov = $(LIBS_dynamic)

# clang's libFuzzer; its warnings are not those that the sources are kept free of.
CC_fuzz := clang
CFLAGS_fuzz := -O1 -U_FORTIFY_SOURCE -w -ftrivial-auto-var-init=uninitialized -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all
LDFLAGS_fuzz := -pie -fsanitize=fuzzer,address,undefined

CFLAGS_static := -O2 $(FORTIFY)
# The map names every archive that went in, for the SBOM.
LDFLAGS_static := -static-pie -s -Wl,-z,pack-relative-relocs -Wl,-Map=build/static/payflow.map
# Debian's libpq.a calls what these two archives hold; scripts/static_libs.sh puts them there.
LIBS_static = -Lbuild/deps/lib -lpq -lpgcommon_shlib -lpgport_shlib $(shell pkg-config --static --libs libssl libcrypto) -lm

# Another machine's compiler, to see that the sources compile there; there are no libraries of that machine to link with.
CC_arm64 := aarch64-linux-gnu-gcc
CFLAGS_arm64 := -O2 $(FORTIFY) -isystem build/arm64/include

# --- sources ----------------------------------------------------------------------------------------------------------
STATIC_ONLY := src/store/libpq_stubs.c
OURS := $(filter-out $(STATIC_ONLY),$(wildcard src/*.c src/*/*.c))
MIGRATIONS := $(wildcard src/store/migrations/*.sql)
GENERATED := build/gen/build_info.c build/gen/migrations.c build/gen/assets.c
DOCS := build/deps/docs
ASSETS := docs_html=src/api/docs/index.html start_js=src/api/docs/start.js swagger_js=$(DOCS)/swagger-ui.js.gz \
	swagger_css=$(DOCS)/swagger-ui.css.gz openapi=openapi.yaml
# CivetWeb is not here: src/http/server.c includes it, with the settings it is built with.
THEIRS := $(DEPS)/cjson/cJSON.c $(addprefix $(DEPS)/hiredis/,alloc.c async.c hiredis.c net.c read.c sds.c sockcompat.c ssl.c)
UNIT := $(wildcard tests/unit/*.c)
FUZZERS := $(filter-out wire_%,$(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c)))
C_FILES := $(wildcard src/*.[ch] src/*/*.[ch] tests/*/*.[ch])

# --- targets ----------------------------------------------------------------------------------------------------------
.PHONY: help build static variants run test rehearsal test-rest test-all lint format format-check tidy cppcheck tools reproducible \
	circleci openapi secrets security security-tools pipeline arm64-check pin image container up down logs bench bench-docs \
	alerts drill dashboards dashboard-picture clean
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: packages-run ## PayFlow on :3000 (PORT=...) with a private PostgreSQL and Redis; Ctrl-C stops all, the data stays
	@$(MAKE) --no-print-directory build
	@exec scripts/run.py

build: build/payflow ## build/payflow, for developing
static: packages-static ## build/static/payflow, the binary that ships
	@$(MAKE) --no-print-directory build/static/payflow

test: packages-test ## unit, API, faults, sanitizers, static binary, coverage; under 15 minutes
	@$(MAKE) --no-print-directory -j$(JOBS) variants
	@$(PYTHON) tests/run.py test
test-rest: packages-test packages-alerts packages-lint packages-arm64 packages-pipeline packages-rehearsal packages-chaos packages-fuzz \
	packages-container ## what test-all has besides
	@$(PYTHON) tests/run.py rest
test-all: ## test, and lint, reproducible builds, arm64
	@.ci/run
variants: build/payflow build/asan/payflow build/tsan/payflow build/cov/payflow build/inject/payflow build/static/payflow \
	$(foreach name,dev asan tsan cov,build/$(name)/unit) ## every build that the tests use

rehearsal: packages-rehearsal ## releases, good and bad, with the real gcloud against a stand-in for Cloud Run
	@$(MAKE) --no-print-directory build
	@$(PYTHON) tests/run.py rehearsal

chaos: packages-chaos ## kills and cuts everything under load, then proves that nothing was lost or doubled (settings: tests/faults/chaos.py)
	@$(MAKE) --no-print-directory build
	@$(PYTHON) tests/faults/chaos.py
chaos-proof: packages-chaos ## builds PayFlow with one planted bug after the other: chaos must find each
	@$(PYTHON) tests/faults/proof.py
slow-clients: packages-slow-clients ## thousands of slow heads, bodies and reads by slowhttptest, through the proxy and on PayFlow itself
	@$(MAKE) --no-print-directory build
	@$(PYTHON) tests/faults/slow.py

fuzz: packages-fuzz ## the fuzzers on their corpora, then for FUZZ_SECONDS each
	@$(MAKE) --no-print-directory -j$(JOBS) $(FUZZERS:%=build/fuzz/bin/%)
	@$(PYTHON) tests/fuzz/run.py $(FUZZERS)

lint: packages-lint ## C, shell, Python, YAML
	@$(PYTHON) tests/run.py lint
pre-commit: tools ## the linters on the files that a commit would change, in seconds
	@scripts/pre_commit.py
.PHONY: pre-commit
format: tools ## lays out the C sources as .clang-format says
	@build/tools/bin/clang-format -i $(C_FILES)
format-check: tools
	@build/tools/bin/clang-format --dry-run -Werror $(C_FILES)
tidy: tools $(patsubst %.c,build/tidy/%.ok,$(OURS))
build/tidy/%.ok: %.c .clang-tidy $(wildcard src/*.h src/*/*.h) $(GENERATED) | $(DEPS)/manifest
	@mkdir -p $(@D)
	@build/tools/bin/clang-tidy --quiet --warnings-as-errors='*' $< -- $(STD) $(INCLUDE) 2>&1 | \
		grep -vE '^[0-9]+ warnings? (generated|treated)' || test $${PIPESTATUS[0]} -eq 0
	@touch $@
cppcheck:
	@cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--suppress=missingIncludeSystem -j $(JOBS) -Isrc src
alerts: packages-alerts ## rules, their tests, routes, runbooks and dashboards; alerts fired for real; runbooks' commands run
	@$(MAKE) --no-print-directory build
	@$(PYTHON) tests/run.py alerts
drill: packages-alerts ## backup, loss, restore to a moment, verified; prints the measured RPO and RTO
	@$(MAKE) --no-print-directory build
	@scripts/drill.py
dashboards: ## both dashboards out of dashboards/panels.yml
	@scripts/dashboards.py
analyze: packages-analyze ## gcc's and clang's static analyzers, which look at all paths of each function
	@$(MAKE) --no-print-directory -j$(JOBS) $(OURS:%.c=build/analyze/%.ok)
build/analyze/%.ok: %.c $(wildcard src/*.h src/*/*.h) $(GENERATED) | $(DEPS)/manifest
	@mkdir -p $(@D)
	@echo "  ANALYZE $<"
	@gcc $(STD) $(INCLUDE) -O1 -fanalyzer -Werror -c -o /dev/null $<
	@clang $(STD) $(INCLUDE) --analyze -Xclang -analyzer-output=text -Xanalyzer -analyzer-werror $<
	@touch $@
dashboard-picture: packages-alerts ## docs/dashboard.svg: the dashboard's queries, drawn from a Prometheus that watched a load
	@$(MAKE) --no-print-directory build
	@scripts/dashboard_picture.py
circleci: tools ## the pipeline's file against our rules, CircleCI's schema and CircleCI's parser
	@scripts/circleci.sh
openapi: tools
	@build/tools/bin/openapi-spec-validator openapi.yaml
secrets: tools ## no secret in what Git knows
	@scripts/secrets.sh
tools: packages-tools
	@scripts/tools.sh
security: packages-lint static tools tools-infra ## secrets, known holes, infrastructure, C; a scanner that is absent is skipped
	@scripts/security.py
security-tools: ## builds the pinned scanners and cosign: minutes, and not part of any test
	@scripts/go_tools.sh
pipeline: packages-pipeline tools ## the tests of the pipeline's scripts
	@$(PYTHON) tests/run.py pipeline
.PHONY: infra tools-infra tf-docs tf-lock
test-rest: packages-contract tools-contract
contract: packages-contract tools-contract ## the contract: schemathesis with and without a key, /docs in a browser
	@$(MAKE) --no-print-directory build
	@$(PYTHON) tests/run.py contract
tools-contract:
	@scripts/tools.sh contract
.PHONY: contract tools-contract
test-rest: packages-docs
docs: packages-docs ## the pages: links, pictures drawn, commands run or looked up, help of every command
	@$(MAKE) --no-print-directory build
	@$(PYTHON) tests/run.py docs
.PHONY: docs
test-rest: packages-infra tools-infra
infra: packages-infra tools-infra ## Terraform: format, validity, tests, plans without a cloud, policies, scanners, READMEs
	@$(PYTHON) tests/run.py infra; status=$$?; cat build/reports/infra.txt; exit $$status
tools-infra:
	@scripts/tools.sh infra
tf-docs: ## writes the READMEs of tf/ from its sources
	@scripts/tf_docs.py
tf-lock: ## lock files with the registry's hashes for every platform, where the open internet is
	@for root in bootstrap $(addprefix environments/,development staging production); do \
		terraform -chdir=tf/$$root get >/dev/null && \
		terraform -chdir=tf/$$root providers lock -platform=linux_amd64 -platform=linux_arm64 -platform=darwin_arm64 || exit; done
reproducible: packages-static ## builds the static binary twice, in two places, and compares the bytes
	@scripts/reproducible.sh
arm64-check: packages-arm64 ## compiles all sources for arm64
	@$(MAKE) --no-print-directory -j$(JOBS) build/arm64/objects
image: ## the static image FROM scratch, IMAGE=payflow:local; prints its size
	@scripts/image.sh
container: packages-container build ## the image and the stack: built, killed, slowed down; figures in build/reports/container.txt
	@$(PYTHON) tests/run.py container
up: image ## the stack in containers, https://localhost:8443; PROFILE=observability brings Prometheus and Grafana too
	@docker compose $(if $(PROFILE),--profile $(PROFILE)) up --detach
down: ## stops the stack; its volumes stay
	@docker compose --profile '*' down
logs: ## what the stack's containers say, as they say it; Ctrl-C ends
	@docker compose --profile '*' logs --follow --tail 50
pin: ## writes the newest sources' hashes to versions.lock, and the images' digests where their registry answers
	@scripts/sources.py --pin
	@scripts/pin_images.py || echo "pin: the exact tags stay as they are"

bench: packages-bench static ## PayFlow and its twins side by side, ratios first; wants a quiet machine
	@if command -v go >/dev/null && [ ! -x build/tools/bin/vegeta ]; then \
		echo "bench: building vegeta" && GOBIN=$(CURDIR)/build/tools/bin CGO_ENABLED=0 \
		go install -trimpath -ldflags='-s -w' github.com/tsenart/vegeta/v12@v12.12.0; fi
	@bench/run.py $(PARTS)
bench-docs: ## writes the figures of the last make bench into docs/performance.md
	@bench/report.py --docs >/dev/null

clean: ## removes what was built; sources, tools and .run stay
	@rm -rf $(filter-out build/deps build/tools,$(wildcard build/*))

packages-%:
	@scripts/packages.sh $*

# --- rules ------------------------------------------------------------------------------------------------------------
# $(call variant,NAME,BINARY): how one variant is compiled and linked, with its unit tests.
define variant
obj_$(1) := $$(patsubst %.c,build/$(1)/obj/%.o,$$(OURS) $$(GENERATED) $$(THEIRS))
unit_$(1) := $$(patsubst %.c,build/$(1)/obj/%.o,$$(UNIT) build/gen/unit_main.c)

build/$(1)/obj/%.o: %.c build/$(1)/flags | $(DEPS)/manifest
	@mkdir -p $$(@D)
	@echo "  CC    $$@"
	@$$(or $$(CC_$(1)),$$(CC)) $$(CFLAGS_all) $$(CFLAGS_$(1)) -frandom-seed=$$< $$(if $$(filter build/%,$$<),-w,$$(WARN)) $$(INCLUDE) \
		-MD -MP -c -o $$@ $$<

$(2): $$(obj_$(1)) $$(extra_$(1))
	@echo "  LINK  $$@"
	@$$(CC) $$(LDFLAGS_all) $$(LDFLAGS_$(1)) -o $$@ $$(filter %.o,$$^) $$(LIBS_$(1))

build/$(1)/unit: $$(filter-out build/$(1)/obj/src/main.o,$$(obj_$(1))) $$(unit_$(1)) $$(extra_$(1))
	@echo "  LINK  $$@"
	@$$(CC) $$(LDFLAGS_all) $$(LDFLAGS_$(1)) -o $$@ $$(filter %.o,$$^) -lcheck $$(LIBS_$(1)) -lsubunit -lm

build/$(1)/flags: FORCE
	@mkdir -p $$(@D)
	@echo '$$(CC) $$(CFLAGS_all) $$(CFLAGS_$(1)) $$(WARN) $$(INCLUDE) $$(LDFLAGS_all) $$(LDFLAGS_$(1))' >$$@.new
	@if cmp -s $$@.new $$@; then rm $$@.new; else mv $$@.new $$@; fi

-include $$(obj_$(1):.o=.d) $$(unit_$(1):.o=.d)
endef

extra_static := build/static/obj/$(STATIC_ONLY:.c=.o) build/deps/lib/libpgport_shlib.a

$(eval $(call variant,dev,build/payflow))
$(foreach name,asan tsan cov static arm64 fuzz,$(eval $(call variant,$(name),build/$(name)/payflow)))

# libpq is linked in, so that its calls are among those that fail. The linker does it: the sources know nothing of it.
INJECTED := malloc calloc realloc strdup strndup recv send sendmsg accept4 poll
build/inject/payflow: $(obj_asan) build/asan/obj/tests/inject/inject.o $(extra_static)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS_all) $(LDFLAGS_asan) $(INJECTED:%=-Wl,--wrap=%) -o $@ $(filter %.o,$^) \
		-Lbuild/deps/lib -Wl,-Bstatic -lpq -lpgcommon_shlib -lpgport_shlib -Wl,-Bdynamic -lssl -lcrypto -lm

build/fuzz/payflow.a: $(filter-out build/fuzz/obj/src/main.o,$(obj_fuzz))
	@rm -f $@
	@$(AR) rcs $@ $^
build/fuzz/bin/%: build/fuzz/obj/tests/fuzz/%.o build/fuzz/payflow.a
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC_fuzz) $(LDFLAGS_all) $(LDFLAGS_fuzz) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS_dynamic)
build/fuzz/bin/wire: build/fuzz/obj/tests/fuzz/wire_store.o build/fuzz/obj/tests/fuzz/wire_mutator.o
.PRECIOUS: build/fuzz/obj/%.o

# OpenSSL's headers, apart from those of this machine's libc, which lie beside some of them.
build/arm64/include/openssl: build/arm64/flags
	@mkdir -p $@
	@ln -sf /usr/include/openssl/*.h /usr/include/*-linux-gnu/openssl/*.h $@
$(foreach kind,obj unit,$($(kind)_arm64)): | build/arm64/include/openssl
build/arm64/objects: $(obj_arm64) $(unit_arm64)
	@file -b $(obj_arm64) | sort | uniq -c

$(DEPS)/manifest: versions.lock scripts/sources.py
	@scripts/sources.py
$(THEIRS): $(DEPS)/manifest ;

build/deps/lib/libpgport_shlib.a: scripts/static_libs.sh
	@scripts/static_libs.sh

build/gen/build_info.c: FORCE $(DEPS)/manifest
	@scripts/build_info.sh
build/gen/migrations.c: scripts/generate.py $(MIGRATIONS)
	@mkdir -p $(@D)
	@$(PYTHON) scripts/generate.py migrations $@ $(MIGRATIONS)
$(DOCS)/swagger-ui.js.gz: scripts/docs_assets.py
	@scripts/docs_assets.py $(DOCS)
$(DOCS)/swagger-ui.css.gz: $(DOCS)/swagger-ui.js.gz ;
build/gen/assets.c: scripts/generate.py openapi.yaml src/api/docs/index.html src/api/docs/start.js $(DOCS)/swagger-ui.js.gz
	@mkdir -p $(@D)
	@$(PYTHON) scripts/generate.py assets $@ $(ASSETS)
build/gen/unit_main.c: scripts/generate.py $(UNIT)
	@mkdir -p $(@D)
	@$(PYTHON) scripts/generate.py unit $@ $(UNIT)

# The rehearsal's releases: the binary with one migration more, of tests/rehearsal/migrations.
build/rehearsal/%/migrations.c: tests/rehearsal/migrations/%.sql $(MIGRATIONS) scripts/generate.py
	@rm -rf $(@D) && mkdir -p $(@D)/sql && cp $(MIGRATIONS) $(@D)/sql/
	@cp $< $(@D)/sql/$$(printf '%04d' $$(($(words $(MIGRATIONS)) + 1)))_$*.sql
	@$(PYTHON) scripts/generate.py migrations $@ $(@D)/sql/*.sql
build/rehearsal/%/payflow: build/rehearsal/%/migrations.c $(obj_dev)
	@$(CC) $(CFLAGS_all) $(CFLAGS_dev) $(WARN) $(INCLUDE) -c -o $(<:.c=.o) $<
	@$(CC) $(LDFLAGS_all) $(LDFLAGS_dev) -o $@ $(<:.c=.o) $(filter-out %/migrations.o,$(filter %.o,$^)) $(LIBS_dev)
.PRECIOUS: build/rehearsal/%/migrations.c

.PHONY: FORCE
FORCE:
