"""`forebay doctor`: look at a deployment, and say what to do. It changes nothing and shows no secret."""
