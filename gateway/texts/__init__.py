"""What is searched for in texts, and taken out of them: pure, and linear in the text."""
