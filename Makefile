.PHONY: run test lint bench chaos screenshots pins sbom licences

run:
	@scripts/run

test:
	@scripts/test

lint:
	@scripts/lint

bench:
	@scripts/bench

chaos:
	@scripts/chaos

pins:
	@scripts/pins

sbom:
	@scripts/sbom

licences:
	@scripts/licences

screenshots:
	@scripts/screenshots
