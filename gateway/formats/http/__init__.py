"""What of a message is HTTP: header lines, codings, multipart forms."""
