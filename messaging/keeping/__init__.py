"""What is kept of people, and for how long: keys are changed, what is old is erased, and whoever asks is.

docs/privacy.md says what that is, docs/decisions/0025-keeping.md why it is done like this.
"""
