"""What `forebay doctor` looks at: a module for each kind. Judgements are pure, of what was seen."""
