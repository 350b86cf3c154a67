# Two commands do all the set-up: `make demo` runs the main job on real data, `make test` the tests.

CARGO ?= cargo
# Where `make install` puts the program: PREFIX/bin.
PREFIX ?= $(if $(filter 0,$(shell id -u)),/usr/local,$(HOME)/.local)

.PHONY: help demo team demo-clean install test bench scan-matrix lint generate

help:
	@echo "make demo        build, then run examples/employment from source to signed model"
	@echo "make team        serve a workspace to three people on this machine; the example waits for an approval"
	@echo "make demo-clean  forget the demo's workspace"
	@echo "make install     build in the release profile, half an hour on two cores; install as PREFIX/bin/custody"
	@echo "make test        format, lints, dependencies, layers, unit, property, end-to-end and Python tests"
	@echo "make bench       speed beside peers, in the release profile: takes about an hour from clean"
	@echo "make scan-matrix the model scanner beside its peers over hostile and benign samples"
	@echo "make lint        format, lints, dependencies and layers alone"
	@echo "make generate    write the generated references anew"

demo:
	@$(CARGO) build --locked --quiet --workspace --bin custody
	@examples/employment/demo.sh "$(CURDIR)/target/debug/custody"

team:
	@$(CARGO) build --locked --quiet --workspace --bin custody
	@examples/employment/team.sh "$(CURDIR)/target/debug/custody"

demo-clean:
	@rm -rf examples/employment/.custody

install:
	@$(CARGO) build --locked --release --quiet --workspace --bin custody
	@install -D --strip target/release/custody "$(DESTDIR)$(PREFIX)/bin/custody"
	@"$(DESTDIR)$(PREFIX)/bin/custody" --version
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) ;; *) echo "put $(PREFIX)/bin on your PATH" ;; esac

test:
	@scripts/test.sh

bench:
	@scripts/bench.sh

scan-matrix:
	@scripts/scan-matrix.sh

lint:
	@scripts/lint.sh

generate:
	@$(CARGO) build --locked --quiet --workspace --examples
	@target/debug/examples/schema > target/custody.schema.json
	@mv target/custody.schema.json docs/reference/custody.schema.json
	@CUSTODY_GENERATE=1 $(CARGO) test --locked --quiet --workspace --test reference the_reference
	@CUSTODY_GENERATE=1 $(CARGO) test --locked --quiet --workspace --test it what_a_person_sees
