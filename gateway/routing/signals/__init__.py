"""What decisions look at in a call: each read once, and only when something asks for it. Pure."""
