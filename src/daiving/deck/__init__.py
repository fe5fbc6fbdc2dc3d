"""The lecture deck, claim by claim: what it says, what we get, and a verdict that may be "cannot tell"."""
