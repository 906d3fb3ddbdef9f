"""The worker's task that erases what was kept for long enough, again and again until it is stopped."""

import time

import django


def main() -> None:
    django.setup()
    # Not at the top: models can be imported once Django is set up.
    from django.utils import timezone

    from messaging.keeping.retention import erase_old_chats, erase_strangers

    while True:
        now = timezone.now()
        if not erase_old_chats(now=now) + erase_strangers(now=now):
            time.sleep(0.1)


if __name__ == "__main__":
    main()
