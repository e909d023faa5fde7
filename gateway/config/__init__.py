"""Configuration: YAML files become checked, located values, and nothing else happens.

`files` reads bytes and the environment, `nodes` parses YAML, `located` decodes it with a line for every
problem; `spec` is what Specs are made of, `routing` the Specs of routing.yaml, `resolve` makes them
ready to use, `schema` describes Specs to editors.
"""
