"""What encryption at rest costs: what one process encrypts, decrypts and digests in a second, and does nothing else."""

import time
from collections.abc import Callable

from bench.stack import Stack
from bench.table import Row, middle, runs_of
from bench.world import World
from proxy_project.encryption import decrypt, digest_number, encrypt

VALUES = 20_000
# As long as texts are.
TEXT = "I am at the main entrance now, next to the flower shop, with a blue suitcase. Where are you parked? "
NUMBER = "+14155550123"


def measure_encryption(stack: Stack, world: World, scale: float) -> list[Row]:
    """Encrypt and decrypt a text, digest a number, and do all that a relayed text needs, in this process alone."""
    count, runs = max(100, round(VALUES * scale)), runs_of(scale)
    text, number = encrypt(TEXT), encrypt(NUMBER)

    def relay() -> None:
        # The webhook looks somebody up and stores one token twice; the sender reads it, and the number.
        digest_number(NUMBER)
        encrypt(TEXT)
        decrypt(text)
        decrypt(number)

    works: tuple[tuple[str, Callable[[], object]], ...] = (
        (f"encryption, texts of {len(TEXT)} characters", lambda: encrypt(TEXT)),
        (f"decryption, texts of {len(TEXT)} characters", lambda: decrypt(text)),
        ("digests, phone numbers", lambda: digest_number(NUMBER)),
        ("encryption, all for a relayed text", relay),
    )
    return [
        Row(figure=figure, measured=middle([_per_second(work, count) for _ in range(runs)]), unit="/s")
        for figure, work in works
    ]


def _per_second(work: Callable[[], object], count: int) -> float:
    for _ in range(count // 20):
        work()
    started = time.perf_counter()
    for _ in range(count):
        work()
    return count / (time.perf_counter() - started)
