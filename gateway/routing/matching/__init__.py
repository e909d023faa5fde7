"""What conditions compare with: names against globs, times against hours. Pure."""
