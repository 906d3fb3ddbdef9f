.PHONY: run test lint bench pins sbom licences

run:
	@scripts/run

test:
	@scripts/test

lint:
	@scripts/lint

bench:
	@scripts/bench

pins:
	@scripts/pins

sbom:
	@scripts/sbom

licences:
	@scripts/licences
