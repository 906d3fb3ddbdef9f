"""What the service itself says to people: plain GSM-7 words, short enough for one segment."""

from collections.abc import Sequence
from itertools import combinations

CHAT_HAS_ENDED = "This chat has ended, so your text was not passed on."
CHAT_HAS_NOT_STARTED = "This chat has not started yet, so your text was not passed on."
NO_LONGER_IN_CHAT = "You are no longer part of this chat, so your text was not passed on."
NOT_DELIVERED = "A text of yours could not be delivered to the other person. Please try again later."

# By InboundText.undeliverable.
NOT_PASSED_ON = {
    "media": "Your message was of a kind that cannot be passed on here. Please send it as a text.",
    "empty": "Your text was empty, so it was not passed on.",
    "binary": "Your message was not a text, so it was not passed on.",
    "too_long": "Your text was too long to be passed on. Please send it in parts.",
}

# By the error code of a text that could have been passed on.
STOPPED = {
    "too_many": "You have sent very many texts in a short time, so this one was not passed on. Please wait a minute.",
    "too_many_a_day": "You have sent very many texts today, so this one was not passed on. Please try again tomorrow.",
    "repeated": "You have sent the same text again and again, so it is not passed on any more.",
    "recipient_blocked": "Your text was not passed on: the other person cannot be reached here any more.",
}
REPORTED = (
    "Thank you for your report. The other person's texts do not reach you any more. The operator of this service "
    "looks into it."
)

# By messaging.disclosure.Kind.
_DISCLOSURES = {
    "email": "an e-mail address",
    "handle": "a messenger account",
    "link": "a link",
    "phone": "a phone number",
}

# What stands in a text for attachments that do not go with it, by Attachment.Kind.
WITHHELD = {
    "vcard": "[A contact card was withheld to protect privacy.]",
    "file": "[A file was withheld to protect privacy.]",
}
MISSING = {
    "image": "[A picture could not be passed on.]",
    "audio": "[An audio recording could not be passed on.]",
    "video": "[A video could not be passed on.]",
    "vcard": "[A contact card could not be passed on.]",
    "file": "[A file could not be passed on.]",
}
LONGEST_MARKS = sum(len(mark) + 1 for mark in (*WITHHELD.values(), *MISSING.values()))

YOURS_WAS_WITHHELD = (
    "Your contact card or file was not passed on, because it could show who you are. Please write what is needed."
)
YOURS_IS_MISSING = "What you attached could not be passed on. Please send it again, or as a text."


def say_removed(kinds: Sequence[str]) -> str:
    """Return what the writer of a text is told that was passed on without `kinds` of disclosures."""
    return f"To protect privacy, your text was passed on without {_name(kinds)} that was in it."


def say_disclosure_blocked(kinds: Sequence[str]) -> str:
    """Return what the writer of a text is told that was not passed on because of `kinds` of disclosures."""
    return f"To protect privacy, your text was not passed on: there is {_name(kinds)} in it. Please leave that out."


def _name(kinds: Sequence[str]) -> str:
    return " and ".join(_DISCLOSURES[kind] for kind in kinds)


def name_missing_parts(first: int, last: int, total: int) -> str:
    """Return what stands in a long text for the parts of it that did not come."""
    if first == last:
        return f"[part {first} of {total} is missing]"
    return f"[parts {first} to {last} of {total} are missing]"


# Whatever we answer a text with: when it comes back, a machine has sent it.
OURS = frozenset(
    (
        CHAT_HAS_ENDED,
        CHAT_HAS_NOT_STARTED,
        NO_LONGER_IN_CHAT,
        NOT_DELIVERED,
        YOURS_WAS_WITHHELD,
        YOURS_IS_MISSING,
        REPORTED,
        *NOT_PASSED_ON.values(),
        *STOPPED.values(),
        *(
            say(kinds)
            for say in (say_removed, say_disclosure_blocked)
            for size in range(1, len(_DISCLOSURES) + 1)
            for kinds in combinations(sorted(_DISCLOSURES), size)
        ),
    )
)
