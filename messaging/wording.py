"""What the service itself says to people: plain GSM-7 words, short enough for one segment."""

CHAT_HAS_ENDED = "This chat has ended, so your text was not passed on."
CHAT_HAS_NOT_STARTED = "This chat has not started yet, so your text was not passed on."
NO_LONGER_IN_CHAT = "You are no longer part of this chat, so your text was not passed on."
NOT_DELIVERED = "A text of yours could not be delivered to the other person. Please try again later."
NOT_APPROVED = "Your text was not passed on: the service that connects you does not allow it."
NOT_CHECKED = "Your text could not be checked, so it was not passed on. Please try again later."

# By InboundText.undeliverable.
NOT_PASSED_ON = {
    "media": "Your message was of a kind that cannot be passed on here. Please send it as a text.",
    "empty": "Your text was empty, so it was not passed on.",
    "binary": "Your message was not a text, so it was not passed on.",
    "too_long": "Your text was too long to be passed on. Please send it in parts.",
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


def name_missing_parts(first: int, last: int, total: int) -> str:
    """Return what stands in a long text for the parts of it that did not come."""
    if first == last:
        return f"[part {first} of {total} is missing]"
    return f"[parts {first} to {last} of {total} are missing]"
