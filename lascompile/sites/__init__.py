"""Sites: the convolutions of a network, each in all forms in which it can be computed, and on which rows."""
