"""What is sent, or said, in place of the call or the answer that could not be had."""
