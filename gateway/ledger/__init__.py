"""What a call leaves in the books: entries, and the spool on disk that holds them until they are inserted."""
