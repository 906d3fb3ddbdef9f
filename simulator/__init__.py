"""A stand-in for Vonage on the same wire protocol, with handsets in the browser."""
