"""What the service itself says to people: plain GSM-7 words, short enough for one segment."""

CHAT_HAS_ENDED = "This chat has ended, so your text was not passed on."
NOT_DELIVERED = "A text of yours could not be delivered to the other person. Please try again later."

# By InboundText.undeliverable.
NOT_PASSED_ON = {
    "media": "Pictures and files cannot be passed on here. Please send it as a text.",
    "empty": "Your text was empty, so it was not passed on.",
    "binary": "Your message was not a text, so it was not passed on.",
    "too_long": "Your text was too long to be passed on. Please send it in parts.",
}


def name_missing_parts(first: int, last: int, total: int) -> str:
    """Return what stands in a long text for the parts of it that did not come."""
    if first == last:
        return f"[part {first} of {total} is missing]"
    return f"[parts {first} to {last} of {total} are missing]"
