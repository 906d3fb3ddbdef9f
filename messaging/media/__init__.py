"""Pictures, sounds, films and files: fetched, cleaned, kept, and served under links that expire."""
