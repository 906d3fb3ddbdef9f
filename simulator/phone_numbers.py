"""What a phone number looks like: + and 7 to 15 digits."""

import re

PHONE_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
