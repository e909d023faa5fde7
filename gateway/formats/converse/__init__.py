"""Amazon Bedrock's Converse: one API for the models of many makers. Only upstreams speak it."""
