"""The operator's desk: what needs a person now, how texts fare, and what is still to be set up."""
