"""The verbs of the pipeline, one file each. A stage never calls another stage."""
