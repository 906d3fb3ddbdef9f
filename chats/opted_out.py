"""Ask, in SQL, whether somebody has opted out: the one definition of it, for lookups, senders and the API."""

# By the index opt_out_in_force_once. A STOP to a number counts on it whosever chat it is; one to a platform also in
# the platform's chats on other numbers.
_IS_OPTED_OUT = """EXISTS (
    SELECT FROM messaging_optout AS opt_out
     WHERE opt_out.phone_digest = {digest} AND opt_out.ended_at IS NULL
       AND (opt_out.virtual_number_id = {number_id}
            OR (opt_out.scope = 'platform' AND opt_out.platform_id = {platform_id})))"""


def is_opted_out(*, digest: str, number_id: str, platform_id: str) -> str:
    """Return SQL that tells whether who has `digest` may not be texted from a number, in a platform's chat."""
    return _IS_OPTED_OUT.format(digest=digest, number_id=number_id, platform_id=platform_id)
