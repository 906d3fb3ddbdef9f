.PHONY: run test lint bench pins

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
