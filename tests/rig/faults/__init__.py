"""Every way an upstream can fail, as data; the place where they are played; what a client hears of them."""
